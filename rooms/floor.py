"""A room while it is being furnished: its contents, and which parts of its floor are still free."""

from dataclasses import dataclass, field

import numpy as np

from rooms.materials import Style
from rooms.primitives import Shape

TRIES = 40  # random positions tried for one thing


@dataclass(frozen=True)
class Room:
    """Everything in a room; the middle of the floor is the origin.

    size: (W, H, D) along x, y, z. lights: environment maps; lamps are shapes. taken: floor rectangles
    (x0, z0, x1, z1) on which something stands. sights: points (3,) that a camera may look at. sources: names and paths
    of the files that it is made of, models and environment maps. models: the name of the model that a shape is part of,
    by the number of the shape.
    """

    size: tuple[float, float, float]
    shapes: list[Shape] = field(default_factory=list)
    lights: list[dict] = field(default_factory=list)
    taken: list[tuple[float, float, float, float]] = field(default_factory=list)
    sights: list[np.ndarray] = field(default_factory=lambda: [np.array([0, 0.9, 0])])
    sources: dict[str, str] = field(default_factory=dict)
    models: dict[int, str] = field(default_factory=dict)

    def claim(self, x: float, z: float, size: tuple[float, float]) -> bool:
        """Takes a rectangle of the floor, its middle at (x, z), if all of it is free; returns whether it was."""
        x0, z0, x1, z1 = x - size[0] / 2, z - size[1] / 2, x + size[0] / 2, z + size[1] / 2
        if any(x0 < b[2] and x1 > b[0] and z0 < b[3] and z1 > b[1] for b in self.taken):
            return False
        self.taken.append((x0, z0, x1, z1))
        return True

    def claim_anywhere(self, style: Style, size: tuple[float, float], margin: float) -> tuple[float, float] | None:
        """Takes a free rectangle at a random position, `margin` from the walls: its middle (x, z), None without one."""
        for _ in range(TRIES):
            reach = [self.size[axis] / 2 - size[i] / 2 - margin for i, axis in enumerate((0, 2))]
            if min(reach) <= 0:
                return None
            x, z = (style.rng.uniform(-r, r) for r in reach)
            if self.claim(x, z, size):
                return x, z
        return None


def wall_frames(size: tuple[float, float, float]) -> list[tuple[float, np.ndarray, float]]:
    """For each wall of a (W, H, D) room: its length, the middle of its foot (3,), and the turn from +z to its normal.

    Normals point inwards; turns are in radians around y.
    """
    width, _, depth = size
    walls = [(width, (0, 0, -depth / 2), 0.0), (depth, (-width / 2, 0, 0), np.pi / 2)]
    walls += [(width, (0, 0, depth / 2), np.pi), (depth, (width / 2, 0, 0), -np.pi / 2)]
    return [(length, np.array(foot), turn) for length, foot, turn in walls]
