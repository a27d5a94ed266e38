"""The layers that turn the U-Net's features into kernels: logits of a level's taps, and bandwidths of its guides.

Shapes: B frames, h rows and w columns of one level, whose pixels are averages of squares of the frame's.
"""

import math
from collections.abc import Callable
from functools import partial
from itertools import product

import torch
import torch.nn.functional as F
from torch import nn

from networks.cpu import in_rows
from networks.kernels import BANDWIDTHS, Head, Taps
from networks.recording import is_recording

COARSE_TAPS = 9  # logits, for 3x3 pixels of the coarser result, of which each pixel takes the nearest 2x2
COARSE_SHARES = 0.25, 0.75  # of the farther and the nearer of two coarser pixels, along an axis: linear interpolation
COARSE_BIAS = 1.0  # logit of the coarser result's taps before training: wide kernels
EXTRAS = 5  # per pixel, beside its kernel: gate, mix, confidence, trust, gain


def output_counts(taps: int, has_coarser: bool) -> list[int]:
    """How many channels a level's head has: a logit for each of so many taps, for the coarser result, bandwidths."""
    return [taps, *[COARSE_TAPS] * has_coarser, BANDWIDTHS]


def begin_wide(layer: nn.Conv2d, taps: Taps, has_coarser: bool, patch: int = 1) -> None:
    """Makes a head start as a wide filter that follows the guides."""
    with torch.no_grad():
        nn.init.normal_(layer.weight, std=1e-3)
        nn.init.zeros_(layer.bias)
        if has_coarser:
            layer.bias.view(-1, patch**2)[len(taps) :][:COARSE_TAPS] = COARSE_BIAS


def level_head(width: int, taps: Taps, has_coarser: bool) -> nn.Conv2d:
    """The layer for a level below full size, from so many features. taps: of its own samples."""
    layer = nn.Conv2d(width, sum(output_counts(len(taps), has_coarser)), 1)
    begin_wide(layer, taps, has_coarser)
    return layer


def level_output(layer: Callable, features: torch.Tensor, taps: Taps) -> Head:
    """The head of a level, computed row by row, for memory, from (B, C, h, w) features."""
    return lambda top, end: with_nearest(layer(features[:, :, top:end]).float(), taps)


class FinestHead(nn.Conv2d):
    """The layer for full size, from features of which one pixel stands for patch x patch of the frame's.

    width: how many features. taps: of the finest level's own samples.
    """

    def __init__(self, width: int, taps: Taps, patch: int):
        self.counts = sum(output_counts(len(taps), True)), EXTRAS
        super().__init__(width, sum(self.counts) * patch**2, 1)
        self.taps, self.patch = taps, patch
        begin_wide(self, taps, True, patch)
        with torch.no_grad():
            self.weight[-(patch**2) :] = 0  # no gain

    def forward(self, features: torch.Tensor, like: torch.Tensor) -> tuple[Head, tuple[torch.Tensor, ...]]:
        """From (B, C, H / patch, W / patch) features the head, and EXTRAS planes, (B, 1, H, W) each.

        like: (B, 1, H, W).
        """
        counts = [count * self.patch**2 for count in self.counts]
        own, extras = zip(self.weight.split(counts), self.bias.split(counts), strict=True)
        rows = partial(convolved_rows, features, *extras, self.patch)
        (more,) = in_rows(like, lambda top, end: (rows(top, end),))  # (B, EXTRAS, H, W)
        return finest_output(features, *own, self.taps, self.patch), more.split(1, 1)


def nearest_four(logits: torch.Tensor, smooth: bool = True) -> torch.Tensor:
    """(B, COARSE_TAPS, h, w) logits of the coarser pixels around each pixel's own to those of the nearest four.

    smooth: add what makes equal logits a smooth upsampling. Without it the four pixels of a coarser one would be the
    same mean of the same taps, and where kernels are wide, its square would show.
    """
    taps = logits.unflatten(1, (3, 3))
    # of three along an axis, an even pixel's nearest are the first two, an odd one's the last two
    corners = [taps[:, y : y + 2, x : x + 2, y::2, x::2] for y, x in product((0, 1), repeat=2)]
    nearest = torch.stack(corners, 3)  # (B, 2, 2, 4, h/2, w/2)
    if not smooth:
        return F.pixel_shuffle(nearest.flatten(1, 3), 2)  # (B, 4, h, w)
    # together they count as much as all nine would; no constants from the CPU, which a CUDA graph could not fetch
    farther, nearer = (math.log(3 * share) for share in COARSE_SHARES)
    place = torch.arange(2, device=logits.device)
    axis = torch.where(place[:, None] == place, farther, nearer).to(logits.dtype)  # (2 taps, 2 parities)
    shares = (axis[:, None, :, None] + axis[None, :, None, :]).reshape(2, 2, 4, 1, 1)
    return F.pixel_shuffle((nearest + shares).flatten(1, 3), 2)


def with_nearest(outputs: torch.Tensor, taps: Taps, smooth: bool = True) -> torch.Tensor:
    """A level's (B, outputs, h, w), with `nearest_four` instead of the COARSE_TAPS, if it has them."""
    own, *coarse, bandwidths = outputs.split(output_counts(len(taps), outputs.shape[1] > len(taps) + BANDWIDTHS), 1)
    return torch.cat((own, nearest_four(*coarse, smooth), bandwidths), 1) if coarse else outputs


def convolved_rows(
    features: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, patch: int, top: int = 0, end: int | None = None
) -> torch.Tensor:
    """A 1x1 convolution that gives patch^2 pixels for each pixel of features, some rows of its result."""
    rows = features[:, :, top // patch : end and end // patch]
    return F.pixel_shuffle(F.conv2d(rows, weight, bias), patch).float()


def finest_output(features: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, taps: Taps, patch: int) -> Head:
    """The head of the finest level, computed row by row, for memory, from a pixel of features for each patch of pixels.

    features: (B, C, h / patch, w / patch). weight: (outputs patch^2, C, 1, 1). bias: as many. taps: its own.
    """
    if is_recording():  # an exporter wants weights that are constants
        return lambda top, end: with_nearest(convolved_rows(features, weight, bias, patch, top, end), taps)

    # a pixel's place in its patch says which coarser pixels are the nearest: of no others logits are computed
    def nearest(planes: torch.Tensor, smooth: bool) -> torch.Tensor:
        return with_nearest(planes.unflatten(1, (-1, patch, patch)), taps, smooth).flatten(1)

    weight, bias = nearest(weight.flatten(1).T, smooth=False).T[..., None, None], nearest(bias[None], smooth=True)[0]

    return partial(convolved_rows, features, weight, bias, patch)
