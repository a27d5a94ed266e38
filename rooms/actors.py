"""What moves in a procedural scene, and how: movements are drawn for its actors, so that they stay in the room.

Sequences show the times from -1 to 17; everything turns round or repeats, so that longer ones work, too.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rooms.materials import Style
from rooms.meshes import lattice
from rooms.moving import Breathe, Flicker, Movement, Slide, Sway, Swing, Together, Tumble, Turn, Twist, Walk, Wave
from rooms.placing import CORNERS, Actor, Stage, bounds
from rooms.primitives import Shape

TIMES = np.arange(-1.0, 18.0)  # frames in which a path is looked at
PATHS = 12  # movements tried for one thing; each reaches less far than the one before
MOST_MOVING = 4  # things in a scene


@dataclass(frozen=True)
class Body:
    """A thing that is to move: the corners (3,) of the box around it, which way it faces, and how far it may go."""

    low: np.ndarray
    high: np.ndarray
    turn: float
    reach: float

    @property
    def middle(self) -> tuple[float, float, float]:
        """The middle of the box."""
        return point((self.low + self.high) / 2)

    @property
    def foot(self) -> tuple[float, float, float]:
        """The middle of the box's lower side."""
        return (self.middle[0], float(self.low[1]), self.middle[2])

    @property
    def height(self) -> float:
        """The height of the box."""
        return max(float(self.high[1] - self.low[1]), 1e-3)

    def ahead(self, sideways: float = 0.0) -> np.ndarray:
        """A level unit vector (3,): where it faces, turned by `sideways` radians."""
        return np.array([np.sin(self.turn + sideways), 0.0, np.cos(self.turn + sideways)])


def point(values) -> tuple[float, float, float]:
    """Three numbers as a tuple of plain floats."""
    x, y, z = (float(v) for v in values)
    return x, y, z


def log_uniform(style: Style, low: float, high: float) -> float:
    """A number between two, with a uniform logarithm."""
    return float(np.exp(style.rng.uniform(np.log(low), np.log(high))))


def speed(style: Style) -> float:
    """Metres per frame."""
    return log_uniform(style, 0.002, 0.3)


def rate(style: Style) -> float:
    """Degrees per frame, either way round."""
    return log_uniform(style, 0.2, 20) * style.pick([-1, 1])


def pause(style: Style) -> float:
    """Frames from stop to stop, mostly 0: no stops."""
    return float(style.rng.uniform(8, 30)) if style.chance(0.25) else 0.0


def rhythm(style: Style) -> tuple[float, float]:
    """A period in frames and a phase in radians, of something that goes to and fro."""
    return log_uniform(style, 5, 80), float(style.rng.uniform(0, 2 * np.pi))


def walk(style: Style, body: Body) -> Movement:
    """Straight on, mostly the way it faces."""
    direction = body.ahead(0.0 if style.chance(0.8) else style.rng.uniform(0, 6.28))
    ahead, behind = body.reach * style.rng.uniform([0.2, 0.05], [1.0, 0.6])
    return Walk(point(direction), speed(style), float(ahead), float(behind), pause=pause(style))


def stroll(style: Style, body: Body) -> Movement:
    """Straight on, with a bob and perhaps a slight twist of the body."""
    ahead, behind = body.reach * style.rng.uniform([0.2, 0.05], [1.0, 0.6])
    bob, stride = float(style.rng.uniform(0.01, 0.05)) * body.height, float(style.rng.uniform(0.3, 0.45)) * body.height
    going = Walk(point(body.ahead()), speed(style), float(ahead), float(behind), bob, stride, pause(style))
    twisting = Twist(body.foot, body.height, float(style.rng.uniform(2, 9)), *rhythm(style))
    return Together((twisting, going)) if style.chance(0.5) else going


def circle(style: Style, body: Body) -> Movement:
    """Round a point beside it, facing along the circle."""
    radius, pace = 0.5 * body.reach * style.rng.uniform(0.2, 1), speed(style)
    side = style.pick([-1, 1])
    center = np.array(body.middle) + side * radius * body.ahead(np.pi / 2)
    return Turn(point(center), (0.0, 1.0, 0.0), float(side * np.degrees(min(pace / radius, 0.35))), pause(style))


def turn(style: Style, body: Body) -> Movement:
    """Round itself, in place."""
    return Turn(body.middle, (0.0, 1.0, 0.0), rate(style), pause(style))


def spin(style: Style, body: Body) -> Movement:
    """Round itself, around any axis, floating just high enough for that."""
    axis = style.rng.normal(size=3)
    lift = float(np.linalg.norm(body.high - body.low) - body.height) / 2
    return Turn(body.middle, point(axis / np.linalg.norm(axis)), rate(style), pause(style), lift)


def tumble(style: Style, body: Body) -> Movement:
    """Jumps up and down, often turning over, and perhaps walks on meanwhile."""
    axis, turns = point(body.ahead(style.rng.uniform(0, 6.28))), int(style.rng.integers(-2, 3))
    height = 0.5 * body.reach * float(style.rng.uniform(0.2, 1)) + 0.3 * body.height
    jumps = Tumble(body.middle, axis, turns, height, log_uniform(style, 10, 40), float(style.rng.uniform(0, 1)))
    return Together((jumps, walk(style, body))) if style.chance(0.4) else jumps


def slide(style: Style, body: Body) -> Movement:
    """To and fro, on its level."""
    (period, phase), direction = rhythm(style), body.ahead(style.rng.uniform(0, 6.28))
    reach = min(0.5 * body.reach, 0.3 * period / (2 * np.pi)) * style.rng.uniform(0.1, 1)
    return Slide(point(reach * direction), period, phase)


def swing(style: Style, body: Body) -> Movement:
    """To and fro around its upper side, as pictures and lamps that hang."""
    pivot = (body.middle[0], float(body.high[1]), body.middle[2])
    period, phase = rhythm(style)
    return Swing(pivot, point(body.ahead()), min(float(style.rng.uniform(2, 25)), 2.0 * period), period, phase)


def hinge(style: Style, body: Body) -> Movement:
    """Opens and shuts around an upright edge at its front, away from the wall behind it."""
    (width, _, depth), side = body.high - body.low, style.pick([-1, 1])
    half, thick = max(width, depth) / 2, min(width, depth) / 2
    pivot = np.array(body.middle) + side * half * body.ahead(np.pi / 2) + thick * body.ahead()
    period, phase = rhythm(style)
    degrees = min(float(style.rng.uniform(3, 45)), 3.0 * period)
    return Swing(point(pivot), (0.0, 1.0, 0.0), degrees, period, phase, side * degrees)


def sway(style: Style, body: Body) -> Movement:
    """Bends, its foot in its place."""
    period, phase = rhythm(style)
    reach = body.height * style.rng.uniform(0.03, 0.25) * body.ahead(style.rng.uniform(0, 6.28))
    return Sway(float(body.low[1]), body.height, point(reach), period, phase)


def twist(style: Style, body: Body) -> Movement:
    """Twists, its foot in its place."""
    period, phase = rhythm(style)
    return Twist(body.foot, body.height, min(float(style.rng.uniform(4, 60)), 3.0 * period), period, phase)


def wave(style: Style, body: Body) -> Movement:
    """A wave runs through it, its foot in its place."""
    along, push = style.rng.normal(size=(2, 3))
    along *= 2 * np.pi / (np.linalg.norm(along) * body.height * style.rng.uniform(0.5, 2))
    push *= 0.2 / max(np.linalg.norm(along) * np.linalg.norm(push), 1e-6)  # flat enough not to fold over
    return Wave(point(push), point(along), float(body.low[1]), body.height, *rhythm(style))


def breathe(style: Style, body: Body) -> Movement:
    """Grows and shrinks, its foot in its place."""
    amount = style.rng.uniform(0.01, 0.2) * style.rng.uniform(-1, 1, 3)
    return Breathe(body.foot, point(amount), *rhythm(style))


# How things of a role move, and how often; None: any other role.
MOTIONS: dict[str | None, dict[Callable, float]] = {
    "person": {stroll: 5, circle: 1.5, turn: 1, twist: 1, sway: 1, breathe: 0.3, tumble: 0.3},
    "animal": {stroll: 4, circle: 2, turn: 1, tumble: 1, twist: 0.7, sway: 0.5, breathe: 0.5},
    "vehicle": {walk: 5, circle: 2, turn: 1, slide: 0.5},
    "plant": {sway: 4, wave: 3, twist: 1.5, turn: 0.3, slide: 0.3},
    "wall": {swing: 3, slide: 0.5},
    "lamp-ceiling": {swing: 1},
    "door": {hinge: 1},
    "small": {spin: 2, tumble: 3, turn: 2, slide: 2, walk: 1.5, breathe: 0.7, twist: 0.7, sway: 0.7},
    None: {slide: 2, turn: 2, walk: 1.5, twist: 0.7, sway: 0.5, breathe: 0.5, tumble: 0.5},
}
WEIGHTS = {"person": 6, "vehicle": 5, "animal": 5, "plant": 3, "small": 2, "door": 3, "wall": 1}  # 1: any other role


def animate(stage: Stage, things: int, lights: int) -> None:
    """Makes so many things and lights of a scene move or change by themselves, or fewer, if it has fewer."""
    # things, each with all that it consists of; what moves is looked at twice as often
    style, room = stage.style, stage.room
    for _ in range(min(things, len(stage.actors))):
        actor = style.pick(stage.actors, [WEIGHTS.get(actor.role, 1) for actor in stage.actors])
        shapes = [meshed(shape) for shape in room.shapes[actor.first : actor.last]]
        if any("moves" in shape for shape in shapes):
            continue
        low, high = bounds(shapes)
        movement = draw(stage, actor, low, high)
        room.shapes[actor.first : actor.last] = [shape | {"moves": movement} for shape in shapes]
        room.sights.extend([(low + high) / 2] * 2)

    # lights: shapes that share an emitter flicker together
    emitters = {id(shape["emitter"]): shape["emitter"] for shape in room.shapes if "emitter" in shape}
    chosen = list(emitters.items()) + [(id(light), light) for light in room.lights]
    for _ in range(min(lights, len(chosen))):
        key, light = chosen.pop(int(style.rng.integers(len(chosen))))
        changed = light | {"flicker": flicker(style)}
        room.lights[:] = [changed if id(one) == key else one for one in room.lights]
        for index, shape in enumerate(room.shapes):
            if id(shape.get("emitter")) == key:
                room.shapes[index] = shape | {"emitter": changed}


def draw(stage: Stage, actor: Actor, low: np.ndarray, high: np.ndarray) -> Movement:
    """A movement for an actor, low and high: the box around it. The first that keeps clear of walls and of things.

    Where none does, the last that stays in the room; where none does that, a slight turn in place.
    """
    style, motions = stage.style, MOTIONS.get(actor.role, MOTIONS[None])
    width, _, depth = stage.room.size
    reach = 0.6 * max(width, depth) if low[1] < 0.1 else 0.5
    fallback = Turn(Body(low, high, actor.turn, 0).middle, (0.0, 1.0, 0.0), float(style.rng.uniform(0.2, 3)))
    for attempt in range(PATHS):
        body = Body(low, high, actor.turn, reach * 0.75**attempt)
        movement = style.pick(motions)(style, body)
        inside, clear = keeps_clear(stage, movement, low, high)
        if inside and clear:
            return movement
        fallback = movement if inside else fallback
    return fallback


def keeps_clear(stage: Stage, movement: Movement, low: np.ndarray, high: np.ndarray) -> tuple[bool, bool]:
    """Whether a thing in the box from low to high stays in the room while it moves, and off all other things."""
    # the boxes around it in all frames: (T, 3) each
    corners = (low + high) / 2 + CORNERS * (high - low) / 2
    up = np.broadcast_to([0.0, 1.0, 0.0], corners.shape)
    paths = np.array([movement.at(corners, up, time)[0] for time in TIMES])  # (T, 8, 3)
    lows, highs = paths.min(1), paths.max(1)

    # the room, widened to where it stands already
    half = np.array(stage.room.size) / [2, 1, 2]
    floor = np.minimum([-half[0], 0, -half[2]], low)
    inside = bool((lows >= floor - 0.03).all() and (highs <= np.maximum(half, high) + 0.03).all())

    # others: all boxes that it does not meet where it stands
    others = [(a, b) for a, b in stage.boxes if not ((low < b) & (high > a)).all()]
    return inside, not any(((lows < b) & (highs > a)).all(1).any() for a, b in others)


def flicker(style: Style) -> Flicker:
    """A light that fades slowly, flutters as a flame, or is switched on and off."""
    depth, phase = float(style.rng.uniform(0.2, 1.0)), float(style.rng.uniform(0, 2 * np.pi))
    return Flicker(depth, log_uniform(style, 2.2, 40), phase, style.chance(0.3))


def meshed(shape: Shape) -> Shape:
    """The shape, ready to move: a ball as a mesh, and with normals, which deform with it."""
    shape = {key: value for key, value in shape.items() if key != "face_normals"}
    if shape["type"] != "sphere":
        return shape
    polar, around = np.linspace(-np.pi / 2, np.pi / 2, 25)[:, None], np.linspace(-np.pi, np.pi, 48, endpoint=False)
    parts = np.broadcast_arrays(np.cos(polar) * np.cos(around), np.sin(polar), -np.cos(polar) * np.sin(around))
    return shape | {"type": "ply", "mesh": lattice(np.stack(parts, -1), closed=True)}
