"""Lightning callbacks: averaged weights, frames per second, saving within epochs, stopping where gradients break."""

import signal
import sys
import time
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import WeightAveraging
from pytorch_lightning.utilities.rank_zero import rank_zero_info
from tqdm import tqdm

from training import slurm

REMEDY = (
    "earlier checkpoints are kept: resume from one with a lower --learning_rate or with --precision 32-true, and see "
    "whether check.py finds fault with the dataset"
)


class AveragedWeights(WeightAveraging):
    """Validates and saves a running mean of the weights, roughly over the last tenth of all steps so far.

    At a high learning rate, the overall brightness of a reconstruction varies from step to step; that of the mean does
    not. Training itself continues with the current weights. A checkpoint holds both, and finds this
    callback's state by the name of the class.
    """

    EVERY = 8  # steps between updates, because an update waits for the device; short runs use each of their first steps

    def __init__(self):
        super().__init__(multi_avg_fn=self.approach)

    @staticmethod
    def approach(averaged: list[torch.Tensor], current: list[torch.Tensor], count: torch.Tensor) -> None:
        """Moves the `averaged` tensors towards the `current` ones; the step shrinks with the `count` of updates."""
        weight = max(0.001, 9 / (9 + float(count)))
        for mean, value in zip(averaged, current, strict=True):
            mean.lerp_(value, weight)

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Whether to update the mean with the weights after this step."""
        return step_idx is not None and (step_idx < self.EVERY or step_idx % self.EVERY == 0)


class FramesPerSecond(pl.Callback):
    """Logs how many frames per second an epoch trained on, over all processes, including the time spent loading."""

    def on_train_start(self, trainer, module) -> None:
        """Starts the clock of a run that resumes within an epoch: Lightning does not report the start of that epoch."""
        self.on_train_epoch_start(trainer, module)

    def on_train_epoch_start(self, trainer, module) -> None:
        """Starts the clock."""
        self.frames, self.start, self.end = 0, time.monotonic(), None

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        """Counts the frames of the batch."""
        self.frames += batch["noisy"].shape[0] * batch["noisy"].shape[1] * trainer.world_size
        self.end = time.monotonic()

    def on_train_epoch_end(self, trainer, module) -> None:
        """Logs the rate up to the last batch, without the validation after it."""
        if self.end:
            module.log("train/frames_per_second", self.frames / (self.end - self.start), rank_zero_only=True)


class TimeIsUp(Exception):
    """The run has used up its --max_time, and has saved its checkpoint."""


class SaveWithinEpochs(pl.Callback):
    """Saves `checkpoint` after a batch: every few minutes, on Ctrl-C or SIGTERM, and when --max_time is over.

    On all but the first of these the run stops, and says how to resume.
    A second Ctrl-C stops at once; the checkpoint is then the last one that was saved.
    Weights that are not finite are not saved: the earlier checkpoint is worth more.
    checkpoint: where to save, None for nowhere. minutes: between checkpoints. resume: the command line that resumes.
    """

    def __init__(self, checkpoint: Path | None, minutes: float, resume: str):
        self.checkpoint, self.seconds, self.resume = checkpoint, 60 * minutes, resume
        self.requested, self.requeued, self.handlers = False, False, {}
        self.saved = time.monotonic()
        if slurm.job():  # already now: decoding the frames may take longer than the job may run
            signal.signal(slurm.SIGNAL, self.requeue)

    def on_train_start(self, trainer, module) -> None:
        """Installs the signal handlers, in place of Lightning's, which drop an epoch that is being validated."""
        self.handlers = {s: signal.signal(s, self.request_stop) for s in (signal.SIGINT, signal.SIGTERM)}
        self.requested |= trainer.received_sigterm  # while Lightning tried the validation out
        self.saved = time.monotonic()

    def request_stop(self, _number: int, _frame) -> None:
        """The signal handler. Raises KeyboardInterrupt the second time."""
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        rank_zero_info("\nStopping after the current batch or validation; press Ctrl-C again to stop at once ...")

    def requeue(self, number: int, frame) -> None:
        """The handler of SLURM's warning that the time is up: stops, and has the job started again."""
        self.requeued = True
        self.request_stop(number, frame)
        if not self.handlers:  # no training yet
            raise KeyboardInterrupt

    @staticmethod
    def _any(trainer, decision: bool) -> bool:
        """Whether any process decided so; all processes get the same answer, and save or stop at the same batch."""
        return trainer.strategy.reduce_boolean_decision(decision, all=False)

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        """Saves and stops if it is time to, but not after an epoch's last batch: validation and saving follow."""
        due = time.monotonic() - self.saved >= self.seconds
        if not self._any(trainer, due or self.requested or trainer.should_stop) or trainer.is_last_batch:
            return
        self._save(trainer, module)
        # stop here: Lightning would end the epoch and count it as complete
        if self._any(trainer, self.requested):
            raise KeyboardInterrupt
        if trainer.should_stop:
            raise TimeIsUp

    def _save(self, trainer, module) -> None:
        """Saves the checkpoint, unless weights are not finite."""
        self.saved = time.monotonic()
        if self.checkpoint and all(torch.isfinite(p).all() for p in module.parameters()):
            trainer.save_checkpoint(self.checkpoint, weights_only=False)
        elif self.checkpoint:
            rank_zero_info(f"\nThe weights are not finite, so they are not saved; see {self.checkpoint.parent}")

    def on_train_epoch_start(self, trainer, module) -> None:
        """Stops between epochs if requested: the checkpoint of the last epoch has just been saved."""
        self.saved = time.monotonic()
        if self._any(trainer, self.requested):
            raise KeyboardInterrupt

    def on_exception(self, trainer, module, exception) -> None:
        """Prints how to resume, whatever stopped the run; starts a job of SLURM again whose time was up."""
        if self.requeued and trainer.is_global_zero:
            rank_zero_info(f"\n{slurm.requeue()}")
        if self.checkpoint and self.checkpoint.is_file():
            rank_zero_info(f"\nThe last checkpoint is {self.checkpoint}; to resume from it:\n  {self.resume}")
        elif self.checkpoint and isinstance(exception, KeyboardInterrupt | SystemExit):
            rank_zero_info("\nStopped before the first checkpoint: nothing of this training is kept")

    def teardown(self, trainer, module, stage) -> None:
        """Restores the previous signal handlers."""
        for number, handler in self.handlers.items():
            signal.signal(number, handler)


class StopOnBrokenSteps(pl.Callback):
    """Stops with an error if many steps had no finite loss or gradient: IN_A_ROW, or a share of MOST of an epoch's.

    module.py skips such steps; a few in a long run do no harm. The files of a batch without a finite loss are named on
    stderr, those of NAMED batches an epoch at most.
    """

    IN_A_ROW = 20  # steps
    LOOK = 10  # steps from one look to the next: a GPU has to be waited for
    MOST = 0.05  # share of the steps
    NAMED = 3

    def __init__(self):
        self.recent: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []  # see look
        self.in_a_row = self.skipped = self.named = 0  # the last two: in this epoch

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        """Notes the step, and looks at the noted ones once in a while. Raises FloatingPointError."""
        self.recent.append((module.skipped, module.loss_is_finite, batch["key"]))
        if len(self.recent) == self.LOOK:
            self.look(trainer)

    def look(self, trainer) -> None:
        """Counts the skipped ones of the noted steps: (skipped, whether the loss is finite, keys of its samples).

        Raises FloatingPointError after too many in a row. They are skipped in all processes, so all of them stop.
        """
        flags = torch.stack([torch.stack(step[:2]) for step in self.recent]).tolist() if self.recent else []
        for (skipped, loss_is_finite), (_, _, keys) in zip(flags, self.recent, strict=True):
            self.skipped += skipped
            self.in_a_row = self.in_a_row + 1 if skipped else 0
            if skipped and not loss_is_finite and self.named < self.NAMED:
                self.named += 1
                tqdm.write(
                    f"a step without a finite loss is skipped; its files:\n{files_of(trainer, keys)}", sys.stderr
                )
            if self.in_a_row == self.IN_A_ROW:
                raise FloatingPointError(
                    f"{self.in_a_row} steps in a row had no finite loss or gradient; {REMEDY}. The files of the last:\n"
                    + files_of(trainer, keys)
                )
        self.recent = []

    def on_train_epoch_end(self, trainer, module) -> None:
        """Before a checkpoint is saved. Raises FloatingPointError."""
        self.look(trainer)
        skipped, steps = self.skipped, trainer.num_training_batches
        self.skipped = self.named = 0
        module.log("train/skipped_steps", float(skipped), rank_zero_only=True)
        if skipped > max(1, self.MOST * steps):
            raise FloatingPointError(
                f"{skipped} of {steps} steps of epoch {trainer.current_epoch} had no finite loss or gradient; {REMEDY}"
            )


def files_of(trainer: pl.Trainer, keys: torch.Tensor) -> str:
    """The files of the samples with these (B, 3) keys, a line for each sample: its scene's folder, then its files."""
    lines = []
    for key in keys.tolist():
        files = trainer.datamodule.training.files(tuple(key))
        scene = files[0].parent.parent
        lines.append(f"  {scene}: {' '.join(str(file.relative_to(scene)) for file in files)}")
    return "\n".join(lines)
