"""The denoiser in training: a LightningModule with the losses, the optimiser, the schedule and the validation metrics.

Shapes: B sequences, T frames, C input channels, H rows, W columns.
"""

import math

import pytorch_lightning as pl
import torch
from torch.utils.checkpoint import checkpoint

from frames.radiance import decode_radiance, encode_radiance, exposure_of
from losses import mask_target, total_loss
from model import Denoiser
from scoring.metrics import SequenceScore, mean_scores
from training.speed import PLAIN, Speed


def paper_schedule(epoch: float, ramp_epochs: float) -> float:
    """The factor on the learning rate at a (fractional) epoch: a geometric ramp from 1/10 to 1, then 1/sqrt.

    The two meet at `ramp_epochs` (Chaitanya et al. 2017, section 4.4); 0 is no ramp, and decay from the first epoch.
    """
    if epoch < ramp_epochs:
        return 10 ** (epoch / ramp_epochs - 1)
    return math.sqrt(max(ramp_epochs, 1) / max(epoch, ramp_epochs, 1))


class DenoisingModule(pl.LightningModule):
    """Trains a Denoiser on windows of frames.

    denoiser: the arguments of Denoiser. learning_rate: Adam's, at its peak. ramp_epochs: see paper_schedule.
    options: the other options of the run, kept in the checkpoint for who resumes it. speed: how, not what, is computed.
    """

    def __init__(
        self,
        denoiser: dict,
        learning_rate: float,
        ramp_epochs: float = 10,
        options: dict | None = None,
        speed: Speed = PLAIN,
    ):
        super().__init__()
        self.save_hyperparameters(ignore="speed")
        self.speed = speed
        self.denoiser = Denoiser(**denoiser)
        if speed.channels_last:
            self.denoiser.to(memory_format=torch.channels_last)
        if speed.compile:
            self.denoiser.network.compile(dynamic=False)  # in place: the weights keep their names

    def forward(self, noisy: torch.Tensor) -> torch.Tensor:
        """A window (B, T, C, H, W) to its (B, T, 3, H, W) encoded reconstruction, from an empty hidden state.

        Frame by frame where memory counts: whole frames in validation, and activations that are to be recomputed.
        """
        if self.training and not self.speed.recompute:
            return self.denoiser.forward_window(noisy.transpose(0, 1))[0].transpose(0, 1)
        state, frames = None, []
        for frame in noisy.unbind(1):
            if self.training:
                encoded, state = checkpoint(self.denoiser.forward_encoded, frame, state, use_reentrant=False)
            else:
                encoded, state = self.denoiser.forward_encoded(frame, state)
            frames.append(encoded)
        return torch.stack(frames, 1)

    def losses(self, encoded: torch.Tensor, target: torch.Tensor) -> dict[str, torch.Tensor]:
        """The losses of an encoded window against its target in linear radiance, where that is finite.

        In float32, whatever the network's precision: their convolution must not be autocast.
        """
        with torch.autocast(encoded.device.type, enabled=False):
            return total_loss(encoded, mask_target(encoded, encode_radiance(target)))

    @staticmethod
    def scores(images: torch.Tensor, targets: torch.Tensor) -> dict[str, float]:
        """PSNR and SSIM of (T, 3, H, W) linear radiance, means over the frames; in float32, like the losses."""
        with torch.autocast(images.device.type, enabled=False):
            score = SequenceScore(exposure_of(targets))
            for image, target in zip(images, targets, strict=True):
                score.update(image, target)
        means = mean_scores(score.frames)
        return {name: means[name] for name in ("psnr", "ssim") if means[name] is not None}

    def training_step(self, batch: dict, _batch_index: int) -> torch.Tensor:
        """The loss of a batch of SequenceData.train_dataloader."""
        losses = self.losses(self(batch["noisy"]), batch["target"])
        self._log("train", losses, len(batch["noisy"]))
        return losses["loss"]

    def validation_step(self, batch: dict, _batch_index: int) -> torch.Tensor:
        """Logs losses, PSNR and SSIM of one window; returns its reconstruction, (B, T, 3, H, W) linear radiance."""
        with torch.compiler.set_stance("force_eager"):  # scenes differ in size: each would be compiled anew
            encoded = self(batch["noisy"])
        self._log("val", self.losses(encoded, batch["target"]), 1)
        reconstruction = decode_radiance(encoded)
        self._log("val", self.scores(reconstruction[0], batch["target"][0]), 1)
        return reconstruction

    def _log(self, stage: str, values: dict, batch_size: int) -> None:
        self.log_dict(
            {f"{stage}/{name}": value for name, value in values.items()},
            on_step=False,  # the step must not wait for its own loss
            on_epoch=True,
            batch_size=batch_size,
            sync_dist=True,
        )

    def configure_optimizers(self) -> dict:
        """Adam with betas 0.9 and 0.99, its rate following paper_schedule step by step (section 4.4)."""
        optimizer = torch.optim.Adam(
            self.parameters(), lr=self.hparams.learning_rate, betas=(0.9, 0.99), fused=self.speed.fused
        )

        def factor(step: int) -> float:
            # Asked for late, because making Lightning count the batches here would set the loaders up before their
            # position is restored from a checkpoint.
            return paper_schedule(step / self.trainer.num_training_batches, self.hparams.ramp_epochs)

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None) -> None:
        """Limits the norm of the gradient. (Lightning's own refuses a fused optimiser under any mixed precision,
        though only 16-mixed scales the gradients, and that is never fused here.)"""
        if gradient_clip_val:
            torch.nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val)

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        """Lets a resumed run change the peak learning rate: the checkpoint's optimiser and schedule have their own."""
        rate = self.hparams.learning_rate
        for scheduler in checkpoint["lr_schedulers"]:
            factor = rate / scheduler["base_lrs"][0]
            scheduler["base_lrs"] = [rate for _ in scheduler["base_lrs"]]
            scheduler["_last_lr"] = [last * factor for last in scheduler["_last_lr"]]
        for group in (g for state in checkpoint["optimizer_states"] for g in state["param_groups"]):
            group["lr"] *= rate / group["initial_lr"]
            group["initial_lr"] = rate
