"""The command line of test.py. Imports no PyTorch, so that --help answers at once."""

import argparse
from pathlib import Path

from files import InputError
from frames.frame_options import add_frame_options
from machine import SWITCH, positive
from version import add_version

DIRECTIONS = ("both", "forward")
PRECISIONS = ("float32", "bfloat16", "float16")
OUTPUTS = ("exr", "png", "video")
OLD_NAMES = {"film": "video"}  # of outputs, still accepted
TAKEN = ("noisy", "denoised", "reconstruction", "target")  # names that the report has pictures of already


def named_folder(text: str) -> tuple[str, Path]:
    """The argparse type of NAME=DIR. Raises ArgumentTypeError."""
    name, _, folder = text.partition("=")
    if not (name.strip() and folder):
        raise argparse.ArgumentTypeError(f"{text!r}: expected NAME=DIR, such as oidn=results/oidn")
    if name in TAKEN:
        raise argparse.ArgumentTypeError(f"{text!r}: the report has a picture named {name} already; use another name")
    return name, Path(folder)


def build_parser() -> argparse.ArgumentParser:
    """The parser of test.py's command line."""
    parser = argparse.ArgumentParser(
        description="Reconstructs rendered sequences with a trained network and scores them where they have targets.",
        allow_abbrev=False,
    )
    add_version(parser)
    # what to reconstruct, with which weights, and where to write it
    add = parser.add_argument
    add("checkpoint", type=Path, help="a .ckpt file of train.py, or released weights (.safetensors)")
    add(
        "path",
        type=Path,
        help="a dataset (its test/ is used), a folder of scenes, the folder of one scene, or a folder of numbered EXR "
        "frames of any renderer (shot_0001.exr ...)",
    )
    add("--output_dir", type=Path, default=Path("reconstructions"), help="default: %(default)s")
    # how to compute it
    add(
        "--direction",
        choices=DIRECTIONS,
        default=DIRECTIONS[0],
        help="both: each frame from those before and after it, in twice the time; forward: from those before it only, "
        "as a renderer that shows its frames at once has them; default: %(default)s",
    )
    add(
        "--brightness",
        choices=SWITCH,
        default="on",
        help="on: as in the samples, which are right in the mean; off: as the network has it; default: %(default)s",
    )
    add(
        "--silhouettes",
        choices=SWITCH,
        default="on",
        help="on: a pixel that shows two surfaces, or one and the background, is mixed by how much of each it shows; "
        "off: as the network has it; default: %(default)s",
    )
    add("--rims", action=Renamed, now="--silhouettes")
    add(
        "--detail",
        choices=SWITCH,
        default="on",
        help="on: the network's detail stage, if it has one, adds detail that filtering loses; default: %(default)s",
    )
    add("--device", default="auto", help="auto (cuda if there is one), cpu, cuda, cuda:1 ...")
    add(
        "--precision",
        choices=("auto", *PRECISIONS),
        default="auto",
        help="of the network; auto: float16 on a GPU, bfloat16 on a CPU with hardware support for it, else float32",
    )
    add(
        "--tile",
        type=positive,
        help="split frames that do not fit in memory into tiles of this many pixels; same result, but slower",
    )
    # datasets: which results to keep
    add = parser.add_argument_group("datasets").add_argument
    add(
        "--write",
        nargs="*",
        type=lambda name: OLD_NAMES.get(name, name),
        choices=OUTPUTS,
        default=list(OUTPUTS),
        help="files to write: an EXR and a PNG per frame, a video per scene; default: all",
    )
    add("--score", choices=SWITCH, default="on", help="compare with the targets; default: on")
    add("--report", action="store_true", help="write report/index.html, to look at everything in a browser")
    add(
        "--compare",
        action="append",
        default=[],
        type=named_folder,
        metavar="NAME=DIR",
        help="for the report: another method's folder, with DIR/<Scene>/frame-0000.exr ...; repeatable",
    )
    group = parser.add_argument_group("folders of numbered EXR frames (docs/frames.md)")
    add_frame_options(group)
    group.add_argument("--dry_run", action="store_true", help="say which channels are what, and stop")
    return parser


def has_backward_pass(options: argparse.Namespace, frames: int) -> bool:
    """Whether a sequence of so many frames gets a backward pass."""
    return options.direction == "both" and frames > 1


def arguments(options: argparse.Namespace) -> dict:
    """The keyword arguments of inference.reconstruct.reconstruct that options decide."""
    switches = {name: getattr(options, name) == "on" for name in ("brightness", "silhouettes", "detail")}
    return switches | {"scratch": options.output_dir}


class Renamed(argparse.Action):
    """An option that has another name now, which its error message gives."""

    def __init__(self, option_strings: list[str], dest: str, now: str):
        super().__init__(option_strings, argparse.SUPPRESS, nargs="?", help=argparse.SUPPRESS)
        self.now = now

    def __call__(self, parser: argparse.ArgumentParser, _options, _values, option_string: str | None = None) -> None:
        """Ends the program with the new name."""
        parser.error(f"{option_string} is now {self.now}")


def refuse_dataset_options(options: argparse.Namespace) -> None:
    """Raises InputError if options are given that numbered frames, written as EXR and not scored, have no use for."""
    given = {"--write": options.write != list(OUTPUTS), "--score": options.score != "on"}
    given |= {"--report": options.report, "--compare": options.compare}
    for name in (name for name, value in given.items() if value):
        raise InputError(f"{options.path}: {name} is for datasets, and here are numbered EXR frames; leave it out")


def refuse_frame_options(options: argparse.Namespace) -> None:
    """Raises InputError if options are given that a dataset, whose channels have one meaning, has no use for."""
    given = {"--layer": options.layer, "--also": options.also, "--motion": options.motion != "auto"}
    given |= {"--normals": options.normals != "auto", "--use": options.use, "--dry_run": options.dry_run}
    for name in (name for name, value in given.items() if value):
        raise InputError(f"{options.path}: {name} is for numbered EXR frames, and there are none here; leave it out")
