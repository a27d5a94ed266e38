"""The command line of train.py: a table of its options. Imports no PyTorch, so that --help answers at once."""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

from files import InputError
from frames.augmentation import AUGMENTATIONS, DIRECT_AUGMENTATIONS
from machine import SWITCH, natural, positive
from training.presets import DETAILS, FINEST_RADII, KERNEL_PATCH, MEAN_SIZES, NETWORKS, PATCHES, RADII
from version import add_version

# What becomes of an option when a run resumes from a checkpoint:
FREE = "free"  # not in the checkpoint, because it depends on the machine or on the run
SAVED = "saved"  # the default is the checkpoint's value
FIXED = "fixed"  # the default is the checkpoint's value, and no other is allowed: it is part of the network


@dataclass(frozen=True)
class Option:
    """An option of train.py.

    flag: as typed on the command line. arguments: for argparse's add_argument. resume: FREE, SAVED or FIXED.
    trainer: Lightning's Trainer takes an argument of this name. one_of: options with the same word exclude each other.
    """

    flag: str
    arguments: dict
    resume: str = FREE
    trainer: bool = False
    one_of: str = ""

    @property
    def name(self) -> str:
        """The attribute of the parsed options."""
        return self.flag.lstrip("-")


def option(flag: str, help: str, resume: str = FREE, *, trainer: bool = False, one_of: str = "", **arguments) -> Option:
    """A line of the table below; argparse's arguments are keywords."""
    if isinstance(arguments.get("default"), str | int | float):
        help += " (default: %(default)s)"
    return Option(flag, arguments | {"help": help}, resume, trainer, one_of)


DATASET = "folder with train/<Scene>/frame-0000/{target.exr, noisy-0.exr ...}; val/ is optional"
SAMPLES = "windows per epoch; default: enough to show every noisy pixel about once"
AUGMENT = "augmentations to use; no names: none; default: the first five, with kernels all"
ALBEDO = "auto: divide radiance by albedo if all scenes have it"
WIDTHS = "widths of the encoder levels, full size first"
PATCH = "squares of this many pixels a side enter as one pixel; 1 with --channels"
MEANS = "sizes of the squares whose mean radiance the network sees, in pixels; none with --channels"
FINEST_RADIUS = "of the kernels at full size: 0, the pixel alone, or 1; default: the network's, 1 with --channels"
KERNELS = "filter with predicted kernels, along the motion, instead of predicting colors; off with --channels"
DETAIL = "size of the detail stage, with kernels; default: the network's; training.add_detail adds one to a network"
FILTER_RATE = "learning-rate multiplier of the filter, where there is a detail stage; 0 freezes it"
DETAIL_RATE = "learning-rate multiplier of the detail stage's U-Net; 0 freezes it"
LOSS = "paper: its three terms; picture: differences of tone-mapped pictures; default: picture with kernels, else paper"
SCHEDULE = "of the rate: paper: 1/sqrt(epoch) after a ramp; cosine: to 0 at --max_epochs; default: cosine with kernels"
RAMP = "paper schedule: epochs in which the rate rises from a tenth to its peak"
AVERAGE = "validate and save the mean of recent weights instead of the last ones"
WORKERS = "processes that read crops; default: half the cores, but 0 if the CPU trains from decoded frames"
CACHE = "folder for decoded frames; auto: DATASET/.cache; none: decode every crop"
PRECISION = "Lightning's: 32-true, bf16-mixed ...; auto: bf16-mixed if the hardware supports it, else 32-true"
GRAPH = "replay the training step as one recorded CUDA graph; auto: on one GPU, with kernels"
COMPILE = "torch.compile of the network; auto: on a GPU, without a CUDA graph"
MINUTES = "save last.ckpt this often within an epoch, in minutes; a killed run loses no more than that"
CHECKPOINT = "resume from this .ckpt file, with its options unless given; or fine-tune a .safetensors file"

OPTIONS = {  # (title, description) of a group: its options
    ("data", "which frames, and how to cut windows from them"): (
        option("dataset", DATASET, type=Path),
        option("--sequence_length", "frames per window, 2 or more", SAVED, type=int, default=7),
        option("--crop_size", "height and width of a window in pixels", SAVED, type=positive, default=128),
        option("--samples_per_epoch", SAMPLES, SAVED, type=positive),
        option("--augment", AUGMENT, SAVED, nargs="*", choices=AUGMENTATIONS),
    ),
    ("network", "which network; by name (training/presets.py) or in parts"): (
        option("--network", "all of it by name; default: default", one_of="widths", choices=NETWORKS),
        option("--channels", WIDTHS, FIXED, one_of="widths", type=positive, nargs="+"),
        option("--patch", PATCH, FIXED, type=int, choices=PATCHES),
        option("--means", MEANS, FIXED, type=int, nargs="*", choices=MEAN_SIZES),
        option("--kernels", KERNELS, FIXED, choices=SWITCH),
        option(
            "--radius",
            "of the kernels: all pixels within so many steps, 13 for 2; default: the network's",
            FIXED,
            type=int,
            choices=RADII,
        ),
        option("--finest_radius", FINEST_RADIUS, FIXED, type=int, choices=FINEST_RADII),
        option("--detail", DETAIL, FIXED, choices=DETAILS),
        option("--albedo", ALBEDO, FIXED, choices=("auto", "off"), default="auto"),
    ),
    ("optimisation", "how to train it, and how long"): (
        option(
            "--max_epochs", "epochs, including those before a resume; -1: no limit", trainer=True, type=int, default=100
        ),
        option("--max_time", "stop after this time, including that before a resume", metavar="DD:HH:MM:SS"),
        option("--batch_size", "windows per step and device", SAVED, type=positive, default=4),
        option("--loss", LOSS, SAVED, choices=("paper", "picture")),
        option("--learning_rate", "of Adam, at its peak; the paper's is 1e-3", SAVED, type=float, default=5e-4),
        option("--filter_rate", FILTER_RATE, SAVED, type=float, default=1.0),
        option("--detail_rate", DETAIL_RATE, SAVED, type=float, default=1.0),
        option("--schedule", SCHEDULE, SAVED, choices=("paper", "cosine")),
        option("--ramp_epochs", RAMP, SAVED, type=float, default=10),
        option("--clip", "largest norm of a step's gradient; 0: no limit", SAVED, type=float, default=0.5),
        option("--average", AVERAGE, SAVED, choices=SWITCH, default="on"),
        option("--seed", "the same seed repeats a run exactly on the CPU", SAVED, type=natural, default=0),
    ),
    ("speed", "how to compute it; results differ by rounding only"): (
        option("--num_workers", WORKERS, type=natural),
        option("--cache_dir", CACHE, default="auto"),
        option("--precision", PRECISION, SAVED, default="auto"),
        option("--cuda_graph", GRAPH, choices=("auto", *SWITCH), default="auto"),
        option("--compile", COMPILE, choices=("auto", *SWITCH), default="auto"),
        option("--channels_last", "memory format of the network", choices=SWITCH, default="on"),
        option("--fused", "Adam in one kernel", choices=SWITCH, default="on"),
        option("--recompute", "less memory, more time: for long or large windows", choices=SWITCH, default="off"),
    ),
    ("machine", "where to compute it"): (
        option("--accelerator", "Lightning's: auto, cpu, gpu ...", trainer=True, default="auto"),
        option("--devices", "Lightning's: how many, or which", trainer=True, default="auto"),
        option("--num_nodes", "machines, under torchrun or SLURM", trainer=True, type=positive, default=1),
        option("--strategy", "Lightning's: auto, ddp ...", trainer=True, default="auto"),
    ),
    ("run", "what to start from, and where to save"): (
        option("--log_dir", "each run gets a folder version_<n> in it", type=Path, default=Path("runs")),
        option("--checkpoint", CHECKPOINT, type=Path),
        option("--checkpoint_minutes", MINUTES, type=float, default=10),
        option(
            "--fast_dev_run", "one batch of training and validation; saves nothing", trainer=True, action="store_true"
        ),
    ),
}


def names_of(*resume: str) -> tuple[str, ...]:
    """The names of all options with one of these values of `resume`."""
    return tuple(o.name for group in OPTIONS.values() for o in group if o.resume in resume)


def trainer_names() -> tuple[str, ...]:
    """The names of all options that Lightning's Trainer takes."""
    return tuple(o.name for group in OPTIONS.values() for o in group if o.trainer)


def build_parser() -> argparse.ArgumentParser:
    """The parser of train.py's command line, made from the table."""
    parser = argparse.ArgumentParser(
        description="Trains the denoiser on a dataset of rendered sequences.", allow_abbrev=False
    )
    add_version(parser)
    for (title, description), options in OPTIONS.items():
        group = parser.add_argument_group(title, description)
        targets = {"": group}
        for option in options:
            if option.one_of not in targets:
                targets[option.one_of] = group.add_mutually_exclusive_group()
            targets[option.one_of].add_argument(option.flag, **option.arguments)
    return parser


def parse_options(arguments: list[str]) -> argparse.Namespace:
    """The options of a run; if it resumes from a checkpoint, the defaults are those of the checkpoint.

    The network is complete (complete_network); training/resolve.py decides what else is `auto`.
    Exits with one line if an option is wrong, or if the checkpoint cannot be read or has another network.
    """
    # parse, with the defaults of the checkpoint if there is one
    parser = build_parser()
    options = parser.parse_args(arguments)
    if "SLURM_RESTART_COUNT" in os.environ:  # a job that was started again goes on
        from training.slurm import earlier_checkpoint  # imports PyTorch

        if earlier := earlier_checkpoint(options.log_dir, arguments):
            arguments = [*arguments, "--checkpoint", str(earlier)]
            options = parser.parse_args(arguments)
    from_checkpoint = {}
    if options.checkpoint:
        try:
            from_checkpoint = read_saved_options(options.checkpoint)
        except (OSError, InputError) as error:
            parser.error(str(error))
        parser.set_defaults(**from_checkpoint)
        options = parser.parse_args(arguments)
    # complete the network; it must be the checkpoint's
    complete_network(options)
    for name in names_of(FIXED):
        if name in from_checkpoint and getattr(options, name) != from_checkpoint[name]:
            parser.error(
                f"--{name} {getattr(options, name)}: {options.checkpoint} was trained with {from_checkpoint[name]}; "
                f"leave --{name} out, or start a new run without --checkpoint"
            )
    # check the numbers
    if options.kernels == "on" and options.patch != KERNEL_PATCH:
        parser.error(f"--patch {options.patch}: kernels need --patch {KERNEL_PATCH}; or give --kernels off")
    if options.sequence_length < 2:
        parser.error(f"--sequence_length {options.sequence_length}: a sequence has at least 2 frames")
    if options.schedule == "cosine" and options.max_epochs < 1:
        parser.error(f"--schedule cosine ends at --max_epochs, which is {options.max_epochs}; give a number, or paper")
    if not options.checkpoint_minutes > 0:
        parser.error(f"--checkpoint_minutes {options.checkpoint_minutes}: expected a number above 0")
    if options.filter_rate < 0 or options.detail_rate < 0:
        parser.error("--filter_rate and --detail_rate must not be negative")
    if options.detail == "none" and (options.filter_rate, options.detail_rate) != (1, 1):
        parser.error("--filter_rate and --detail_rate need a detail stage; see docs/training.md, Add a detail stage")
    if options.detail != "none" and options.kernels != "on":
        parser.error(f"--detail {options.detail} needs --kernels on")
    if options.learning_rate <= 0 or options.ramp_epochs < 0 or options.clip < 0:
        parser.error("--learning_rate must be above 0; --ramp_epochs and --clip must not be negative")
    return options


def read_saved_options(checkpoint: Path) -> dict:
    """The options that a checkpoint keeps for a resumed run. Raises OSError or InputError if it cannot be read."""
    from training.checkpoints import load_checkpoint  # imports PyTorch

    saved = load_checkpoint(checkpoint)["hyper_parameters"]
    earlier = {"means": [], "radius": 2, "finest_radius": 1, "detail": "none"}  # before there were such options
    if "options" not in saved:  # released weights: only the network is fixed
        network = saved["denoiser"]
        parts = {name: network[name] for name in ("channels", "patch", *earlier) if name in network}
        return earlier | {"kernels": "on" if network.get("kernels") else "off"} | parts
    saved = saved["options"] or {}
    if not isinstance(saved, dict):
        raise InputError(f"{checkpoint}: its options are damaged; expected a .ckpt file of train.py")
    kept = {name: saved[name] for name in names_of(SAVED, FIXED) if name in saved}
    return earlier | {"patch": 1, "kernels": "off", "loss": "paper", "schedule": "paper"} | kept


def saved_options(options: argparse.Namespace) -> dict:
    """What a checkpoint keeps for a resumed run, as the user gave it: an `auto` is decided anew on each machine."""
    return {name: getattr(options, name) for name in names_of(SAVED, FIXED)}


def complete_network(options: argparse.Namespace) -> None:
    """Sets what describes the network, where it is not given, to the named network's, or the default's.

    Sets `loss`, `schedule` and `augment` where not given to what suits the network.

    With --channels, patch and means are those of the paper's network.
    """
    if options.channels and not options.network:
        named = NETWORKS["paper"]
    else:
        named = NETWORKS[options.network or "default"]
        options.channels = list(named["channels"])
    options.patch = options.patch or named["patch"]
    options.means = list(named.get("means", ())) if options.means is None else options.means
    options.radius = options.radius or named.get("radius", 2)
    if options.finest_radius is None:
        options.finest_radius = named.get("finest_radius", 1)
    options.detail = options.detail or named.get("detail", "none")
    options.kernels = options.kernels or ("on" if named.get("kernels") else "off")
    with_kernels = options.kernels == "on"
    options.loss = options.loss or ("picture" if with_kernels else "paper")
    options.schedule = options.schedule or ("cosine" if with_kernels and options.max_epochs > 0 else "paper")
    if options.augment is None:
        options.augment = list(AUGMENTATIONS if with_kernels else DIRECT_AUGMENTATIONS)
