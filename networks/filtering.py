"""The filtering denoiser: a recurrent U-Net predicts kernels, which filter the samples of this frame and its history.

Shapes: B sequences, H rows, W columns. A `frame` is (B, 12, H, W): linear radiance, depth, shading normal, albedo and
motion, as stored in the EXR files. A frame without albedo or motion has their `missing` values (frames/channels.py).
The state is one hidden tensor per encoder level, and the history (networks/history.py).
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from frames.channels import MOTION_INPUTS, PLAIN_INPUTS, channel_count, first_channel
from frames.radiance import encode_radiance, local_mean
from networks.autoencoder import RecurrentAutoencoder, State
from networks.history import (
    HISTORY,
    MAX_WEIGHT,
    PREVIOUS,
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
    RADIUS,
    Level,
    filter_level,
    level_outputs,
    tap_count,
)

NO_ALBEDO = 1e-3  # where no channel is above this (mirrors, emitters, background), radiance is not divided
MIN_ALBEDO = 0.01  # no channel is divided by less
MEANS = (8, 32)  # pixels: the network sees the mean radiance of squares of these sizes
FEATURES = 11 + 3 * len(MEANS) + 8  # see `features`
EXTRAS = 3  # per pixel, beside its kernel: gate, mix, confidence
COARSE_BIAS = 1.0  # logit of the coarser result's taps before training: wide kernels
MIX_BIAS, CONFIDENCE_BIAS = 2.0, 3.0  # before training: 0.88 from divided radiance, nearly all samples trusted
FLAG_GUIDE = 3.0  # distance, as albedo, between pixels that were divided and pixels that were not
NEVER = -1.0  # depth of a history that holds nothing: equal to no surface's


class FilteringDenoiser(nn.Module):
    """Maps (frame, state) to (image, state): any frame size, linear radiance in and out.

    channels: widths of the encoder levels. patch: see RecurrentAutoencoder.
    """

    inputs = MOTION_INPUTS  # what a frame holds
    required = PLAIN_INPUTS  # what its file must have

    def __init__(self, channels: tuple[int, ...], patch: int = 2):
        super().__init__()
        self.options = {"channels": list(channels), "patch": patch, "kernels": True}
        self.network = RecurrentAutoencoder(FEATURES, tuple(channels), patch)
        del self.network.output  # kernels instead of colors
        self.network.heads = nn.ModuleList(
            nn.Conv2d(width, level_outputs(RADIUS, index > 0), 1) for index, width in enumerate(channels[::-1])
        )
        self.network.finest = nn.Conv2d(channels[0], (level_outputs(FINEST_RADIUS, True) + EXTRAS) * patch**2, 1)
        self.initialize_heads()
        self.multiple = max(self.network.multiple, *MEANS)  # all are powers of two

    @torch.no_grad()
    def initialize_heads(self) -> None:
        """Starts as a wide filter that follows the guides."""
        for head in (*self.network.heads, self.network.finest):
            nn.init.normal_(head.weight, std=1e-3)
            nn.init.zeros_(head.bias)
        for head in self.network.heads[1:]:
            head.bias[tap_count(RADIUS) : -BANDWIDTHS] = COARSE_BIAS
        finest = self.network.finest.bias.view(-1, self.network.patch**2)
        finest[tap_count(FINEST_RADIUS) :][:COARSE_TAPS] = COARSE_BIAS

    @property
    def strides(self) -> list[int]:
        """Pixels from one to the next, for every tensor of the state."""
        return [*self.network.strides, 1]

    def reach(self, frame: torch.Tensor) -> int:
        """How far, in pixels, a pixel's output and state can depend on the frame and the state, to each side."""
        motion = frame[:, first_channel(self.inputs, "motion") :]
        moved = motion.abs().where(motion_is_known(motion), 0).amax()
        kernels = sum((RADIUS + 1) * stride for stride in self.network.strides) + FINEST_RADIUS + 1
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
        height, width = frame.shape[-2:]
        pad = (0, -width % self.multiple, 0, -height % self.multiple)
        return F.pad(frame, pad, mode="replicate") if any(pad) else frame, (height, width)

    def forward(self, frame: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """A (B, 12, H, W) frame and the state (None before the first) to (B, 3, H, W) linear radiance and the state.

        Raises ValueError if the frame's channels or the state's size do not fit.
        """
        frame, (height, width) = self.pad(frame.contiguous())
        *hidden, history = self.initial_state(frame) if state is None else state
        if history.shape[-2:] != frame.shape[-2:]:
            raise ValueError(
                f"a state of {history.shape[-1]}x{history.shape[-2]} does not fit a frame of {width}x{height}; "
                "pass None where a sequence starts or its frame size changes"
            )
        color, depth, normal, albedo, motion = frame.split([channel_count((name,)) for name in self.inputs], 1)
        depth = depth.clamp(min=0)

        # divide by albedo where there is one
        has_albedo = albedo.amax(1, keepdim=True) > NO_ALBEDO  # (B, 1, H, W)
        divisor = albedo.clamp(min=MIN_ALBEDO).where(has_albedo, 1)
        radiance = torch.cat((color / divisor, color), 1)  # (B, 6, H, W)

        # fetch history and hidden states; without motion there is no history, and hidden states stay where they are
        known = motion_is_known(motion)
        motion = motion.where(known, 0)
        surface = torch.cat((depth, normal, albedo), 1)  # (B, 7, H, W)
        past, validity = (fetched * known for fetched in reproject(history, motion, surface))
        started = (history[:, SURFACE.start :][:, :1] != NEVER).any()
        keeps = torch.where(known, validity, 1.0) * started
        hidden = [warp_hidden(h, motion, keeps, stride) for h, stride in zip(hidden, self.network.strides, strict=True)]

        # predict kernels
        features = self.features(radiance[:, :3], depth, normal, albedo, has_albedo, past, validity)
        decoded, hidden = self.network.decode(features.to(self.dtype)[None], hidden)
        heads = [head(x).float() for head, x in zip(self.network.heads, decoded, strict=True)]
        heads.append(F.pixel_shuffle(self.network.finest(decoded[-1]), self.network.patch).float())
        heads[-1], gate, mix, confidence = heads[-1].split([heads[-1].shape[1] - EXTRAS, 1, 1, 1], 1)

        # add this frame to the history, and filter
        confidence = torch.sigmoid(confidence + CONFIDENCE_BIAS)
        sums = past[:, SUMS] + confidence * radiance  # (B, 6, H, W)
        weight = past[:, WEIGHT] + confidence
        guides = torch.cat((torch.log(depth.clamp(min=1e-3)), normal, albedo, FLAG_GUIDE * has_albedo), 1)
        divided, plain = self.filter(sums, weight, guides, heads).split(3, 1)
        share = torch.sigmoid(mix + MIX_BIAS)
        image = share * divisor * divided + (1 - share) * plain
        image = torch.lerp(image, past[:, PREVIOUS] * divisor, torch.sigmoid(gate) * validity)  # (B, 3, H, W)

        # leave a history for the next frame
        fade = (MAX_WEIGHT / weight).clamp(max=1)
        history = torch.cat((image / divisor, sums * fade, weight * fade, surface), 1)  # (B, HISTORY, H, W)
        return image[..., :height, :width], [*hidden, history]

    def forward_encoded(self, frame: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """As forward, but with encoded radiance: what the paper's losses compare."""
        image, state = self(frame, state)
        return encode_radiance(image.clamp(min=1e-6)), state  # the gradient of the power is infinite at 0

    def features(
        self,
        divided: torch.Tensor,
        depth: torch.Tensor,
        normal: torch.Tensor,
        albedo: torch.Tensor,
        has_albedo: torch.Tensor,
        past: torch.Tensor,
        validity: torch.Tensor,
    ) -> torch.Tensor:
        """What the network sees, (B, FEATURES, H, W): this frame (11), local means (6), the fetched history (8)."""
        accumulated = past[:, SUMS][:, :3] / past[:, WEIGHT].clamp(min=1e-3)
        frame = encode_radiance(divided), torch.log1p(depth), normal, has_albedo.to(depth.dtype), albedo
        means = [encode_radiance(local_mean(divided, size)) for size in MEANS]
        # the offset keeps the gradient of the power finite at 0
        history = (encode_radiance(x + 1e-4) for x in (past[:, PREVIOUS].clamp(min=0), accumulated))
        return torch.cat((*frame, *means, *history, validity, 1 / (1 + past[:, WEIGHT])), 1)

    def filter(
        self, sums: torch.Tensor, weight: torch.Tensor, guides: torch.Tensor, heads: list[torch.Tensor]
    ) -> torch.Tensor:
        """Filters sums (B, 6, H, W) over their weight, level by level, coarsest first: (B, 6, H, W)."""
        # average sums, weights and guides down to the coarsest level
        pyramid = [(sums, weight, guides)]
        for size in [self.network.patch] + [2] * (len(heads) - 2):
            pyramid.append(tuple(F.avg_pool2d(planes, size) for planes in pyramid[-1]))
        # filter each level together with the coarser result
        radii = [RADIUS] * (len(heads) - 1) + [FINEST_RADIUS]
        coarser = None
        for (level_sums, level_weight, level_guides), head, radius in zip(pyramid[::-1], heads, radii, strict=True):
            level_weight = level_weight.clamp(min=1e-4)
            level = Level(level_sums / level_weight, level_weight.log(), level_guides)
            coarser = level._replace(picture=filter_level(level, head, radius, coarser))
        return coarser.picture
