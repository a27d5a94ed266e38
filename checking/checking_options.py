"""The command line of check.py. Imports no PyTorch, so that --help answers at once."""

import argparse
from pathlib import Path

from frames.frame_options import add_frame_options
from machine import positive
from version import add_version


def build_parser() -> argparse.ArgumentParser:
    """The parser of check.py's command line."""
    parser = argparse.ArgumentParser(
        description="Tells what a dataset or a folder of frames holds, and what train.py and test.py would stop at.",
        epilog="Exit code: 0 if training and reconstruction would run, 1 if not; 130 after Ctrl-C.",
        allow_abbrev=False,
    )
    add_version(parser)
    add = parser.add_argument
    add(
        "path",
        type=Path,
        help="a dataset, a folder of scenes, the folder of a scene, or a folder of numbered EXR files",
    )
    # what train.py will be called with
    add("--sequence_length", type=positive, default=7, help="as for train.py; default: %(default)s")
    add("--crop_size", type=positive, default=128, help="as for train.py; default: %(default)s")
    # how much to look at
    add("--quick", action="store_true", help="decode only the first, middle and last frame of each sequence")
    # what to write
    add("--sheet", type=Path, metavar="FILE.png", help="a picture of a frame of each scene, with all its buffers")
    add("--json", type=Path, metavar="FILE", help="everything that was found, for other programs")
    add_frame_options(parser.add_argument_group("folders of numbered EXR frames, as for test.py (docs/frames.md)"))
    return parser
