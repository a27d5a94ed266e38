"""Work on a few rows of a picture at a time, so that what is between the steps stays in the processor's cache."""

from collections.abc import Iterator

import torch

ROWS = 32  # even, since a pixel of a coarser level has two rows


def row_blocks(planes: torch.Tensor) -> Iterator[tuple[int, int]]:
    """The first row and the row after the last of each block of (..., h, w) planes.

    On a GPU, and where gradients are wanted, all rows are one block.
    """
    height = planes.shape[-2]
    rows = height if planes.is_cuda or torch.is_grad_enabled() else ROWS
    return ((top, min(top + rows, height)) for top in range(0, height, rows))
