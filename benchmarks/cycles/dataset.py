"""Makes a dataset of rendered shots, and says how far their references can be trusted.

    python -m benchmarks.cycles.dataset OUT OUT_DATASET
    python test.py weights/default.safetensors OUT_DATASET/val --output_dir RESULTS

Writes OUT_DATASET/val/cycles-<shot>-<n>spp/frame-0000/noisy-0.exr and target.exr. The first is Cycles' frame, but with
motion pointing down where Cycles' points up; the second the mean of the reference's halves. Needs no Blender.
Shapes: images are (3, H, W) linear radiance.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.cycles.jobs import HALVES, half_path, noisy_path
from benchmarks.reporting import report
from files import InputError
from frames.channels import find_channels
from frames.exr import load_target, read_exr, read_pixels
from frames.exr_writing import replace_channels, write_exr
from frames.radiance import exposure_of, tone_map
from networks.warping import warp
from scoring.metrics import psnr


@dataclass(frozen=True)
class Rendered:
    """A shot whose halves are there, frame by frame. frames: numbers. spp: those whose noisy frames are there, too."""

    shot: str
    frames: tuple[int, ...]
    spp: tuple[int, ...]


def find_rendered(out: Path) -> tuple[list[Rendered], list[str]]:
    """What can be made into scenes of a folder that benchmarks.cycles.render wrote, and notes on what is not done.

    Frames count from 1 to the last with both halves; noisy folders that lack one of these are left out.
    """
    found, notes = [], []
    for folder in sorted(path for path in out.iterdir() if path.is_dir()):
        frames: list[int] = []
        while all(half_path(out, folder.name, half, len(frames) + 1).is_file() for half in range(HALVES)):
            frames.append(len(frames) + 1)
        given = sorted(int(path.name.removeprefix("spp-")) for path in folder.glob("spp-*"))
        whole = [spp for spp in given if all(noisy_path(out, folder.name, spp, frame).is_file() for frame in frames)]
        notes += [f"{folder / f'spp-{spp}'}: skipped, frames are missing" for spp in given if spp not in whole]
        if frames and whole:
            found.append(Rendered(folder.name, tuple(frames), tuple(whole)))
        else:
            notes.append(f"{folder}: skipped, its first frame is not done")
    return found, notes


def reference_psnr(halves: list[tuple[torch.Tensor, torch.Tensor]], exposure: float) -> float:
    """PSNR in dB of the mean of two halves, over all frames of a shot, estimated from their difference.

    The halves' errors are independent and alike, so half their difference has the variance of their mean's error.
    """
    errors = [(tone_map(first, exposure) - tone_map(second, exposure)) / 2 for first, second in halves]
    return psnr(float(torch.stack(errors).double().square().mean()))


def flip_motion(source: Path, destination: Path) -> None:
    """Copies a Cycles frame whose motion points up, as Vector's y does, so that it points down.

    Raises InputError where the file has no motion.
    """
    header, pixels = read_pixels(source)
    motion = find_channels(header.channels, "motion")
    if motion is None:
        raise InputError(f"{source}: no Vector pass; render it with benchmarks.cycles.render")
    destination.parent.mkdir(parents=True, exist_ok=True)
    replace_channels(source, destination, {motion[1]: -pixels[motion[1]]})


def change_psnr(targets: list[torch.Tensor], motions: list[torch.Tensor], exposure: float) -> float:
    """PSNR in dB of each target but the first against the one before it, fetched along (2, H, W) motion."""
    errors = []
    for before, target, motion in zip(targets, targets[1:], motions[1:], strict=False):
        moved = warp(before[None], motion[None])[0]
        errors.append(tone_map(moved, exposure) - tone_map(target, exposure))
    return psnr(float(torch.stack(errors).double().square().mean()))


def convert(out: Path, dataset: Path, rendered: Rendered) -> dict:
    """Writes the scenes of a shot; returns its row of the table."""
    # reference
    paths = [[half_path(out, rendered.shot, half, frame) for half in range(HALVES)] for frame in rendered.frames]
    halves = [tuple(torch.from_numpy(load_target(path)[0]) for path in pair) for pair in paths]
    targets = [(first + second) / HALVES for first, second in halves]
    exposure = exposure_of(torch.stack(targets))

    # scenes
    for spp in rendered.spp:
        for index, frame in enumerate(rendered.frames):
            folder = dataset / "val" / f"cycles-{rendered.shot}-{spp}spp" / f"frame-{index:04d}"
            flip_motion(noisy_path(out, rendered.shot, spp, frame), folder / "noisy-0.exr")
            write_exr(folder / "target.exr", {"color": targets[index].numpy()})

    # what the reference and its motion are worth
    row = {"shot": rendered.shot, "frames": len(targets), "reference (dB)": reference_psnr(halves, exposure)}
    if len(targets) > 1:
        up = [torch.from_numpy(read_exr(first, ("motion",))["motion"]) for first, _ in paths]
        signs = {"still (dB)": (0, 0), "along motion (dB)": (1, -1), "y not flipped (dB)": (1, 1)}
        for title, factors in signs.items():
            motions = [motion * torch.tensor(factors)[:, None, None] for motion in up]
            row[title] = change_psnr(targets, motions, exposure)
        row["median motion (pixels)"] = float(torch.stack(up[1:]).norm(dim=1).median())
    return row


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="what benchmarks.cycles.render wrote")
    parser.add_argument("dataset", type=Path, help="the folder to write to")
    options = parser.parse_args()
    if not options.out.is_dir():
        parser.error(f"{options.out}: no such folder; render it with benchmarks.cycles.render")
    rendered, notes = find_rendered(options.out)
    for note in notes:
        print(note)
    report("cycles", [convert(options.out, options.dataset, shot) for shot in rendered])


if __name__ == "__main__":
    main()
