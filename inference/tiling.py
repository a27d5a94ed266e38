"""Denoises frames that do not fit in memory in overlapping tiles, with the same result as for the whole frame.

Shapes: B sequences, C channels, H rows, W columns.
"""

from collections.abc import Iterator
from itertools import product

import torch

from model import Denoiser, State

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


def denoise_in_tiles(
    denoiser: Denoiser, frame: torch.Tensor, state: State | None, tile: int
) -> tuple[torch.Tensor, State]:
    """The same image and state as denoiser(frame, state), computed in one tile of about `tile` pixels at a time.

    Each tile is computed with a margin that holds all that its pixels depend on, in the frame and in the state. The
    results in the margin are discarded, since they lack their own surroundings. The margin is the denoiser's `reach`,
    346 pixels for the paper's network, so small tiles cost much more time than they save memory.
    """
    # tile size and margin in whole pixels of the coarsest level
    padded, size = denoiser.fit(frame)  # (B, C, H', W')
    state = denoiser.initial_state(padded) if state is None else state
    padded = denoiser.complete_frame(padded, state)  # from the whole frame, not from each tile
    tile, margin = (-(-pixels // denoiser.multiple) * denoiser.multiple for pixels in (tile, denoiser.reach(padded)))

    # whole-frame results
    new_state = [torch.empty_like(hidden) for hidden in state]
    image = None

    # tiles: compute the outer box, keep the inner
    for inner, outer in boxes(padded.shape[2:], tile, margin):
        tile_state = [h[(..., *scaled(outer, s))] for h, s in zip(state, denoiser.strides, strict=True)]
        tile_image, tile_state = denoiser(padded[(..., *outer)], tile_state)
        if image is None:
            image = tile_image.new_empty(*tile_image.shape[:2], *padded.shape[2:])  # (B, 3, H', W')
        image[(..., *inner)] = tile_image[(..., *scaled(inner, 1, outer))]
        for hidden, tile_hidden, stride in zip(new_state, tile_state, denoiser.strides, strict=True):
            hidden[(..., *scaled(inner, stride))] = tile_hidden[(..., *scaled(inner, stride, outer))]
    return image[..., : size[0], : size[1]], new_state  # (B, 3, H, W), state
