"""Image quality against the target: METRICS, by their names in metrics.json.

To add a metric: write a function of Compared, and add a line to METRICS. It is then in metrics.json, test.py's table,
the report and the benchmarks, and with `training` in TensorBoard.

Conventions of noisebase (Balint et al. 2023): PSNR, SSIM and temporal PSNR compare sRGB, tone-mapped at one exposure
per sequence; relMSE compares linear radiance. Every metric leaves out pixels whose target is not finite.
Shapes: images are (3, H, W), linear radiance unless named srgb; `valid` is (H, W), bool.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F

from frames.radiance import tone_map

RELMSE_EPSILON = 0.01
SSIM_WINDOW, SSIM_SIGMA = 11, 1.5  # pixels
SSIM_K1, SSIM_K2 = 0.01, 0.03
SSIM_ROWS = 64  # computed at a time
SMALLEST_ERROR = 1e-10  # mean squared error of identical images: 100 dB instead of infinity, which JSON lacks
WARM_UP = 4  # frames before the hidden state has gathered samples; metrics are reported with and without them


def psnr(mean_squared_error: float) -> float:
    """Peak signal-to-noise ratio in dB, at most 100, of values in [0, 1]."""
    return -10 * math.log10(max(mean_squared_error, SMALLEST_ERROR))


def relmse(image: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> float:
    """Mean of (image - target)^2 / (target^2 + 0.01) over the valid pixels of (3, H, W) linear radiance."""
    return mean_over(valid, (image - target).square_().div_((target**2).add_(RELMSE_EPSILON)))


def mean_over(valid: torch.Tensor, values: torch.Tensor) -> float:
    """The mean of (C, H, W) values over the valid pixels; at least one must be valid."""
    return float(values.where(valid, 0).sum(dtype=torch.float64) / valid.sum() / len(values))


def ssim_map(image: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Structural similarity (Wang et al. 2004) of two (3, H, W) images in [0, 1], per pixel and channel.

    Equal to torchmetrics' SSIM (a test checks it), which takes longer than the network on a CPU. This one computes a
    few rows at a time, so that intermediate results stay in the processor's cache.
    """
    # Gaussian window
    axis = torch.arange(SSIM_WINDOW, dtype=image.dtype, device=image.device) - SSIM_WINDOW // 2
    gaussian = torch.exp(-(axis**2) / (2 * SSIM_SIGMA**2))
    window = (gaussian / gaussian.sum()).outer(gaussian / gaussian.sum())  # (11, 11)

    # bands of rows, each with the window's margin
    padded = [F.pad(x[None], (SSIM_WINDOW // 2,) * 4, mode="reflect")[0] for x in (image, target)]
    height = image.shape[1]
    ends = [y + SSIM_ROWS + SSIM_WINDOW - 1 for y in range(0, height, SSIM_ROWS)]
    bands = [ssim_rows(*(x[:, end - SSIM_ROWS - SSIM_WINDOW + 1 : end] for x in padded), window) for end in ends]
    return torch.cat(bands, 1)  # (3, H, W)


def ssim_rows(x: torch.Tensor, y: torch.Tensor, window: torch.Tensor) -> torch.Tensor:
    """The inner (3, H - 2m, W - 2m) of the ssim_map of two (3, H, W) images, for a (2m + 1, 2m + 1) window."""
    # local means of values and products
    maps = torch.cat((x, y, x * x, y * y, x * y, x[:1]))[None]  # (1, 16, H, W); 16, since that fills a CPU's vector
    kernel = window.expand(maps.shape[1], 1, -1, -1).contiguous()
    means = F.conv2d(maps.contiguous(memory_format=torch.channels_last), kernel, groups=maps.shape[1])[0, :15]

    # SSIM, equation 13
    x, y, xx, yy, xy = means.split(3)
    luminance = (2 * x * y + SSIM_K1**2) / (x * x + y * y + SSIM_K1**2)
    structure = (2 * (xy - x * y) + SSIM_K2**2) / ((xx - x * x).clamp(min=0) + (yy - y * y).clamp(min=0) + SSIM_K2**2)
    return luminance * structure


def ssim(image: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> float | None:
    """The mean structural similarity over the valid pixels of two (3, H, W) sRGB images.

    None if no pixel is valid, or if the image is smaller than the 11x11 Gaussian window.
    """
    if min(valid.shape) < SSIM_WINDOW or not valid.any():
        return None
    return mean_over(valid, ssim_map(image, target))


class Compared(NamedTuple):
    """A frame and its target as metrics compare them, (3, H, W) each; pixels that are not valid are 0.

    valid: (H, W) booleans, at least one True.
    change: the difference of the sRGB images' changes since the last frame; None if there is none to compare with.
    change_valid: (H, W) booleans, where `change` counts; at least one True if there is a change.
    """

    image: torch.Tensor
    target: torch.Tensor
    image_srgb: torch.Tensor
    target_srgb: torch.Tensor
    valid: torch.Tensor
    change: torch.Tensor | None = None
    change_valid: torch.Tensor | None = None


class Metric(NamedTuple):
    """A metric.

    title: with its unit.
    description: one line, for the report.
    function: gives the value for a frame, None where there is none; None for FLIP, which only the report computes,
        since it takes long.
    higher: whether higher is better.
    digits: after the point.
    logarithmic: whether to plot its logarithm.
    training: whether training logs it of validation windows.
    """

    title: str
    description: str
    function: Callable[[Compared], float | None] | None
    higher: bool
    digits: int = 3
    logarithmic: bool = False
    training: bool = False


def psnr_of(c: Compared) -> float:
    """PSNR of the sRGB image."""
    return psnr(mean_over(c.valid, (c.image_srgb - c.target_srgb).square_()))


def ssim_of(c: Compared) -> float | None:
    """SSIM of the sRGB image."""
    return ssim(c.image_srgb, c.target_srgb, c.valid)


def relmse_of(c: Compared) -> float:
    """Relative squared error of linear radiance."""
    return relmse(c.image, c.target, c.valid)


def temporal_psnr_of(c: Compared) -> float | None:
    """PSNR of the change since the last frame, against the target's change."""
    return None if c.change is None else psnr(mean_over(c.change_valid, c.change.square()))


METRICS = {
    "psnr": Metric("PSNR (dB)", "squared error of sRGB", psnr_of, higher=True, digits=2, training=True),
    "ssim": Metric("SSIM", "structural similarity of sRGB", ssim_of, higher=True, training=True),
    "flip": Metric("FLIP", "visible difference of sRGB", None, higher=False),
    "relmse": Metric("relMSE", "relative squared error of radiance", relmse_of, higher=False, logarithmic=True),
    "tpsnr": Metric("temporal PSNR (dB)", "squared error of changes of sRGB", temporal_psnr_of, higher=True, digits=2),
}
NAMES = tuple(name for name, metric in METRICS.items() if metric.function)  # of those for every frame


class SequenceScore:
    """The metrics of a sequence, frame by frame; keeps the last frame for the temporal metric.

    exposure: for tone mapping the whole sequence; None if every update comes with sRGB images.
    """

    def __init__(self, exposure: float | None = None):
        self.exposure = exposure
        self.frames: list[dict[str, float | None]] = []
        self.previous: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = None

    def update(
        self,
        image: torch.Tensor,
        target: torch.Tensor | None,
        image_srgb: torch.Tensor | None = None,
        target_srgb: torch.Tensor | None = None,
    ) -> None:
        """Appends the metrics of the next frame to `frames`. Metrics that cannot be computed are None.

        target: None leaves all metrics None, and no temporal pair spans this frame.
        image_srgb, target_srgb: both tone-mapped already; None to do it here.
        """
        # no target
        if target is None:
            self.frames.append(dict.fromkeys(NAMES))
            self.previous = None
            return

        # sRGB; invalid pixels become 0
        valid = torch.isfinite(target).all(0)  # (H, W)
        image_srgb = tone_map(image, self.exposure) if image_srgb is None else image_srgb
        target_srgb = tone_map(target, self.exposure) if target_srgb is None else target_srgb
        image, target, image_srgb, target_srgb = (
            x.where(valid, 0).float() for x in (image, target, image_srgb, target_srgb)
        )

        # the change since the last frame
        change = both = None
        if self.previous is not None:
            last_image, last_target, last_valid = self.previous
            both = valid & last_valid
            if both.any():
                change = (image_srgb - last_image).sub_(target_srgb).add_(last_target)

        # the metrics
        scores: dict[str, float | None] = dict.fromkeys(NAMES)
        if valid.any():
            compared = Compared(image, target, image_srgb, target_srgb, valid, change, both)
            scores = {name: METRICS[name].function(compared) for name in NAMES}
        self.frames.append(scores)
        self.previous = image_srgb, target_srgb, valid


def mean_scores(scores: list[dict[str, float | None]]) -> dict[str, float | None]:
    """The mean of each metric over the frames (or scenes) that have it; None if none has."""
    means = {}
    for name in scores[0] if scores else NAMES:
        values = [s[name] for s in scores if s[name] is not None]
        means[name] = sum(values) / len(values) if values else None
    return means
