"""Denoises frames that do not fit in memory in overlapping tiles (networks/tiles.py), with the result of the whole.

Shapes: B sequences, C channels, H rows, W columns.
"""

import torch

from model import Denoiser, State
from networks.tiles import boxes, scaled


def denoise_in_tiles(
    denoiser: Denoiser, frame: torch.Tensor, state: State | None, tile: int
) -> tuple[torch.Tensor, State]:
    """The same image and state as denoiser.estimate(frame, state), computed in tiles of about `tile` pixels.

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
        tile_image, tile_state = denoiser.estimate(padded[(..., *outer)], tile_state)
        if image is None:
            image = tile_image.new_empty(*tile_image.shape[:2], *padded.shape[2:])  # (B, 3, H', W')
        image[(..., *inner)] = tile_image[(..., *scaled(inner, 1, outer))]
        for hidden, tile_hidden, stride in zip(new_state, tile_state, denoiser.strides, strict=True):
            hidden[(..., *scaled(inner, stride))] = tile_hidden[(..., *scaled(inner, stride, outer))]
    return image[..., : size[0], : size[1]], new_state  # (B, 3, H, W), state
