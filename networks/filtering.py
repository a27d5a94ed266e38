"""The filtering denoiser: a recurrent U-Net predicts kernels, which filter the samples of this frame and its history.

Shapes: B sequences, H rows, W columns. A `frame` is (B, 12, H, W): linear radiance, depth, shading normal, albedo and
motion, as stored in the EXR files. A frame without albedo or motion has their `missing` values (frames/channels.py).
The state is a flat list: one hidden tensor per encoder level, then the tensors of the History (networks/history.py).

A frame may carry further colors, 3 more channels each, such as the light groups that add up to its radiance. The
network does not see them. They go through the kernels, confidences, gate, mix and gain of the frame's own color, and
have a history of their own. All of these act linearly, so the results add up as the inputs do. L counts all colors;
mostly it is 1.
"""

import math
from collections.abc import Callable

import torch
from torch import nn

from frames.channels import MOTION_INPUTS, PLAIN_INPUTS, channel_count
from frames.radiance import encode_radiance
from networks.autoencoder import RecurrentAutoencoder, State, pad_to_multiple
from networks.blending import blend, distribute_change
from networks.completion import complete_frame, complete_window
from networks.detail import REACH, DetailStage
from networks.features import (
    MEANS,
    MOTION,
    PATCH_FEATURES,
    SAMPLE_FEATURES,
    SURFACES,
    Seen,
    albedo_divisor,
    clamp_to_limits,
    color_count,
    enter,
    further_colors,
    rough_shading,
    with_motion,
)
from networks.heads import FinestHead, level_head, level_output
from networks.history import (
    NEVER,
    History,
    brightness_of,
    empty_history,
    next_history,
    reproject,
    rescaled,
    warp_hidden,
    with_output,
)
from networks.kernels import Head, Level, diamond, filter_pyramid, reach_of
from networks.tiles import in_tiles
from networks.warping import motion_is_known

PATCH = 2  # pixels of a frame to a pixel of the U-Net's finest level, along an axis
CONFIDENCE_BIAS, TRUST_BIAS = 3.0, 4.0  # before training, nearly all samples and histories are trusted
FLAG_GUIDE = 3.0  # distance, as albedo, between pixels that were divided and pixels that were not


class FilteringDenoiser(nn.Module):
    """Implements model.Denoiser.

    channels: widths of the encoder levels, finest first.
    radius: of the kernels below full size, see kernels.diamond.
    finest_radius: of those at full size, where most of the work is; with 0, they weigh the pixel itself against the
        coarser result.
    detail: size of the detail stage (networks/detail.py), None for none.
    Raises ValueError for an unknown size of the detail stage.
    """

    inputs = MOTION_INPUTS  # what a frame holds
    required = PLAIN_INPUTS  # what its file must have
    smallest = 64  # pixels; two of the coarsest level, of less it cannot tell the brightness
    has_history = True
    complete_window = staticmethod(complete_window)

    def __init__(self, channels: tuple[int, ...], radius: int = 2, finest_radius: int = 1, detail: str | None = None):
        super().__init__()
        self.options = {"network": "filtering", "channels": list(channels), "radius": radius}
        self.options |= {"finest_radius": finest_radius} | ({"detail": detail} if detail else {})
        self.taps = [diamond(radius)] * len(channels) + [
            diamond(finest_radius)
        ]  # of each level's kernels, coarsest first
        self.network = RecurrentAutoencoder(PATCH**2 * SAMPLE_FEATURES + PATCH_FEATURES, tuple(channels), PATCH)
        self.heads = nn.ModuleList(
            level_head(width, taps, index > 0)
            for index, (width, taps) in enumerate(zip(channels[::-1], self.taps, strict=False))
        )
        self.finest = FinestHead(channels[0], self.taps[-1], PATCH)
        self.detail = DetailStage(detail) if detail else None
        self.multiple = max(self.network.multiple, *MEANS)  # all are powers of two

    @property
    def has_detail(self) -> bool:
        """Whether there is a detail stage."""
        return self.detail is not None

    @property
    def strides(self) -> list[int]:
        """Pixels from one to the next, for every tensor of the state."""
        return [*self.network.strides] + [1] * (5 if self.detail else 4)

    @property
    def dtype(self) -> torch.dtype:
        """The type in which the network computes; everything around it is float32."""
        return self.finest.weight.dtype

    def reach(self, frame: torch.Tensor) -> int:
        """How far, in pixels, a pixel's output and state can depend on the frame and the state, to each side."""
        motion = frame[:, MOTION]
        moved = motion.abs().where(motion_is_known(motion), 0).amax()
        strides = [*self.network.strides[::-1], 1]
        kernels = sum((reach_of(taps) + 1) * stride for taps, stride in zip(self.taps, strides, strict=True))
        return self.network.receptive_radius + 2 * max(MEANS) + kernels + self.multiple + math.ceil(float(moved)) + 1

    # frames and states

    def fit(self, frame: torch.Tensor) -> tuple[torch.Tensor, tuple[int, int]]:
        """The frame as the network computes with it, and its (H, W): clamped to its quantities' limits, and padded.

        Raises ValueError if the frame does not have this network's channels.
        """
        further = frame.shape[1] - MOTION.stop if frame.ndim == 4 else -1
        if further < 0 or further % 3:
            raise ValueError(
                f"a frame of shape {tuple(frame.shape)}: expected (B, {channel_count(self.inputs)}, H, W), "
                f"{', '.join(self.inputs)}"
            )
        return pad_to_multiple(clamp_to_limits(frame, self.inputs), self.multiple), tuple(frame.shape[-2:])

    def initial_state(self, padded: torch.Tensor) -> State:
        """The state before the first frame, for a frame that `fit` returned: hidden states of 0, an empty history."""
        hidden = self.network.initial_state(padded.to(self.dtype))
        return [*hidden, *empty_history(padded, color_count(padded), self.has_detail).tensors()]

    def parts(self, state: State) -> tuple[list[torch.Tensor], History]:
        """The hidden states and the history of a state."""
        levels = len(self.network.channels)
        return state[:levels], History(*state[levels:])

    def split(self, frame: torch.Tensor) -> list[torch.Tensor]:
        """Color, depth, normal, albedo and motion of a (B, 12, H, W) frame."""
        return list(frame[:, : MOTION.stop].split([channel_count((name,)) for name in self.inputs], 1))

    def complete_frame(self, frame: torch.Tensor, state: State) -> torch.Tensor:
        """The (B, 12, H, W) frame, with an estimate of its motion where it has none. frame, state: as after fit."""
        return complete_frame(frame, self.parts(state)[1].surface)

    def start(self, frame: torch.Tensor, estimate: Callable) -> tuple[torch.Tensor, State]:
        """The first (B, 12, H, W) frame of a sequence as it is to be given to `estimate`, and the state before it.

        The network sees it twice, the second time with its own result as the previous image: half a decibel better for
        the first frame, because kernels then follow the shading of an image instead of noise.
        """
        return self.second_look(frame, estimate(frame, None)[1])

    def second_look(self, frame: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        """The first frame with motion 0, and the state after it without its samples, which would count twice, and
        without a previous output."""
        hidden, history = self.parts(state)
        output = None if history.output is None else torch.zeros_like(history.output)
        history = history._replace(samples=torch.zeros_like(history.samples), output=output)
        return with_motion(frame, torch.zeros_like(frame[:, MOTION])), [*hidden, *history.tensors()]

    def state_with_history(self, frame: torch.Tensor, start: torch.Tensor) -> State:
        """The state of a sequence of which frames before this one are known, for training.

        frame: (B, 12, H, W). start: (B, 7, H, W), seen from this frame's camera: mean radiance of earlier samples, the
        previous image, and the effective sample count of the mean; where that is 0, the history is empty.
        """
        frame, start = self.fit(frame)[0], pad_to_multiple(start, self.multiple)
        mean, previous, weight = start.split([3, 3, 1], 1)
        _, depth, normal, albedo, _ = self.split(frame)
        divisor = albedo_divisor(albedo)[1]
        samples = torch.cat((weight * mean / divisor, weight * mean, weight), 1)
        surface = torch.cat((depth.where(weight > 0, NEVER), normal, albedo), 1)
        output = previous / divisor if self.detail else None
        history = History(previous / divisor, samples, brightness_of(previous), surface, output)
        return [*self.network.initial_state(frame.to(self.dtype)), *history.tensors()]

    def rescaled(self, state: State, factors: torch.Tensor) -> State:
        """The state in other units. factors: (B, 2), by which radiance and depth are multiplied."""
        hidden, history = self.parts(state)
        return [*hidden, *rescaled(history, factors).tensors()]

    def sample_counts(self, state: State, _frames: int) -> torch.Tensor:
        """The effective sample count of each pixel of the last image, (B, 1, H', W'), of the size that `fit` gives."""
        return self.parts(state)[1].weight

    # the step

    def forward(
        self, frame: torch.Tensor, state: State | None = None, complete: bool = False
    ) -> tuple[torch.Tensor, State]:
        """A (B, 12, H, W) frame and the state (None before the first) to (B, 3, H, W) linear radiance and the state.

        complete: the frame has motion, or complete_window gave it. With further colors, (B, 9 + 3 L, H, W) becomes
        (B, 3 L, H, W). Raises ValueError if the frame's channels or the state's size do not fit.
        """
        return self.finish(frame, *self.estimate(frame, state, complete))

    def estimate(
        self, frame: torch.Tensor, state: State | None = None, complete: bool = False
    ) -> tuple[torch.Tensor, State]:
        """As forward, without the detail stage: the filtered image."""
        frame, (height, width) = self.fit(frame.contiguous())  # (B, 9 + 3 L, H', W')
        state = self.initial_state(frame) if state is None else state
        hidden, history = self.parts(state)
        if history.surface.shape[-2:] != frame.shape[-2:]:
            rows, columns = history.surface.shape[-2:]
            raise ValueError(
                f"a state of {columns}x{rows} does not fit a frame of {width}x{height}; "
                "pass None where a sequence starts or its frame size changes"
            )
        frame = frame if complete else complete_frame(frame, history.surface)
        color, depth, normal, albedo, motion = self.split(frame)

        # divide by albedo where there is one
        has_albedo, divisor = albedo_divisor(albedo)  # (B, 1, H', W'), (B, 3, H', W')
        measured = [planes for c in (color, *further_colors(frame)) for planes in (c / divisor, c)]
        measured = torch.cat((*measured, torch.ones_like(depth)), 1)  # (B, 6 L + 1, H', W'): one sample, and its weight

        # reproject the history and the hidden states
        history, validity = reproject(history, motion, frame[:, SURFACES], divisor)
        levels = zip(hidden, self.network.strides, strict=True)
        warped = (warp_hidden(h, motion, validity, stride) for h, stride in levels)  # one at a time, for memory

        # predict kernels
        earlier = history.samples
        seen = Seen(
            measured[:, :3], depth, normal, albedo, has_albedo, history.previous[:, :3], earlier[:, :3], history.weight,
            validity,
        )  # fmt: skip
        shade = shading(seen)  # (B, 1, H', W')
        decoded, hidden = self.network(enter(self.network, seen, hidden[0])[None], warped)
        heads = [level_output(*parts) for parts in zip(self.heads, decoded, self.taps, strict=False)]
        finest, (gate, mix, confidence, trust, gain) = self.finest(decoded[-1], validity)  # (B, 1, H', W') each
        heads.append(finest)

        # add this frame to the history, which fades where it misleads: a reflection does not move with its surface
        confidence, trust = torch.sigmoid(confidence + CONFIDENCE_BIAS), torch.sigmoid(trust + TRUST_BIAS)
        samples = torch.addcmul(earlier * trust, confidence, measured)  # (B, 6 L + 1, H', W')
        del seen, earlier, measured, decoded, confidence, trust, warped, frame, color  # most memory is in use here

        # filter and blend
        guides = torch.cat((torch.log(depth.clamp(min=1e-3)), normal, albedo, FLAG_GUIDE * has_albedo, shade), 1)
        filtered = self.filter(Level(samples, guides), heads)  # (B, 6 L, H', W')
        image = blend(filtered, divisor, history.previous, validity, gate, mix, gain)  # (B, 3 L, H', W')
        history = next_history(history, image, divisor, samples)
        return image[..., :height, :width], [*hidden, *history.tensors()]

    def filter(self, finest: Level, heads: list[Head]) -> torch.Tensor:
        """Filters a frame's samples with this network's taps: (B, 6 L, H, W)."""
        return filter_pyramid(finest, heads, self.taps, PATCH)

    def finish(
        self, frame: torch.Tensor, image: torch.Tensor, state: State, detail: bool = True, tile: int | None = None
    ) -> tuple[torch.Tensor, State]:
        """Applies the detail stage, if there is one, and stores its output in the state for the next frame.

        image: (B, 3 L, H, W), the filtered image that `estimate` gave, or the average of both directions.
        detail: whether to apply it.
        tile: in squares of about so many pixels, for memory.
        """
        if self.detail is None:
            return image, state
        # the stage's input; the history has the previous output, reprojected
        (height, width), (frame, _), image = image.shape[2:], self.fit(frame), pad_to_multiple(image, self.multiple)
        color, _, normal, albedo, _ = self.split(frame)
        divisor = albedo_divisor(albedo)[1]
        hidden, history = self.parts(state)
        planes = torch.cat((color, albedo, normal, image[:, :3], history.output * divisor), 1)  # (B, 15, H', W')

        # further colors change with the first
        if detail:
            detailed = in_tiles(self.detail, planes, -(-tile // REACH) * REACH, REACH) if tile else self.detail(planes)
            image = distribute_change(detailed, image)
        history = with_output(history, image[:, :3], divisor)
        return image[..., :height, :width], [*hidden, *history.tensors()]

    def forward_window(
        self, frames: torch.Tensor, state: State | None = None, encoded: bool = False
    ) -> tuple[torch.Tensor, State]:
        """T consecutive frames with motion, (T, B, 12, H, W), to (T, B, 3, H, W). encoded: give encoded radiance."""
        images = []
        for frame in frames:
            image, state = self(frame, state, complete=True)
            images.append(encode_radiance(image.clamp(min=1e-6)) if encoded else image)  # its gradient is infinite at 0
        return torch.stack(images), state


@torch.no_grad()
def shading(seen: Seen) -> torch.Tensor:
    """The shading that kernels should not blur across, (B, 1, H, W).

    That of the previous image, and where there is none, what this frame's samples suggest.
    """
    previous = encode_radiance(seen.previous.mean(1, keepdim=True))
    return torch.lerp(rough_shading(seen.divided), previous, seen.validity)
