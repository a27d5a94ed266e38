"""What TensorBoard shows of a run, beside the curves: how it was started, pictures, maps, hyperparameters.

Shapes: T frames, H rows, W columns.
"""

import argparse
import json
import shlex
from pathlib import Path

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from files import atomic_file
from frames.channels import MAX_WEIGHT
from frames.radiance import exposure_of, tone_map
from losses import TERM_NAMES
from networks.filtering import FilteringDenoiser
from networks.inspection import inspect
from scoring.metrics import METRICS
from scoring.pictures import side_by_side, to_bytes
from training.record import FILE, hyperparameters, with_escapes

LARGEST_ERROR = 0.25  # white in an error map: mean absolute difference of a pixel's sRGB values
WIDEST_KERNEL = 32.0  # pixels, white in a map of kernels
CROP, ENLARGED = 64, 4  # pixels to each side of a crop, and how many times as large it is shown
FINAL = (
    *(name for name, metric in METRICS.items() if metric.training),
    "loss",
)  # validation metrics beside the hyperparameters


class ValidationPictures(pl.Callback):
    """Logs pictures of every validation scene, the same ones on the same scale in every epoch.

    `frames/<scene>`: noisy, reconstruction, target and error of the last frame of the scene's first window.
    `crops/<scene>`: the middle of these, enlarged. `maps/<scene>`, for a network with kernels: see map_pictures.
    With several processes, only the scenes of the first one get pictures.
    """

    def on_validation_batch_end(self, trainer, module, outputs, batch, batch_idx, dataloader_idx=0) -> None:
        """Logs them if this is a scene's first window. outputs: the reconstruction, (1, T, 3, H, W)."""
        if trainer.sanity_checking or not batch["first"][0] or not isinstance(trainer.logger, TensorBoardLogger):
            return
        frames = frame_pictures(batch["noisy"][0, -1, :3], outputs[0, -1], batch["target"][0, -1])
        pictures = {"frames": frames, "crops": [middle(picture) for picture in frames]}
        if module.denoiser.has_history:
            pictures["maps"] = map_pictures(module.denoiser, batch["noisy"][0])
        for name, shown in pictures.items():
            tag = f"{name}/{with_escapes(batch['scene'][0])}"
            trainer.logger.experiment.add_image(tag, side_by_side(shown), trainer.global_step)


def frame_pictures(noisy: torch.Tensor, image: torch.Tensor, target: torch.Tensor) -> list[torch.Tensor]:
    """(3, H, W) linear radiance, three times, to four (3, H, W) uint8 pictures: these, and the error.

    The exposure is the target's, so it does not change from epoch to epoch. White in the error: LARGEST_ERROR.
    """
    exposure = exposure_of(target)
    shown = [tone_map(radiance.float(), exposure) for radiance in (noisy, image, target)]
    error = (shown[1] - shown[2]).abs().mean(0) / LARGEST_ERROR  # (H, W)
    return [to_bytes(picture) for picture in (*shown, error.expand(3, -1, -1))]


def map_pictures(denoiser: FilteringDenoiser, noisy: torch.Tensor) -> list[torch.Tensor]:
    """Two (3, H, W) uint8 maps of the last of (T, C, H, W) frames: how long a pixel's history is, how wide its kernel.

    Black to white: no samples to MAX_WEIGHT of them; 0 to WIDEST_KERNEL pixels, both along a square root.
    """
    with torch.no_grad(), torch.autocast(noisy.device.type, enabled=False):
        maps = inspect(denoiser, noisy.float())
    scaled = maps["history"] / MAX_WEIGHT, maps["kernel"] / WIDEST_KERNEL  # (H, W) each
    return [to_bytes(plane.clamp(min=0).sqrt().expand(3, -1, -1)) for plane in scaled]


def middle(picture: torch.Tensor) -> torch.Tensor:
    """The middle of a (3, H, W) picture, at most CROP pixels each way, with whole pixels enlarged."""
    height, width = picture.shape[1:]
    rows, columns = min(CROP, height), min(CROP, width)
    top, left = (height - rows) // 2, (width - columns) // 2
    crop = picture[:, top : top + rows, left : left + columns]
    return F.interpolate(crop[None], scale_factor=float(ENLARGED), mode="nearest")[0]


class RunRecord(pl.Callback):
    """Logs how a run was started, charts that group the loss terms, and hyperparameters with the metrics so far.

    settings: every option as it was resolved. record: from record_of; it is also written to the run's folder.
    """

    def __init__(self, settings: argparse.Namespace, record: dict):
        self.settings, self.record = settings, record
        self.listed = False

    @rank_zero_only
    def on_fit_start(self, trainer, module) -> None:
        """Logs the texts and the layout of the charts."""
        if not isinstance(trainer.logger, TensorBoardLogger):
            return
        writer, step = trainer.logger.experiment, trainer.global_step
        with atomic_file(Path(trainer.logger.log_dir) / FILE) as temporary:
            temporary.write_text(json.dumps(self.record, indent=2) + "\n")
        versions = ", ".join(f"{name} {number}" for name, number in self.record["versions"].items())
        rest = f"commit {self.record['commit']}, seed {self.record['seed']}, dataset {self.record['dataset']}"
        command = with_escapes(shlex.join(self.record["command"]))
        writer.add_text("run/command", f"    {command}\n\n{versions}; {rest}", step)
        writer.add_text("run/network", f"    {module.denoiser.options}", step)
        terms = {term: ["Multiline", [f"train/{term}", f"val/{term}"]] for term in TERM_NAMES}
        writer.add_custom_scalars({"losses, training and validation": terms})

    def on_validation_end(self, trainer, module) -> None:
        """Logs the metrics beside the hyperparameters; the page shows the last ones."""
        found = {
            f"final/{name}": float(value) for name in FINAL if (value := trainer.callback_metrics.get(f"val/{name}"))
        }
        if trainer.sanity_checking or not found or not isinstance(trainer.logger, TensorBoardLogger):
            return
        if self.listed:
            trainer.logger.log_metrics(found, trainer.global_step)
        else:
            trainer.logger.log_hyperparams(hyperparameters(self.settings), found, trainer.global_step)
            self.listed = True
