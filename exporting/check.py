"""Whether an exported file gives the images that PyTorch gives.

Shapes: T frames, C input channels, H rows, W columns.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch

from exporting.formats import Arrays
from exporting.step import IMAGE, SECOND_LOOK, NamedStep
from frames.channels import MOTION_INPUTS, QUANTITIES, split_planes
from model import denoise, pad_to_smallest

SIZES = (45, 70), (64, 96)  # (H, W) of the made-up sequences: one that is padded, one that is not
LENGTH = 5  # frames of a made-up sequence
DARK = 0.01  # of a frame's mean: in pixels darker than this, differences are relative to it


def largest_difference(step: NamedStep, run: Callable[[Arrays], Arrays], frames: Iterable[torch.Tensor]) -> float:
    """The largest relative difference between a sequence's images by `run`, from read_step, and by model.denoise.

    frames: (C, H, W) each, all of one size. Infinite where one of the two is not finite.
    """
    largest, frames = 0.0, list(frames)
    expected = (image.numpy() for _, image in denoise(step.denoiser, frames))
    for found, image in zip(denoise_by(step, run, frames), expected, strict=True):
        difference = np.abs(found - image) / np.maximum(np.abs(image), DARK * np.abs(image).mean() + 1e-8)
        largest = max(largest, float(np.nan_to_num(difference, nan=np.inf).max()))
    return largest


def denoise_by(
    step: NamedStep, run: Callable[[Arrays], Arrays], frames: Iterable[torch.Tensor]
) -> Iterator[np.ndarray]:
    """model.denoise by an exported file: yields the (3, H, W) image of each (C, H, W) frame."""
    state = None
    for frame in frames:
        height, width = frame.shape[1:]
        frame = pad_to_smallest(frame, step.denoiser)
        inputs = {name: planes[None] for name, planes in split_planes(frame.numpy(), step.denoiser.inputs).items()}
        looks = [False, True] if state is None and step.looks_twice else [False]
        state = state or {name: part.numpy() for name, part in step.first_state(*frame.shape[1:]).items()}
        for second_look in looks:
            flag = {SECOND_LOOK: np.array(second_look)} if step.looks_twice else {}
            outputs = run(inputs | flag | state)
            state = {name: outputs[step.next_name(name)] for name in step.state_names}
        yield outputs[IMAGE][0, :, :height, :width]


def made_up_frames(inputs: tuple[str, ...], size: tuple[int, int]) -> list[torch.Tensor]:
    """LENGTH frames, (C, H, W), of a noisy floor and a box in front of a lit wall, seen from a camera that turns.

    Some frames have motion and others have none; one has no albedo.
    """
    (height, width), generator, frames = size, torch.Generator().manual_seed(0), []
    y = torch.arange(height)[:, None].expand(size) / height
    for index in range(LENGTH):
        x = (torch.arange(width) + 1.5 * index).expand(size) / width  # the camera turns 1.5 pixels a frame
        # surfaces
        floor, box = y > 0.6, ((x - 0.5).abs() < 0.15) & ((y - 0.5).abs() < 0.2)
        depth = torch.where(box, 2.0, torch.where(floor, 2.4 / y, 4.0 + x))
        facing, up = (~floor | box).float(), (floor & ~box).float()
        normal = torch.stack((torch.zeros(size), up, facing))
        stripes = torch.where(box, 0.8, 0.3 + 0.2 * torch.sin(20 * x).sign())
        albedo = stripes * torch.tensor([1.0, 0.8, 0.6])[:, None, None]
        motion = torch.tensor([1.5, 0.0])[:, None, None].expand(2, *size)
        # light, and its noise
        light = 0.2 + 2 * torch.exp(-8 * ((x - 0.3) ** 2 + (y - 0.3) ** 2))
        color = albedo * light * torch.empty(size).exponential_(generator=generator)
        quantities = {"color": color, "depth": depth[None], "normal": normal, "albedo": albedo, "motion": motion}
        # what frames may lack
        for name in ("motion",) if index in (1, 4) else ("albedo", "motion") if index == 3 else ():
            quantities[name] = torch.full_like(quantities[name], QUANTITIES[name].missing)
        frames.append(torch.cat([quantities[name] for name in MOTION_INPUTS if name in inputs]))
    return frames
