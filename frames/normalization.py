"""Normalization of a sequence, so that networks see the same whatever its units of radiance and depth are.

Radiance is auto-exposed and depth divided by its geometric mean. Both factors come from the first frame that is lit,
and stay, so that nothing flickers, until a frame differs from them by more than MOST.

Shapes: B sequences, C input channels, H rows, W columns, L colors. A frame is (B, C, H, W): the quantities `inputs`
(frames/channels.py), then further colors. A scale is (B, 2): what radiance and depth are divided by; 0 while unknown.
"""

import torch
import torch.nn.functional as F

from frames.channels import channel_count, channels_of
from frames.radiance import KEY, luminance

SQUARE = 16  # pixels, over which luminance is averaged before its logarithm, as in Open Image Denoise's exposure
RANGE = 1e4  # a square's luminance is clamped to within this factor of the median
USUAL_DEPTH = 4.0  # the geometric mean that depth is normalized to: that of a room in meters
MOST = 4.0  # a scale that is off by more than this factor is replaced
LARGEST = 1e15  # of a scale, and its inverse the smallest, so that factors never overflow


def scale_of(frame: torch.Tensor, inputs: tuple[str, ...]) -> torch.Tensor:
    """The scale of (B, C, H, W) frames, each by itself; pixels that are not finite do not count.

    That of radiance brings the log-average luminance (Reinhard et al. 2002) of squares to KEY.
    """
    # mean luminance of squares; those that are not black count
    color, depth = frame[:, channels_of(inputs, "color")], frame[:, channels_of(inputs, "depth")]
    light = luminance(color.nan_to_num(0, 0, 0).clamp(0, LARGEST))[:, None]  # (B, 1, H, W)
    squares = F.avg_pool2d(light, SQUARE, ceil_mode=True, count_include_pad=False).flatten(1)  # (B, N)
    lit, count = squares > 0, squares.shape[1]

    # their median, by its index in ascending order, then their log-average around it
    middle = count - (lit.sum(1, keepdim=True) + 1) // 2
    median = squares.sort(1).values.gather(1, middle.clamp(max=count - 1))  # (B, 1)
    logs = squares.clamp(median / RANGE, median * RANGE).where(lit, 1).log().sum(1) / lit.sum(1).clamp(min=1)
    radiance = (logs.exp() / KEY).clamp(1 / LARGEST, LARGEST).where(lit.any(1), 0)
    return torch.stack((radiance, depth_scale(depth)), 1)


def depth_scale(depth: torch.Tensor) -> torch.Tensor:
    """The scale of (B, 1, H, W) depths, (B,): it brings the geometric mean of surfaces to USUAL_DEPTH."""
    depth = depth.nan_to_num(0, 0, 0).flatten(1)  # (B, H W)
    hit = depth > 0
    logs = depth.where(hit, 1).log().sum(1) / hit.sum(1).clamp(min=1)
    return (logs.exp() / USUAL_DEPTH).clamp(1 / LARGEST, LARGEST).where(hit.any(1), 0)


def followed(scale: torch.Tensor, found: torch.Tensor) -> torch.Tensor:
    """The (B, 2) scale to use for a frame: that of the frame before, unless what is found is very different."""
    wrong = (found > MOST * scale) | (found * MOST < scale)
    return found.where((found > 0) & wrong, scale)


def known(scale: torch.Tensor) -> torch.Tensor:
    """The scale, with 1 where it is unknown."""
    return scale.where(scale > 0, 1)


def divided(frame: torch.Tensor, inputs: tuple[str, ...], scale: torch.Tensor) -> torch.Tensor:
    """The (B, C, H, W) frame, normalized by its (B, 2) scale."""
    return frame * factors(scale, inputs, frame.shape[1])[:, :, None, None]


def factors(scale: torch.Tensor, inputs: tuple[str, ...], channels: int) -> torch.Tensor:
    """What normalization multiplies each channel of a frame by: (B, C)."""
    found = scale.new_ones(len(scale), channels)
    radiance, depth = (1 / known(scale)).unbind(1)
    found[:, channels_of(inputs, "color")] = radiance[:, None]
    found[:, channels_of(inputs, "depth")] = depth[:, None]
    found[:, channel_count(inputs) :] = radiance[:, None]
    return found


def normalized_batch(batch: dict, inputs: tuple[str, ...]) -> dict:
    """A loaded batch (dataset.py), as float32, each window normalized by the scale of its first frame."""
    noisy = batch["noisy"].float()  # (B, T, H, W, C)
    scale = scale_of(noisy[:, 0].movedim(-1, 1), inputs)
    by_channel = factors(scale, inputs, noisy.shape[-1])[:, None, None, None]  # (B, 1, 1, 1, C)
    radiance = by_channel[..., channels_of(inputs, "color")]  # (B, 1, 1, 1, 3)
    done = {"noisy": noisy * by_channel, "target": batch["target"].float() * radiance}
    if "start" in batch:
        done["start"] = batch["start"].float()  # (B, H, W, 7)
        done["start"][..., :6] *= radiance[:, 0].repeat(1, 1, 1, 2)
    return batch | done
