"""What the pixels of one file hold: ranges, and values that should not be there.

Shapes: C channels, H rows, W columns.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from frames.radiance import LUMINANCE

FIREFLY = 10  # times the luminance of every neighbor, and times what 99 percent of the pixels stay below
SLACK = 1.01  # above which an albedo or the length of a normal is no rounding error
LONG = 1.05  # of a normal: interpolated and half-float normals are slightly off


@dataclass(frozen=True)
class Values:
    """The values of a quantity in a file. low, high, mean: of the finite ones.

    odd: how many values, or pixels, have each oddity; its keys are kinds of checking/problems.py, but for `fireflies`,
    which only a target should not have.
    """

    low: float
    high: float
    mean: float
    count: int
    odd: dict[str, int]


def measure(name: str, planes: np.ndarray) -> Values:
    """The values of the quantity `name`, (C, H, W) as stored."""
    finite = np.isfinite(planes)
    odd = {"nan": planes.size - int(np.count_nonzero(finite))}
    valid = planes if not odd["nan"] else np.where(finite, planes, 0)
    low, high = float(valid.min()), float(valid.max())
    if low == high and name != "motion":  # which is 0 in the first frame, and the same everywhere where a camera pans
        odd["empty" if low == 0 else "constant"] = planes.size
    count = {"color": odd_colors, "depth": odd_depths, "normal": odd_normals, "albedo": odd_albedos}.get(name)
    if count:
        odd |= count(valid, low, high)
    mean = float(valid.sum(dtype=np.float64)) / max(1, planes.size - odd["nan"])
    return Values(low, high, mean, planes.size, {kind: number for kind, number in odd.items() if number})


def odd_colors(color: np.ndarray, low: float, high: float) -> dict[str, int]:
    """Negative values and fireflies, of (3, H, W) radiance."""
    return {
        "negative": int(np.count_nonzero(color < 0)) if low < 0 else 0,
        "fireflies": count_fireflies(np.tensordot(np.float32(LUMINANCE), color, 1)),
    }


def count_fireflies(light: np.ndarray) -> int:
    """How many pixels of (H, W) luminance shine alone: a lamp does not, since its pixels have bright neighbors."""
    usual = float(np.percentile(light, 99))
    count = 0
    for row, column in np.argwhere(light > max(FIREFLY * usual, 1e-6)):
        around = light[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
        count += int(np.count_nonzero(around * FIREFLY > light[row, column]) == 1)  # only the pixel itself
    return count


def odd_depths(depth: np.ndarray, low: float, high: float) -> dict[str, int]:
    """Negative values."""
    return {"negative": int(np.count_nonzero(depth < 0))}


def odd_albedos(albedo: np.ndarray, low: float, high: float) -> dict[str, int]:
    """Values beyond 0 to 1."""
    beyond = low < 1 - SLACK or high > SLACK
    return {"range": int(np.count_nonzero((albedo < 1 - SLACK) | (albedo > SLACK))) if beyond else 0}


def odd_normals(normal: np.ndarray, low: float, high: float) -> dict[str, int]:
    """Pixels whose (3, H, W) normals are longer than 1; all pixels if they are stored as colors, from 0 to 1."""
    lengths = np.sqrt(np.square(normal).sum(0))  # (H, W)
    hit = lengths > 0
    if low >= 0 and high <= SLACK and hit.any():
        decoded = np.sqrt(np.square(2 * normal - 1).sum(0))[hit]
        if np.mean(np.abs(decoded - 1) < 0.1) > 0.9 > np.mean(np.abs(lengths[hit] - 1) < 0.1):
            return {"encoded": hit.size}
    return {"length": int(np.count_nonzero(lengths > LONG))}


def digest(planes: np.ndarray) -> str:
    """The same text for the same values."""
    return hashlib.blake2b(planes.tobytes(), digest_size=12).hexdigest()
