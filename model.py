"""The denoiser: linear radiance in, linear radiance out, and everything in between (Chaitanya et al. 2017).

Shapes: B sequences, T frames, C input channels, H rows, W columns; L colors, mostly 1. A `frame` is (B, C, H, W): the
quantities of `Denoiser.inputs`, concatenated in that order (frames/channels.py), as stored in the EXR files: linear
radiance, depth in scene units, world-space shading normals, albedo, motion.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Protocol, runtime_checkable

import torch

from frames.normalization import divided, followed, known, scale_of
from frames.radiance import decode_radiance, encode_radiance
from networks.autoencoder import State, pad_by_reflection
from networks.filtering import FilteringDenoiser
from networks.paper import PaperDenoiser

Step = Callable[[torch.Tensor, State | None], tuple[torch.Tensor, State]]


@runtime_checkable
class Denoiser(Protocol):
    """What test.py, training and export need of a network, which is a torch.nn.Module.

    To add a network: a class with these members in a module of networks/, and a line in NETWORKS below. To train it by
    name, a line in training/presets.py. networks/paper.py is the shortest example.

    options: the arguments it was made with, and its name in NETWORKS, as checkpoints have them.
    inputs: the quantities in a frame's channels, in order.
    required: those that a frame's file must have.
    smallest: the least length of a frame's sides in pixels; smaller frames are padded.
    multiple: what `fit` pads a frame's sides to a multiple of.
    strides: pixels from one to the next, for every tensor of the state.
    dtype: the type in which the network computes.
    has_history: whether training may give it a history of earlier frames (state_with_history), and further colors may
        follow a frame's channels.
    has_detail: whether `finish` changes the image.
    """

    options: dict
    inputs: tuple[str, ...]
    required: tuple[str, ...]
    smallest: int
    multiple: int
    strides: list[int]
    dtype: torch.dtype
    has_history: bool
    has_detail: bool

    def __call__(self, frame: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """One frame and the state (None before the first) to (B, 3, H, W) linear radiance and the state."""

    def estimate(
        self, frame: torch.Tensor, state: State | None = None, complete: bool = False
    ) -> tuple[torch.Tensor, State]:
        """The same without `finish`. complete: the frame comes from complete_window."""

    def finish(
        self, frame: torch.Tensor, image: torch.Tensor, state: State, detail: bool = True, tile: int | None = None
    ) -> tuple[torch.Tensor, State]:
        """The final image and state of a frame, given those of `estimate`, or the average of both directions.

        detail: whether to change the image. tile: in squares of about so many pixels, for memory.
        """

    def start(self, frame: torch.Tensor, estimate: Step) -> tuple[torch.Tensor, State | None]:
        """The first frame of a sequence as it is to be given to `estimate`, and the state before it."""

    def forward_window(
        self, frames: torch.Tensor, state: State | None = None, encoded: bool = False
    ) -> tuple[torch.Tensor, State]:
        """T consecutive frames, (T, B, C, H, W), to (T, B, 3, H, W). encoded: give encoded radiance, for a loss."""

    def fit(self, frame: torch.Tensor) -> tuple[torch.Tensor, tuple[int, int]]:
        """The frame clamped and padded, and its (H, W) before. Raises ValueError if its channels do not fit."""

    def initial_state(self, padded: torch.Tensor) -> State:
        """The state before the first frame, for a frame that `fit` returned."""

    def complete_frame(self, frame: torch.Tensor, state: State) -> torch.Tensor:
        """The frame, as after fit, with an estimate of what it may lack."""

    def complete_window(self, frames: torch.Tensor) -> torch.Tensor:
        """A (B, T, C, H, W) window, of any size, whose frames lack nothing."""

    def reach(self, frame: torch.Tensor) -> int:
        """How far, in pixels, a pixel's output and state can depend on the frame and the state, to each side."""

    def rescaled(self, state: State, factors: torch.Tensor) -> State:
        """The state in other units. factors: (B, 2), by which radiance and depth are multiplied."""

    def sample_counts(self, state: State, frames: int) -> torch.Tensor:
        """The effective sample count of each pixel of the last of so many images, (1 or B, 1, 1 or H', 1 or W')."""


NETWORKS = {"filtering": FilteringDenoiser, "paper": PaperDenoiser}


def make_denoiser(options: dict) -> Denoiser:
    """The network that these options describe: its name in NETWORKS, and its arguments.

    Raises ValueError or TypeError if they do not fit.
    """
    arguments = dict(options)
    name = arguments.pop("network", None)
    if not isinstance(name, str) or name not in NETWORKS:
        raise ValueError(f"network {name!r}: expected one of {', '.join(NETWORKS)}")
    return NETWORKS[name](**arguments)


class Estimate(NamedTuple):
    """A denoiser's image of a frame from that frame and those before it, or in the backward pass those after it.

    image: (..., 3 L, H, W) linear radiance.
    sample_count: (..., 1, H, W), or (1, 1, 1) for all pixels: the effective sample count that it stands for.
    """

    image: torch.Tensor
    sample_count: torch.Tensor


class Engine(NamedTuple):
    """How a denoiser's two parts are computed: its own methods, or faster equivalents (inference/engines.py)."""

    estimate: Step
    finish: Callable


def estimates(
    denoiser: Denoiser,
    frames: Iterable[torch.Tensor],
    engine: Engine | None = None,
    backward: Iterator[Estimate] | None = None,
    detail: bool = True,
) -> Iterator[tuple[torch.Tensor, Estimate]]:
    """Yields each (C, H, W) frame of a sequence with its Estimate.

    Holds one frame and one hidden state, however long the sequence. Runs on the device of the denoiser's weights, on
    normalized frames (frames/normalization.py).

    engine: the denoiser's own methods if None.
    backward: estimates of the backward pass to average with, in frame order.
    detail: whether the detail stage is applied.
    """
    device = next(denoiser.parameters()).device
    estimate, finish = engine or Engine(denoiser.estimate, denoiser.finish)
    state, scale = None, torch.zeros(1, 2, device=device)
    for count, frame in enumerate(frames, 1):
        with torch.inference_mode():  # not around the yield, so that it does not apply to the caller's code
            # normalize
            height, width = frame.shape[1:]
            planes = pad_to_smallest(frame, denoiser)[None].to(device)  # (1, C, H', W')
            before, scale = scale, followed(scale, scale_of(planes, denoiser.inputs))
            planes = divided(planes, denoiser.inputs, scale)
            if state is not None and not torch.equal(before, scale):
                state = denoiser.rescaled(state, known(before) / known(scale))

            # forward estimate
            if count == 1:
                planes, state = denoiser.start(planes, estimate)
            image, state = estimate(planes, state)  # (1, 3 L, H', W')
            samples = denoiser.sample_counts(state, count)[0, :, :height, :width].cpu()

            # average with the backward estimate, then detail
            radiance = known(scale)[0, 0]
            if backward is not None:
                forward = Estimate((image[0, :, :height, :width] * radiance).cpu(), samples)
                average = combined(forward, next(backward))
                image = pad_to_smallest(average, denoiser)[None].to(device) / radiance
            image, state = finish(planes, image, state, detail=detail)
            image = image[0, :, :height, :width] * scale[0, 0]  # which is 0 until a frame is lit
        yield frame, Estimate(image.cpu(), samples)


def pad_to_smallest(frame: torch.Tensor, denoiser: Denoiser) -> torch.Tensor:
    """A (C, H, W) frame, padded by reflection until both sides have the denoiser's `smallest` length."""
    height, width = (max(denoiser.smallest - extent, 0) for extent in frame.shape[1:])
    return pad_by_reflection(pad_by_reflection(frame, 1, height), 2, width) if height or width else frame


def denoise(
    denoiser: Denoiser, frames: Iterable[torch.Tensor], engine: Engine | None = None, detail: bool = True
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The network's own images, forward: yields each (C, H, W) frame with its (3 L, H, W) image, on the CPU.

    engine, detail: see `estimates`. inference/reconstruct.py adds the backward pass and what corrects images.
    """
    for frame, estimate in estimates(denoiser, frames, engine, detail=detail):
        yield frame, estimate.image


def combined(forward: Estimate, backward: Estimate) -> torch.Tensor:
    """The mean image of two estimates of a frame, weighted by their sample counts: (..., 3 L, H, W).

    Of encoded radiance, so that what is too bright in one of them counts less, but as bright on the whole as the mean
    of radiance. Further colors get the factors of the first, so that they still add up to it.
    """
    share = forward.sample_count / (forward.sample_count + backward.sample_count).clamp(min=1e-6)
    mean = torch.lerp(backward.image, forward.image, share)
    encoded = (encode_radiance(estimate.image[..., :3, :, :]) for estimate in (backward, forward))
    softer = decode_radiance(torch.lerp(*encoded, share))  # (..., 3, H, W)
    own, axes = mean[..., :3, :, :], (-3, -2, -1)
    overall = (own.mean(axes, keepdim=True) / softer.mean(axes, keepdim=True)).nan_to_num(1.0).clamp(max=2.0)
    factor = overall * torch.where(own > 0, softer / own, 1)  # (..., 3, H, W)
    return mean * torch.cat([factor] * (mean.shape[-3] // 3), -3)
