"""Where on a thing others can stand: maps of its height, seen from above."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from rooms.loading import load_thing
from rooms.models import Model
from rooms.primitives import Shape

CELL = 0.04  # meters, of a height map
SAMPLES = 30_000  # points on a model's faces
FLAT = 0.012  # meters between the highest and lowest point of a flat place
LOWEST = 0.2  # meters above the floor, of a place to put things


@dataclass(frozen=True)
class Top:
    """The height of a thing above its foot: heights (rows in z, columns in x), NaN where it has no upper side.

    The middle of the map is the middle of the thing; cell: meters.
    """

    heights: np.ndarray
    cell: float

    def scaled(self, factor: float) -> "Top":
        """The top of the thing, scaled."""
        return Top(self.heights * factor, self.cell * factor)

    def places(self, radius: float, taken: list[tuple[float, float, float]]) -> np.ndarray:
        """The points (N, 3) around which a circle of this radius is flat; taken: circles (x, z, radius) to keep off."""
        # flat: the highest and the lowest cell in a window differ little; NaN spreads
        reach = int(np.ceil(radius / self.cell))
        padded = np.pad(self.heights, reach, constant_values=np.nan)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * reach + 1, 2 * reach + 1))
        high = windows.max((2, 3))
        rows, columns = np.nonzero((high - windows.min((2, 3)) < FLAT) & (high > LOWEST))

        # as points, off the circles
        depth, width = self.heights.shape
        x, z = (columns + 0.5 - width / 2) * self.cell, (rows + 0.5 - depth / 2) * self.cell
        points = np.stack([x, high[rows, columns], z], 1)
        far = [np.hypot(x - a, z - b) > r for a, b, r in taken]
        return points[np.all(far, 0)] if far else points


def flat_top(height: float, size: tuple[float, float]) -> Top:
    """A flat rectangle, (width, depth) in meters, at this height."""
    width, depth = (max(1, int(s / CELL)) for s in size)
    return Top(np.full((depth, width), float(height)), CELL)


@lru_cache(maxsize=256)
def model_top(model: Model) -> Top | None:
    """The top of a model, None where it has no flat place as large as a saucer."""
    thing = load_thing(model)
    top = height_map(thing.shapes, thing.size)
    return top if len(top.places(0.06, [])) else None


def height_map(shapes: list[Shape], size: tuple[float, float, float]) -> Top:
    """The top of a thing of meshes: the highest of many points on its level faces, in each cell."""
    # level faces of all meshes
    corners = []
    for shape in shapes:
        vertices = shape["mesh"].vertices @ shape["to_world"][:3, :3].T + shape["to_world"][:3, 3]
        corners.append(vertices[shape["mesh"].faces])
    a, b, c = np.concatenate(corners).transpose(1, 0, 2)  # (F, 3) each
    normals = np.cross(b - a, c - a)
    area = np.linalg.norm(normals, axis=1)
    area[np.abs(normals[:, 1]) < 0.5 * area] = 0
    shape = (max(1, int(np.ceil(size[2] / CELL))), max(1, int(np.ceil(size[0] / CELL))))
    heights = np.full(shape, -np.inf)
    if area.sum() == 0:
        return Top(np.full(shape, np.nan), CELL)

    # points on them, by area; the same ones in every process
    rng = np.random.default_rng(0)
    faces = np.searchsorted(np.cumsum(area) / area.sum(), rng.random(SAMPLES)).clip(max=len(area) - 1)
    s, t = rng.random((2, SAMPLES, 1))
    s, t = np.where(s + t > 1, 1 - s, s), np.where(s + t > 1, 1 - t, t)
    points = a[faces] + s * (b - a)[faces] + t * (c - a)[faces]

    # the highest in each cell
    columns = (points[:, 0] / CELL + shape[1] / 2).astype(int).clip(0, shape[1] - 1)
    rows = (points[:, 2] / CELL + shape[0] / 2).astype(int).clip(0, shape[0] - 1)
    np.maximum.at(heights, (rows, columns), points[:, 1])
    return Top(np.where(np.isfinite(heights), heights, np.nan), CELL)
