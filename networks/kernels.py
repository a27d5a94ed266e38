"""Kernels that the network predicts, applied to a pyramid of what was measured.

Shapes: B frames, h rows and w columns of one level, whose pixels are averages of squares of the frame's.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F

RADIUS = 2  # of the taps into a level's own picture, below full size
FINEST_RADIUS = 1  # at full size
COARSE_TAPS = 9  # 3x3 of the coarser result
GUIDE_CHANNELS = (1, 3, 4)  # log depth, normal, albedo and its flag: one bandwidth each
BANDWIDTHS = len(GUIDE_CHANNELS)
BANDWIDTH_SCALES = (50.0, 4.0, 4.0)
ROWS = 32  # that a CPU filters at a time; even, since a coarser pixel has two rows


class Level(NamedTuple):
    """A level of the pyramid: picture (B, C, h, w), log_weight (B, 1, h, w), the logarithm of how many samples a pixel
    stands for, and guides (B, 8, h, w): log depth, normal, albedo and its flag."""

    picture: torch.Tensor
    log_weight: torch.Tensor
    guides: torch.Tensor


def tap_count(radius: int) -> int:
    """How many taps a level has into its own picture."""
    return (2 * radius + 1) ** 2


def level_outputs(radius: int, has_coarser: bool) -> int:
    """How many channels a level's head gives: a logit for each tap, and the bandwidths."""
    return tap_count(radius) + (COARSE_TAPS if has_coarser else 0) + BANDWIDTHS


def pad(planes: torch.Tensor, margin: int) -> torch.Tensor:
    """(B, C, h, w) planes with their border repeated `margin` times on every side."""
    return F.pad(planes, (margin,) * 4, mode="replicate")


def shifted(padded: torch.Tensor, radius: int, height: int, width: int, step: int = 1) -> list[torch.Tensor]:
    """Views (B, C, height, width) of padded planes at every offset up to `radius` both ways, row by row.

    step: pixels from one offset to the next.
    """
    offsets = range(0, (2 * radius + 1) * step, step)
    return [padded[..., y : y + height, x : x + width] for y in offsets for x in offsets]


def doubled(planes: torch.Tensor) -> torch.Tensor:
    """(B, C, h, w) to (B, C, 2h, 2w), each pixel four times."""
    return F.interpolate(planes, scale_factor=2.0, mode="nearest")


def filter_level(level: Level, head: torch.Tensor, radius: int, coarser: Level | None) -> torch.Tensor:
    """A level's result, (B, C, h, w): a weighted mean of its own picture's taps and of the coarser result's.

    head: (B, level_outputs, h, w) of the network. coarser: the coarser level, its picture replaced by its result.
    A tap's weight is the softmax of its logit, plus its log_weight, less the squared distance of its guides from the
    pixel's, depth, normal and albedo each times a bandwidth of the pixel's own.
    """
    height = head.shape[2]
    own = [pad(planes, radius) for planes in level]
    above = [pad(planes, 1) for planes in coarser] if coarser else []
    # On a CPU a few rows at a time: what is between the steps then stays in the processor's cache.
    rows = height if head.is_cuda or torch.is_grad_enabled() else ROWS
    results = []
    for top in range(0, height, rows):
        end = min(top + rows, height)
        results.append(
            filter_rows(
                [planes[:, :, top : end + 2 * radius] for planes in own],
                [doubled(planes[:, :, top // 2 : end // 2 + 2]) for planes in above],
                level.guides[:, :, top:end],
                head[:, :, top:end],
                radius,
            )
        )
    return torch.cat(results, 2) if len(results) > 1 else results[0]


def filter_rows(
    own: list[torch.Tensor], above: list[torch.Tensor], guides: torch.Tensor, head: torch.Tensor, radius: int
) -> torch.Tensor:
    """filter_level of a few rows. own, above: picture, log_weight and guides, with their margins; above: doubled."""
    size = head.shape[2:]
    bandwidths = head[:, -BANDWIDTHS:].clamp(-6, 6).exp() * head.new_tensor(BANDWIDTH_SCALES)[:, None, None]
    scales = torch.cat([bandwidths[:, i : i + 1].expand(-1, n, -1, -1) for i, n in enumerate(GUIDE_CHANNELS)], 1)
    # every tap's picture, weight and guides
    taps = list(zip(*(shifted(planes, radius, *size) for planes in own), strict=True))
    if above:
        taps += zip(*(shifted(planes, 1, *size, step=2) for planes in above), strict=True)
    # how well each fits
    fits = [weight[:, 0] - ((tap - guides).square() * scales).sum(1) for _, weight, tap in taps]  # (B, h, w)
    weights = (head[:, : len(taps)] + torch.stack(fits, 1)).softmax(1)  # (B, taps, h, w)
    # their mean
    result = taps[0][0] * weights[:, :1]
    for index, (picture, _, _) in enumerate(taps[1:], 1):
        result = torch.addcmul(result, picture, weights[:, index : index + 1])
    return result
