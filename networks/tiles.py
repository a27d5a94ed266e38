"""Squares of a picture that are computed one at a time, for memory; inference/tiling.py does whole steps so.

Shapes: B pictures, C channels, H rows, W columns.
"""

from collections.abc import Callable, Iterator
from itertools import product

import torch

Box = tuple[slice, slice]


def boxes(size: tuple[int, int], tile: int, margin: int) -> Iterator[tuple[Box, Box]]:
    """Squares of `tile` pixels that cover a frame of `size` (H, W) once: yields (inner, outer) boxes in pixels.

    The outer box is `margin` pixels larger on every side, clipped to the frame.
    """
    for top, left in product(range(0, size[0], tile), range(0, size[1], tile)):
        corners = list(zip((top, left), size, strict=True))
        inner = tuple(slice(start, min(start + tile, extent)) for start, extent in corners)
        outer = tuple(slice(max(0, start - margin), min(start + tile + margin, extent)) for start, extent in corners)
        yield inner, outer


def scaled(box: Box, stride: int, origin: Box | None = None) -> Box:
    """`box`, in pixels, for a level that is `stride` times smaller; relative to the first pixel of `origin`."""
    starts = [s.start for s in origin] if origin else (0, 0)
    return tuple(slice((s.start - o) // stride, (s.stop - o) // stride) for s, o in zip(box, starts, strict=True))


def in_tiles(
    work: Callable[[torch.Tensor], torch.Tensor], planes: torch.Tensor, tile: int, margin: int
) -> torch.Tensor:
    """work(planes), (B, C, H, W), in squares of `tile` pixels. margin: how far a pixel of it depends on others."""
    image = None
    for inner, outer in boxes(planes.shape[2:], tile, margin):
        part = work(planes[(..., *outer)])
        image = part.new_empty(*part.shape[:2], *planes.shape[2:]) if image is None else image
        image[(..., *inner)] = part[(..., *scaled(inner, 1, outer))]
    return image
