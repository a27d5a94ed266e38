"""What the filtering network does with a sequence, as maps to look at.

Shapes: T frames, H rows, W columns.
"""

from collections.abc import Callable

import torch

from networks.filtering import FilteringDenoiser
from networks.kernels import Head, Level
from networks.warping import pixel_grid


def inspect(denoiser: FilteringDenoiser, frames: torch.Tensor) -> dict[str, torch.Tensor]:
    """Maps, (H, W), of the last of (T, 12, H, W) frames.

    history: how many samples a pixel's history stands for after the frame, at most MAX_WEIGHT.
    kernel: how wide its kernel is, in pixels: the root mean square distance of what it averages from their mean.
    """
    height, width = frames.shape[2:]
    first, state = denoiser.start(frames[:1], denoiser.estimate)
    maps, apply_kernels = {}, denoiser.filter

    def filter_and_measure(finest: Level, heads: list[Head]) -> torch.Tensor:
        maps["kernel"] = spread(apply_kernels, finest, heads)[0, 0, :height, :width]
        return apply_kernels(finest, heads)

    denoiser.filter = filter_and_measure  # of this object alone, until the frames are through
    try:
        for frame in (first, *(frame[None] for frame in frames[1:])):
            _, state = denoiser(frame, state)
    finally:
        del denoiser.filter
    return maps | {"history": denoiser.sample_counts(state, len(frames))[0, 0, :height, :width]}


def spread(apply_kernels: Callable, finest: Level, heads: list[Head]) -> torch.Tensor:
    """The root mean square distance, (B, 1, H, W), of what each pixel's kernel averages from their mean.

    Filters the pixels' places and squared places instead of radiance: the variance is the mean square less the square
    of the mean. apply_kernels: the denoiser's method `filter`.
    """
    weight = finest.samples[:, -1:]
    places = torch.stack(pixel_grid(weight)).expand(len(weight), -1, -1, -1)  # (B, 2, H, W)
    places = places - places.amax((2, 3), keepdim=True) / 2  # small numbers, for precision
    planes = torch.cat((places, places.square().sum(1, keepdim=True)), 1)
    placed = Level(torch.cat((planes * weight, weight), 1), finest.guides)
    x, y, squares = apply_kernels(placed, heads).split(1, 1)
    return (squares - x.square() - y.square()).clamp(min=0).sqrt()
