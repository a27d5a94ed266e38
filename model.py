"""The denoiser: linear radiance in, linear radiance out, and everything in between (Chaitanya et al. 2017).

Shapes: B sequences, T frames, C input channels, H rows, W columns. A `frame` is (B, C, H, W): the quantities of
`Denoiser.inputs`, concatenated in that order (frames/channels.py), as stored in the EXR files: linear radiance, depth
in scene units, world-space shading normals, albedo. The hidden state is one tensor per encoder level.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
from torch import nn

from frames.channels import ALBEDO_INPUTS, PLAIN_INPUTS, channel_count
from frames.normalization import divided, followed, known, scale_of
from frames.radiance import decode_radiance, encode_radiance, local_mean
from networks.autoencoder import RecurrentAutoencoder, State, pad_by_reflection, pad_to_multiple
from networks.features import clamp_to_limits
from networks.filtering import FilteringDenoiser

PLAIN_FEATURES = 7  # what the network sees: encoded radiance (3), depth (1), normal (3)
ALBEDO_FEATURES = 8  # and whether the radiance was divided by albedo
PATCHES = (1, 2, 4)
MIN_ALBEDO = 1e-3  # where no channel is above this (mirrors, emitters, background), radiance is not divided

Step = Callable[[torch.Tensor, State | None], tuple[torch.Tensor, State]]


class Denoiser(nn.Module):
    """The recurrent autoencoder from linear radiance to linear radiance: any frame size, all normalization inside.

    channels: widths of the encoder levels, full size first.
    demodulate: divide radiance by the albedo of the first hit, and multiply afterwards (section 4.2). Frames then
        carry albedo too: 10 channels instead of 7.
    patch: see RecurrentAutoencoder; with 2, the first level has half the resolution.
    means: powers of two, in pixels. For each, the network also sees the mean radiance of squares of that size, and its
        output corrects the last of them. Everything else it sees is raised to 0.2 before it is averaged, which lowers
        the mean by an amount that depends on how few samples carry the light: without these means, the brightness of a
        new scene would be guesswork.
    Raises ValueError if an argument is out of range.
    """

    def __init__(
        self,
        channels: tuple[int, ...],
        demodulate: bool = False,
        patch: int = 1,
        means: tuple[int, ...] = (),
    ):
        super().__init__()
        # check the arguments
        if not channels or any(not isinstance(c, int) or c < 1 for c in channels):
            raise ValueError(f"channels {channels}: expected one positive width per encoder level, like 32 43 57")
        if patch not in PATCHES:
            raise ValueError(f"patch {patch}: expected one of {PATCHES}")
        if any(not isinstance(size, int) or size < 2 or size.bit_count() != 1 for size in means):
            raise ValueError(f"means {means}: expected powers of two from 2 up")
        self.options = {
            "channels": list(channels),
            "demodulate": bool(demodulate),
            "patch": patch,
            "means": list(means),
        }
        # build the network
        self.inputs = ALBEDO_INPUTS if demodulate else PLAIN_INPUTS
        self.means = tuple(means)
        features = (ALBEDO_FEATURES if demodulate else PLAIN_FEATURES) + 3 * len(means)
        self.network = RecurrentAutoencoder(features, tuple(channels), patch)
        self.multiple = max(self.network.multiple, *means, 1)  # all are powers of two
        if means:
            nn.init.zeros_(self.network.output.weight)  # training starts without a correction

    smallest = 1  # pixels; see `pad_to_smallest`

    @property
    def required(self) -> tuple[str, ...]:
        """The quantities that a frame's file must have."""
        return self.inputs

    @property
    def strides(self) -> list[int]:
        """Pixels from one to the next, for every tensor of the state."""
        return self.network.strides

    def reach(self, _frame: torch.Tensor) -> int:
        """How far, in pixels, a pixel's output and state can depend on the frame and the state, to each side."""
        return self.network.receptive_radius + 2 * max(self.means, default=0)

    @property
    def dtype(self) -> torch.dtype:
        """The type in which the network computes: float32, unless the caller changed its weights."""
        return self.network.output.weight.dtype

    def forward(self, frame: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """One frame: (B, C, H, W) and the state (None before the first) to (B, 3, H, W) linear radiance and the state.

        Raises ValueError if the frame's channels or the state's shapes do not fit this network.
        """
        encoded, state = self.forward_encoded(frame, state)
        return decode_radiance(encoded), state

    def estimate(self, frame: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """The same as forward."""
        return self(frame, state)

    @staticmethod
    def finish(
        _frame: torch.Tensor, image: torch.Tensor, state: State, detail: bool = True, tile: int | None = None
    ) -> tuple[torch.Tensor, State]:
        """The same image and state: this network has no detail stage."""
        return image, state

    def forward_encoded(self, frame: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """As forward, but with encoded radiance, which may be negative: what the losses compare.

        decode_radiance has no gradient at 0 and below, so a loss on linear radiance could not brighten a black output.
        """
        encoded, state = self.forward_window(frame[None], state)
        return encoded[0], state

    def forward_window(self, frames: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """forward_encoded of T consecutive frames, (T, B, C, H, W) to (T, B, 3, H, W): faster, T times the memory."""
        # normalize all frames at once
        length, batch = frames.shape[:2]
        padded, (height, width) = self.fit(frames.flatten(0, 1))  # (T B, C, H', W')
        features, encoded_albedo, base = self.preprocess(padded)
        # check the state
        expected = self.initial_state(padded[:batch]) if state is None else state
        first = [extent // self.network.patch for extent in features.shape[-2:]]
        if len(expected) != len(self.network.channels) or list(expected[0].shape[-2:]) != first:
            raise ValueError(
                f"a state of {len(expected)} levels, the first {tuple(expected[0].shape)}, does not fit a frame of "
                f"{width}x{height}; pass None where a sequence starts or its frame size changes"
            )
        # run the network, then restore mean and albedo
        encoded, state = self.network(features.to(self.dtype).unflatten(0, (length, batch)), expected)
        encoded = (encoded.flatten(0, 1).float() + base) * encoded_albedo  # (T B, 3, H', W')
        return encoded[..., :height, :width].unflatten(0, (length, batch)), state

    def initial_state(self, padded: torch.Tensor) -> State:
        """The state before the first frame, for a frame that `fit` returned."""
        return self.network.initial_state(padded.to(self.dtype))

    def fit(self, frame: torch.Tensor) -> tuple[torch.Tensor, tuple[int, int]]:
        """The frame as the network computes with it, and its (H, W): clamp_to_limits, sides a multiple of `multiple`.

        For that, it is mirrored at its last row and column. The result is contiguous: preprocessing takes several times
        as long if channels are innermost in memory.
        Raises ValueError if the frame does not have this network's channels.
        """
        channels = channel_count(self.inputs)
        if frame.ndim != 4 or frame.shape[1] != channels:
            raise ValueError(
                f"a frame of shape {tuple(frame.shape)}: expected (B, {channels}, H, W), {', '.join(self.inputs)}"
            )
        frame = clamp_to_limits(frame.contiguous(), self.inputs)
        return pad_to_multiple(frame, self.multiple), tuple(frame.shape[-2:])

    def complete_frame(self, frame: torch.Tensor, _state: State) -> torch.Tensor:
        """The frame: this network needs nothing that a frame may lack."""
        return frame

    @staticmethod
    def rescaled(state: State, _factors: torch.Tensor) -> State:
        """The same state: it has no radiance or depth in it."""
        return state

    def preprocess(self, frame: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | float]:
        """A (B, C, H, W) frame to features (B, features, H, W), the encoded albedo that multiplies the output, and what
        is added to the output before: the last of the means, if there are any.

        Since (a x)^0.2 = a^0.2 x^0.2, multiplying by the encoded albedo restores it. A pixel is divided in all channels
        or in none: if only the channels near 0 were left out (the blue of a red leaf), the network, which does not see
        the albedo, would give them the brightness of their neighbors. Depth becomes log(1 + depth), which does not
        depend on the extremes of a frame.
        """
        # divide by albedo
        color, depth, normal, *albedo = frame.split([channel_count((name,)) for name in self.inputs], dim=1)
        divisor, flags = torch.ones_like(color), []
        if albedo:
            divided = albedo[0].amax(1, keepdim=True) > MIN_ALBEDO  # (B, 1, H, W)
            divisor = albedo[0].clamp(min=MIN_ALBEDO).where(divided, 1)  # (B, 3, H, W)
            flags = [divided.to(color.dtype)]
        radiance = color / divisor
        # assemble the features
        means = [encode_radiance(local_mean(radiance, size)) for size in self.means]
        auxiliary = torch.log1p(depth), normal, *flags
        features = torch.cat((encode_radiance(radiance), *auxiliary, *means), 1)
        return features, encode_radiance(divisor), means[-1] if means else 0.0


def make_denoiser(options: dict) -> Denoiser | FilteringDenoiser:
    """The network that these options describe: a FilteringDenoiser if `kernels` is true, else a Denoiser.

    options: the arguments of either, and `kernels`. Raises ValueError or TypeError if they do not fit.
    """
    arguments = dict(options)
    return FilteringDenoiser(**arguments) if arguments.pop("kernels", False) else Denoiser(**arguments)


class Estimate(NamedTuple):
    """What a frame and the frames before it say of it.

    image: (..., 3, H, W) linear radiance. samples: (..., 1, H, W), or (1, 1, 1) for all pixels: for how many samples
    that stands.
    """

    image: torch.Tensor
    samples: torch.Tensor


class Engine(NamedTuple):
    """How a denoiser's two parts are computed: its own methods, or faster equivalents (inference/engines.py)."""

    estimate: Step
    finish: Callable


def estimates(
    denoiser: Denoiser | FilteringDenoiser,
    frames: Iterable[torch.Tensor],
    engine: Engine | None = None,
    later: Iterator[Estimate] | None = None,
    detail: bool = True,
) -> Iterator[tuple[torch.Tensor, Estimate]]:
    """Yields each (C, H, W) frame of a sequence with its Estimate.

    Holds one frame and one hidden state, however long the sequence. Runs on the device of the denoiser's weights, on
    normalized frames (frames/normalization.py). engine: the denoiser's own methods if None. later: backward estimates
    to average with, in frame order. detail: whether the detail stage is applied.
    """
    device = next(denoiser.parameters()).device
    estimate, finish = engine or Engine(denoiser.estimate, denoiser.finish)
    state, scale = None, torch.zeros(1, 2, device=device)
    for count, frame in enumerate(frames, 1):
        with torch.inference_mode():  # not around the yield, so that it does not apply to the caller's code
            # normalize
            height, width = frame.shape[1:]
            planes = pad_to_smallest(frame, denoiser)[None].to(device)
            before, scale = scale, followed(scale, scale_of(planes, denoiser.inputs))
            planes = divided(planes, denoiser.inputs, scale)
            if state is not None and not torch.equal(before, scale):
                state = denoiser.rescaled(state, known(before) / known(scale))

            # forward estimate; the first frame is seen twice
            if state is None and hasattr(denoiser, "second_look"):
                _, state = estimate(planes, state)
                planes, state = denoiser.second_look(planes, state)
            image, state = estimate(planes, state)
            if hasattr(denoiser, "sample_counts"):
                samples = denoiser.sample_counts(state)[0, :, :height, :width].cpu()
            else:
                samples = torch.full((1, 1, 1), float(count))

            # average with the backward estimate, then detail
            radiance = known(scale)[0, 0]
            if later is not None:
                told = combined(Estimate((image[0, :, :height, :width] * radiance).cpu(), samples), next(later))
                image = pad_to_smallest(told, denoiser)[None].to(device) / radiance
            image, state = finish(planes, image, state, detail=detail)
            image = image[0, :, :height, :width] * scale[0, 0]  # which is 0 until a frame is lit
        yield frame, Estimate(image.cpu(), samples)


def pad_to_smallest(frame: torch.Tensor, denoiser: Denoiser | FilteringDenoiser) -> torch.Tensor:
    """A (C, H, W) frame, mirrored at its last row and column until both sides have the denoiser's `smallest` length."""
    height, width = (max(denoiser.smallest - extent, 0) for extent in frame.shape[1:])
    return pad_by_reflection(pad_by_reflection(frame, 1, height), 2, width) if height or width else frame


Finish = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Refinement(NamedTuple):
    """What makes the images of a sequence better than its frames one by one do (inference/backward.py).

    later: what the frames after each frame say of it, first frame first; None: nothing. finish: from a (C, H, W) frame
    and its (3, H, W) image to the image with brightness and rims mended; called for every frame in turn.
    """

    later: Iterator[Estimate] | None
    finish: Finish


def denoise(
    denoiser: Denoiser | FilteringDenoiser,
    frames: Iterable[torch.Tensor],
    engine: Engine | None = None,
    refinement: Refinement | None = None,
    detail: bool = True,
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Reconstructs a sequence: yields each (C, H, W) frame with its (3, H, W) linear radiance, on the CPU.

    engine, detail: see `estimates`. refinement: see there; None: the network's own images.
    """
    later = refinement.later if refinement else None
    for frame, estimate in estimates(denoiser, frames, engine, later, detail):
        yield frame, refinement.finish(frame, estimate.image) if refinement else estimate.image


def combined(earlier: Estimate, later: Estimate) -> torch.Tensor:
    """The mean image of two estimates of a frame, each weighted by the samples that it stands for: (..., 3 L, H, W).

    Of encoded radiance, so that what is too bright in one of them counts less, but as bright on the whole as the mean
    of radiance. Further colors get the factors of the first, so that they still add up to it.
    """
    share = earlier.samples / (earlier.samples + later.samples).clamp(min=1e-6)
    mean = torch.lerp(later.image, earlier.image, share)
    encoded = (encode_radiance(estimate.image[..., :3, :, :]) for estimate in (later, earlier))
    softer = decode_radiance(torch.lerp(*encoded, share))  # (..., 3, H, W)
    own, axes = mean[..., :3, :, :], (-3, -2, -1)
    whole = (own.mean(axes, keepdim=True) / softer.mean(axes, keepdim=True)).nan_to_num(1.0).clamp(max=2.0)
    factor = whole * torch.where(own > 0, softer / own, 1)  # (..., 3, H, W)
    return mean * torch.cat([factor] * (mean.shape[-3] // 3), -3)
