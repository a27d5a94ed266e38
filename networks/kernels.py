"""Kernels that the network predicts, applied to a pyramid of what was measured.

Shapes: B frames, h rows and w columns of one level, whose pixels are averages of squares of the frame's.
"""

import math
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

from networks.recording import is_recording
from networks.rows import in_rows

COARSE_TAPS = 9  # logits, for 3x3 pixels of the coarser result, of which each pixel takes the nearest 2x2
COARSE_SHARES = 0.25, 0.75  # of the farther and the nearer of two coarser pixels, along an axis: linear interpolation
GUIDE_GROUPS = (1, 3, 4, 1)  # channels of log depth, normal, albedo and its flag, shading: one bandwidth each
BANDWIDTHS = len(GUIDE_GROUPS)
BANDWIDTH_SCALES = (50.0, 4.0, 4.0, 30.0)
NO_SAMPLES = 1e-8  # the smallest sum of weights that is divided by

Head = Callable[[int, int], torch.Tensor]  # from the first row and the row after the last to what with_nearest gives
Taps = tuple[tuple[int, int], ...]  # rows and columns of taps, counted from the corner of a square around the pixel


class Level(NamedTuple):
    """A level of the pyramid.

    samples: (B, C + 1, h, w) sums of radiance, and last the weight, which says how many samples a pixel stands for.
    guides: (B, 9, h, w) log depth, normal, albedo and its flag, shading.
    """

    samples: torch.Tensor
    guides: torch.Tensor


def diamond(radius: int) -> Taps:
    """All pixels within `radius` steps along rows and columns, row by row: 5 for 1, 13 for 2.

    The corners of a square take time, and with them the image is no better (benchmarks/README.md, Reconstruction).
    """
    square = product(range(2 * radius + 1), repeat=2)
    return tuple(tap for tap in square if sum(abs(place - radius) for place in tap) <= radius)


FINEST_TAPS = diamond(1)  # at full size, unless the network has another finest_radius
CORNERS: Taps = ((0, 0), (0, 2), (2, 0), (2, 2))  # the coarser pixels nearest to a pixel, among `doubled` ones


def reach_of(taps: Taps) -> int:
    """How far, in pixels, taps are from their pixel, along an axis."""
    return max(max(tap) for tap in taps) // 2


def output_counts(taps: int, has_coarser: bool) -> list[int]:
    """How many channels a level's head gives: a logit for each of so many taps, for the coarser result, bandwidths."""
    return [taps, *[COARSE_TAPS] * has_coarser, BANDWIDTHS]


def level_outputs(taps: int, has_coarser: bool) -> int:
    """How many channels that makes."""
    return sum(output_counts(taps, has_coarser))


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
    """A level's (B, level_outputs, h, w), with `nearest_four` instead of the COARSE_TAPS, if it has them."""
    own, *coarse, bandwidths = outputs.split(output_counts(len(taps), outputs.shape[1] > len(taps) + BANDWIDTHS), 1)
    return torch.cat((own, nearest_four(*coarse, smooth), bandwidths), 1) if coarse else outputs


def head_of(layer: Callable, features: torch.Tensor, taps: Taps) -> Head:
    """The head of a level, computed row by row, for memory, from (B, C, h, w) features. taps: its own."""
    return lambda top, end: with_nearest(layer(features[:, :, top:end]).float(), taps)


def convolved_rows(
    features: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, patch: int, top: int = 0, end: int | None = None
) -> torch.Tensor:
    """A 1x1 convolution that gives patch^2 pixels for each pixel of features, some rows of its result."""
    rows = features[:, :, top // patch : end and end // patch]
    return F.pixel_shuffle(F.conv2d(rows, weight, bias), patch).float()


def head_of_patches(features: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, taps: Taps, patch: int) -> Head:
    """The head of the finest level, computed row by row, for memory, from a pixel of features for each patch of pixels.

    features: (B, C, h / patch, w / patch). weight: (level_outputs patch^2, C, 1, 1). bias: as many. taps: its own.
    """
    if is_recording():  # an exporter wants weights that are constants
        return lambda top, end: with_nearest(convolved_rows(features, weight, bias, patch, top, end), taps)

    # a pixel's place in its patch says which coarser pixels are the nearest: of no others logits are computed
    def nearest(planes: torch.Tensor, smooth: bool) -> torch.Tensor:
        return with_nearest(planes.unflatten(1, (-1, patch, patch)), taps, smooth).flatten(1)

    weight, bias = nearest(weight.flatten(1).T, smooth=False).T[..., None, None], nearest(bias[None], smooth=True)[0]

    return partial(convolved_rows, features, weight, bias, patch)


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
        together = padded.shape[1] if takes_large_steps(padded) else 1
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
        if takes_large_steps(guides):
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
        if takes_large_steps(squares):
            return (squares * gradient[:, :, None]).sum(1), *nothing
        to_bandwidths = torch.zeros_like(squares[:, 0])
        for index in range(squares.shape[1]):
            to_bandwidths.addcmul_(squares[:, index], gradient[:, index : index + 1])
        return to_bandwidths, *nothing


def takes_large_steps(planes: torch.Tensor) -> bool:
    """Whether few large steps are best: on a GPU. In a processor, what small ones need stays in the cache."""
    return planes.is_cuda


def tap_sum(weights: torch.Tensor, padded: torch.Tensor, taps: Taps) -> torch.Tensor:
    """TapSum, or while an exporter records, the same without its memory layout."""
    if not is_recording():
        return TapSum.apply(weights, padded, taps)
    planes = shifted(padded, taps, *weights.shape[2:])
    return sum(tap * weight for tap, weight in zip(planes, weights.split(1, 1), strict=True))


def misfit(bandwidths: torch.Tensor, guides: torch.Tensor, taps: list[torch.Tensor]) -> torch.Tensor:
    """Misfit; without a gradient plane by plane, and while an exporter records, without writing into views."""
    if bandwidths.requires_grad and not is_recording():
        return Misfit.apply(bandwidths, guides, *taps)
    if is_recording():
        groups = zip(bandwidths.split(1, 1), GUIDE_GROUPS, strict=True)
        scales = torch.cat([bandwidth for bandwidth, count in groups for _ in range(count)], 1)  # (B, 9, h, w)
        return torch.stack([((tap - guides).square() * scales).sum(1) for tap in taps], 1)
    # one plane after the other, since these few stay in a core's cache: guides times the root of the bandwidth
    roots = [root for root, count in zip(bandwidths.sqrt().unbind(1), GUIDE_GROUPS, strict=True) for _ in range(count)]
    mine, distance = torch.empty_like(roots[0]), torch.empty_like(roots[0])  # (B, h, w)
    found = guides.new_zeros(len(guides), len(taps), *guides.shape[2:])
    for plane, root in enumerate(roots):
        torch.mul(guides[:, plane], root, out=mine).neg_()
        for index, tap in enumerate(taps):
            if tap is not guides:
                torch.addcmul(mine, tap[:, plane], root, out=distance)
                found[:, index].addcmul_(distance, distance)
    return found


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
