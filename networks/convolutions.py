"""The convolutions of the recurrent U-Net, and how they take less time or memory on a CPU.

Shapes: B pictures, C channels, H rows and W columns, of some level.
"""

from collections.abc import Callable
from itertools import product

import torch
import torch.nn.functional as F
from torch import nn

from networks.rows import goes_by_rows, in_rows

ALL_ROWS = slice(None)
LEAK = 0.1  # slope of the leaky ReLU (Chaitanya et al. 2017, section 4.1)


def convolution(inputs: int, outputs: int) -> nn.Conv2d:
    """A 3x3 convolution that keeps the size, initialised for leaky ReLU (He et al. 2015)."""
    layer = nn.Conv2d(inputs, outputs, 3, padding=1)
    nn.init.kaiming_normal_(layer.weight, a=LEAK, nonlinearity="leaky_relu")
    nn.init.zeros_(layer.bias)
    return layer


def activate(x: torch.Tensor) -> torch.Tensor:
    """Leaky ReLU with slope 0.1, in place: every caller passes a fresh convolution output."""
    return F.leaky_relu(x, LEAK, inplace=True)


def convolve_patches(layer: nn.Conv2d, x: torch.Tensor, patch: int) -> torch.Tensor:
    """Applies `layer` to a (B, C, H, W) picture, with each square of patch x patch pixels as one of C patch^2 channels.

    On a CPU this is one convolution with a larger stride, which computes the same sum: the shuffle would take longer.
    """
    if x.is_cuda or patch == 1:
        return layer(F.pixel_unshuffle(x, patch) if patch > 1 else x)
    return F.conv2d(x, F.pixel_shuffle(layer.weight, patch), layer.bias, stride=patch, padding=patch)


def convolve_rows(layer: nn.Conv2d, like: torch.Tensor, rows: Callable[[slice], torch.Tensor]) -> torch.Tensor:
    """`layer` and `activate` of a picture that need not exist as a whole, for memory.

    like: a tensor with as many rows as the result. rows: gives some rows of the picture, or with ALL_ROWS all of them.
    """
    height = like.shape[2]

    def convolve(top: int, end: int) -> tuple[torch.Tensor]:
        if end - top == height:
            return (activate(layer(rows(ALL_ROWS))),)
        first, last = max(top - 1, 0), min(end + 1, height)
        x = rows(slice(first, last))
        if last - first < end - top + 2:
            x = F.pad(x, (0, 0, first - top + 1, end + 1 - last))
        return (activate(F.conv2d(x, layer.weight, layer.bias, padding=(0, 1))),)

    return in_rows(like, convolve)[0]


def convolve_joined(layer: nn.Conv2d, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
    """`layer` and `activate` of (B, C, h, w) planes at twice their size, followed by a (B, S, 2h, 2w) skip connection.

    On a CPU in float32 the planes are not enlarged: four of nine products are enough, since the others repeat a pixel.
    In bfloat16 that would round the sums once more.
    """
    if not (goes_by_rows(skip) and skip.dtype == torch.float32):

        def joined(rows: slice) -> torch.Tensor:
            return torch.cat((doubled_rows(x, rows), skip[:, :, rows]), 1)  # (B, C + S, rows, 2w)

        return convolve_rows(layer, skip, joined)

    of_x, of_skip = layer.weight.split([x.shape[1], skip.shape[1]], 1)
    parts, columns = weights_of_small(of_x), x.shape[3]

    def convolve(top: int, end: int) -> tuple[torch.Tensor]:
        large = F.conv2d(rows_or_zeros(skip, top - 1, end + 1), of_skip, layer.bias, padding=(0, 1))
        rows = rows_or_zeros(x, top // 2 - 1, end // 2 + 1)
        for (row, column), weight in zip(product((0, 1), repeat=2), parts, strict=True):
            part = F.conv2d(rows[:, :, row : row + (end - top) // 2 + 1], weight, padding=(0, 1))
            large[:, :, row::2, column::2] += part[..., column : column + columns]
        return (activate(large),)

    return in_rows(skip, convolve)[0]


def weights_of_small(weight: torch.Tensor) -> list[torch.Tensor]:
    """What (O, C, 3, 3) weights for a picture at twice its size are for the picture itself: four of (O, C, 2, 2).

    One for each of the four pixels that a pixel becomes, row by row. Of the three rows or columns that a weight is for,
    two are then of the same pixel: the last two for the first of a pair, the first two for the second.
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
