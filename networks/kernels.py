"""Kernels that the network predicts, applied to a pyramid of what was measured.

Shapes: B frames, h rows and w columns of one level, whose pixels are averages of squares of the frame's.
"""

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

from networks.cpu import in_rows, large_steps, on_cpu, pooled, weighted_distances
from networks.recording import is_recording

GUIDE_GROUPS = (1, 3, 4, 1)  # channels of log depth, normal, albedo and its flag, shading: one bandwidth each
BANDWIDTHS = len(GUIDE_GROUPS)
BANDWIDTH_SCALES = (50.0, 4.0, 4.0, 30.0)
NO_SAMPLES = 1e-8  # the smallest sum of weights that is divided by

Head = Callable[[int, int], torch.Tensor]  # from the first row and the row after the last to logits and bandwidths
Taps = tuple[tuple[int, int], ...]  # rows and columns of taps, counted from the corner of a square around the pixel


class Level(NamedTuple):
    """A level of the pyramid.

    samples: (B, C + 1, h, w) sums of radiance, and last the weight, which says how many samples a pixel stands for.
    guides: (B, 9, h, w) log depth, normal, albedo and its flag, shading.
    """

    samples: torch.Tensor
    guides: torch.Tensor

    @property
    def weight(self) -> torch.Tensor:
        """The effective sample count, (B, 1, h, w)."""
        return self.samples[:, -1:]


def diamond(radius: int) -> Taps:
    """All pixels within `radius` steps along rows and columns, row by row: 5 for 1, 13 for 2.

    The corners of a square take time, and with them the image is no better.
    """
    square = product(range(2 * radius + 1), repeat=2)
    return tuple(tap for tap in square if sum(abs(place - radius) for place in tap) <= radius)


CORNERS: Taps = ((0, 0), (0, 2), (2, 0), (2, 2))  # the coarser pixels nearest to a pixel, among `doubled` ones


def reach_of(taps: Taps) -> int:
    """How far, in pixels, taps are from their pixel, along an axis."""
    return max(max(tap) for tap in taps) // 2


def rows_with_margin(planes: torch.Tensor, top: int, end: int, margin: int) -> torch.Tensor:
    """Rows `top` to `end` of (B, C, h, w) planes, and `margin` more pixels on every side; the border is repeated."""
    first, last = max(top - margin, 0), min(end + margin, planes.shape[2])
    if not margin:
        return planes[:, :, top:end]
    missing = margin - (top - first), margin - (last - end)
    return F.pad(planes[:, :, first:last], (margin, margin, *missing), mode="replicate")


def shifted(padded: torch.Tensor, taps: Taps, height: int, width: int) -> list[torch.Tensor]:
    """Views (B, C, height, width) of padded planes, one for each tap."""
    return [padded[..., y : y + height, x : x + width] for y, x in taps]


def doubled(planes: torch.Tensor) -> torch.Tensor:
    """(B, C, h, w) to (B, C, 2h - 2, 2w - 2): each pixel four times, and one row or column less on every side.

    With a margin of one pixel before, the four coarser pixels nearest to a pixel are then at its corners, two apart.
    """
    return F.interpolate(planes, scale_factor=2.0, mode="nearest")[..., 1:-1, 1:-1]


class TapSum(torch.autograd.Function):
    """The sum of the taps of padded planes, each times its own weight.

    weights: (B, taps, h, w). padded: (B, C, h', w'). Gives (B, C, h, w).
    Written out because PyTorch's own gradient of a view allocates and adds planes of zeros for every tap.
    """

    @staticmethod
    def forward(ctx, weights: torch.Tensor, padded: torch.Tensor, taps: Taps) -> torch.Tensor:
        ctx.save_for_backward(weights, padded)
        ctx.taps = taps, *weights.shape[2:]
        total = padded.new_empty(*padded.shape[:2], *weights.shape[2:])
        together = padded.shape[1] if large_steps(padded) else 1
        weights = weights.split(1, 1)
        planes = zip(*(tap.split(together, 1) for tap in shifted(padded, *ctx.taps)), strict=True)
        for views, sums in zip(planes, total.split(together, 1), strict=True):
            for index, (tap, weight) in enumerate(zip(views, weights, strict=True)):
                sums.addcmul_(tap, weight) if index else torch.mul(tap, weight, out=sums)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: torch.Tensor) -> tuple:
        weights, padded = ctx.saved_tensors
        to_weights, to_padded = torch.empty_like(weights), torch.zeros_like(padded)
        taps = zip(shifted(padded, *ctx.taps), shifted(to_padded, *ctx.taps), strict=True)
        for index, (tap, to_tap) in enumerate(taps):
            torch.sum(gradient * tap, 1, out=to_weights[:, index])
            to_tap.addcmul_(gradient, weights[:, index : index + 1])
        return to_weights, to_padded, None


class Misfit(torch.autograd.Function):
    """How badly the guides of each tap fit a pixel's: their squared distances, each group's times its bandwidth.

    bandwidths: (B, BANDWIDTHS, h, w). guides: (B, 9, h, w). taps: the same of every tap. Gives (B, taps, h, w).
    Guides get no gradient: they come from the frame, and from the image before it. Written out because PyTorch would
    keep several times as many planes for the gradient. Without a gradient, `misfit` takes a shorter way.
    """

    @staticmethod
    def forward(ctx, bandwidths: torch.Tensor, guides: torch.Tensor, *taps: torch.Tensor) -> torch.Tensor:
        squares = guides.new_empty(len(guides), len(taps), BANDWIDTHS, *guides.shape[2:])
        ctx.save_for_backward(squares)
        if large_steps(guides):
            distances = torch.stack(taps, 1).sub_(guides[:, None]).square_()  # (B, taps, 9, h, w)
            for group, planes in enumerate(distances.split(GUIDE_GROUPS, 2)):
                torch.sum(planes, 2, out=squares[:, :, group])
            return (squares * bandwidths[:, None]).sum(2)
        misfit = guides.new_empty(len(guides), len(taps), *guides.shape[2:])
        for index, tap in enumerate(taps):
            for group, planes in enumerate((tap - guides).square_().split(GUIDE_GROUPS, 1)):
                torch.sum(planes, 1, out=squares[:, index, group])
            torch.sum(squares[:, index] * bandwidths, 1, out=misfit[:, index])
        return misfit

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: torch.Tensor) -> tuple:
        (squares,) = ctx.saved_tensors
        nothing = (None,) * (squares.shape[1] + 1)
        if large_steps(squares):
            return (squares * gradient[:, :, None]).sum(1), *nothing
        to_bandwidths = torch.zeros_like(squares[:, 0])
        for index in range(squares.shape[1]):
            to_bandwidths.addcmul_(squares[:, index], gradient[:, index : index + 1])
        return to_bandwidths, *nothing


def tap_sum(weights: torch.Tensor, padded: torch.Tensor, taps: Taps) -> torch.Tensor:
    """TapSum, or while an exporter records, the same without its memory layout."""
    if not is_recording():
        return TapSum.apply(weights, padded, taps)
    planes = shifted(padded, taps, *weights.shape[2:])
    return sum(tap * weight for tap, weight in zip(planes, weights.split(1, 1), strict=True))


def misfit(bandwidths: torch.Tensor, guides: torch.Tensor, taps: list[torch.Tensor]) -> torch.Tensor:
    """The result of Misfit; faster without a gradient, and without writing into views while an exporter records."""
    if bandwidths.requires_grad and not is_recording():
        return Misfit.apply(bandwidths, guides, *taps)
    if on_cpu(guides):
        roots = zip(bandwidths.sqrt().unbind(1), GUIDE_GROUPS, strict=True)
        return weighted_distances([root for root, count in roots for _ in range(count)], guides, taps)
    groups = zip(bandwidths.split(1, 1), GUIDE_GROUPS, strict=True)
    scales = torch.cat([bandwidth for bandwidth, count in groups for _ in range(count)], 1)  # (B, 9, h, w)
    return torch.stack([((tap - guides).square() * scales).sum(1) for tap in taps], 1)


def filter_level(level: Level, head: Head, taps: Taps, coarser: Level | None) -> torch.Tensor:
    """A level's result, (B, C, h, w): a weighted mean of its own samples' taps and of the coarser result's.

    head: gives what the network says of some rows. taps: into its own samples. coarser: the coarser level, its sums
    replaced by its result times its weight.
    A tap counts by how many samples it stands for, times the softmax of its logit less the squared distance of its
    guides from the pixel's: depth, normal, albedo and shading, each times a bandwidth of the pixel's own.
    """

    def rows(top: int, end: int) -> tuple[torch.Tensor]:
        own = [rows_with_margin(planes, top, end, reach_of(taps)) for planes in level]
        above = [doubled(rows_with_margin(planes, top // 2, end // 2, 1)) for planes in coarser or ()]
        return (filter_rows(own, above, level.guides[:, :, top:end], head(top, end), taps),)

    return in_rows(level.guides, rows)[0]


def filter_rows(
    own: list[torch.Tensor], above: list[torch.Tensor], guides: torch.Tensor, head: torch.Tensor, taps: Taps
) -> torch.Tensor:
    """filter_level of a few rows. own, above: samples and guides, with their margins; above: `doubled`."""
    size = guides.shape[2:]
    logits, bandwidths = head.split([head.shape[1] - BANDWIDTHS, BANDWIDTHS], 1)
    tap_guides = shifted(own[1], taps, *size)
    tap_guides[len(taps) // 2] = guides  # the pixel itself, which fits
    if above:
        tap_guides += shifted(above[1], CORNERS, *size)
    # how well each tap's guides fit
    scaled = zip(bandwidths.clamp(-6, 6).exp().split(1, 1), BANDWIDTH_SCALES, strict=True)
    bandwidths = torch.cat([planes * scale for planes, scale in scaled], 1)
    weights = (logits - misfit(bandwidths, guides, tap_guides)).softmax(1)  # (B, taps, h, w)
    # the mean of their samples
    mine, coarse = weights.tensor_split([len(taps)], 1)
    total = tap_sum(mine, own[0], taps)  # (B, C + 1, h, w)
    if above:
        total = total + tap_sum(coarse, above[0], CORNERS)
    return total[:, :-1] / total[:, -1:].clamp(min=NO_SAMPLES)


def filter_pyramid(finest: Level, heads: list[Head], taps: list[Taps], patch: int) -> torch.Tensor:
    """Filters a frame's samples level by level, coarsest first: (B, C, H, W).

    finest: of the frame's size.
    heads, taps: of each level, coarsest first.
    patch: how many pixels of the finest level become one of the next, along an axis; from there on 2.
    """
    # average samples and guides down to the coarsest level
    pyramid = [finest]
    for size in [patch] + [2] * (len(heads) - 2):
        pyramid.append(Level(*(pooled(planes, size) for planes in pyramid[-1])))
    # filter each level together with the coarser result
    coarser = None
    for head, own in zip(heads[:-1], taps, strict=False):
        level = pyramid.pop()
        result = filter_level(level, head, own, coarser)  # (B, C, h, w)
        coarser = Level(torch.cat((result * level.weight, level.weight), 1), level.guides)
        del level, result  # for memory
    return filter_level(finest, heads[-1], taps[-1], coarser)
