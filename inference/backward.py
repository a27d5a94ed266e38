"""What later frames tell of each frame: the network's estimates of a sequence in reverse order, seen in a mirror.

In a mirror, because what the network errs by there is a little different, and partly cancels. These estimates are made
first, last frame first, and wait in a temporary file until their frames are due.
Shapes: C input channels, H rows, W columns; L colors, mostly 1.
"""

import argparse
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

import torch
from tqdm import tqdm

from frames.channels import channels_of, first_channel
from inference.brightness import Brightness
from inference.conventions import MISSING, inverted_motion
from inference.silhouettes import resolve_silhouettes
from inference.threads import prefetch
from model import Denoiser, Engine, Estimate, Finish, Refinement, estimates


def is_wanted(direction: str, frames: int) -> bool:
    """Whether a sequence of so many frames gets a backward pass. direction: of test.py."""
    return direction == "both" and frames > 1


def reversed_frame(frame: torch.Tensor, after: torch.Tensor | None, inputs: tuple[str, ...]) -> torch.Tensor:
    """The (C, H, W) frame with motion to the frame after it, which comes before it in reverse. None: there is none.

    Where no motion of that frame leads here, it is missing, and the network estimates it. inputs: the quantities.
    """
    if "motion" not in inputs:
        return frame
    depth = first_channel(inputs, "depth")
    motion = channels_of(inputs, "motion")
    frame = frame.clone()
    frame[motion] = MISSING
    if after is not None:
        frame[motion] = torch.from_numpy(inverted_motion(after[motion].numpy(), after[depth].numpy()))
    return frame


def flipped(frame: torch.Tensor, inputs: tuple[str, ...]) -> torch.Tensor:
    """The (C, H, W) frame with left and right exchanged. Normals stay: they are the world's, not the picture's."""
    frame = frame.flip(-1)
    if "motion" in inputs:
        frame[first_channel(inputs, "motion")] *= -1  # what is missing is so by its size
    return frame


def backward_estimates(
    denoiser: Denoiser, frames: Iterable[torch.Tensor], engine: Engine | None = None
) -> Iterator[tuple[torch.Tensor, Estimate]]:
    """As model.estimates, without the detail stage, but the network sees flipped frames."""
    inputs = denoiser.inputs
    for frame, (image, samples) in estimates(denoiser, (flipped(f, inputs) for f in frames), engine, detail=False):
        yield flipped(frame, inputs), Estimate(image.flip(-1), samples.flip(-1))


@contextmanager
def refinement(
    denoiser: Denoiser,
    frames: Iterator[torch.Tensor],
    number: int,
    engine: Engine,
    options: argparse.Namespace,
    progress: tqdm,
) -> Iterator[Refinement]:
    """What the network says of each frame if it sees the sequence in reverse, and how to mend brightness and rims.

    Where the reverse is not wanted, an image gets the brightness of the samples so far. frames: `number` of (C, H, W),
    the last one first, with motion to the frame after it or with none; read in a thread, if at all. Until the context
    ends, the estimates take 4 + 12 L bytes for each pixel of each frame within options.output_dir. Nothing of them
    stays, even if the process is killed. Raises OSError if they do not fit there.
    """
    mend, rims = options.brightness == "on", options.silhouettes == "on"
    if not is_wanted(options.direction, number):
        yield Refinement(None, finish(denoiser.inputs, Brightness().corrected if mend else uncorrected, rims))
        return
    with tempfile.TemporaryFile(dir=options.output_dir) as file:
        count, brightness = 0, Brightness()
        for frame, (image, samples) in backward_estimates(denoiser, prefetch(frames), engine):
            planes = torch.cat((image, samples.expand(1, *image.shape[1:])))  # (3 L + 1, H, W)
            try:
                file.write(planes.contiguous().numpy().data)
            except OSError as error:
                error.filename = f"{options.output_dir} (--direction forward needs less room)"
                raise
            brightness.add(frame, image)
            shape, count = planes.shape, count + 1
            progress.update()
        later, curve = (read_estimate(file, shape, index) for index in reversed(range(count))), brightness.curve
        brighten = (lambda _, image: curve(image)) if mend else uncorrected
        yield Refinement(later, finish(denoiser.inputs, brighten, rims))


def finish(inputs: tuple[str, ...], brighten: Finish, rims: bool = True) -> Finish:
    """What brightens an image, then mends its rims if that is wanted. inputs: the frames' quantities."""
    return (lambda frame, image: resolve_silhouettes(frame, brighten(frame, image), inputs)) if rims else brighten


def uncorrected(_frame: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """The image as it is."""
    return image


def read_estimate(file: BinaryIO, shape: torch.Size, number: int) -> Estimate:
    """The estimate of this number in a file of `refinement`. shape: (3 L + 1, H, W), of each."""
    size = 4 * shape.numel()  # bytes
    file.seek(number * size)
    planes = torch.frombuffer(bytearray(file.read(size)), dtype=torch.float32).view(shape)
    return Estimate(planes[:-1], planes[-1:])
