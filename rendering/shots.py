"""Random shots through procedural rooms: camera paths of one of MOVES at one of PACES, whose speed is still open.

Lengths are meters and y is up. To add a move or a pace, add a line to its table; existing seeds then get other shots.
Letters: F = PATH_FRAMES frames.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from rendering.cameras import Camera
from rooms.floor import Room

PATH_FRAMES = 16  # frames of a path
CLOSE = 0.2  # share of the shots tried that are from close by; they fit more often, and end as a third
FOV = (25.0, 85.0)  # degrees, horizontal
EYE_HEIGHTS = (0.3, 2.2)  # in the middle of a path
NEAREST = 0.5  # meters from the eye to what it looks at


@dataclass(frozen=True)
class Shot:
    """A camera path of PATH_FRAMES frames.

    eye, sight: (3,) where the camera is halfway along the path, and what it looks at there. fov: degrees. move, pace:
    names in MOVES and PACES. steps: (F,) how far along the path each frame is, 0 halfway. shake: (F, 5) what an
    unsteady hand adds, in steps: to the right, up and forward, and turns to the left and up. mix: (2,) in [-1, 1], what
    else varies between shots of one move. close: whether what it looks at may fill the picture. amplitude: meters per
    step; a camera that turns sweeps so many meters at the distance of the sight.
    """

    eye: np.ndarray
    sight: np.ndarray
    fov: float
    move: str
    pace: str
    steps: np.ndarray
    shake: np.ndarray
    mix: np.ndarray
    close: bool = False
    amplitude: float = 0.0

    @property
    def view(self) -> np.ndarray:
        """(3,) from the eye to the sight."""
        return self.sight - self.eye

    @property
    def distance(self) -> float:
        """From the eye to the sight."""
        return float(np.linalg.norm(self.view))

    def cameras(self) -> list[Camera]:
        """The F cameras of the path."""
        made = []
        for step, shake in zip(self.steps, self.shake, strict=True):
            origin, target = MOVES[self.move](self, self.amplitude * step, self.amplitude * shake)
            made.append(Camera(tuple(origin.tolist()), tuple(target.tolist()), fov=self.fov))
        return made


def random_shot(room: Room, rng: np.random.Generator) -> Shot:
    """A random shot in a room; it may run into things."""
    # what it looks at, and from where
    width, height, depth = room.size
    sight = room.sights[rng.integers(len(room.sights))] + rng.normal(0, 0.2, 3)
    low = np.array([0.3 - width / 2, EYE_HEIGHTS[0], 0.3 - depth / 2])
    high = np.array([width / 2 - 0.3, max(EYE_HEIGHTS[0], min(EYE_HEIGHTS[1], height - 0.3)), depth / 2 - 0.3])
    close = bool(rng.random() < CLOSE)
    if close:
        azimuth, elevation = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 1.1)
        back = np.array([np.sin(azimuth), np.tan(elevation), np.cos(azimuth)]) * np.cos(elevation)
        eye = np.clip(sight + rng.uniform(NEAREST, 1.5) * back, low, high)
    else:
        eye = rng.uniform(low, high)
    sight = eye + (sight - eye) * max(1.0, NEAREST / max(np.linalg.norm(sight - eye), 1e-3))

    # how it moves
    move, pace = list(MOVES)[rng.integers(len(MOVES))], list(PACES)[rng.integers(len(PACES))]
    velocities = rng.choice([-1, 1]) * PACES[pace](rng)  # (F - 1,)
    steps = np.concatenate([[0], np.cumsum(velocities) / np.abs(velocities[velocities != 0]).mean()])  # (F,)
    steps = steps - (steps.max() + steps.min()) / 2

    # how the hand shakes
    periods, phases = rng.uniform(7, 16, (3, 5)), rng.uniform(0, 2 * np.pi, (3, 5))
    waves = np.sin(2 * np.pi * np.arange(PATH_FRAMES)[:, None, None] / periods + phases)
    shake = (waves * 0.6 * periods / (2 * np.pi)).sum(1)  # (F, 5); long waves are high, so that all are as fast
    return Shot(eye, sight, float(rng.uniform(*FOV)), move, pace, steps, shake, rng.uniform(-1, 1, 2), close)


# Moves: the origin and target, (3,) each, of a shot's camera after d meters along its path. shake: (5,), in meters.
MOVES = {
    "dolly": lambda shot, d, shake: stepped(shot, (0, 0, d), (0, 0)),
    "truck": lambda shot, d, shake: stepped(shot, (d, 0, 0), (0, 0)),
    "crane": lambda shot, d, shake: stepped(shot, (0, d, 0), (0, -abs(shot.mix[0]) * d)),  # turns toward the sight
    "pan": lambda shot, d, shake: stepped(shot, (0, 0, 0), (d, 0)),
    "tilt": lambda shot, d, shake: stepped(shot, (0, 0, 0), (0, d)),
    "push in": lambda shot, d, shake: stepped(shot, (0, 0, d), (0.6 * d * np.sign(shot.mix[0]), 0)),
    "orbit": lambda shot, d, shake: circled(shot, (d, 0), 0),
    # rises or sinks as well, and comes nearer or not
    "arc": lambda shot, d, shake: circled(shot, (d, 0.6 * d * shot.mix[0]), 0.6 * d * shot.mix[1]),
    # a slow step from a hand that shakes even where the step rests
    "handheld": lambda shot, d, shake: stepped(shot, shake[:3] / 2 + np.array([d, 0, d * shot.mix[0]]) / 3, shake[3:]),
}


def stepped(shot: Shot, step: ArrayLike, turn: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Origin and target of a shot's camera after a step (3,) to the right, up and forward, and a turn (see turned)."""
    right = np.cross(shot.view, [0, 1, 0])
    axes = np.stack([right / np.linalg.norm(right), [0, 1, 0], shot.view / shot.distance])
    origin = shot.eye + np.asarray(step) @ axes
    return origin, origin + turned(shot.view, turn)


def circled(shot: Shot, turn: ArrayLike, farther: float) -> tuple[np.ndarray, np.ndarray]:
    """Origin and target of a shot's camera after a turn (see turned) around the sight, and some meters back."""
    return shot.sight - np.exp(farther / shot.distance) * turned(shot.view, turn), shot.sight


def turned(view: np.ndarray, turn: ArrayLike) -> np.ndarray:
    """A vector (3,) turned to the left and up by angles whose arcs, at its tip, are `turn` (2,) meters long."""
    length = np.linalg.norm(view)
    left, up = np.asarray(turn) / length
    azimuth, elevation = np.arctan2(view[0], view[2]) + left, np.arcsin(view[1] / length) + up
    flat = np.cos(elevation)
    return length * np.array([flat * np.sin(azimuth), np.sin(elevation), flat * np.cos(azimuth)])


# Paces: the velocity from each frame to the next, (F - 1,), in any unit.
STEPS = np.arange(PATH_FRAMES - 1)
PACES = {
    "steady": lambda rng: np.ones(len(STEPS)),
    "speeding up": lambda rng: np.linspace(1, rng.uniform(2, 5), len(STEPS)),
    "slowing down": lambda rng: np.linspace(rng.uniform(2, 5), 1, len(STEPS)),
    "going and stopping": lambda rng: np.clip(
        0.7 + 1.2 * wave(rng, 12, 18), 0, 1
    ),  # in motion more than half of the time
    "starting from rest": lambda rng: np.clip((STEPS - rng.integers(1, 5)) / rng.uniform(2, 5), 0, 1),
    "to and fro": lambda rng: wave(rng, 14, 24),  # turning round once or twice
}


def wave(rng: np.random.Generator, shortest: float, longest: float) -> np.ndarray:
    """(F - 1,) a sine of a random phase, and of a random period between these, in frames."""
    return np.sin(2 * np.pi * STEPS / rng.uniform(shortest, longest) + rng.uniform(0, 2 * np.pi))
