"""The command line of train.py: a table of its options. Imports no PyTorch, so that --help answers at once.

A table on top of argparse, since an option also says what becomes of it when a run resumes, and whether Lightning's
Trainer takes it. LightningCLI would import PyTorch for --help.
"""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

from files import InputError
from frames.augmentation import AUGMENTATIONS
from machine import SWITCH, natural, positive
from training.presets import DETAILS, FINEST_RADII, KINDS, LOSS_NAMES, PARTS, PRESETS, RADII
from version import add_version

# What becomes of an option when a run resumes from a checkpoint:
FREE = "free"  # not in the checkpoint, because it depends on the machine or on the run
SAVED = "saved"  # the default is the checkpoint's value
FIXED = "fixed"  # the default is the checkpoint's value, and no other is allowed: it is part of the network


@dataclass(frozen=True)
class Option:
    """An option of train.py.

    flag: as typed on the command line. arguments: for argparse's add_argument. resume: FREE, SAVED or FIXED.
    trainer: Lightning's Trainer takes an argument of this name.
    """

    flag: str
    arguments: dict
    resume: str = FREE
    trainer: bool = False

    @property
    def name(self) -> str:
        """The attribute of the parsed options."""
        return self.flag.lstrip("-")


def option(flag: str, help: str, resume: str = FREE, *, trainer: bool = False, **arguments) -> Option:
    """A line of the table below; argparse's arguments are keywords."""
    if isinstance(arguments.get("default"), str | int | float):
        help += " (default: %(default)s)"
    return Option(flag, arguments | {"help": help}, resume, trainer)


DATASET = "folder with train/<Scene>/frame-0000/{target.exr, noisy-0.exr ...}; val/ is optional"
SAMPLES = "windows per epoch; default: enough to show every noisy pixel about once"
AUGMENT = "augmentations to use; no names: none; default: all, for the paper's network the first five"
ALBEDO = "auto: divide radiance by albedo if all scenes have it"
WIDTHS = "widths of the encoder levels, finest first; default: the network's"
FINEST_RADIUS = "of the kernels at full size: 0, the pixel alone, or 1; default: the network's"
DETAIL = "size of the detail stage; default: the network's; training.add_detail adds one to a network"
FILTER_RATE = "learning-rate multiplier of the filter, where there is a detail stage; 0 freezes it"
DETAIL_RATE = "learning-rate multiplier of the detail stage's U-Net; 0 freezes it"
LOSS = "paper: its three terms; picture: differences of tone-mapped pictures; default: that of the network's kind"
SCHEDULE = "of the rate: paper: 1/sqrt(epoch) after a ramp; cosine: to 0 at --max_epochs; default: as for --loss"
RAMP = "paper schedule: epochs in which the rate rises from a tenth to its peak"
AVERAGE = "validate and save the mean of recent weights instead of the last ones"
WORKERS = "processes that read crops; default: half the cores, but 0 if the CPU trains from decoded frames"
CACHE = "folder for decoded frames; auto: DATASET/.cache; none: decode every crop"
PRECISION = "Lightning's: 32-true, bf16-mixed ...; auto: bf16-mixed if the hardware supports it, else 32-true"
GRAPH = "replay the training step as one recorded CUDA graph; auto: on one GPU, not for the paper's network"
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
    ("network", "which network, by name (training/presets.py), and what is different from it"): (
        option("--network", "its name; default: default", choices=PRESETS),
        option("--channels", WIDTHS, FIXED, type=positive, nargs="+"),
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
    ("optimization", "how to train it, and how long"): (
        option(
            "--max_epochs", "epochs, including those before a resume; -1: no limit", trainer=True, type=int, default=100
        ),
        option("--max_time", "stop after this time, including that before a resume", metavar="DD:HH:MM:SS"),
        option("--batch_size", "windows per step and device", SAVED, type=positive, default=4),
        option("--loss", LOSS, SAVED, choices=LOSS_NAMES),
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
        for option in options:
            group.add_argument(option.flag, **option.arguments)
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
        parser.set_defaults(**{name: value for name, value in from_checkpoint.items() if name not in PARTS})
        options = parser.parse_args(arguments)
    # complete the network; it must be the checkpoint's
    complete_network(options, from_checkpoint)
    for name in ("kind", *names_of(FIXED)):
        if name in from_checkpoint and getattr(options, name) != from_checkpoint[name]:
            shown, flag = getattr(options, name), "network" if name == "kind" else name
            parser.error(
                f"--{flag} {shown}: {options.checkpoint} was trained with {from_checkpoint[name]}; "
                f"leave --{flag} out, or start a new run without --checkpoint"
            )
    # check the numbers
    if options.sequence_length < 2:
        parser.error(f"--sequence_length {options.sequence_length}: a sequence has at least 2 frames; give 2 or more")
    if options.schedule == "cosine" and options.max_epochs < 1:
        parser.error(f"--schedule cosine ends at --max_epochs, which is {options.max_epochs}; give a number, or paper")
    if not options.checkpoint_minutes > 0:
        parser.error(f"--checkpoint_minutes {options.checkpoint_minutes}: expected a number above 0")
    if options.filter_rate < 0 or options.detail_rate < 0:
        rates = f"{options.filter_rate} and {options.detail_rate}"
        parser.error(f"--filter_rate and --detail_rate must not be negative, found {rates}; 0 freezes those weights")
    if options.detail == "none" and (options.filter_rate, options.detail_rate) != (1, 1):
        parser.error(
            "--filter_rate and --detail_rate need a detail stage; leave them out, or add one: docs/training.md"
        )
    if options.detail != "none" and "detail" not in KINDS[options.kind].parts:
        parser.error(f"--detail {options.detail}: the paper's network has none; use --network default or fast")
    if options.learning_rate <= 0 or options.ramp_epochs < 0 or options.clip < 0:
        found = f"{options.learning_rate}, {options.ramp_epochs} and {options.clip}"
        parser.error(f"--learning_rate must be above 0, --ramp_epochs and --clip 0 or more; found {found}")
    return options


def read_saved_options(checkpoint: Path) -> dict:
    """The options that a checkpoint keeps for a resumed run, and the `kind` of its network.

    Raises OSError or InputError if it cannot be read.
    """
    from checkpoints import load_checkpoint  # imports PyTorch

    saved = load_checkpoint(checkpoint)["hyper_parameters"]
    network = saved["denoiser"]
    kind = network.get("network")
    if not isinstance(kind, str) or kind not in KINDS:
        raise InputError(f"{checkpoint}: its network is {kind!r}; expected one of {', '.join(KINDS)}")
    found = {"kind": kind} | PARTS | {name: network[name] for name in PARTS if name in network}
    if "options" not in saved:  # released weights: only the network is fixed
        return found
    options = saved["options"] or {}
    if not isinstance(options, dict):
        raise InputError(f"{checkpoint}: its options are damaged; expected a .ckpt file of train.py")
    return {name: options[name] for name in names_of(SAVED, FIXED) if name in options} | found


def saved_options(options: argparse.Namespace) -> dict:
    """What a checkpoint keeps for a resumed run, as the user gave it: an `auto` is decided anew on each machine."""
    return {name: getattr(options, name) for name in names_of(SAVED, FIXED)}


def complete_network(options: argparse.Namespace, from_checkpoint: dict) -> None:
    """Sets the network's kind and parts: as given, else those of --network, of the checkpoint, or the default's.

    Sets `loss`, `schedule` and `augment` where not given to what suits the network.
    """
    named = PARTS | PRESETS[options.network or "default"]
    found = from_checkpoint if from_checkpoint and not options.network else named
    options.kind = found["kind"]
    for name in PARTS:
        given = getattr(options, name)
        value = found[name] if given is None else given
        setattr(options, name, list(value) if name == "channels" else value)
    kind = KINDS[options.kind]
    options.loss = options.loss or kind.loss
    options.schedule = options.schedule or (kind.schedule if options.max_epochs > 0 else "paper")
    options.augment = list(kind.augment) if options.augment is None else options.augment
