"""Smooth curves through points, for the outlines of vessels and for camera paths."""

import numpy as np


def catmull_rom(points: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The Catmull-Rom spline through points (N, D), N >= 2, at positions (M,) from 0 to N - 1: (M, D)."""
    ends = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    index = np.minimum(at.astype(int), len(points) - 2)
    t = (at - index)[:, None]
    p0, p1, p2, p3 = (ends[index + k] for k in range(4))
    return 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
