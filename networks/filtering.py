"""The filtering denoiser: a recurrent U-Net predicts kernels, which filter the samples of this frame and its history.

Shapes: B sequences, H rows, W columns. A `frame` is (B, 12, H, W): linear radiance, depth, shading normal, albedo and
motion, as stored in the EXR files. A frame without albedo or motion has their `missing` values (frames/channels.py).
The state is one hidden tensor per encoder level, and the history (networks/history.py).

A frame may carry further colors, 3 more channels each, such as the light groups that add up to its radiance. The
network does not see them. They go through the kernels, confidences, gate, mix and gain of the frame's own color, and
have a history of their own. All of these act linearly, so the results add up as the inputs do. L counts all colors;
mostly it is 1.
"""

import math
from functools import partial

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
from networks.history import (
    BRIGHTNESS,
    HISTORY,
    OUTPUT,
    PER_COLOR,
    PREVIOUS,
    SURFACE,
    add_samples,
    brightness_of,
    finish_history,
    next_history,
    previous_output,
    reproject,
    rescaled,
    split_history,
    warp_hidden,
    weight_channel,
    with_output,
    works_in_place,
)
from networks.kernels import (
    BANDWIDTHS,
    COARSE_TAPS,
    Head,
    Level,
    convolved_rows,
    diamond,
    filter_level,
    head_of,
    head_of_patches,
    level_outputs,
    reach_of,
)
from networks.pooling import pooled
from networks.rows import in_rows
from networks.tiles import in_tiles
from networks.warping import motion_is_known

PATCH = 2  # each level's pixels are those of 2x2 of the finer one, from full size on
EXTRAS = 5  # per pixel, beside its kernel: gate, mix, confidence, trust, gain
COARSE_BIAS = 1.0  # logit of the coarser result's taps before training: wide kernels
CONFIDENCE_BIAS, TRUST_BIAS = 3.0, 4.0  # before training, nearly all samples and histories are trusted
FLAG_GUIDE = 3.0  # distance, as albedo, between pixels that were divided and pixels that were not
NEVER = -1.0  # depth of a history that holds nothing: equal to no surface's


class FilteringDenoiser(nn.Module):
    """Maps (frame, state) to (image, state): any frame size, linear radiance in and out.

    channels: widths of the encoder levels. patch: see RecurrentAutoencoder; 2, since each level is half the next.
    radius: of the kernels below full size, see kernels.diamond. finest_radius: of those at full size, where most of the
    work is; with 0, they weigh the pixel itself against the coarser result. detail: size of the detail stage
    (networks/detail.py), None for none.
    Raises ValueError for another patch, or an unknown size of the detail stage.
    """

    complete_window = staticmethod(complete_window)
    inputs = MOTION_INPUTS  # what a frame holds
    required = PLAIN_INPUTS  # what its file must have
    smallest = 64  # pixels; two of the coarsest level, of less it cannot tell the brightness: see model.pad_to_smallest

    def __init__(
        self,
        channels: tuple[int, ...],
        patch: int = 2,
        radius: int = 2,
        finest_radius: int = 1,
        detail: str | None = None,
    ):
        super().__init__()
        if patch != PATCH:
            raise ValueError(f"patch {patch}: kernels need {PATCH}")
        radii = {"radius": radius, "finest_radius": finest_radius}
        self.options = {"channels": list(channels), "patch": patch, **radii, "kernels": True}
        self.options |= {"detail": detail} if detail else {}
        self.taps, self.finest_taps = diamond(radius), diamond(finest_radius)  # below full size, and there
        self.finest_outputs = level_outputs(len(self.finest_taps), True), EXTRAS  # of the head there
        self.network = RecurrentAutoencoder(SAMPLE_FEATURES, tuple(channels), patch, PATCH_FEATURES)
        del self.network.output  # kernels instead of colors
        self.network.heads = nn.ModuleList(
            nn.Conv2d(width, level_outputs(len(self.taps), index > 0), 1) for index, width in enumerate(channels[::-1])
        )
        self.network.finest = nn.Conv2d(channels[0], sum(self.finest_outputs) * patch**2, 1)
        self.initialize_heads()
        self.detail = DetailStage(detail) if detail else None
        self.multiple = max(self.network.multiple, *MEANS)  # all are powers of two

    @torch.no_grad()
    def initialize_heads(self) -> None:
        """Starts as a wide filter that follows the guides."""
        for head in (*self.network.heads, self.network.finest):
            nn.init.normal_(head.weight, std=1e-3)
            nn.init.zeros_(head.bias)
        for head in self.network.heads[1:]:
            head.bias[len(self.taps) : -BANDWIDTHS] = COARSE_BIAS
        finest = self.network.finest.bias.view(-1, self.network.patch**2)
        finest[len(self.finest_taps) :][:COARSE_TAPS] = COARSE_BIAS
        self.network.finest.weight[-(self.network.patch**2) :] = 0  # no gain

    @property
    def strides(self) -> list[int]:
        """Pixels from one to the next, for every tensor of the state."""
        return [*self.network.strides, 1]

    def reach(self, frame: torch.Tensor) -> int:
        """How far, in pixels, a pixel's output and state can depend on the frame and the state, to each side."""
        motion = frame[:, MOTION]
        moved = motion.abs().where(motion_is_known(motion), 0).amax()
        kernels = sum((reach_of(self.taps) + 1) * stride for stride in self.network.strides)
        kernels += reach_of(self.finest_taps) + 1
        return self.network.receptive_radius + 2 * max(MEANS) + kernels + self.multiple + math.ceil(float(moved)) + 1

    @property
    def dtype(self) -> torch.dtype:
        """The type in which the network computes; everything around it is float32."""
        return self.network.finest.weight.dtype

    def initial_state(self, padded: torch.Tensor) -> State:
        """The state before the first frame, for a frame that `fit` returned: hidden states of 0, an empty history."""
        hidden = self.network.initial_state(padded.to(self.dtype))
        channels = HISTORY + PER_COLOR * (color_count(padded) - 1) + (OUTPUT if self.detail else 0)
        history = padded.new_zeros(padded.shape[0], channels, *padded.shape[2:])
        history[:, SURFACE.start].fill_(NEVER)
        return [*hidden, history]

    def fit(self, frame: torch.Tensor) -> tuple[torch.Tensor, tuple[int, int]]:
        """The frame as the network computes with it, and its (H, W): clamp_to_limits, sides a multiple of `multiple`.

        For that, it is mirrored at its last row and column. Raises ValueError if the frame does not have this network's
        channels.
        """
        further = frame.shape[1] - MOTION.stop if frame.ndim == 4 else -1
        if further < 0 or further % 3:
            raise ValueError(
                f"a frame of shape {tuple(frame.shape)}: expected (B, {channel_count(self.inputs)}, H, W), "
                f"{', '.join(self.inputs)}"
            )
        return pad_to_multiple(clamp_to_limits(frame, self.inputs), self.multiple), tuple(frame.shape[-2:])

    def complete_frame(self, frame: torch.Tensor, state: State) -> torch.Tensor:
        """The (B, 12, H, W) frame, with an estimate of its motion where it has none. frame, state: as after fit."""
        return complete_frame(frame, state[-1][:, SURFACE])

    def forward(
        self, frame: torch.Tensor, state: State | None = None, complete: bool = False
    ) -> tuple[torch.Tensor, State]:
        """A (B, 12, H, W) frame and the state (None before the first) to (B, 3, H, W) linear radiance and the state.

        complete: the frame has motion, or complete_window gave it. With further colors, (B, 9 + 3 L, H, W) becomes
        (B, 3 L, H, W). Raises ValueError if the frame's channels or the state's size do not fit.
        """
        return self.finish(frame, *self.estimate(frame, state, complete))

    def finish(
        self, frame: torch.Tensor, image: torch.Tensor, state: State, detail: bool = True, tile: int | None = None
    ) -> tuple[torch.Tensor, State]:
        """Applies the detail stage, if there is one, and stores its output in the state for the next frame.

        image: the filtered image that `estimate` gave, or the average of both directions. detail: whether to apply it.
        tile: in squares of about so many pixels, for memory.
        """
        if self.detail is None:
            return image, state
        # the stage's input; the history has the previous output, reprojected
        (height, width), (frame, _), image = image.shape[2:], self.fit(frame), pad_to_multiple(image, self.multiple)
        color, _, normal, albedo, _ = self.split(frame)
        _, divisor = albedo_divisor(albedo)
        *hidden, history = state
        planes = torch.cat(
            (color, albedo, normal, image[:, :3], previous_output(history) * divisor), 1
        )  # (B, 15, H, W)

        # further colors change with the first
        if detail:
            whole = in_tiles(self.detail, planes, -(-tile // REACH) * REACH, REACH) if tile else self.detail(planes)
            image = distribute_change(whole, image)
        return image[..., :height, :width], [*hidden, with_output(history, image[:, :3], divisor)]

    def estimate(
        self, frame: torch.Tensor, state: State | None = None, complete: bool = False
    ) -> tuple[torch.Tensor, State]:
        """As forward, without the detail stage: the filtered image."""
        frame, (height, width) = self.fit(frame.contiguous())
        state = self.initial_state(frame) if state is None else state
        *hidden, history = state
        if history.shape[-2:] != frame.shape[-2:]:
            raise ValueError(
                f"a state of {history.shape[-1]}x{history.shape[-2]} does not fit a frame of {width}x{height}; "
                "pass None where a sequence starts or its frame size changes"
            )
        frame = frame if complete else self.complete_frame(frame, state)
        color, depth, normal, albedo, motion = self.split(frame)
        colors = [color, *further_colors(frame)]  # L of (B, 3, H, W)

        # divide by albedo where there is one
        has_albedo, divisor = albedo_divisor(albedo)
        measured = [planes for c in colors for planes in (c / divisor, c)]
        measured = torch.cat((*measured, torch.ones_like(depth)), 1)  # (B, 6 L + 1, H, W): one sample, and its weight
        count = len(colors)

        # fetch history and hidden states
        history, validity = reproject(history, motion, frame[:, SURFACES], divisor)  # (B, HISTORY, H, W)
        surface, motion = history[:, SURFACE], motion.clone()  # so that the frame can go, for memory
        depth, normal, albedo = surface.split([1, 3, 3], 1)
        del frame, color, colors
        previous, earlier = split_history(history, count)
        levels = zip(hidden, self.network.strides, strict=True)
        warped = (warp_hidden(h, motion, validity, stride) for h, stride in levels)  # one at a time, for memory

        # predict kernels
        past = history[:, : PER_COLOR + 1]
        if count > 1:  # the network sees the frame's own color only
            past = torch.cat((previous[:, :3], earlier[:, :6], earlier[:, -1:]), 1)
        seen = Seen(measured[:, :3], depth, normal, albedo, has_albedo, past, validity)
        shade = self.shade(seen)
        decoded, hidden = self.network.decode(enter(self.network, seen, hidden[0])[None], warped)
        heads = [head_of(head, x, self.taps) for head, x in zip(self.network.heads, decoded, strict=True)]
        kernels, extras = self.finest_heads(decoded[-1], validity)
        gate, mix, confidence, trust, gain = extras.split(1, 1)
        heads.append(kernels)

        # add this frame to the history, which fades where it misleads: a reflection does not move with its surface
        confidence, trust = torch.sigmoid(confidence + CONFIDENCE_BIAS), torch.sigmoid(trust + TRUST_BIAS)
        samples = add_samples(earlier, trust, measured, confidence)  # (B, 6 L + 1, H, W)

        # filter and blend; most memory is in use here, so what is no longer needed goes first
        del seen, past, earlier, measured, decoded, kernels, extras, confidence, trust, motion, warped
        guides = torch.cat((torch.log(depth.clamp(min=1e-3)), normal, albedo, FLAG_GUIDE * has_albedo, shade), 1)
        filtered = self.filter(Level(samples, guides), heads)  # (B, 6 L, H, W)
        del guides
        blended = filtered, divisor, previous, validity, gate, mix, gain

        def finish(top: int, end: int) -> tuple[torch.Tensor]:
            image = blend(*(planes[:, :, top:end] for planes in blended))
            if works_in_place():
                finish_history(history[:, :, top:end], image, divisor[:, :, top:end])
            return (image,)

        (image,) = in_rows(filtered, finish)  # (B, 3 L, H, W)
        history = history if works_in_place() else next_history(history, image, divisor, samples)
        return image[..., :height, :width], [*hidden, history]

    def split(self, frame: torch.Tensor) -> list[torch.Tensor]:
        """Color, depth, normal, albedo and motion of a (B, 12, H, W) frame."""
        return list(frame[:, : MOTION.stop].split([channel_count((name,)) for name in self.inputs], 1))

    def state_with_history(self, frame: torch.Tensor, start: torch.Tensor) -> State:
        """The state of a sequence of which frames before this one are known, for training.

        frame: (B, 12, H, W). start: (B, 7, H, W), seen from this frame's camera: mean radiance of earlier samples, the
        previous image, and how many samples the mean stands for; where that is 0, the history is empty.
        """
        frame, start = self.fit(frame)[0], pad_to_multiple(start, self.multiple)
        mean, previous, weight = start.split([3, 3, 1], 1)
        _, depth, normal, albedo, _ = self.split(frame)
        _, divisor = albedo_divisor(albedo)
        depth = depth.where(weight > 0, NEVER)
        samples = weight * mean / divisor, weight * mean, weight
        output = [previous / divisor] if self.detail else []
        history = (previous / divisor, *samples, *output, brightness_of(previous), depth, normal, albedo)
        return [*self.initial_state(frame)[:-1], torch.cat(history, 1)]

    def second_look(self, frame: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        """What to give the network to see a sequence's first frame again, with its result as the previous image.

        Half a decibel better for the first frame: kernels then follow the shading of an image instead of noise.
        frame, state: the first (B, 12, H, W) frame and the state after it. The frame comes back with motion 0, and the
        state without the frame's samples, so that they are not counted twice, and without a previous output.
        """
        *hidden, history = state
        previous, _ = split_history(history, color_count(frame))
        of_frame = history[:, previous.shape[1] : BRIGHTNESS.start]  # samples, and the previous output
        history = torch.cat((previous, torch.zeros_like(of_frame), history[:, BRIGHTNESS.start :]), 1)
        return with_motion(frame, torch.zeros_like(frame[:, MOTION])), [*hidden, history]

    @staticmethod
    def rescaled(state: State, factors: torch.Tensor) -> State:
        """The state in other units. factors: (B, 2), by which radiance and depth are multiplied."""
        *hidden, history = state
        return [*hidden, rescaled(history, factors)]

    def sample_counts(self, state: State) -> torch.Tensor:
        """How many samples each pixel of the last image stands for, (B, 1, H, W): H and W are those after `pad`."""
        weight = weight_channel(state[-1])
        return state[-1][:, weight : weight + 1]

    def forward_encoded(
        self, frame: torch.Tensor, state: State | None = None, complete: bool = False
    ) -> tuple[torch.Tensor, State]:
        """As forward, but with encoded radiance: what the paper's losses compare."""
        image, state = self(frame, state, complete)
        return encode_radiance(image.clamp(min=1e-6)), state  # the gradient of the power is infinite at 0

    @torch.no_grad()
    def shade(self, seen: Seen) -> torch.Tensor:
        """The shading that kernels should not blur across, (B, 1, H, W).

        That of the previous image, and where there is none, what this frame's samples suggest.
        """
        previous = encode_radiance(seen.past[:, PREVIOUS].mean(1, keepdim=True))
        return torch.lerp(rough_shading(seen.divided), previous, seen.validity)

    def finest_heads(self, features: torch.Tensor, like: torch.Tensor) -> tuple[Head, torch.Tensor]:
        """The finest level's head of (B, C, H / patch, W / patch) features, and EXTRAS. like: (B, 1, H, W)."""
        head, patch = self.network.finest, self.network.patch
        counts = [count * patch**2 for count in self.finest_outputs]
        own, extras = zip(head.weight.split(counts), head.bias.split(counts), strict=True)
        rows = partial(convolved_rows, features, *extras, patch)
        (more,) = in_rows(like, lambda top, end: (rows(top, end),))
        return head_of_patches(features, *own, self.finest_taps, patch), more

    def filter(self, finest: Level, heads: list[Head]) -> torch.Tensor:
        """Filters a frame's samples, level by level, coarsest first: (B, 6 L, H, W)."""
        # average samples and guides down to the coarsest level
        pyramid = [finest]
        for size in [self.network.patch] + [2] * (len(heads) - 2):
            pyramid.append(Level(*(pooled(planes, size) for planes in pyramid[-1])))
        # filter each level together with the coarser result; what has been used goes, for memory
        coarser = None
        for head in heads[:-1]:
            level = pyramid.pop()
            result = filter_level(level, head, self.taps, coarser)  # (B, 6 L, h, w)
            weight = level.samples[:, -1:]
            coarser = Level(torch.cat((result * weight, weight), 1), level.guides)
        del level, result, weight
        return filter_level(finest, heads[-1], self.finest_taps, coarser)
