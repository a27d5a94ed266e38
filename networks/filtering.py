"""The filtering denoiser: a recurrent U-Net predicts kernels, which filter the samples of this frame and its history.

Shapes: B sequences, H rows, W columns. A `frame` is (B, 12, H, W): linear radiance, depth, shading normal, albedo and
motion, as stored in the EXR files. A frame without albedo or motion has their `missing` values (frames/channels.py).
The state is one hidden tensor per encoder level, and the history (networks/history.py).
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from frames.channels import MOTION_INPUTS, PLAIN_INPUTS, channel_count, first_channel
from frames.radiance import encode_radiance, local_mean
from networks.autoencoder import RecurrentAutoencoder, State, pad_to_multiple
from networks.history import (
    HISTORY,
    MAX_WEIGHT,
    PREVIOUS,
    SAMPLES,
    SUMS,
    SURFACE,
    WEIGHT,
    motion_is_known,
    reproject,
    warp_hidden,
)
from networks.kernels import (
    BANDWIDTHS,
    COARSE_TAPS,
    FINEST_RADIUS,
    Level,
    filter_level,
    level_outputs,
    tap_count,
)
from networks.motion import estimate_motion
from networks.recording import is_recording
from networks.rows import row_blocks

NO_ALBEDO = 1e-3  # where no channel is above this (mirrors, emitters, background), radiance is not divided
MIN_ALBEDO = 0.01  # no channel is divided by less
MEANS = (4, 8, 32)  # pixels: the network sees the mean radiance of squares of these sizes
SHADE_MEANS = 8, 32  # pixels: see `shading`
FEATURES = 11 + 3 * len(MEANS) + 8  # see `feature_planes`
EXTRAS = 4  # per pixel, beside its kernel: gate, mix, confidence, gain
FINEST_OUTPUTS = level_outputs(FINEST_RADIUS, True), EXTRAS  # of the head at full size
COARSE_BIAS = 1.0  # logit of the coarser result's taps before training: wide kernels
MIX_BIAS, CONFIDENCE_BIAS = 2.0, 3.0  # before training: 0.88 from divided radiance, nearly all samples trusted
GAIN_LIMIT = 1.5  # logarithm of the largest factor on a filtered pixel
FLAG_GUIDE = 3.0  # distance, as albedo, between pixels that were divided and pixels that were not
SMALL = 1e-4  # radiance; keeps the gradient of the encoding finite at 0
NEVER = -1.0  # depth of a history that holds nothing: equal to no surface's


class Seen(NamedTuple):
    """What there is to see of a frame and its past, planes of (B, ..., H, W)."""

    divided: torch.Tensor  # (B, 3, H, W) radiance, divided by albedo where there is one
    depth: torch.Tensor
    normal: torch.Tensor
    albedo: torch.Tensor
    has_albedo: torch.Tensor  # (B, 1, H, W) booleans
    past: torch.Tensor  # (B, 10, H, W), and its validity, (B, 1, H, W), from networks/history.py
    validity: torch.Tensor


class FilteringDenoiser(nn.Module):
    """Maps (frame, state) to (image, state): any frame size, linear radiance in and out.

    channels: widths of the encoder levels. patch: see RecurrentAutoencoder. radius: of the kernels below full size.
    """

    inputs = MOTION_INPUTS  # what a frame holds
    required = PLAIN_INPUTS  # what its file must have

    def __init__(self, channels: tuple[int, ...], patch: int = 2, radius: int = 2):
        super().__init__()
        self.options = {"channels": list(channels), "patch": patch, "radius": radius, "kernels": True}
        self.radius = radius
        self.network = RecurrentAutoencoder(FEATURES, tuple(channels), patch)
        del self.network.output  # kernels instead of colors
        self.network.heads = nn.ModuleList(
            nn.Conv2d(width, level_outputs(radius, index > 0), 1) for index, width in enumerate(channels[::-1])
        )
        self.network.finest = nn.Conv2d(channels[0], sum(FINEST_OUTPUTS) * patch**2, 1)
        self.initialize_heads()
        self.multiple = max(self.network.multiple, *MEANS)  # all are powers of two

    @torch.no_grad()
    def initialize_heads(self) -> None:
        """Starts as a wide filter that follows the guides."""
        for head in (*self.network.heads, self.network.finest):
            nn.init.normal_(head.weight, std=1e-3)
            nn.init.zeros_(head.bias)
        for head in self.network.heads[1:]:
            head.bias[tap_count(self.radius) : -BANDWIDTHS] = COARSE_BIAS
        finest = self.network.finest.bias.view(-1, self.network.patch**2)
        finest[tap_count(FINEST_RADIUS) :][:COARSE_TAPS] = COARSE_BIAS
        self.network.finest.weight[-(self.network.patch**2) :] = 0  # no gain

    @property
    def strides(self) -> list[int]:
        """Pixels from one to the next, for every tensor of the state."""
        return [*self.network.strides, 1]

    def reach(self, frame: torch.Tensor) -> int:
        """How far, in pixels, a pixel's output and state can depend on the frame and the state, to each side."""
        motion = frame[:, first_channel(self.inputs, "motion") :]
        moved = motion.abs().where(motion_is_known(motion), 0).amax()
        kernels = sum((self.radius + 1) * stride for stride in self.network.strides) + FINEST_RADIUS + 1
        return self.network.receptive_radius + 2 * max(MEANS) + kernels + self.multiple + math.ceil(float(moved)) + 1

    @property
    def dtype(self) -> torch.dtype:
        """The type in which the network computes; everything around it is float32."""
        return self.network.finest.weight.dtype

    def initial_state(self, padded: torch.Tensor) -> State:
        """The state before the first frame, for a frame that `pad` returned: hidden states of 0, an empty history."""
        hidden = self.network.initial_state(padded.to(self.dtype))
        history = padded.new_zeros(padded.shape[0], HISTORY, *padded.shape[2:])
        history[:, SURFACE.start] = NEVER
        return [*hidden, history]

    def pad(self, frame: torch.Tensor) -> tuple[torch.Tensor, tuple[int, int]]:
        """Repeats the last rows and columns until H and W are multiples of `multiple`; returns that and (H, W) before.

        Raises ValueError if the frame does not have this network's channels.
        """
        if frame.ndim != 4 or frame.shape[1] != channel_count(self.inputs):
            raise ValueError(
                f"a frame of shape {tuple(frame.shape)}: expected (B, {channel_count(self.inputs)}, H, W), "
                f"{', '.join(self.inputs)}"
            )
        return pad_to_multiple(frame, self.multiple), tuple(frame.shape[-2:])

    def complete_frame(self, frame: torch.Tensor, state: State) -> torch.Tensor:
        """The (B, 12, H, W) frame, with motion from networks/motion.py where it has none. H, W, state: as after pad."""
        motion = frame[:, first_channel(self.inputs, "motion") :]
        known = motion_is_known(motion)
        may_ask = frame.device.type == "cpu" and not is_recording()  # a GPU would have to wait for the answer
        if may_ask and known.all():
            return frame
        surface = frame[:, first_channel(self.inputs, "depth") : -2]
        estimated = estimate_motion(state[-1][:, SURFACE], surface)
        return torch.cat((frame[:, :-2], motion.where(known, estimated)), 1)

    def forward(self, frame: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """A (B, 12, H, W) frame and the state (None before the first) to (B, 3, H, W) linear radiance and the state.

        Raises ValueError if the frame's channels or the state's size do not fit.
        """
        frame, (height, width) = self.pad(frame.contiguous())
        state = self.initial_state(frame) if state is None else state
        *hidden, history = state
        if history.shape[-2:] != frame.shape[-2:]:
            raise ValueError(
                f"a state of {history.shape[-1]}x{history.shape[-2]} does not fit a frame of {width}x{height}; "
                "pass None where a sequence starts or its frame size changes"
            )
        color, depth, normal, albedo, motion = self.split(self.complete_frame(frame, state))

        # divide by albedo where there is one
        has_albedo, divisor = albedo_divisor(albedo)
        radiance = torch.cat((color / divisor, color), 1)  # (B, 6, H, W)

        # fetch history and hidden states
        surface = torch.cat((depth, normal, albedo), 1)  # (B, 7, H, W)
        past, validity = reproject(history, motion, surface)
        hidden = [
            warp_hidden(h, motion, validity, stride) for h, stride in zip(hidden, self.network.strides, strict=True)
        ]

        # predict kernels
        seen = Seen(radiance[:, :3], depth, normal, albedo, has_albedo, past, validity)
        decoded, hidden = self.network.decode(self.features(seen)[None], hidden)
        heads = [head(x) for head, x in zip(self.network.heads, decoded, strict=True)]
        finest = self.network.finest(decoded[-1])
        kernels, extras = finest.split([(count * self.network.patch**2) for count in FINEST_OUTPUTS], 1)
        gate, mix, confidence, gain = F.pixel_shuffle(extras, self.network.patch).float().split(1, 1)
        heads.append(kernels)  # still in patches: it becomes float32 a few rows at a time, for memory

        # add this frame to the history, and filter
        confidence = torch.sigmoid(confidence + CONFIDENCE_BIAS)
        samples = past[:, SAMPLES] + confidence * F.pad(radiance, (0,) * 5 + (1,), value=1.0)  # (B, 7, H, W)
        filtered = self.filter(Level(samples, self.guides(seen)), heads)  # (B, 6, H, W)

        # blend; most memory is in use here, so what is no longer needed goes first
        previous = past[:, PREVIOUS]
        del seen, past, radiance, decoded, heads, kernels, finest, extras
        parts = filtered, divisor, previous, validity, gate, mix, gain
        rows = [blend(*(planes[:, :, top:end] for planes in parts)) for top, end in row_blocks(filtered)]
        image = torch.cat(rows, 2) if len(rows) > 1 else rows[0]  # (B, 3, H, W)

        # leave a history for the next frame
        fade = (MAX_WEIGHT / samples[:, -1:]).clamp(max=1)
        history = torch.cat((image / divisor, samples * fade, surface), 1)  # (B, HISTORY, H, W)
        return image[..., :height, :width], [*hidden, history]

    def split(self, frame: torch.Tensor) -> list[torch.Tensor]:
        """Color, depth (not below 0), normal, albedo and motion of a (B, 12, H, W) frame."""
        color, depth, *rest = frame.split([channel_count((name,)) for name in self.inputs], 1)
        return [color, depth.clamp(min=0), *rest]

    def state_with_history(self, frame: torch.Tensor, start: torch.Tensor) -> State:
        """The state of a sequence of which frames before this one are known, for training.

        frame: (B, 12, H, W). start: (B, 7, H, W), seen from this frame's camera: mean radiance of earlier samples, the
        previous image, and how many samples the mean stands for; where that is 0, the history is empty.
        """
        frame, start = (pad_to_multiple(planes, self.multiple) for planes in (frame, start))
        mean, previous, weight = start.split([3, 3, 1], 1)
        _, depth, normal, albedo, _ = self.split(frame)
        _, divisor = albedo_divisor(albedo)
        depth = depth.where(weight > 0, NEVER)
        history = (previous / divisor, weight * mean / divisor, weight * mean, weight, depth, normal, albedo)
        return [*self.initial_state(frame)[:-1], torch.cat(history, 1)]

    def second_look(self, frame: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        """What to give the network to see a sequence's first frame once more, with the first result for an image before.

        frame, state: the first (B, 12, H, W) frame and the state after it. The frame comes back with motion 0, and the
        state without the frame's samples, so that they are not counted twice.
        """
        still = torch.cat((frame[:, : first_channel(self.inputs, "motion")], torch.zeros_like(frame[:, -2:])), 1)
        *hidden, history = state
        before, _, after = history.split([SAMPLES.start, SAMPLES.stop - SAMPLES.start, HISTORY - SAMPLES.stop], 1)
        return still, [*hidden, torch.cat((before, torch.zeros_like(history[:, SAMPLES]), after), 1)]

    def forward_encoded(self, frame: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """As forward, but with encoded radiance: what the paper's losses compare."""
        image, state = self(frame, state)
        return encode_radiance(image.clamp(min=1e-6)), state  # the gradient of the power is infinite at 0

    def features(self, seen: Seen) -> torch.Tensor:
        """What the network sees, (B, FEATURES, H, W), in its type."""
        return torch.cat([planes.to(self.dtype) for planes in feature_planes(seen)], 1)

    @torch.no_grad()
    def guides(self, seen: Seen) -> torch.Tensor:
        """What kernels should not blur across, (B, 9, H, W): surfaces, and shading.

        Shading is that of the previous image, and where there is none, what this frame's samples suggest.
        """
        divided, depth, normal, albedo, has_albedo, past, validity = seen
        previous = encode_radiance(past[:, PREVIOUS].mean(1, keepdim=True))
        shade = torch.lerp(rough_shading(divided), previous, validity)  # (B, 1, H, W)
        return torch.cat((torch.log(depth.clamp(min=1e-3)), normal, albedo, FLAG_GUIDE * has_albedo, shade), 1)

    def filter(self, finest: Level, heads: list[torch.Tensor]) -> torch.Tensor:
        """Filters a frame's samples, level by level, coarsest first: (B, 6, H, W)."""
        # average samples and guides down to the coarsest level
        pyramid = [finest]
        for size in [self.network.patch] + [2] * (len(heads) - 2):
            pyramid.append(Level(*(F.avg_pool2d(planes, size) for planes in pyramid[-1])))
        # filter each level together with the coarser result
        radii = [self.radius] * (len(heads) - 1) + [FINEST_RADIUS]
        coarser = None
        for level, head, radius in zip(pyramid[::-1], heads, radii, strict=True):
            if level is finest:
                return filter_level(level, head, radius, coarser, self.network.patch)
            result = filter_level(level, head, radius, coarser)  # (B, 6, h, w)
            weight = level.samples[:, -1:]
            coarser = Level(torch.cat((result * weight, weight), 1), level.guides)


def blend(
    filtered: torch.Tensor,
    divisor: torch.Tensor,
    previous: torch.Tensor,
    validity: torch.Tensor,
    gate: torch.Tensor,
    mix: torch.Tensor,
    gain: torch.Tensor,
) -> torch.Tensor:
    """The image, (B, 3, H, W), of the filtered radiance, divided and plain, (B, 6, H, W), and the previous image.

    previous: divided by albedo, as the history has it. gate, mix, gain: (B, 1, H, W) outputs of the network.
    """
    divided, plain = filtered.split(3, 1)
    share = torch.sigmoid(mix + MIX_BIAS)
    image = (share * divisor * divided + (1 - share) * plain) * torch.exp(GAIN_LIMIT * torch.tanh(gain))
    return torch.lerp(image, previous * divisor, torch.sigmoid(gate) * validity)


def feature_planes(seen: Seen) -> Iterator[torch.Tensor]:
    """What the network sees, one by one, for memory: this frame (11 planes), local means (9), the fetched history (8).

    The means are of all samples, this frame's and the history's.
    """
    divided, depth, normal, albedo, has_albedo, past, validity = seen
    yield from (encode_radiance(divided), torch.log1p(depth), normal, has_albedo, albedo)
    samples = (past[:, SUMS][:, :3] + divided) / (past[:, WEIGHT] + 1) + SMALL
    yield from (local_mean(samples, size, encode=True) for size in MEANS)
    yield encode_radiance(past[:, PREVIOUS].clamp(min=0) + SMALL)
    yield encode_radiance(past[:, SUMS][:, :3] / past[:, WEIGHT].clamp(min=1e-3) + SMALL)
    yield from (validity, 1 / (1 + past[:, WEIGHT]))


def albedo_divisor(albedo: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Where a (B, 3, H, W) albedo is divided by, (B, 1, H, W) booleans, and by what, (B, 3, H, W)."""
    has_albedo = albedo.amax(1, keepdim=True) > NO_ALBEDO
    return has_albedo, albedo.clamp(min=MIN_ALBEDO).where(has_albedo, 1)


def rough_shading(divided: torch.Tensor) -> torch.Tensor:
    """Encoded brightness of (B, 3, H, W) noisy radiance over small squares, (B, 1, H, W).

    Encoded first, then averaged, so that single bright samples do not matter; then scaled to the encoded mean of large
    squares, because the mean of encoded samples depends on how few of them carry the light.
    """
    small, large = SHADE_MEANS
    brightness = divided.mean(1, keepdim=True)
    encoded = encode_radiance(brightness)
    scale = local_mean(brightness, large, encode=True) / local_mean(encoded, large).clamp(min=1e-3)
    return local_mean(encoded, small) * scale
