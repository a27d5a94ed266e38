"""What a reconstruction is worth: PSNR, SSIM, relative error and temporal PSNR against the target.

Conventions of noisebase (Balint et al. 2023): PSNR, SSIM and temporal PSNR on tone-mapped sRGB at one exposure per
sequence, relMSE on linear radiance. Pixels whose target is not finite are left out everywhere.
Shapes: images are (3, H, W) linear radiance.
"""

import math

import torch
import torch.nn.functional as F

from frames.radiance import tone_map

NAMES = ("psnr", "ssim", "relmse", "tpsnr")
RELMSE_EPSILON = 0.01
SSIM_WINDOW, SSIM_SIGMA = 11, 1.5  # pixels
SSIM_K1, SSIM_K2 = 0.01, 0.03
SSIM_ROWS = 64
SMALLEST_ERROR = 1e-10  # of a mean squared error: identical images get 100 dB, not infinity, which JSON lacks
WARM_UP = 4  # frames in which the recurrence gathers its first samples; metrics are given with and without them


def psnr(mean_squared_error: float) -> float:
    """Peak signal-to-noise ratio in dB for values in [0, 1]; at most 100."""
    return -10 * math.log10(max(mean_squared_error, SMALLEST_ERROR))


def relmse(image: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> float:
    """Mean of (image - target)^2 / (target^2 + 0.01) over the pixels in (H, W) `valid`, linear radiance (3, H, W)."""
    return mean_over(valid, (image - target).square_().div_((target**2).add_(RELMSE_EPSILON)))


def mean_over(valid: torch.Tensor, values: torch.Tensor) -> float:
    """The mean of (C, H, W) values over the pixels in (H, W) `valid`, of which there is one at least."""
    return float(values.where(valid, 0).sum(dtype=torch.float64) / valid.sum() / len(values))


def ssim_map(image: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Structural similarity (Wang et al. 2004) of each pixel and channel of two (3, H, W) images in [0, 1].

    Equals torchmetrics' (a test holds it to that), which takes longer than the network on a CPU.
    Here rows are done a few at a time, so that what is in between stays in the processor's cache.
    """
    axis = torch.arange(SSIM_WINDOW, dtype=image.dtype, device=image.device) - SSIM_WINDOW // 2
    gaussian = torch.exp(-(axis**2) / (2 * SSIM_SIGMA**2))
    window = (gaussian / gaussian.sum()).outer(gaussian / gaussian.sum())
    padded = [F.pad(x[None], (SSIM_WINDOW // 2,) * 4, mode="reflect")[0] for x in (image, target)]
    height = image.shape[1]
    rows = SSIM_ROWS if image.device.type == "cpu" else height
    return torch.cat(
        [ssim_rows(*(x[:, y : y + rows + SSIM_WINDOW - 1] for x in padded), window) for y in range(0, height, rows)], 1
    )


def ssim_rows(x: torch.Tensor, y: torch.Tensor, window: torch.Tensor) -> torch.Tensor:
    """ssim_map of (3, H, W) images without their margin, which is that of the (2m + 1, 2m + 1) window: m pixels."""
    maps = torch.cat((x, y, x * x, y * y, x * y, x[:1]))[None]  # 16: a vector
    kernel = window.expand(maps.shape[1], 1, -1, -1).contiguous()
    means = F.conv2d(maps.contiguous(memory_format=torch.channels_last), kernel, groups=maps.shape[1])[0, :15]
    x, y, xx, yy, xy = means.split(3)
    luminance = (2 * x * y + SSIM_K1**2) / (x * x + y * y + SSIM_K1**2)
    structure = (2 * (xy - x * y) + SSIM_K2**2) / ((xx - x * x).clamp(min=0) + (yy - y * y).clamp(min=0) + SSIM_K2**2)
    return luminance * structure


def ssim(image: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> float | None:
    """The mean structural similarity of two tone-mapped (3, H, W) images over the pixels in (H, W) `valid`.

    None where there are none, or where the 11x11 Gaussian window does not fit into the image.
    """
    if min(valid.shape) < SSIM_WINDOW or not valid.any():
        return None
    return mean_over(valid, ssim_map(image, target))


class SequenceScore:
    """The metrics of one sequence, fed frame by frame; keeps one frame, and four numbers for each.

    exposure: of the whole sequence, for tone mapping.
    """

    def __init__(self, exposure: float):
        self.exposure = exposure
        self.frames: list[dict[str, float | None]] = []
        self.previous: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = None

    def update(
        self,
        image: torch.Tensor,
        target: torch.Tensor | None,
        shown: torch.Tensor | None = None,
        wanted: torch.Tensor | None = None,
    ) -> None:
        """Scores the next frame against its target; without one, its scores are None, and the temporal pair breaks.

        shown, wanted: image and target tone-mapped at the exposure, where the caller has them already.
        """
        if target is None:
            self.frames.append(dict.fromkeys(NAMES))
            self.previous = None
            return
        valid = torch.isfinite(target).all(0)
        shown = tone_map(image, self.exposure) if shown is None else shown
        wanted = tone_map(target, self.exposure) if wanted is None else wanted
        image, target, shown, wanted = (x.where(valid, 0).float() for x in (image, target, shown, wanted))
        scores: dict[str, float | None] = dict.fromkeys(NAMES)
        if valid.any():
            scores["psnr"] = psnr(mean_over(valid, (shown - wanted).square_()))
            scores["ssim"] = ssim(shown, wanted, valid)
            scores["relmse"] = relmse(image, target, valid)
        if self.previous is not None:
            shown_before, wanted_before, valid_before = self.previous
            both = valid & valid_before
            if both.any():
                change = (shown - shown_before).sub_(wanted).add_(wanted_before)
                scores["tpsnr"] = psnr(mean_over(both, change.square_()))
        self.frames.append(scores)
        self.previous = shown, wanted, valid


def mean_scores(scores: list[dict[str, float | None]]) -> dict[str, float | None]:
    """The mean of each metric over those dictionaries that have it; None where none has."""
    means = {}
    for name in NAMES:
        values = [s[name] for s in scores if s[name] is not None]
        means[name] = sum(values) / len(values) if values else None
    return means
