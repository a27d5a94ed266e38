"""Does the recurrence stay steady over ten thousand frames? Quality, state, memory and open files over time.

python -m benchmarks.steadiness --plot imgs/steadiness.png

Two made-up scenes of textured planes: one stands still, in the other the wall moves behind a disc, back and forth, with
exact motion. Every frame has noise of its own, as of 1 sample per pixel with rare bright samples. What is measured is
the network's own images, from earlier frames only, before brightness and silhouettes are corrected.

Shapes: C input channels, H rows, W columns.
"""

import argparse
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.reporting import ROOT, report
from checkpoints import load_denoiser
from frames.channels import channel_count
from frames.radiance import exposure_of, tone_map
from inference.reconstruct import reconstruct
from machine import keep_freed_memory
from model import Denoiser, Engine
from scoring.metrics import psnr

Frame = tuple[torch.Tensor, torch.Tensor]  # noisy (C, H, W), target (3, H, W)

SIZE = 32, 48
SCENES = {"still": 0.0, "moving": 1.5}  # pixels that the wall moves from one frame to the next, at most
PERIOD = 64  # frames until the wall is where it was
SHOWN = (8, 64, 1000, 10000)  # frames, in the table
LIT = 0.25  # probability that a sample meets light; it then is as much brighter
EVERY = 10  # frames from one measurement to the next
SMOOTH = 13  # measurements, two periods: a point of the plot
RECENT = 8  # frames whose mean PSNR is measured
COLORS = {"default": "tab:blue", "fast": "tab:orange"}
PAGE = os.sysconf("SC_PAGE_SIZE")


def textures(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The albedo, (3, H, W), of the wall's point at (x, y), in pixels: smooth in some places, tiles in others."""
    waves = torch.stack([0.5 + 0.3 * torch.sin(x / (5 + k) + k) * torch.cos(y / (7 - k)) for k in range(3)])
    tiles = 0.6 + 0.3 * ((x / 8).floor() + (y / 8).floor()).remainder(2)
    return torch.where(y < SIZE[0] / 2, waves, tiles.expand(3, -1, -1))


def place(frame: int, speed: float) -> float:
    """How far, in pixels, the wall has moved to the right."""
    return speed * PERIOD / (2 * math.pi) * math.sin(2 * math.pi * frame / PERIOD)


def surface(frame: int, speed: float) -> tuple[torch.Tensor, ...]:
    """Depth (1), normal (3), albedo (3), motion (2) and irradiance (3) of a frame, each (channels, H, W)."""
    y, x = (c.float() for c in torch.meshgrid(*(torch.arange(n) for n in SIZE), indexing="ij"))
    disc = (x - SIZE[1] / 2) ** 2 + (y - SIZE[0] / 2) ** 2 < 8**2  # (H, W)
    moved = place(frame, speed)
    albedo = torch.where(disc, torch.tensor([0.8, 0.3, 0.2])[:, None, None], textures(x - moved, y))
    motion = torch.zeros(2, *SIZE)
    if frame:
        motion[0] = torch.where(disc, 0.0, place(frame - 1, speed) - moved)
    depth = torch.where(disc, 2.0, 5.0)[None]
    normal = torch.stack((torch.zeros(SIZE), torch.where(disc, 0.6, 0.0), torch.where(disc, 0.8, 1.0)))
    light = torch.stack([1.2 - 0.3 * k * x / SIZE[1] for k in range(3)]) * (0.3 + y / SIZE[0])
    return depth, normal, albedo, motion, light


def make_frames(count: int, speed: float, channels: int, seed: int = 0) -> Iterator[Frame]:
    """`count` frames: the first `channels` of color, depth, normal, albedo and motion, and the target.

    A pixel is lit by exponentially distributed light, or in most cases not at all; its mean is the target.
    """
    generator = torch.Generator().manual_seed(seed)
    for frame in range(count):
        depth, normal, albedo, motion, light = surface(frame, speed)
        target = albedo * light
        lit = torch.rand(SIZE, generator=generator) < LIT
        noise = torch.empty(SIZE).exponential_(generator=generator) * lit / LIT  # (H, W), mean 1
        yield torch.cat((target * noise, depth, normal, albedo, motion))[:channels], target


def state_norm(state: list[torch.Tensor]) -> float:
    """The root mean square of everything in a state."""
    return math.sqrt(sum(float(part.double().square().sum()) for part in state) / sum(part.numel() for part in state))


def open_files() -> int:
    """How many file handles this process has."""
    return len(os.listdir("/proc/self/fd"))


def resident() -> float:
    """The memory of this process, in MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 2**20


def measure(denoiser: Denoiser, frames: Iterator[Frame], every: int = EVERY) -> dict[str, list]:
    """Reconstructs the frames; what was measured after each `every` of them, by name.

    psnr: dB, the mean of the RECENT frames up to that one, tone-mapped at the exposure of the first target. state:
    state_norm. image: mean of the reconstruction, of the target's. mib, files: of this process.
    """
    # what passes by meanwhile: the target of the frame, and the state after it
    targets, states = [], []

    def inputs() -> Iterator[torch.Tensor]:
        for noisy, target in frames:
            targets.append(target)
            yield noisy

    def step(frame: torch.Tensor, state: list | None) -> tuple[torch.Tensor, list]:
        image, state = denoiser.estimate(frame, state)
        states[:] = state
        return image, state

    # frame by frame: quality, and from time to time everything
    found: dict[str, list] = {name: [] for name in ("frame", "psnr", "state", "image", "mib", "files")}
    recent: list[float] = []
    exposure = None
    engine = Engine(step, denoiser.finish)
    images = reconstruct(denoiser, inputs(), brightness=False, silhouettes=False, engine=engine)
    for number, (_, image) in enumerate(images, 1):
        target = targets.pop()
        exposure = exposure_of(target) if exposure is None else exposure
        error = float((tone_map(image, exposure) - tone_map(target, exposure)).square().mean())
        recent = [*recent[1 - RECENT :], psnr(error)]
        if number % every == 0 or number in SHOWN:
            row = (number, sum(recent) / len(recent), state_norm(states), float(image.mean() / target.mean()))
            for name, value in zip(found, (*row, resident(), open_files()), strict=True):
                found[name].append(value)
    return found


def drift(found: dict[str, list], name: str, after: int = 100) -> float:
    """How much more the mean of a measured value is over the second half of the frames after `after` than the first."""
    values = [v for frame, v in zip(found["frame"], found[name], strict=True) if frame > after]
    half = len(values) // 2
    return sum(values[half:]) / len(values[half:]) - sum(values[:half]) / half


def plot(runs: dict[str, dict[str, list]], path: Path) -> None:
    """Draws every run's measurements over the frames, each point the mean of SMOOTH measurements."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = {"psnr": "PSNR (dB)", "state": "RMS of the state", "mib": "memory (MiB)", "files": "open files"}
    figure, axes = pyplot.subplots(len(panels), 1, figsize=(8, 8), sharex=True, layout="constrained")
    for axis, (name, label) in zip(axes, panels.items(), strict=True):
        for run, found in runs.items():
            scene, _, network = run.partition(", ")
            style = {"linestyle": "-" if scene == "still" else ":", "color": COLORS.get(network), "linewidth": 0.8}
            starts = range(0, len(found[name]) - SMOOTH + 1, SMOOTH)
            parts = [found[name][start : start + SMOOTH] for start in starts]
            frames = [found["frame"][start] for start in starts]
            axis.plot(frames, [sum(part) / len(part) for part in parts], label=run, **style)
        axis.set_ylabel(label)
        axis.grid(alpha=0.3)
    for axis in axes[1:]:
        axis.set_ylim(0, 1.1 * axis.get_ylim()[1])  # where a leak would be a slope
    axes[0].legend(ncols=len(runs), loc="upper center", bbox_to_anchor=(0.5, 1.25), frameon=False)
    axes[-1].set_xlabel("frame")
    figure.savefig(path, dpi=80)
    pyplot.close(figure)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["default", "fast"], help="names in weights/")
    parser.add_argument("--frames", type=int, default=10000, help="of every scene, 200 or more (default: %(default)s)")
    parser.add_argument("--plot", type=Path, help="a PNG of everything over time; needs matplotlib")
    options = parser.parse_args()
    if options.frames < 200:
        parser.error(f"--frames {options.frames}: expected 200 or more, to tell a drift")
    keep_freed_memory()
    torch.set_num_threads(1)  # the frames are tiny
    runs, rows = {}, []
    for network in options.networks:
        denoiser = load_denoiser(ROOT / "weights" / f"{network}.safetensors")
        for scene, speed in SCENES.items():
            start = time.perf_counter()
            frames = make_frames(options.frames, speed, channel_count(denoiser.inputs))
            found = runs[f"{scene}, {network}"] = measure(denoiser, frames)
            psnrs = {f"PSNR at {n}": found["psnr"][found["frame"].index(n)] for n in SHOWN if n <= options.frames}
            row = {"run": f"{scene}, {network}", **psnrs}
            row |= {f"drift of {name}": drift(found, name) for name in ("psnr", "state", "mib", "files")}
            rows.append(row | {"ms per frame": 1e3 * (time.perf_counter() - start) / options.frames})
    report("steadiness", rows)
    if options.plot:
        plot(runs, options.plot)


if __name__ == "__main__":
    main()
