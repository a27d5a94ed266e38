"""The denoiser in training: a LightningModule with losses, optimizer, learning rate schedule and validation metrics.

Shapes: B sequences, T frames, C input channels, H rows, W columns.
"""

import math
from dataclasses import dataclass
from functools import partial

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import WeightAveraging
from torch.utils.checkpoint import checkpoint

from frames.channels import QUANTITIES, channels_of
from frames.radiance import decode_radiance, encode_radiance, exposure_of
from losses import LOSSES
from model import Estimate, State, combined, make_denoiser
from networks.warping import invert_motion
from scoring.metrics import METRICS, SequenceScore, mean_scores
from training.graphs import GraphedLosses
from training.schedules import cosine_schedule, paper_schedule


@dataclass(frozen=True)
class Speed:
    """How the training step is computed: faster, or in less memory. The loss and its gradients stay the same.

    channels_last: memory format of the network. compile: torch.compile of the network. fused: Adam in one kernel.
    recompute: the backward pass recomputes the activations of each frame from its hidden state instead of storing them.
    cuda_graph: records the step once, and replays it.
    """

    channels_last: bool = False
    compile: bool = False
    fused: bool = False
    recompute: bool = False
    cuda_graph: bool = False


PLAIN = Speed()


class DenoisingModule(pl.LightningModule):
    """Trains a Denoiser on windows of frames.

    denoiser: the options of model.make_denoiser. learning_rate: the peak of Adam's. ramp_epochs: see paper_schedule.
    options: what the checkpoint keeps of the run's options, for a run that resumes from it. speed: see Speed.
    loss: a name in losses.LOSSES. schedule: "paper" or "cosine", over max_epochs of the trainer. rates: where
    there is a detail stage, learning-rate multipliers by the beginning of weights' names; 0 freezes them.
    """

    def __init__(
        self,
        denoiser: dict,
        learning_rate: float,
        ramp_epochs: float = 10,
        options: dict | None = None,
        speed: Speed = PLAIN,
        loss: str = "paper",
        schedule: str = "paper",
        rates: dict[str, float] | None = None,
    ):
        super().__init__()
        self.save_hyperparameters(ignore="speed")
        self.speed, self.loss, self.schedule = speed, LOSSES[loss], schedule
        self.loss_is_finite, self.skipped = None, None  # of the last step, boolean tensors; training/callbacks.py reads
        self.denoiser = make_denoiser(denoiser)
        self.rates = rates if rates and self.denoiser.has_detail else {}
        for name, parameter in self.denoiser.named_parameters():
            parameter.requires_grad_(self.rate_of(name) > 0)
        if speed.channels_last:
            self.denoiser.to(memory_format=torch.channels_last)
        if speed.compile:  # in place: the weights keep their names
            self.denoiser.compile(dynamic=False)
            self.denoiser.network.compile(dynamic=False)  # the paper's window goes directly into it
        self.graphed = GraphedLosses(self) if speed.cuda_graph else None

    def forward(self, noisy: torch.Tensor, start: torch.Tensor | None = None) -> torch.Tensor:
        """Reconstructs a (B, T, C, H, W) window from an empty hidden state: (B, T, 3, H, W).

        start: the history before its first frame, (B, 7, H, W), for FilteringDenoiser.state_with_history; None: empty.

        Encoded radiance for the paper's loss, linear radiance for the picture loss.
        """
        # what comes before the first frame
        noisy, state = self.denoiser.complete_window(noisy), None
        if not self.looks_once:
            first, state = self.first_look(noisy[:, 0], start)
            noisy = torch.cat((first[:, None], noisy[:, 1:]), 1)
        elif start is not None:
            state = self.denoiser.state_with_history(noisy[:, 0], start)
        if self.looks_both_ways:
            return self.from_both_directions(noisy, state)

        # the whole window at once, or frame by frame, to save memory: validation has whole frames
        windows, frames = noisy.transpose(0, 1), []  # (T, B, C, H, W)
        step = partial(self.denoiser.forward_window, encoded=self.loss.encoded)
        at_once = self.training and not self.speed.recompute
        for window in [windows] if at_once else windows.split(1):
            if self.training and self.speed.recompute:
                images, state = checkpoint(step, window, state, use_reentrant=False)
            else:
                images, state = step(window, state)
            frames.append(images)
        return torch.cat(frames).transpose(0, 1)  # (B, T, 3, H, W)

    def from_both_directions(self, noisy: torch.Tensor, state: State | None) -> torch.Tensor:
        """Reconstructs a window in both directions: averages their estimates, then applies the detail stage.

        As test.py does, but unflipped, with brightness and silhouettes as they are. noisy: (B, T, C, H, W), with
        motion. state: before its first frame. Gives (B, T, 3, H, W).
        """
        backward, images = self.backward_estimates(noisy), []
        for frame, behind in zip(noisy.unbind(1), backward, strict=True):
            ahead, state = self.estimate(frame, state)
            image, state = self.denoiser.finish(frame, combined(ahead, behind), state)
            images.append(image)
        images = torch.stack(images, 1)
        return encode_radiance(images.clamp(min=1e-6)) if self.loss.encoded else images

    @torch.no_grad()
    def backward_estimates(self, noisy: torch.Tensor) -> list[Estimate]:
        """Estimates of the backward pass through (B, T, C, H, W) frames, in frame order."""
        # reverse the window and its motion
        motion, depth = (channels_of(self.denoiser.inputs, name) for name in ("motion", "depth"))
        reverse = noisy.flip(1).clone()
        reverse[:, 0, motion] = QUANTITIES["motion"].missing
        ahead, surfaces = (noisy[:, 1:, part].flip(1).flatten(0, 1) for part in (motion, depth))
        reverse[:, 1:, motion] = invert_motion(ahead, surfaces).unflatten(0, (len(noisy), -1))
        reverse, found = self.denoiser.complete_window(reverse), []

        # frame by frame
        first, state = self.first_look(reverse[:, 0], None)
        for frame in (first, *reverse[:, 1:].unbind(1)):
            estimate, state = self.estimate(frame, state)
            found.append(estimate)
        return found[::-1]

    def estimate(self, frame: torch.Tensor, state: State | None) -> tuple[Estimate, State]:
        """The estimate of a (B, C, H, W) frame with motion, and the state after it."""
        image, state = self.denoiser.estimate(frame, state, complete=True)
        samples = self.denoiser.sample_counts(state, 1)[..., : image.shape[2], : image.shape[3]]
        return Estimate(image, samples.clone()), state

    @property
    def looks_both_ways(self) -> bool:
        """Whether a detail stage learns from both directions in this training step: in steps 2 and 3 of every 4."""
        return self.training and self.denoiser.has_detail and self.global_step % 4 >= 2

    def rate_of(self, name: str) -> float:
        """The factor on the learning rate for the denoiser's weight of this name."""
        return next((rate for start, rate in self.rates.items() if name.startswith(start)), 1.0)

    @property
    def looks_once(self) -> bool:
        """Whether this training step leaves out the second look: every other one does.

        With two looks at every first frame, the only pixels without a previous image whose result counts would be those
        that have just come into view, too few to learn what to do there: they stayed noisy.
        """
        return self.training and self.global_step % 2 == 1

    def first_look(self, frame: torch.Tensor, start: torch.Tensor | None) -> tuple[torch.Tensor, State | None]:
        """A window's first frame, (B, C, H, W), as Denoiser.start gives it, and the state before it.

        start: see forward. Windows that start with a history keep it.
        """
        state = None if start is None else self.denoiser.state_with_history(frame, start)
        estimate = self.denoiser.estimate
        frame, looked = self.denoiser.start(frame, lambda frame, _: estimate(frame, state, complete=True))
        if start is None:
            return frame, looked
        empty = start[:, -1:].amax((1, 2, 3), keepdim=True) == 0  # (B, 1, 1, 1)
        return frame, [new.where(empty, old.to(new.dtype)) for new, old in zip(looked, state, strict=True)]

    def compare(self, prediction: torch.Tensor, target: torch.Tensor) -> dict[str, torch.Tensor]:
        """The loss and its terms (losses.py) of a predicted window against its target in linear radiance.

        Both are (B, T, 3, H, W); pixels whose target is not finite do not count. Always in float32: the convolution in
        the gradient loss must not be autocast.
        """
        with torch.autocast(prediction.device.type, enabled=False):
            return self.loss(prediction, target)

    def window_losses(self, noisy: torch.Tensor, target: torch.Tensor, start: torch.Tensor | None = None) -> dict:
        """The losses of a window's reconstruction. noisy, start: see forward."""
        return self.compare(self(noisy, start), target)

    def batch_losses(self, batch: dict) -> dict[str, torch.Tensor]:
        """window_losses of a training batch, from a CUDA graph if there is one."""
        parts = [batch[name] for name in ("noisy", "target", "start") if name in batch]
        return (self.graphed or self.window_losses)(*parts)

    def on_fit_start(self) -> None:
        """Does without a CUDA graph where several processes exchange gradients during the backward pass."""
        if self.trainer.world_size > 1:
            self.graphed = None

    @staticmethod
    def scores(images: torch.Tensor, targets: torch.Tensor) -> dict[str, float]:
        """Mean metrics of (T, 3, H, W) linear radiance that METRICS has for training; in float32 like the loss."""
        with torch.autocast(images.device.type, enabled=False):
            score = SequenceScore(exposure_of(targets))
            for image, target in zip(images, targets, strict=True):
                score.update(image, target)
        means = mean_scores(score.frames)
        return {name: value for name, value in means.items() if METRICS[name].training and value is not None}

    def training_step(self, batch: dict, _batch_index: int) -> torch.Tensor:
        """The loss of a training batch; logs all losses.

        A loss that is not finite gets a gradient that is not: then all processes skip the step, not only this one.
        """
        terms = self.batch_losses(batch)
        self._log("train", terms, len(batch["noisy"]))
        self.loss_is_finite = torch.isfinite(terms["loss"].detach())
        return terms["loss"] * torch.where(self.loss_is_finite, 1.0, math.nan)

    def validation_step(self, batch: dict, _batch_index: int) -> torch.Tensor:
        """Logs losses, PSNR and SSIM of one window; returns its reconstruction, (1, T, 3, H, W) linear radiance."""
        with torch.compiler.set_stance("force_eager"):  # scenes differ in size, and each size would be compiled
            prediction = self(batch["noisy"])
        self._log("val", self.compare(prediction, batch["target"]), 1)
        reconstruction = decode_radiance(prediction) if self.loss.encoded else prediction
        self._log("val", self.scores(reconstruction[0], batch["target"][0]), 1)
        return reconstruction

    def _log(self, stage: str, values: dict, batch_size: int) -> None:
        self.log_dict(
            {f"{stage}/{name}": value for name, value in values.items()},
            on_step=False,  # a step must not wait for its own loss
            on_epoch=True,
            batch_size=batch_size,
            sync_dist=True,
        )

    def configure_optimizers(self) -> dict:
        """Adam with betas 0.9 and 0.99 (section 4.4); the schedule sets its rate after every step."""
        groups = {}
        for name, parameter in self.denoiser.named_parameters():
            if parameter.requires_grad:
                groups.setdefault(self.rate_of(name), []).append(parameter)
        rate = self.hparams.learning_rate
        groups = [{"params": parameters, "lr": rate * factor} for factor, parameters in groups.items()]
        optimizer = torch.optim.Adam(groups, lr=rate, betas=(0.9, 0.99), fused=self.speed.fused)

        def factor(step: int) -> float:
            # Not counted earlier: that would make Lightning set up the loaders before a checkpoint restores their
            # position.
            epoch = step / self.trainer.num_training_batches
            if self.schedule == "cosine":
                return cosine_schedule(epoch / self.trainer.max_epochs)
            return paper_schedule(epoch, self.hparams.ramp_epochs)

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None) -> None:
        """Limits the norm of the gradient, and makes it 0 where it is not finite: such a step is skipped.

        Lightning's own method refuses a fused optimizer under every mixed precision, although only 16-mixed scales the
        gradients, and training/resolve.py never combines that with a fused one.
        """
        gradients = [p.grad for p in self.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if gradient_clip_val:
            torch.nn.utils.clip_grads_with_norm_(self.parameters(), gradient_clip_val, norm)
        # One window with a gradient that is not finite must not cost a run of days. No branch: a GPU would wait for it.
        self.skipped = ~torch.isfinite(norm)
        for gradient in gradients:
            gradient.masked_fill_(self.skipped, 0)

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        """Gives the saved optimizer and schedule the peak learning rate of this run, which may be another one.

        Takes the weights themselves where the saved run averaged them and this one does not.
        """
        if "current_model_state" in checkpoint and not any(
            isinstance(c, WeightAveraging) for c in self.trainer.callbacks
        ):
            # this run does not average: the optimizer's state belongs to the weights themselves, not to their mean
            checkpoint["state_dict"] = checkpoint["current_model_state"]
        factor = self.hparams.learning_rate / checkpoint["hyper_parameters"]["learning_rate"]
        for scheduler in checkpoint["lr_schedulers"]:
            for rates in ("base_lrs", "_last_lr"):
                scheduler[rates] = [factor * rate for rate in scheduler[rates]]
        for group in (g for state in checkpoint["optimizer_states"] for g in state["param_groups"]):
            group["lr"] *= factor
            group["initial_lr"] *= factor
