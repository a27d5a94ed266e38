"""Work on a few rows of a picture at a time, so that what is between the steps stays in the processor's cache."""

from collections.abc import Iterator

import torch

from networks.recording import is_recording

ROWS = 32  # even, since a pixel of a coarser level has two rows


def row_blocks(planes: torch.Tensor) -> Iterator[tuple[int, int]]:
    """The first row and the row after the last of each block of (..., h, w) planes.

    On a GPU, where gradients are wanted, and for an exported file, all rows are one block.
    """
    height = planes.shape[-2]
    if planes.is_cuda or torch.is_grad_enabled() or is_recording():
        return iter([(0, height)])
    return ((top, min(top + ROWS, height)) for top in range(0, height, ROWS))
