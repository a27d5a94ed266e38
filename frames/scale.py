"""The units of a sequence: what its radiance and depth are divided by, so that no network sees in which they are.

Found from the frames so far, kept from frame to frame, so that nothing flickers, and changed only where the picture
has become several times as bright or as far.

Shapes: B sequences, C input channels, H rows, W columns, L colors. A frame is (B, C, H, W): the quantities `inputs`
(frames/channels.py), then further colors. A scale is (B, 2): of radiance and of depth; 0 as long as it is not known.
"""

import torch
import torch.nn.functional as F

from frames.channels import channel_count, channels_of
from frames.radiance import KEY, luminance

SQUARE = 16  # pixels; single samples of a frame say too little (as in Open Image Denoise's own exposure)
RANGE = 1e4  # factor from the median of the squares, beyond which they count no further
USUAL_DEPTH = 4.0  # what the logarithmic mean of depth becomes: that of a room in metres
MOST = 4.0  # factor by which a scale may be wrong before it changes
LARGEST = 1e15  # of a scale, and its inverse the smallest, so that factors never overflow


def scale_of(frame: torch.Tensor, inputs: tuple[str, ...]) -> torch.Tensor:
    """The scale of (B, C, H, W) frames, each by itself; pixels that are not finite do not count.

    That of radiance brings the log-average luminance (Reinhard et al. 2002) of squares to KEY.
    """
    # of squares that have any
    color, depth = frame[:, channels_of(inputs, "color")], frame[:, channels_of(inputs, "depth")]
    light = luminance(color.nan_to_num(0, 0, 0).clamp(0, LARGEST))[:, None]  # (B, 1, H, W)
    squares = F.avg_pool2d(light, SQUARE, ceil_mode=True, count_include_pad=False).flatten(1)  # (B, N)
    lit, count = squares > 0, squares.shape[1]
    middle = count - (lit.sum(1, keepdim=True) + 1) // 2  # the place of their median, after those without
    median = squares.sort(1).values.gather(1, middle.clamp(max=count - 1))  # (B, 1)
    logs = squares.clamp(median / RANGE, median * RANGE).where(lit, 1).log().sum(1) / lit.sum(1).clamp(min=1)
    radiance = (logs.exp() / KEY).clamp(1 / LARGEST, LARGEST).where(lit.any(1), 0)

    return torch.stack((radiance, depth_scale(depth)), 1)


def depth_scale(depth: torch.Tensor) -> torch.Tensor:
    """The scale of (B, 1, H, W) depths, (B,): it brings the logarithmic mean of what is hit to USUAL_DEPTH."""
    depth = depth.nan_to_num(0, 0, 0).flatten(1)  # (B, H W)
    hit = depth > 0
    logs = depth.where(hit, 1).log().sum(1) / hit.sum(1).clamp(min=1)
    return (logs.exp() / USUAL_DEPTH).clamp(1 / LARGEST, LARGEST).where(hit.any(1), 0)


def followed(scale: torch.Tensor, found: torch.Tensor) -> torch.Tensor:
    """The scale of a frame: that of the frame before, unless what is found in this one is very different.

    scale, found: (B, 2), see above.
    """
    wrong = (found > MOST * scale) | (found * MOST < scale)
    return found.where((found > 0) & wrong, scale)


def known(scale: torch.Tensor) -> torch.Tensor:
    """The scale, 1 where it is not known."""
    return scale.where(scale > 0, 1)


def divided(frame: torch.Tensor, inputs: tuple[str, ...], scale: torch.Tensor) -> torch.Tensor:
    """The (B, C, H, W) frame in units of its scale."""
    return frame * factors(scale, inputs, frame.shape[1])[:, :, None, None]


def factors(scale: torch.Tensor, inputs: tuple[str, ...], channels: int) -> torch.Tensor:
    """What the channels of frames in units of their (B, 2) scale were multiplied by: (B, C)."""
    found = scale.new_ones(len(scale), channels)
    radiance, depth = (1 / known(scale)).unbind(1)
    found[:, channels_of(inputs, "color")] = radiance[:, None]
    found[:, channels_of(inputs, "depth")] = depth[:, None]
    found[:, channel_count(inputs) :] = radiance[:, None]
    return found


def in_own_units(batch: dict, inputs: tuple[str, ...]) -> dict:
    """A loaded batch (dataset.py), as float32, each window in units of its first frame's scale."""
    noisy = batch["noisy"].float()  # (B, T, H, W, C)
    scale = scale_of(noisy[:, 0].movedim(-1, 1), inputs)
    by_channel = factors(scale, inputs, noisy.shape[-1])[:, None, None, None]  # (B, 1, 1, 1, C)
    radiance = by_channel[..., channels_of(inputs, "color")]  # (B, 1, 1, 1, 3)
    done = {"noisy": noisy * by_channel, "target": batch["target"].float() * radiance}
    if "start" in batch:
        done["start"] = batch["start"].float()  # (B, H, W, 7)
        done["start"][..., :6] *= radiance[:, 0].repeat(1, 1, 1, 2)
    return batch | done
