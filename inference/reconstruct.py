"""Reconstructs a sequence: the network in both directions, then brightness and silhouettes corrected.

The backward pass comes first, last frame first; its estimates wait in a temporary file until their frames are due. It
sees frames flipped horizontally, because what the network errs by there is a little different, and partly cancels.
Shapes: C input channels, H rows, W columns; L colors, mostly 1.
"""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO

import torch

from frames.channels import channels_of, first_channel
from inference.brightness import Brightness
from inference.conventions import MISSING, inverted_motion
from inference.silhouettes import resolve_silhouettes
from model import Denoiser, Engine, Estimate, estimates


def reconstruct(
    denoiser: Denoiser,
    frames: Iterable[torch.Tensor],
    backward: Iterable[torch.Tensor] | None = None,
    *,
    brightness: bool = True,
    silhouettes: bool = True,
    detail: bool = True,
    engine: Engine | None = None,
    scratch: Path | None = None,
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yields each (C, H, W) frame of a sequence with its (3 L, H, W) image, linear radiance, on the CPU.

    denoiser: on its device; inference.engines.prepare moves it there.
    frames: of one size, in order; each is (C, H, W), the quantities of denoiser.inputs (frames/channels.py), then
        further colors.
    backward: the same frames as backward_frames gives them, read to the end before the first of `frames`; None for the
        forward pass alone.
    brightness: make images as bright as their samples, which are right in the mean.
    silhouettes: resolve pixels that show two surfaces by how much of each they show.
    detail: apply the denoiser's detail stage, if it has one.
    engine: a faster way to compute it (inference.engines.fast_engine).
    scratch: the folder for estimates of the backward pass, 4 (3 L + 1) H W bytes a frame; None: the system's.
    Raises OSError, naming `scratch`, if they do not fit there.
    """
    samples, curve, stored = Brightness(), None, None
    with nullcontext() if backward is None else tempfile.TemporaryFile(dir=scratch) as file:
        # backward pass
        if backward is not None:
            shapes = []
            for frame, estimate in backward_estimates(denoiser, backward, engine):
                shapes.append(store(estimate, file, scratch))
                samples.add(frame, estimate.image)
            stored = (stored_estimate(file, shapes[0], index) for index in reversed(range(len(shapes))))
            curve = samples.curve

        # forward pass; without a backward one, an image gets the brightness of the samples so far
        for frame, (image, _) in estimates(denoiser, frames, engine, stored, detail):
            if brightness:
                image = curve(image) if curve else samples.corrected(frame, image)
            yield frame, resolve_silhouettes(frame, image, denoiser.inputs) if silhouettes else image


def backward_frames(reverse: Iterable[torch.Tensor], inputs: tuple[str, ...]) -> Iterator[torch.Tensor]:
    """The frames of a sequence for `reconstruct`'s backward pass, with motion to the frame after each.

    reverse: (C, H, W) each, the last one first, such as `reversed(frames)`.
    inputs: their quantities.
    """
    after = None
    for frame in reverse:
        yield with_motion_ahead(frame, after, inputs)
        after = frame


def with_motion_ahead(frame: torch.Tensor, after: torch.Tensor | None, inputs: tuple[str, ...]) -> torch.Tensor:
    """The (C, H, W) frame with motion to the frame after it, which comes before it in the backward pass.

    Where no motion of that frame leads here, it is missing, and the network estimates it.

    after: the frame after it, (C, H, W), None for the last one.
    inputs: the quantities.
    """
    if "motion" not in inputs:
        return frame
    depth, motion = first_channel(inputs, "depth"), channels_of(inputs, "motion")
    frame = frame.clone()
    frame[motion] = MISSING
    if after is not None:
        frame[motion] = torch.from_numpy(inverted_motion(after[motion].numpy(), after[depth].numpy()))
    return frame


def flipped(frame: torch.Tensor, inputs: tuple[str, ...]) -> torch.Tensor:
    """The (C, H, W) frame flipped horizontally. Normals stay: they are the world's, not the picture's."""
    frame = frame.flip(-1)
    if "motion" in inputs:
        frame[first_channel(inputs, "motion")] *= -1  # missing motion is known by its size
    return frame


def backward_estimates(
    denoiser: Denoiser, frames: Iterable[torch.Tensor], engine: Engine | None = None
) -> Iterator[tuple[torch.Tensor, Estimate]]:
    """As model.estimates, without the detail stage, but the network sees flipped frames."""
    inputs = denoiser.inputs
    for frame, (image, samples) in estimates(denoiser, (flipped(f, inputs) for f in frames), engine, detail=False):
        yield flipped(frame, inputs), Estimate(image.flip(-1), samples.flip(-1))


def store(estimate: Estimate, file: BinaryIO, folder: Path | None) -> torch.Size:
    """Appends an estimate to a file in `folder`; returns the shape of what is stored, (3 L + 1, H, W)."""
    image, samples = estimate
    planes = torch.cat((image, samples.expand(1, *image.shape[1:])))
    try:
        file.write(planes.contiguous().numpy().data)
    except OSError as error:
        error.filename = f"{folder or tempfile.gettempdir()} (--direction forward needs less room)"
        raise
    return planes.shape


def stored_estimate(file: BinaryIO, shape: torch.Size, index: int) -> Estimate:
    """The estimate that was stored after `index` others of this shape."""
    size = 4 * shape.numel()  # bytes
    file.seek(index * size)
    planes = torch.frombuffer(bytearray(file.read(size)), dtype=torch.float32).view(shape)
    return Estimate(planes[:-1], planes[-1:])
