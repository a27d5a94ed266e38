"""Sequences of noise over smooth pictures, for benchmarks that need files of a certain size with any content."""

from pathlib import Path

import numpy as np
from tqdm import tqdm

from frames.channels import ALBEDO_INPUTS, QUANTITIES
from frames.exr import write_exr


def write_sequence(folder: Path, size: tuple[int, int], frames: int, noisy: int = 1, seed: int = 0) -> Path:
    """A sequence in the dataset's format, with albedo: (H, W) pixels, `noisy` renderings a frame; returns its folder.

    Exponential noise on smooth radiance, a little of it on the rest: about as hard to decode as a rendering.
    """
    rng = np.random.default_rng(seed)
    smooth = np.linspace(0.1, 1, size[1], dtype=np.float32) * np.linspace(0.3, 1, size[0], dtype=np.float32)[:, None]
    for frame in tqdm(range(frames), desc="making up frames", delay=1, leave=False):
        place = folder / f"frame-{frame:04d}"
        place.mkdir(parents=True)
        target = np.stack([smooth * (1 + 0.1 * np.sin(frame))] * 3)
        write_exr(place / "target.exr", {"color": target})
        for index in range(noisy):
            pixels = {}
            for name in ALBEDO_INPUTS:
                shape = QUANTITIES[name].count, *size
                grain = rng.exponential(size=shape) if name == "color" else rng.normal(1, 0.02, shape)
                pixels[name] = (smooth * grain).astype(np.float32)
            write_exr(place / f"noisy-{index}.exr", pixels)
    return folder
