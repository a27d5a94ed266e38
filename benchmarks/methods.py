"""What `benchmarks.quality` compares: each method turns the frames of a sequence into images.

Shapes: images are (3, H, W) linear radiance; T frames.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from checkpoints import load_denoiser
from frames.channels import MOTION_INPUTS, QUANTITIES, channel_count, split_planes
from frames.exr import load_noisy
from frames.sequences import Sequence
from inference.reconstruct import backward_frames, reconstruct
from networks.features import albedo_divisor
from networks.history import empty_history, next_history, reproject
from networks.warping import motion_is_known

QUALITIES = ("fast", "balanced", "high")


@dataclass(frozen=True)
class Buffers:
    """A frame's first noisy rendering with its auxiliary buffers, (12, H, W), and the radiance of all renderings."""

    planes: torch.Tensor
    renderings: torch.Tensor  # (N, 3, H, W)

    def radiance(self, spp: int) -> torch.Tensor:
        """(3, H, W): the mean of the first `spp` renderings."""
        return self.renderings[:spp].mean(0)

    def without(self, *names: str) -> torch.Tensor:
        """The (12, H, W) planes as if the renderer had not written these quantities."""
        planes = self.planes.clone()
        for name, quantity in split_planes(planes.numpy(), MOTION_INPUTS).items():
            if name in names:
                quantity[:] = QUANTITIES[name].missing
        return planes


Method = Callable[[list[Buffers]], Iterator[torch.Tensor]]


def read_buffers(sequence: Sequence, most: int) -> list[Buffers]:
    """Every frame of a sequence, with at most that many renderings."""
    frames = []
    for frame in sequence.frames:
        planes, _ = load_noisy(frame.noisy[0], MOTION_INPUTS)
        colors = [load_noisy(path, ("color",))[0] for path in frame.noisy[:most]]
        frames.append(Buffers(torch.from_numpy(planes), torch.from_numpy(np.stack(colors))))
    return frames


def noisy(spp: int) -> Method:
    """The renderings themselves, `spp` averaged."""
    return lambda frames: (frame.radiance(spp) for frame in frames)


def open_image_denoise(quality: str, spp: int) -> Method:
    """Open Image Denoise, frame by frame, with albedo and normal."""
    return lambda frames: (run_oidn(frame.radiance(spp), frame.planes, quality) for frame in frames)


def run_oidn(radiance: torch.Tensor, planes: torch.Tensor, quality: str) -> torch.Tensor:
    """(3, H, W) radiance through Open Image Denoise with the clean albedo and normal of (12, H, W) planes."""
    import pyoidn

    color, normal, albedo = (
        np.ascontiguousarray(x.permute(1, 2, 0).numpy()) for x in (radiance, planes[4:7], planes[7:10])
    )
    clean = pyoidn.denoise(color, albedo=albedo, normal=normal, hdr=True, quality=quality, clean_aux=True)
    return torch.from_numpy(np.ascontiguousarray(clean)).permute(2, 0, 1)


def accumulate(frames: list[Buffers]) -> Iterator[torch.Tensor]:
    """The mean of all samples whose surface is still seen, fetched along the motion; nothing is filtered."""
    history = None
    for frame in frames:
        color, depth, normal, albedo, motion = frame.planes[None].split([3, 1, 3, 3, 2], 1)
        divisor, surface = albedo_divisor(albedo)[1], torch.cat((depth, normal, albedo), 1)
        if history is None or not motion_is_known(motion).all():
            history = empty_history(color, 1, False)
        past, _ = reproject(history, motion, surface, divisor)
        samples = past.samples + torch.cat((color / divisor, color, torch.ones_like(depth)), 1)  # (1, 7, H, W)
        image = samples[:, :3] / samples[:, -1:] * divisor
        history = next_history(past, image, divisor, samples)
        yield image[0]


def accumulate_then_oidn(frames: list[Buffers]) -> Iterator[torch.Tensor]:
    """`accumulate`, then Open Image Denoise, high."""
    for frame, image in zip(frames, accumulate(frames), strict=True):
        yield run_oidn(image, frame.planes, "high")


def network(checkpoint: Path, without: tuple[str, ...] = (), direction: str = "forward") -> Method:
    """The denoiser of a checkpoint, with some buffers left out. direction: as test.py has it."""
    denoiser = load_denoiser(checkpoint)
    inputs, channels = denoiser.inputs, channel_count(denoiser.inputs)

    def run(frames: list[Buffers]) -> Iterator[torch.Tensor]:
        planes = [frame.without(*without)[:channels] for frame in frames]
        backward = backward_frames(reversed(planes), inputs) if direction == "both" else None
        return (image for _, image in reconstruct(denoiser, planes, backward))

    return run
