"""What happens around training: pictures and frames per second in TensorBoard, and a clean stop on Ctrl-C."""

import signal
import time
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import WeightAveraging
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities.rank_zero import rank_zero_info

from frames.radiance import exposure_of, tone_map
from scoring.pictures import side_by_side, to_bytes


class Pictures(pl.Callback):
    """Each validation epoch, a picture per scene: noisy, reconstruction, target of the last frame of its first window.

    With several processes, of the scenes that the first one validates.
    """

    def on_validation_batch_end(self, trainer, module, outputs, batch, batch_idx, dataloader_idx=0) -> None:
        """Writes the picture of a scene's first window; `outputs` is the reconstruction, (1, T, 3, H, W)."""
        if trainer.sanity_checking or not batch["first"][0] or not isinstance(trainer.logger, TensorBoardLogger):
            return
        exposure = exposure_of(batch["target"])
        frames = [batch["noisy"][0, -1, :3], outputs[0, -1], batch["target"][0, -1]]
        picture = side_by_side([to_bytes(tone_map(frame, exposure)) for frame in frames])
        trainer.logger.experiment.add_image(f"val/{batch['scene'][0]}", picture, trainer.global_step)


class AveragedWeights(WeightAveraging):
    """Validates and saves a running mean of the weights, about that of the last tenth of the steps so far.

    Single steps at a high learning rate leave the overall brightness of a reconstruction to chance; their mean does
    not. Training itself goes on from the weights as they are; a checkpoint has both.
    """

    EVERY = 8  # steps, since counting waits for the device; the first few are all taken, for short runs

    def __init__(self):
        super().__init__(multi_avg_fn=self.approach)

    @staticmethod
    def approach(averaged: list[torch.Tensor], current: list[torch.Tensor], count: torch.Tensor) -> None:
        """Moves `averaged` towards `current`, the less the more there have been, as its `count` says."""
        weight = max(0.001, 9 / (9 + float(count)))
        for mean, value in zip(averaged, current, strict=True):
            mean.lerp_(value, weight)

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Whether the weights behind this step count."""
        return step_idx is not None and (step_idx < self.EVERY or step_idx % self.EVERY == 0)


class FramesPerSecond(pl.Callback):
    """Logs how many frames a second an epoch trained on, over all processes, waiting for data included."""

    def on_train_start(self, trainer, module) -> None:
        """Starts the clock of a run that resumes within an epoch, which Lightning does not start again."""
        self.on_train_epoch_start(trainer, module)

    def on_train_epoch_start(self, trainer, module) -> None:
        """Starts the clock."""
        self.frames, self.start, self.end = 0, time.monotonic(), None

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        """Counts the batch's frames."""
        self.frames += batch["noisy"].shape[0] * batch["noisy"].shape[1] * trainer.world_size
        self.end = time.monotonic()

    def on_train_epoch_end(self, trainer, module) -> None:
        """Logs the rate; validation, which comes after the last batch, is not in it."""
        if self.end:
            module.log("train/frames_per_second", self.frames / (self.end - self.start), rank_zero_only=True)


class StopCleanly(pl.Callback):
    """On Ctrl-C (or SIGTERM) finishes the batch in hand, saves `checkpoint`, says how to resume, and stops.

    A second Ctrl-C stops at once; the checkpoint is then that of the last whole epoch.
    checkpoint: where to save, None for not at all. resume: the command line that goes on from there.
    """

    def __init__(self, checkpoint: Path | None, resume: str):
        self.checkpoint, self.resume = checkpoint, resume
        self.wanted = False

    def on_fit_start(self, trainer, module) -> None:
        """Takes the signals over."""
        self.handlers = {s: signal.signal(s, self._ask) for s in (signal.SIGINT, signal.SIGTERM)}

    def _ask(self, number, frame) -> None:
        if self.wanted:
            raise KeyboardInterrupt
        self.wanted = True
        rank_zero_info("\nStopping after this batch, or the validation that is running (Ctrl-C again: at once) ...")

    def _agreed(self, trainer) -> bool:
        """Whether any process was asked to stop: all stop at the same batch."""
        return trainer.strategy.reduce_boolean_decision(self.wanted, all=False)

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        """Saves and stops, if asked to; behind an epoch's last batch, validation and the usual saving come first."""
        if not trainer.is_last_batch and self._agreed(trainer):
            if self.checkpoint:
                trainer.save_checkpoint(self.checkpoint, weights_only=False)
            raise KeyboardInterrupt

    def on_train_epoch_start(self, trainer, module) -> None:
        """Stops between epochs, if asked to: the last epoch's checkpoint has just been saved."""
        if self._agreed(trainer):
            raise KeyboardInterrupt

    def on_exception(self, trainer, module, exception) -> None:
        """Says how to resume, whatever the reason for stopping."""
        if self.checkpoint and self.checkpoint.is_file():
            rank_zero_info(f"\nThe last checkpoint is {self.checkpoint}; to go on from there:\n  {self.resume}")

    def teardown(self, trainer, module, stage) -> None:
        """Gives the signals back."""
        for number, handler in getattr(self, "handlers", {}).items():
            signal.signal(number, handler)


class FiniteLoss(pl.Callback):
    """Stops with an error, before a checkpoint is written, where an epoch's training loss is not finite."""

    def on_train_epoch_end(self, trainer, module) -> None:
        """Checks the epoch's mean loss, once, so that the step needs no synchronisation.

        Raises FloatingPointError.
        """
        loss = trainer.callback_metrics.get("train/loss")
        broken = loss is not None and not torch.isfinite(loss)
        if trainer.strategy.reduce_boolean_decision(bool(broken), all=False):  # all processes stop, or none
            raise FloatingPointError(
                f"the training loss became {float(loss)} in epoch {trainer.current_epoch}; the checkpoints before it "
                "are kept: go on from the best one with a lower --learning_rate, or with --precision 32-true"
            )
