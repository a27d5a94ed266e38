"""Work on a few rows of a picture at a time, so that what is between the steps stays in the processor's cache."""

from collections.abc import Callable, Iterator

import torch

from networks.recording import is_recording

ROWS = 32  # even, since a pixel of a coarser level has two rows


def goes_by_rows(planes: torch.Tensor) -> bool:
    """Whether to work so: not on a GPU, where gradients are wanted, or for an exported file."""
    return not (planes.is_cuda or torch.is_grad_enabled() or is_recording())


def row_blocks(planes: torch.Tensor) -> Iterator[tuple[int, int]]:
    """The first row and the row after the last of each block of (..., h, w) planes; if not goes_by_rows, of all."""
    height = planes.shape[-2]
    if not goes_by_rows(planes):
        return iter([(0, height)])
    return ((top, min(top + ROWS, height)) for top in range(0, height, ROWS))


def empty_like(part: torch.Tensor, rows: int) -> torch.Tensor:
    """A tensor of so many rows, in the memory layout of the (B, C, h, w) part."""
    dense = part.is_contiguous() or not part.is_contiguous(memory_format=torch.channels_last)
    layout = torch.contiguous_format if dense else torch.channels_last
    size = *part.shape[:2], rows, part.shape[3]
    return torch.empty(size, dtype=part.dtype, device=part.device, memory_format=layout)


def in_rows(planes: torch.Tensor, work: Callable[[int, int], tuple[torch.Tensor, ...]]) -> tuple[torch.Tensor, ...]:
    """What `work` gives for all rows of (..., h, w) planes, from block to block.

    work: from the first row and the row after the last to tensors (B, C, rows, w). Each block goes at once to where it
    stays: to keep them all and join them in the end would take twice the memory.
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
