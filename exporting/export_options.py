"""The command line of export.py. Imports no PyTorch, so that --help answers at once."""

import argparse
from pathlib import Path

from files import InputError
from version import add_version

ONNX, PT2 = ".onnx", ".pt2"
TOLERANCES = {"float": 1e-3, "half": 0.1}  # largest difference from PyTorch, relative: see exporting/check.py


def parse_options(arguments: list[str] | None = None) -> argparse.Namespace:
    """The options of export.py's command line. Raises InputError where the file to write has an unknown ending."""
    parser = argparse.ArgumentParser(
        description="Writes a trained denoiser to a file that other programs can run: one step of the recurrence.",
        epilog="The file is run over several frames, and deleted if its images are not PyTorch's: docs/export.md.",
        allow_abbrev=False,
    )
    add_version(parser)
    add = parser.add_argument
    add("checkpoint", type=Path, help="a .ckpt file of train.py, or released weights (.safetensors)")
    add("output", type=Path, help=f"the file to write: {ONNX} for ONNX Runtime and others, {PT2} for torch.export")
    add("--precision", choices=tuple(TOLERANCES), default="float", help="of the network; default: %(default)s")
    add(
        "--frames",
        type=Path,
        help="also check on real frames: a dataset, a folder of scenes, or one scene",
    )
    options = parser.parse_args(arguments)
    if options.output.suffix not in (ONNX, PT2):
        raise InputError(f"{options.output}: the file's ending says what to write; use {ONNX} or {PT2}")
    return options
