"""Radiance transforms: the encoding for the network, luminance, exposure and tone mapping.

Shapes: H rows, W columns, channels first. Radiance is linear, in scene units, >= 0.
"""

import math

import torch
import torch.nn.functional as F

RADIANCE_POWER = 0.2  # Chaitanya et al. 2017, section 4: radiance is raised to 0.2, which compresses fireflies
KEY = 0.18  # what an exposure brings the log-average luminance to
LUMINANCE = (0.2126, 0.7152, 0.0722)  # Rec. 709 weights of R, G, B


def encode_radiance(radiance: torch.Tensor) -> torch.Tensor:
    """Encodes linear radiance, any shape, for network and losses: max(x, 0) ** 0.2."""
    raised = radiance.clamp(min=0)
    if raised.requires_grad:
        return raised.pow_(RADIANCE_POWER)
    return raised.log_().mul_(RADIANCE_POWER).exp_()  # the same in half the time


def decode_radiance(encoded: torch.Tensor) -> torch.Tensor:
    """The inverse of encode_radiance, any shape: max(y, 0) ** 5."""
    return encoded.clamp(min=0).pow_(1 / RADIANCE_POWER)


def luminance(color: torch.Tensor) -> torch.Tensor:
    """(..., 3, H, W) linear radiance to (..., H, W) Rec. 709 luminance."""
    # no tensor of weights: to fetch it from the CPU, a GPU would have to wait
    return sum(weight * plane for weight, plane in zip(LUMINANCE, color.unbind(-3), strict=True))


def exposure_for(log_average: float, key: float = KEY) -> float:
    """The exposure factor that maps a log-average luminance to `key` (Reinhard et al. 2002, equation 2)."""
    return key / max(log_average, 1e-6)


def log_luminance(color: torch.Tensor) -> torch.Tensor:
    """The mean of log(1e-4 + luminance) over the finite pixels of (..., 3, H, W) radiance.

    Its exponential is the log-average luminance.
    """
    values = luminance(color)  # (..., H, W)
    return torch.log(values[torch.isfinite(values)].clamp(min=0) + 1e-4).mean()


def exposure_of(color: torch.Tensor) -> float:
    """The exposure factor for (..., 3, H, W) radiance: exposure_for its log-average luminance."""
    return exposure_for(math.exp(float(log_luminance(color))))


def window_exposure(target: torch.Tensor) -> torch.Tensor:
    """exposure_for the log-average luminance of each sequence, (B, T, 3, H, W) to (B,); pixels that are not finite do
    not count. Without a branch on a value, so that a GPU does not wait."""
    valid = torch.isfinite(target).all(2)  # (B, T, H, W)
    logs = torch.log(luminance(target.where(valid[:, :, None], 0)).clamp(min=0) + 1e-4) * valid
    average = torch.exp(logs.sum((1, 2, 3)) / valid.sum((1, 2, 3)).clamp(min=1))
    return KEY / average.clamp(min=1e-6)


def tone_map(color: torch.Tensor, exposure: float) -> torch.Tensor:
    """(..., 3, H, W) linear radiance to sRGB in [0, 1]: exposure, clipping, and the curve of IEC 61966-2-1."""
    linear = (color * exposure).clamp_(0, 1)
    curve = linear.clamp(min=1e-8).pow_(1 / 2.4).mul_(1.055).sub_(0.055)
    return torch.where(linear <= 0.0031308, linear.mul_(12.92), curve)


def local_mean(planes: torch.Tensor, size: int, encode: bool = False) -> torch.Tensor:
    """The means of (B, C, H, W) planes over squares of `size` pixels, interpolated between their centers.

    encode: encode the means, which then must be above 0 to have a gradient, before they are interpolated.
    """
    height, width = planes.shape[2:]
    means = F.avg_pool2d(planes, size, ceil_mode=True, count_include_pad=False)  # (B, C, H / size, W / size)
    means = encode_radiance(means) if encode else means
    return F.interpolate(means, scale_factor=float(size), mode="bilinear")[..., :height, :width]
