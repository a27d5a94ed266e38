"""From a denoiser to a file that was checked."""

import argparse
import sys
from itertools import islice
from pathlib import Path

import torch

from exporting.about import about
from exporting.check import SIZES, largest_difference, made_up_frames
from exporting.export_options import TOLERANCES
from exporting.formats import read_step, write_step
from exporting.step import NamedStep
from files import InputError, atomic_file
from frames.exr import load_noisy
from frames.repairs import report_repairs
from frames.sequences import find_test_sequences
from model import Denoiser

REAL_FRAMES = 6  # of the first sequence


def run(denoiser: Denoiser, options: argparse.Namespace) -> float:
    """Writes options.output, and returns its largest relative difference from PyTorch.

    options: of exporting.export_options. Raises InputError if the difference is above the tolerance, and OSError if the
    file cannot be written; neither leaves a file.
    """
    # what to check with, before the work
    checks = [(f"made-up frames of {w}x{h}", made_up_frames(denoiser.inputs, (h, w))) for h, w in SIZES]
    if options.frames:
        checks.append((str(options.frames), real_frames(options.frames, denoiser)))

    # write
    if options.precision == "half":
        denoiser.half()
    step, tolerance, largest = NamedStep(denoiser), TOLERANCES[options.precision], 0.0
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(options.output) as temporary:
        write_step(step, temporary, about(step, options.precision))

        # check
        exported = read_step(temporary)
        for name, frames in checks:
            difference = largest_difference(step, exported, frames)
            if not difference <= tolerance:
                raise InputError(
                    f"{options.output}: not written: on {name}, its images differ from PyTorch's by {difference:.1e} "
                    f"(relative), above the tolerance of {tolerance:.0e}; try other versions of torch and onnxruntime"
                )
            largest = max(largest, difference)
    return largest


def real_frames(path: Path, denoiser: Denoiser) -> list[torch.Tensor]:
    """The first frames, (C, H, W), of the first sequence below `path`. Raises InputError."""
    sequences, notes = find_test_sequences(path, denoiser.required)
    for note in notes:
        print(note, file=sys.stderr)
    frames = []
    for frame in islice(sequences[0].frames, REAL_FRAMES):
        planes, repairs = load_noisy(frame.noisy[0], denoiser.inputs)
        report_repairs(frame.noisy[0], repairs)
        frames.append(torch.from_numpy(planes))
    return frames
