"""A scene for the tests in which a textured wall moves across the picture, with motion and noise to choose."""

from pathlib import Path

import numpy as np
from support import write_channels

SIZE = (64, 96)
STEP = 3  # pixels that the wall moves to the right and down in each frame


def blurred(values: np.ndarray, size: int) -> np.ndarray:
    """Means over squares of `size` pixels, over all edges."""
    return sum(np.roll(values, (y, x), (0, 1)) for y in range(size) for x in range(size)) / size**2


def make_moving_scene(
    folder: Path, motion=(-STEP, -STEP), gain: float = 1, target_noise: float = 0, noise=None
) -> Path:
    """Three frames of the wall; by default everything about them is right.

    motion: as stored. gain: of the noisy radiance. target_noise: standard deviation, relative to the wall.
    noise: (frame, rendering) to (H, W) factors of mean 1 on the radiance.
    """
    wall = np.random.default_rng(0)
    squares = [wall.random((SIZE[0] // 8, SIZE[1] // 8)).repeat(8, 0).repeat(8, 1) for _ in range(4)]
    pattern = [blurred(plane, 3) for plane in squares]  # three of albedo, one of depth
    noise = noise or (lambda frame, k: np.random.default_rng((frame, k)).exponential(1, SIZE))
    for number in range(3):
        albedo, depth = np.split(np.roll(np.stack(pattern), (STEP * number,) * 2, (1, 2)), [3])
        albedo, depth = np.clip(albedo, 0.1, 0.9), 4 + 0.2 * depth[0]
        surface = {"depth.Z": depth, "normal.R": depth * 0, "normal.G": depth * 0, "normal.B": depth * 0 + 1}
        surface |= {f"albedo.{c}": plane for c, plane in zip("RGB", albedo, strict=True)}
        surface |= {f"motion.{c}": depth * 0 + (m if number else 0) for c, m in zip("XY", motion, strict=True)}
        for k in range(2):
            color = {c: gain * plane * noise(number, k) for c, plane in zip("RGB", albedo, strict=True)}
            save(folder / f"frame-{number:04d}" / f"noisy-{k}.exr", color | surface)
        grain = 1 + target_noise * np.random.default_rng((number, 9)).standard_normal(SIZE)
        target = {c: plane * grain for c, plane in zip("RGB", albedo, strict=True)}
        save(folder / f"frame-{number:04d}" / "target.exr", target)
    return folder


def save(path: Path, channels: dict[str, np.ndarray]) -> None:
    """Writes the channels as half floats."""
    write_channels(path, {name: plane.astype(np.float16) for name, plane in channels.items()})
