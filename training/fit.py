"""A training run: from the options to the last checkpoint."""

import argparse
import os
import re
import shlex
import sys
from contextlib import suppress
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import LearningRateMonitor, ModelCheckpoint, Timer, TQDMProgressBar
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities.exceptions import MisconfigurationException, SIGTERMException
from pytorch_lightning.utilities.rank_zero import rank_zero_info

from checkpoints import SUFFIX, check_resumable, load_checkpoint, load_denoiser
from dataset import SequenceData
from files import InputError
from frames.cache import FrameCache
from frames.channels import ALBEDO_INPUTS, PLAIN_INPUTS
from frames.sequences import Split, split_dataset
from training.callbacks import AveragedWeights, FramesPerSecond, SaveWithinEpochs, StopOnBrokenSteps, TimeIsUp
from training.module import DenoisingModule, Speed
from training.presets import KINDS, PARTS, network_options
from training.record import has_other_data, record_of
from training.resolve import resolve
from training.saving import AtomicCheckpointIO
from training.tensorboard import RunRecord, ValidationPictures
from training.training_options import saved_options, trainer_names

LOST_PROCESS = "another process of this run has ended, and its messages say why; resume from the last checkpoint"


def train(options: argparse.Namespace, command: list[str]) -> Path | None:
    """Runs the training; returns the path of the last checkpoint, None under --fast_dev_run.

    options: from parse_options. command: the command line of this run, from which the one that resumes it is made.
    Raises InputError if the dataset, the checkpoint or the machine does not fit the options; OSError if a file cannot
    be read or written; FloatingPointError if the loss is not finite; KeyboardInterrupt or SystemExit if stopped by a
    signal.
    """
    pl.seed_everything(options.seed, workers=True, verbose=False)

    # find the frames, and check their headers
    checkpoint = load_checkpoint(options.checkpoint) if options.checkpoint else None
    if checkpoint and options.checkpoint.suffix != SUFFIX:
        check_resumable(checkpoint, options.checkpoint)
    begun = checkpoint.get("epoch") if checkpoint else None  # epochs that it has completed or is in, less one
    if isinstance(begun, int) and 0 <= options.max_epochs <= begun:
        raise InputError(
            f"--max_epochs {options.max_epochs}: {options.checkpoint} is in epoch {begun + 1}; give {begun + 1} or more"
        )
    saved = checkpoint["hyper_parameters"]["denoiser"] if checkpoint else None
    needed = ALBEDO_INPUTS if saved and saved.get("demodulate") else PLAIN_INPUTS
    split = split_dataset(options.dataset, options.sequence_length, options.crop_size, needed)

    # decide everything that is `auto`, and print it
    settings = resolve(options, has_albedo=not split.without_albedo, saved=saved)
    module = make_module(settings, saved_options(options))
    data = make_data(split, settings, module.denoiser.inputs)
    rank_zero_info(describe(split, data, settings))

    # train
    record = record_of(settings, command, (entry.source for entry in data.entries))
    trainer, last = build_trainer(settings, record)
    resumed = options.checkpoint
    if resumed and resumed.suffix == SUFFIX:  # fine-tunes released weights: a new run
        module.denoiser.load_state_dict(load_denoiser(resumed).state_dict())
        resumed = None
    if resumed and has_other_data(record, resumed):
        rank_zero_info(
            f"{options.dataset}: its files have changed since this run began; it goes on with them as they are"
        )
    try:
        with suppress(TimeIsUp):
            trainer.fit(module, data, ckpt_path=resumed, weights_only=True if resumed else None)
    except SIGTERMException as stop:  # before the first step; on its own it would end the process with code 0
        raise KeyboardInterrupt from stop
    except RuntimeError as error:
        if isinstance(error, torch.distributed.DistError) or "gloo" in str(error):
            raise ConnectionError(LOST_PROCESS) from error
        raise
    except (OSError, ValueError) as error:
        raise log_error(error, trainer.log_dir) or error from error
    return last


def log_error(error: Exception, folder: str) -> OSError | None:
    """The clear form of an error of TensorBoard's writing thread; None if `error` is another one.

    That thread's errors appear at the next value that is logged: bare, or in a ValueError of Lightning's.
    """
    found = error.__cause__ if isinstance(error, ValueError) else error
    if not isinstance(found, OSError) or (found.filename and "tfevents" not in str(found.filename)) or not found.errno:
        return None
    return OSError(
        f"{folder}: the log cannot be written ({found.strerror}); repair that, then resume the last checkpoint"
    )


def make_data(split: Split, settings: argparse.Namespace, inputs: tuple[str, ...]) -> SequenceData:
    """The loaders of a run. settings: from resolve. inputs: quantities that the network reads."""
    return SequenceData(
        split,
        inputs,
        length=settings.sequence_length,
        crop_size=settings.crop_size,
        batch_size=settings.batch_size,
        num_workers=settings.num_workers,
        seed=settings.seed,
        augment=tuple(settings.augment),
        samples_per_epoch=settings.samples_per_epoch,
        cache=FrameCache(settings.dataset, settings.cache_dir) if settings.cache_dir else None,
    )


def make_module(settings: argparse.Namespace, saved: dict | None = None) -> DenoisingModule:
    """The denoiser in training. settings: from resolve. saved: options that the checkpoints keep."""
    return DenoisingModule(
        network_options(settings.kind, {name: getattr(settings, name) for name in PARTS}, settings.albedo),
        settings.learning_rate,
        settings.ramp_epochs,
        saved,
        Speed(settings.channels_last, settings.compile, settings.fused, settings.recompute, settings.cuda_graph),
        settings.loss,
        settings.schedule,
        {"detail.convolutions": settings.detail_rate, "detail.blend": 1.0, "": settings.filter_rate},
    )


def build_trainer(settings: argparse.Namespace, record: dict) -> tuple[pl.Trainer, Path | None]:
    """Lightning's trainer, and the path of the last checkpoint to come, None under --fast_dev_run.

    settings: from resolve. record: from record_of. Raises InputError if Lightning rejects the options on this machine.
    """
    logger = run_folder(settings.log_dir, settings.checkpoint)
    folder = Path(logger.log_dir) / "checkpoints"
    last = None if settings.fast_dev_run else folder / "last.ckpt"
    shared = {"dirpath": folder, "enable_version_counter": False, "save_on_train_epoch_end": True}
    resume = resume_command(record["command"], last) if last else ""
    try:
        timer = [Timer(settings.max_time, verbose=False)] if settings.max_time else []
        callbacks = [
            *([AveragedWeights()] if settings.average == "on" else []),  # before the callbacks that save them
            StopOnBrokenSteps(),
            FramesPerSecond(),
            *timer,  # before SaveWithinEpochs, which saves
            ValidationPictures(),
            RunRecord(settings, record),
            LearningRateMonitor("step"),
            TQDMProgressBar(),  # the default would depend on whether `rich` happens to be installed
            SaveWithinEpochs(last, settings.checkpoint_minutes, resume),
            ModelCheckpoint(filename="best", monitor="val/loss", auto_insert_metric_name=False, **shared),
            ModelCheckpoint(filename="last", **shared),
        ]
        trainer = pl.Trainer(
            **{name: getattr(settings, name) for name in trainer_names()},
            precision=settings.precision,
            gradient_clip_val=settings.clip or None,
            use_distributed_sampler=False,  # the samplers of dataset.py already give each rank its share
            log_every_n_steps=1,
            logger=logger,
            default_root_dir=logger.log_dir,  # where Lightning looks for checkpoints of SLURM jobs; slurm.py finds ours
            callbacks=callbacks,
            plugins=[AtomicCheckpointIO()],
        )
    except (ValueError, MisconfigurationException) as error:
        raise InputError(str(error)) from error
    if last:
        watch = [sys.executable, "-m", "tensorboard.main", "--logdir", str(settings.log_dir)]
        rank_zero_info(f"to watch the run: {shlex.join(watch)}")
    return trainer, last


def run_folder(log_dir: Path, checkpoint: Path | None) -> TensorBoardLogger:
    """The logger of a run: in the folder of the checkpoint's run if that is in `log_dir`, else in a new one.

    Raises InputError if nothing can be written to `log_dir`.
    """
    version = None
    if checkpoint:
        run = checkpoint.resolve().parent.parent
        if run.parent == log_dir.resolve() and re.fullmatch(r"version_\d+", run.name):
            version = int(run.name.removeprefix("version_"))
    try:
        log_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--log_dir {log_dir}: {error.strerror}; choose another folder") from error
    if not os.access(log_dir, os.W_OK):
        raise InputError(f"--log_dir {log_dir}: not writable; choose another folder")
    return TensorBoardLogger(log_dir, name="", version=version, default_hp_metric=False)


def resume_command(command: list[str], checkpoint: Path) -> str:
    """The command line that resumes from `checkpoint`, made from the one that started this run."""
    kept = list(command)
    if "--checkpoint" in kept:
        index = kept.index("--checkpoint")
        del kept[index : index + 2]
    kept = [a for a in kept if not a.startswith("--checkpoint=")]
    return shlex.join([*kept, "--checkpoint", str(checkpoint)])


def describe(split: Split, data: SequenceData, settings: argparse.Namespace) -> str:
    """What will be trained, on what, and how: a few lines for the terminal. settings: from resolve."""
    lines = list(split.notes)

    # data
    for name, sequences, windows in (
        ("training", split.training, data.training.windows),
        ("validation", split.validation, data.validation),
    ):
        frames, scenes = sum(len(s.frames) for s in sequences), len({s.scene for s in sequences})
        lines.append(f"{name}: {scenes} scenes, {len(sequences)} sequences, {frames} frames, {len(windows)} windows")
    if KINDS[settings.kind].divides:
        albedo = "divided out where frames have it"
    else:
        albedo = "divided out" if settings.albedo else "not used"
    if split.without_albedo:
        albedo += f" (not in {', '.join(split.without_albedo)})"
    lines.append(f"an epoch: {data.samples_per_epoch} samples; albedo: {albedo}")

    # network
    parts = ", ".join(f"{name} {getattr(settings, name)}" for name in KINDS[settings.kind].parts)
    lines.append(f"network: {settings.kind}, {parts}; loss: {settings.loss}; schedule: {settings.schedule}")

    # speed
    names = ("cuda_graph", "compile", "channels_last", "fused", "recompute")
    switches = ", ".join(f"{name} {'on' if getattr(settings, name) else 'off'}" for name in names)
    lines.append(f"speed: precision {settings.precision}, {switches}")
    lines.append(f"loading: {settings.num_workers} workers, decoded frames in {settings.cache_dir or 'no cache'}")
    return "\n".join(lines)
