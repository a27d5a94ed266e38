"""Trains the denoiser on a dataset of rendered sequences: `python train.py DATASET`; TensorBoard shows the progress."""

import argparse
import hashlib
import os
import re
import shlex
import sys
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import LearningRateMonitor, ModelCheckpoint
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from pytorch_lightning.utilities.rank_zero import rank_zero_info

from dataset import SequenceData
from files import InputError
from frames.augmentation import AUGMENTATIONS
from frames.cache import FrameCache
from frames.channels import ALBEDO_INPUTS, PLAIN_INPUTS
from frames.sequences import Split, split_dataset
from machine import SWITCH, on_gpu, positive, usable_cores
from training.callbacks import AveragedWeights, FiniteLoss, FramesPerSecond, Pictures, StopCleanly
from training.checkpoints import load_checkpoint
from training.module import DenoisingModule
from training.networks import MEAN_SIZES, NETWORKS
from training.speed import choose_precision, choose_speed

# What a checkpoint remembers, so that a resumed run goes on as it began; the rest depends on the machine.
REMEMBERED = (
    "batch_size",
    "sequence_length",
    "crop_size",
    "samples_per_epoch",
    "augment",
    "albedo",
    "channels",
    "patch",
    "means",
    "learning_rate",
    "ramp_epochs",
    "clip",
    "precision",
    "seed",
)
FIXED = ("channels", "patch", "means", "albedo")  # the network itself: no resumed run can change these


def build_parser() -> argparse.ArgumentParser:
    """The command line of train.py."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter, allow_abbrev=False
    )
    add = parser.add_argument
    add("dataset", type=Path, help="folder with train/<Scene>/frame-0000/{target.exr, noisy-0.exr ...}; val/ optional")
    add("--max_epochs", type=int, default=100, help="epochs in all, those before a resume included; -1: no limit")
    add("--num_workers", type=int, help="processes that read crops; default: half the cores, 0 where a CPU trains")
    add("--cache_dir", default="auto", help="decoded frames: a folder; auto: DATASET/.cache; none: decode every crop")
    add("--batch_size", type=positive, default=4, help="windows per step and device")
    add("--sequence_length", type=int, default=7, help="frames per window, 2 or more")
    add("--crop_size", type=positive, default=128, help="pixels, both ways")
    add("--samples_per_epoch", type=positive, help="windows drawn per epoch; default: what covers the dataset once")
    add(
        "--augment", nargs="*", choices=AUGMENTATIONS, default=list(AUGMENTATIONS), help="name those to keep; none: off"
    )
    add("--albedo", choices=("auto", "off"), default="auto", help="divide radiance by albedo where the dataset has it")
    network = parser.add_mutually_exclusive_group()
    network.add_argument("--network", choices=NETWORKS, help="widths and patch by name; default: default")
    network.add_argument("--channels", type=positive, nargs="+", help="encoder widths, full size first")
    add("--patch", type=int, choices=(1, 2, 4), help="pixels that enter as one, both ways; 1 with --channels")
    add("--means", type=int, nargs="*", choices=MEAN_SIZES, help="see mean radiance of such squares; none: --channels")
    add("--learning_rate", type=float, default=5e-4, help="of Adam, at its peak; the paper's is 1e-3")
    add("--clip", type=float, default=0.5, help="largest norm of a step's gradient; 0: any")
    add("--ramp_epochs", type=float, default=10, help="epochs from a tenth of the rate to all; then 1/sqrt(epoch)")
    add("--average", choices=SWITCH, default="on", help="validate and save the mean of recent weights, not the last")
    add("--max_time", metavar="DD:HH:MM:SS", help="stop after this time, those before a resume included")
    add("--precision", default="auto", help="Lightning's: 32-true, bf16-mixed ...; auto: the latter where it is fast")
    add("--compile", choices=("auto", *SWITCH), default="auto", help="torch.compile of the network; auto: on a GPU")
    add("--channels_last", choices=SWITCH, default="on", help="memory format of the network")
    add("--fused", choices=SWITCH, default="on", help="Adam in one kernel")
    add("--recompute", choices=SWITCH, default="off", help="less memory, more time: for long sequences, large crops")
    add("--accelerator", default="auto", help="Lightning's: auto, cpu, gpu ...")
    add("--devices", default="auto", help="Lightning's: how many, or which")
    add("--num_nodes", type=positive, default=1, help="machines, under torchrun or SLURM")
    add("--strategy", default="auto", help="Lightning's: auto, ddp ...")
    add("--seed", type=int, default=0, help="the same seed repeats a run exactly on the CPU")
    add("--log_dir", type=Path, default=Path("runs"), help="each run gets a folder version_<n> in it")
    add("--checkpoint", type=Path, help="resume from this one, with its options unless they are given again")
    add("--fast_dev_run", action="store_true", help="one batch of training and validation, nothing saved")
    return parser


def choose_workers(options: argparse.Namespace) -> None:
    """Fills in --num_workers. Decoded frames cost a training CPU less than a process beside it, which takes a core from
    its threads now and then (benchmarks/README.md); a GPU leaves the cores idle anyway."""
    if options.num_workers is None:
        beside = on_gpu(options.accelerator) or options.cache_dir == "none"
        options.num_workers = min(8, usable_cores() // 2) if beside else 0


def choose_network(options: argparse.Namespace) -> None:
    """Fills in what --network, or none of the options, leaves to the table of networks."""
    named = NETWORKS[options.network or "default"] if options.network or not options.channels else NETWORKS["paper"]
    if options.network or not options.channels:
        options.channels = list(named["channels"])
    options.patch = options.patch or named["patch"]
    options.means = list(named["means"]) if options.means is None else options.means


def parse_options(arguments: list[str]) -> argparse.Namespace:
    """The options of a run; those of the checkpoint, if it resumes one, are the defaults. Exits on bad ones."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.checkpoint:
        try:
            saved = load_checkpoint(options.checkpoint)["hyper_parameters"].get("options") or {}
        except (OSError, InputError) as error:
            parser.error(str(error))
        remembered = {"patch": 1, "means": []} | {name: saved[name] for name in REMEMBERED if name in saved}
        parser.set_defaults(**remembered)
        options = parser.parse_args(arguments)
        choose_network(options)
        for name in FIXED:
            if name in remembered and getattr(options, name) != remembered[name]:
                parser.error(
                    f"--{name} {getattr(options, name)}: {options.checkpoint} was trained with {remembered[name]}; "
                    f"leave --{name} out, or start anew without --checkpoint"
                )
    choose_network(options)
    choose_workers(options)
    if options.sequence_length < 2:
        parser.error(f"--sequence_length {options.sequence_length}: a sequence has at least 2 frames")
    if options.learning_rate <= 0 or options.ramp_epochs < 0 or options.clip < 0:
        parser.error("--learning_rate must be above 0, --ramp_epochs and --clip not below")
    return options


def frame_cache(options: argparse.Namespace) -> FrameCache | None:
    """Where --cache_dir says. In a folder of the user's choice, each dataset gets one of its own."""
    if options.cache_dir == "none":
        return None
    if options.cache_dir == "auto":
        return FrameCache(options.dataset, options.dataset / ".cache")
    place = options.dataset.resolve()
    name = f"{place.name}-{hashlib.sha256(os.fsencode(place)).hexdigest()[:8]}"
    return FrameCache(options.dataset, Path(options.cache_dir) / name)


def run_folder(options: argparse.Namespace) -> TensorBoardLogger:
    """The logger: of the run that the checkpoint came from, if it lies in one below --log_dir; else of a new run."""
    if options.checkpoint:
        run = options.checkpoint.resolve().parent.parent
        if run.parent == options.log_dir.resolve() and re.fullmatch(r"version_\d+", run.name):
            version = int(run.name.removeprefix("version_"))
            return TensorBoardLogger(options.log_dir, name="", version=version, default_hp_metric=False)
    return TensorBoardLogger(options.log_dir, name="", default_hp_metric=False)


def resume_command(command: list[str], checkpoint: Path) -> str:
    """The command line that goes on from `checkpoint`, given the one that this run was started with."""
    kept = list(command)
    if "--checkpoint" in kept:
        at = kept.index("--checkpoint")
        del kept[at : at + 2]
    kept = [a for a in kept if not a.startswith("--checkpoint=")]
    return shlex.join([*kept, "--checkpoint", str(checkpoint)])


def describe(split: Split, data: SequenceData, demodulate: bool) -> str:
    """What will be trained on, for the terminal."""
    lines = list(split.notes)
    for name, sequences, windows in (
        ("training", split.training, data.training),
        ("validation", split.validation, data.validation),
    ):
        frames, scenes = sum(len(s.frames) for s in sequences), len({s.scene for s in sequences})
        lines.append(f"{name}: {scenes} scenes, {len(sequences)} sequences, {frames} frames, {len(windows)} windows")
    albedo = "divided out" if demodulate else "not used"
    if split.without_albedo:
        albedo += f" (not in {', '.join(split.without_albedo)})"
    lines.append(f"an epoch: {data.samples_per_epoch} samples; albedo: {albedo}")
    return "\n".join(lines)


def train(options: argparse.Namespace, command: list[str]) -> Path | None:
    """Runs the training; returns the last checkpoint's path, None under --fast_dev_run.

    command: the command line that started it, to tell how to resume. Raises InputError.
    """
    pl.seed_everything(options.seed, workers=True, verbose=False)
    saved = load_checkpoint(options.checkpoint)["hyper_parameters"]["denoiser"] if options.checkpoint else None
    needed = ALBEDO_INPUTS if saved and saved["demodulate"] else PLAIN_INPUTS
    split = split_dataset(options.dataset, options.sequence_length, options.crop_size, needed)
    demodulate = saved["demodulate"] if saved else options.albedo == "auto" and not split.without_albedo
    data = SequenceData(
        split,
        ALBEDO_INPUTS if demodulate else PLAIN_INPUTS,
        options.sequence_length,
        options.crop_size,
        options.batch_size,
        options.num_workers,
        options.seed,
        tuple(options.augment),
        options.samples_per_epoch,
        frame_cache(options),
    )
    rank_zero_info(describe(split, data, demodulate))
    module = DenoisingModule(
        {"demodulate": demodulate} | {name: getattr(options, name) for name in ("channels", "patch", "means")},
        options.learning_rate,
        options.ramp_epochs,
        {name: getattr(options, name) for name in REMEMBERED},
        choose_speed(options),
    )
    trainer, last = build_trainer(options, command)
    trainer.fit(module, data, ckpt_path=options.checkpoint, weights_only=True)
    return last


def build_trainer(options: argparse.Namespace, command: list[str]) -> tuple[pl.Trainer, Path | None]:
    """Lightning's trainer for these options, and where the last checkpoint will be, None under --fast_dev_run.

    Raises InputError where Lightning finds the options at odds with the machine or with each other.
    """
    logger = run_folder(options)
    folder = Path(logger.log_dir) / "checkpoints"
    last = None if options.fast_dev_run else folder / "last.ckpt"
    shared = {"dirpath": folder, "enable_version_counter": False, "save_on_train_epoch_end": True}
    callbacks = [
        *([AveragedWeights()] if options.average == "on" else []),  # before what saves them
        FiniteLoss(),
        FramesPerSecond(),
        Pictures(),
        LearningRateMonitor("step"),
        StopCleanly(last, resume_command(command, last) if last else ""),
        ModelCheckpoint(filename="best", monitor="val/loss", auto_insert_metric_name=False, **shared),
        ModelCheckpoint(filename="last", **shared),
    ]
    passed_on = (
        "max_epochs",
        "max_time",
        "accelerator",
        "devices",
        "num_nodes",
        "strategy",
        "fast_dev_run",
    )
    try:
        trainer = pl.Trainer(
            **{name: getattr(options, name) for name in passed_on},
            precision=choose_precision(options),
            gradient_clip_val=options.clip or None,
            use_distributed_sampler=False,  # dataset.py's samplers share the samples out themselves
            log_every_n_steps=1,
            logger=logger,
            callbacks=callbacks,
        )
    except (ValueError, MisconfigurationException) as error:
        raise InputError(str(error)) from error
    if not options.fast_dev_run:
        watch = [sys.executable, "-m", "tensorboard.main", "--logdir", str(options.log_dir)]
        rank_zero_info(f"watch it: {shlex.join(watch)}")
    return trainer, last


def main() -> None:
    """The command line; a dataset or a machine that cannot do what was asked is one clear line, not a trace."""
    options = parse_options(sys.argv[1:])
    try:
        last = train(options, [sys.executable, *sys.argv])
    except (InputError, FloatingPointError, OSError) as error:
        message = str(error).strip()
        if "Original Traceback" in message:  # from a data-loading process; its last line is "<type>: <message>"
            message = message.splitlines()[-1].partition(": ")[2]
        sys.exit(f"train.py: {message}")
    if last:
        rank_zero_info(f"best and last checkpoint: {last.parent}/best.ckpt, {last}")


if __name__ == "__main__":
    main()
