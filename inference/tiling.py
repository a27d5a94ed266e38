"""Frames that do not fit into memory at once: in tiles that overlap, with the results of the whole frame.

Shapes: B sequences, C channels, H rows, W columns.
"""

from collections.abc import Iterator
from itertools import product

import torch

from model import Denoiser, State

Box = tuple[slice, slice]


def boxes(size: tuple[int, int], tile: int, margin: int) -> Iterator[tuple[Box, Box]]:
    """(inner, outer) boxes, in pixels, of squares of `tile` pixels that cover `size`; outer ones have `margin` more on
    every side, but do not leave the frame."""
    for top, left in product(range(0, size[0], tile), range(0, size[1], tile)):
        corners = list(zip((top, left), size, strict=True))
        inner = tuple(slice(start, min(start + tile, extent)) for start, extent in corners)
        outer = tuple(slice(max(0, start - margin), min(start + tile + margin, extent)) for start, extent in corners)
        yield inner, outer


def scaled(box: Box, stride: int, origin: Box | None = None) -> Box:
    """`box` in pixels of `stride`, counted from the first pixel of `origin`."""
    starts = [s.start for s in origin] if origin else (0, 0)
    return tuple(slice((s.start - o) // stride, (s.stop - o) // stride) for s, o in zip(box, starts, strict=True))


def denoise_in_tiles(
    denoiser: Denoiser, frame: torch.Tensor, state: State | None, tile: int
) -> tuple[torch.Tensor, State]:
    """As denoiser(frame, state), a tile of about `tile` pixels at a time: the same image and state.

    Every tile is computed with as much around it as its pixels depend on, of the frame and of the state; what is
    computed around it is thrown away, since it lacks its own surroundings. The margin is `receptive_radius`, 346 pixels
    for the paper's network: small tiles cost much more than they save.
    """
    network = denoiser.network
    padded, size = denoiser.pad(frame)
    tile, margin = (-(-pixels // denoiser.multiple) * denoiser.multiple for pixels in (tile, denoiser.receptive_radius))
    state = denoiser.initial_state(padded) if state is None else state
    new_state = [torch.empty_like(hidden) for hidden in state]
    image = padded.new_empty(padded.shape[0], 3, *padded.shape[2:])
    for inner, outer in boxes(padded.shape[2:], tile, margin):
        part = [h[(..., *scaled(outer, s))] for h, s in zip(state, network.strides, strict=True)]
        done, part = denoiser(padded[(..., *outer)], part)
        image[(..., *inner)] = done[(..., *scaled(inner, 1, outer))]
        for hidden, new, stride in zip(new_state, part, network.strides, strict=True):
            hidden[(..., *scaled(inner, stride))] = new[(..., *scaled(inner, stride, outer))]
    return image[..., : size[0], : size[1]], new_state
