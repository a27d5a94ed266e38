"""What makes a CPU faster, each beside the plain way with the same result. No other module asks for the device.

A processor is fastest on planes that stay in its cache: a few rows at a time, plane by plane, in few passes. With
gradients, on a GPU and while an exporter records, everything goes the plain way; `plain` asks for it.
Shapes: B pictures, C channels, h rows and w columns of some level.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product

import torch
import torch.nn.functional as F
from torch import nn

from networks.recording import is_recording
from networks.warping import pixel_grid, pixels_around

ROWS = 32  # in a block; even, since a pixel of a coarser level has two rows
ALL_ROWS = slice(None)
_asked_for_plain = False


@contextmanager
def plain() -> Iterator[None]:
    """Within it, everything is computed the plain way: the reference that tests compare with."""
    global _asked_for_plain
    before, _asked_for_plain = _asked_for_plain, True
    try:
        yield
    finally:
        _asked_for_plain = before


def on_cpu(planes: torch.Tensor) -> bool:
    """Whether the fast ways may be taken, as far as the device goes."""
    return not (planes.is_cuda or is_recording() or _asked_for_plain)


def by_rows(planes: torch.Tensor) -> bool:
    """Whether to work on a few rows at a time."""
    return on_cpu(planes) and not torch.is_grad_enabled()


def may_ask(planes: torch.Tensor) -> bool:
    """Whether a branch may depend on values: a GPU would have to wait for them, an exporter could not record it."""
    return planes.device.type == "cpu" and not is_recording()


def large_steps(planes: torch.Tensor) -> bool:
    """Whether few large steps are best: on a GPU. In a processor, what small ones need stays in the cache."""
    return planes.is_cuda


# a few rows at a time


def row_blocks(planes: torch.Tensor) -> Iterator[tuple[int, int]]:
    """The first row and the row after the last of each block of (..., h, w) planes; one block if not by_rows."""
    height = planes.shape[-2]
    if not by_rows(planes):
        return iter([(0, height)])
    return ((top, min(top + ROWS, height)) for top in range(0, height, ROWS))


def empty_like(part: torch.Tensor, rows: int) -> torch.Tensor:
    """A tensor of so many rows, in the memory layout of the (B, C, h, w) part."""
    dense = part.is_contiguous() or not part.is_contiguous(memory_format=torch.channels_last)
    layout = torch.contiguous_format if dense else torch.channels_last
    size = *part.shape[:2], rows, part.shape[3]
    return torch.empty(size, dtype=part.dtype, device=part.device, memory_format=layout)


def in_rows(planes: torch.Tensor, work: Callable[[int, int], tuple[torch.Tensor, ...]]) -> tuple[torch.Tensor, ...]:
    """The results of `work` for all rows of (..., h, w) planes, block by block.

    work: from the first row and the row after the last to tensors (B, C, rows, w). Each block is copied at once to its
    place: to keep them all and join them in the end would take twice the memory.
    """
    height, wholes = planes.shape[-2], ()
    for top, end in row_blocks(planes):
        parts = work(top, end)
        if end - top == height:
            return parts
        wholes = wholes or [empty_like(part, height) for part in parts]
        for whole, part in zip(wholes, parts, strict=True):
            whole[:, :, top:end] = part
    return tuple(wholes)


# means


def pooled(planes: torch.Tensor, size: int) -> torch.Tensor:
    """The means of squares of `size` pixels: (B, C, h, w) to (B, C, h / size, w / size)."""
    if size != 2 or planes.requires_grad or not on_cpu(planes):
        return F.avg_pool2d(planes, size)
    rows = planes[..., ::2, :] + planes[..., 1::2, :]  # a fifth of the time
    return (rows[..., ::2] + rows[..., 1::2]).mul_(0.25)


def mean_around(planes: torch.Tensor) -> torch.Tensor:
    """The mean of each pixel of (B, C, h, w) planes and its eight neighbors; the border is repeated."""
    planes = F.pad(planes, (1, 1, 1, 1), mode="replicate")
    if planes.requires_grad or not on_cpu(planes):
        return F.avg_pool2d(planes, 3, 1)
    rows = planes[..., :-2, :] + planes[..., 1:-1, :] + planes[..., 2:, :]
    return (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]).mul_(1 / 9)


# reprojection


def warp_pixels(planes: torch.Tensor, motion: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """(B, C, h, w) planes, channels innermost in memory, fetched along (B, 2, h, w) motion, times (B, 1, h, w) weight.

    Zeros beyond the edge. As warping.warp, without a gradient, in a quarter of its time.
    """
    count, channels, height, width = planes.shape
    places = torch.stack(pixel_grid(planes)) + motion  # (B, 2, h, w)
    around = [(index, part * weight[:, 0]) for index, part in pixels_around(places, height, width)]
    indices, weights = (torch.stack(parts, -1) for parts in zip(*around, strict=True))  # (B, h, w, 4)
    indices += height * width * torch.arange(count)[:, None, None, None]
    table = planes.permute(0, 2, 3, 1).reshape(-1, channels)  # (B h w, C)
    weights = weights.view(-1, 4).to(planes.dtype)
    warped = F.embedding_bag(indices.view(-1, 4), table, per_sample_weights=weights, mode="sum")
    return warped.view(count, height, width, channels).permute(0, 3, 1, 2)


# convolutions


def convolve_rows(layer: nn.Conv2d, like: torch.Tensor, rows: Callable[[slice], torch.Tensor]) -> torch.Tensor:
    """A 3x3 convolution of a picture that need not exist as a whole, for memory.

    like: a tensor with as many rows as the result. rows: gives some rows of the picture, or with ALL_ROWS all of them.
    """
    height = like.shape[2]

    def convolve(top: int, end: int) -> tuple[torch.Tensor]:
        if end - top == height:
            return (layer(rows(ALL_ROWS)),)
        first, last = max(top - 1, 0), min(end + 1, height)
        x = rows(slice(first, last))
        if last - first < end - top + 2:
            x = F.pad(x, (0, 0, first - top + 1, end + 1 - last))
        return (F.conv2d(x, layer.weight, layer.bias, padding=(0, 1)),)

    return in_rows(like, convolve)[0]


def convolve_upsampled(layer: nn.Conv2d, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
    """A 3x3 convolution of (B, C, h, w) planes at twice their size, followed by a (B, S, 2h, 2w) skip connection.

    In float32 the planes are not enlarged: four of nine products are enough, since the others repeat a pixel. In
    bfloat16 that would round the sums once more.
    """
    if not (by_rows(skip) and skip.dtype == torch.float32):

        def joined(rows: slice) -> torch.Tensor:
            return torch.cat((doubled_rows(x, rows), skip[:, :, rows]), 1)  # (B, C + S, rows, 2w)

        return convolve_rows(layer, skip, joined)

    of_x, of_skip = layer.weight.split([x.shape[1], skip.shape[1]], 1)
    parts, columns = quarter_weights(of_x), x.shape[3]

    def convolve(top: int, end: int) -> tuple[torch.Tensor]:
        large = F.conv2d(rows_or_zeros(skip, top - 1, end + 1), of_skip, layer.bias, padding=(0, 1))
        rows = rows_or_zeros(x, top // 2 - 1, end // 2 + 1)
        for (row, column), weight in zip(product((0, 1), repeat=2), parts, strict=True):
            part = F.conv2d(rows[:, :, row : row + (end - top) // 2 + 1], weight, padding=(0, 1))
            large[:, :, row::2, column::2] += part[..., column : column + columns]
        return (large,)

    return in_rows(skip, convolve)[0]


def quarter_weights(weight: torch.Tensor) -> list[torch.Tensor]:
    """(O, C, 3, 3) weights for an upsampled picture as four of (O, C, 2, 2) for the picture itself.

    One for each of the four pixels that a pixel becomes, row by row. Two of the three rows or columns of a weight then
    belong to one pixel: the last two for the first of a pair, the first two for the second.
    """

    def along(weight: torch.Tensor, axis: int) -> tuple[torch.Tensor, torch.Tensor]:
        before, here, after = weight.unbind(axis)
        return torch.stack((before, here + after), axis), torch.stack((before + here, after), axis)

    return [both for rows in along(weight, 2) for both in along(rows, 3)]


def rows_or_zeros(planes: torch.Tensor, first: int, last: int) -> torch.Tensor:
    """Rows `first` to before `last` of (B, C, h, w) planes, and zeros for those that they do not have."""
    inside = slice(max(first, 0), min(last, planes.shape[2]))
    missing = inside.start - first, last - inside.stop
    return F.pad(planes[:, :, inside], (0, 0, *missing)) if any(missing) else planes[:, :, inside]


def doubled_rows(x: torch.Tensor, rows: slice) -> torch.Tensor:
    """These rows of (B, C, h, w) planes at twice their size."""
    if rows == ALL_ROWS:
        return F.interpolate(x, scale_factor=2.0, mode="nearest")
    first = rows.start // 2
    larger = F.interpolate(x[:, :, first : (rows.stop + 1) // 2], scale_factor=2.0, mode="nearest")
    return larger[:, :, rows.start - 2 * first : rows.stop - 2 * first]


# kernels


def weighted_distances(roots: list[torch.Tensor], guides: torch.Tensor, taps: list[torch.Tensor]) -> torch.Tensor:
    """The squared distance of each tap's guides from the pixel's, plane by plane, (B, taps, h, w).

    roots: for each of G planes a (B, h, w) factor on its difference.
    guides: (B, G, h, w) of the pixel.
    taps: the same of every tap.
    """
    mine, distance = torch.empty_like(roots[0]), torch.empty_like(roots[0])  # (B, h, w)
    found = guides.new_zeros(len(guides), len(taps), *guides.shape[2:])
    for plane, root in enumerate(roots):
        torch.mul(guides[:, plane], root, out=mine).neg_()
        for index, tap in enumerate(taps):
            if tap is not guides:
                torch.addcmul(mine, tap[:, plane], root, out=distance)
                found[:, index].addcmul_(distance, distance)
    return found
