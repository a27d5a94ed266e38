"""Things that move by themselves, and lights that change: functions of the time, in frames.

Frame n shows the time n; with an open shutter, times around it. A shape of a scene dictionary moves if it has a
Movement under `moves`; an emitter changes if it has a Flicker under `flicker` (see rooms/__init__.py).

Rigid movements: Walk, Turn, Swing, Slide, Tumble. Deforming ones: Sway, Twist, Wave, Breathe. Lengths are in meters,
angles in degrees unless they are phases (radians), periods in frames. Normals are exact: those of the moved surface.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

Vector = tuple[float, float, float]
Moved = tuple[np.ndarray, np.ndarray]  # vertices and unit normals, (N, 3) each


class Movement(Protocol):
    """Where a mesh is at any time. Frozen dataclasses of numbers and tuples, so that they have digests."""

    def at(self, vertices: np.ndarray, normals: np.ndarray, time: float) -> Moved:
        """Vertices and unit normals, (N, 3) each, in room space, at `time`; the arguments are those at rest."""


@dataclass(frozen=True)
class Flicker:
    """A light's power over time, as a factor of its power at rest.

    depth: how far it falls, in [0, 1]; period: frames; phase: radians; steps: whether it is switched on and off
    instead of fading.
    """

    depth: float
    period: float
    phase: float
    steps: bool = False

    def factor(self, time: float) -> float:
        """The factor at `time`, from 1 - depth to 1."""
        wave = 0.5 + 0.5 * sine(time, self.period, self.phase)
        return float(1 - self.depth * (np.round(wave) if self.steps else wave))


def sine(time: float, period: float, phase: float) -> float:
    """A sine wave over time, in [-1, 1]; period: frames; phase: radians."""
    return np.sin(2 * np.pi * time / period + phase)


def passed(time: float, pause: float) -> float:
    """How many steps of a steady pace are done at `time`; pause: frames from one stop to the next, 0: no stops."""
    return time - pause / (2 * np.pi) * np.sin(2 * np.pi * time / pause) if pause else time


def folded(distance: float, low: float, high: float) -> float:
    """A distance along a line that turns round at `low` and at `high`, low <= 0 <= high, low < high."""
    along = (distance - low) % (2 * (high - low))
    return low + min(along, 2 * (high - low) - along)


def rotation(axis: Vector, degrees: float) -> np.ndarray:
    """The matrix (3, 3) that turns by this angle around a unit axis."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.radians(degrees)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def turned(vertices: np.ndarray, normals: np.ndarray, matrix: np.ndarray, pivot: Vector) -> Moved:
    """Vertices and normals, turned by a matrix (3, 3) around a point."""
    return (vertices - pivot) @ matrix.T + pivot, normals @ matrix.T


def sheared(normals: np.ndarray, push: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """The unit normals of a surface whose points p went to p + push * f(p).

    push: (3,) or (N, 3).
    slope: the gradient of f, (N, 3).
    By the inverse transpose of I + push slope^T, which is I - slope push^T / (1 + push . slope).
    """
    along = (normals * push).sum(1, keepdims=True) / (1 + (push * slope).sum(1, keepdims=True))
    return unit(normals - slope * along)


def unit(normals: np.ndarray) -> np.ndarray:
    """Vectors (N, 3), scaled to length 1."""
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


@dataclass(frozen=True)
class Walk:
    """Straight on along `direction` (unit), and back after `ahead`, as far as `behind` the start.

    speed: meters per frame; bob: height of a step; stride: length of a step; pause: see `passed`.
    """

    direction: Vector
    speed: float
    ahead: float
    behind: float
    bob: float = 0.0
    stride: float = 0.7
    pause: float = 0.0

    def at(self, vertices: np.ndarray, normals: np.ndarray, time: float) -> Moved:
        distance = folded(self.speed * passed(time, self.pause), -self.behind, self.ahead)
        lift = self.bob * abs(np.sin(np.pi * distance / self.stride))
        return vertices + distance * np.array(self.direction) + [0, lift, 0], normals


@dataclass(frozen=True)
class Turn:
    """Round and round an axis (unit) through `pivot`: in place, or in a circle around a distant one.

    rate: degrees per frame; pause: see `passed`; lift: how high it floats above its place.
    """

    pivot: Vector
    axis: Vector
    rate: float
    pause: float = 0.0
    lift: float = 0.0

    def at(self, vertices: np.ndarray, normals: np.ndarray, time: float) -> Moved:
        matrix = rotation(self.axis, self.rate * passed(time, self.pause))
        vertices, normals = turned(vertices, normals, matrix, self.pivot)
        return vertices + np.array([0, self.lift, 0]), normals


@dataclass(frozen=True)
class Swing:
    """To and fro around an axis (unit) through `pivot`, as pendulums and doors.

    degrees: the widest angle on either side of the angle `middle`.
    """

    pivot: Vector
    axis: Vector
    degrees: float
    period: float
    phase: float
    middle: float = 0.0

    def at(self, vertices: np.ndarray, normals: np.ndarray, time: float) -> Moved:
        angle = self.middle + self.degrees * sine(time, self.period, self.phase)
        return turned(vertices, normals, rotation(self.axis, angle), self.pivot)


@dataclass(frozen=True)
class Slide:
    """To and fro along `reach`, the vector from the middle to the end."""

    reach: Vector
    period: float
    phase: float

    def at(self, vertices: np.ndarray, normals: np.ndarray, time: float) -> Moved:
        return vertices + sine(time, self.period, self.phase) * np.array(self.reach), normals


@dataclass(frozen=True)
class Tumble:
    """Jumps of this height, one per period, along parabolas, and `turns` whole turns around an axis (unit) in each.

    pivot: the middle of the thing; phase: in jumps.
    """

    pivot: Vector
    axis: Vector
    turns: int
    height: float
    period: float
    phase: float

    def at(self, vertices: np.ndarray, normals: np.ndarray, time: float) -> Moved:
        part = (time / self.period + self.phase) % 1
        vertices, normals = turned(vertices, normals, rotation(self.axis, 360 * self.turns * part), self.pivot)
        return vertices + np.array([0, 4 * self.height * part * (1 - part), 0]), normals


@dataclass(frozen=True)
class Sway:
    """Bends to and fro, the more the higher above `foot`; reach: how far the top goes, (3,), without y."""

    foot: float
    height: float
    reach: Vector
    period: float
    phase: float

    def at(self, vertices: np.ndarray, normals: np.ndarray, time: float) -> Moved:
        push = sine(time, self.period, self.phase) * np.array(self.reach)
        up = np.maximum(vertices[:, 1:2] - self.foot, 0) / self.height  # (N, 1)
        slope = 2 * up / self.height * [0.0, 1.0, 0.0]
        return vertices + up**2 * push, sheared(normals, push, slope)


@dataclass(frozen=True)
class Twist:
    """Turns to and fro around the upright line through `pivot`, the more the higher; degrees: at `height` above it."""

    pivot: Vector
    height: float
    degrees: float
    period: float
    phase: float

    def at(self, vertices: np.ndarray, normals: np.ndarray, time: float) -> Moved:
        # how far each vertex turns
        rate = np.radians(self.degrees) * sine(time, self.period, self.phase) / self.height
        x, y, z = (vertices - self.pivot).T
        cos, sin = np.cos(rate * y), np.sin(rate * y)

        # before turning, the surface leans as each slice is ahead of the one below
        push = np.stack([z, np.zeros_like(y), -x], 1) * rate  # (N, 3)
        a, b, c = sheared(normals, push, np.broadcast_to([0.0, 1.0, 0.0], vertices.shape)).T
        both = [np.stack([cos * u + sin * w, v, cos * w - sin * u], 1) for u, v, w in ((x, y, z), (a, b, c))]
        return both[0] + self.pivot, both[1]


@dataclass(frozen=True)
class Wave:
    """A wave through cloth or leaves: pushes by `push` (3,), and runs along `along`, in radians per meter (3,).

    foot, height: its amplitude rises from 0 at `foot` to 1 at `height` above it (below it if negative).
    """

    push: Vector
    along: Vector
    foot: float
    height: float
    period: float
    phase: float

    def at(self, vertices: np.ndarray, normals: np.ndarray, time: float) -> Moved:
        angle = vertices @ np.array(self.along) - 2 * np.pi * time / self.period + self.phase  # (N,)
        weight = np.clip((vertices[:, 1] - self.foot) / self.height, 0, 1)
        growing = np.where((weight > 0) & (weight < 1), np.sin(angle) / self.height, 0)
        slope = (weight * np.cos(angle))[:, None] * self.along + growing[:, None] * [0.0, 1.0, 0.0]
        push = np.array(self.push)
        return vertices + (weight * np.sin(angle))[:, None] * push, sheared(normals, push, slope)


@dataclass(frozen=True)
class Breathe:
    """Grows and shrinks around `pivot`; amount: along x, y, z, each below 1."""

    pivot: Vector
    amount: Vector
    period: float
    phase: float

    def at(self, vertices: np.ndarray, normals: np.ndarray, time: float) -> Moved:
        scale = 1 + sine(time, self.period, self.phase) * np.array(self.amount)
        return (vertices - self.pivot) * scale + self.pivot, unit(normals / scale)


@dataclass(frozen=True)
class Together:
    """Several movements at once, the first one first: what deforms comes before what carries it away."""

    parts: tuple[Movement, ...]

    def at(self, vertices: np.ndarray, normals: np.ndarray, time: float) -> Moved:
        for part in self.parts:
            vertices, normals = part.at(vertices, normals, time)
        return vertices, normals
