"""Small datasets for the tests, and a way to run the scripts by their command line."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import OpenEXR
import pytest

ROOT = Path(__file__).resolve().parent.parent
REAL_DATASET = ROOT.parent / "shared" / "dataset"

# Options of train.py for tiny runs.
QUICK = [
    "--crop_size",
    "16",
    "--sequence_length",
    "3",
    "--network",
    "paper",
    "--channels",
    "8",
    "10",
    "--batch_size",
    "2",
]
QUICK += ["--num_workers", "0", "--accelerator", "cpu"]

needs_real_dataset = pytest.mark.skipif(not REAL_DATASET.is_dir(), reason="no rendered dataset beside the project")


def write_channels(path: Path, channels: dict[str, np.ndarray], **header) -> Path:
    """Writes (H, W) arrays under these channel names; header: more EXR attributes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    defaults = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(defaults | header, {k: np.ascontiguousarray(v) for k, v in channels.items()}).write(str(path))
    return path


def frame_channels(rng: np.random.Generator, size: tuple[int, int], noise: float, albedo: bool) -> dict:
    """A smooth picture with noise on its radiance, and its auxiliary channels, half float."""
    y, x = np.meshgrid(np.linspace(0, 1, size[0]), np.linspace(0, 1, size[1]), indexing="ij")
    channels = {}
    for index, name in enumerate("RGB"):
        clean = 0.3 + 0.5 * x * (index + 1) / 3 + 0.2 * y
        channels[name] = clean * (rng.random(size) < 1 - noise) / (1 - noise)
    channels["depth.Z"] = 2 + 3 * y
    for name, values in zip("RGB", (x - 0.5, y - 0.5, np.sqrt(1.5 - (x - 0.5) ** 2 - (y - 0.5) ** 2)), strict=True):
        channels[f"normal.{name}"] = values
        if albedo:
            channels[f"albedo.{name}"] = 0.2 + 0.6 * x
    return {name: values.astype(np.float16) for name, values in channels.items()}


def make_scene(
    folder: Path, frames: int = 6, size: tuple[int, int] = (24, 32), noisy: int = 2, albedo=True, target=True, start=0
) -> Path:
    """A scene of `frames` frames, numbered from `start`."""
    rng = np.random.default_rng(start + frames)
    for number in range(start, start + frames):
        frame = folder / f"frame-{number:04d}"
        for k in range(noisy):
            write_channels(frame / f"noisy-{k}.exr", frame_channels(rng, size, 0.6, albedo))
        if target:
            write_channels(frame / "target.exr", frame_channels(rng, size, 0.0, albedo))
    return folder


def run_script(*arguments, cwd: Path = ROOT, check: bool = True, timeout: float = 500) -> subprocess.CompletedProcess:
    """Runs `python ARGUMENTS`: a project script, -m and a module, or -c and code; stdout and stderr come as text."""
    arguments = [str(a) for a in arguments]
    if not arguments[0].startswith("-"):
        arguments[0] = str(ROOT / arguments[0])
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, timeout=timeout, env=environment
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done
