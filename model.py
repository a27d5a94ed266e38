"""The recurrent denoising autoencoder of Chaitanya et al. 2017.

Shapes: B sequences, T frames, C input channels, H rows, W columns; `frame` is (B, C, H, W), the quantities of
`Denoiser.inputs` one behind the other as the table in images.py counts them, as stored in the EXR files: linear
radiance, depth in scene units, world-space normals, albedo. The hidden state is one tensor per encoder level.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from frames.channels import ALBEDO_INPUTS, PLAIN_INPUTS, QUANTITIES
from frames.radiance import decode_radiance, encode_radiance

PAPER_CHANNELS = (32, 43, 57, 76, 101, 101)  # each about 4/3 of the one before (section 4.1)
NETWORKS = {  # arguments of Denoiser
    "default": {"channels": (48, 64, 96, 128, 128), "patch": 2, "means": (8, 32)},
    "fast": {"channels": (32, 48, 64, 96, 128), "patch": 2, "means": (8, 32)},
    "paper": {"channels": PAPER_CHANNELS, "patch": 1, "means": ()},
}
PLAIN_FEATURES = 7  # what the network sees: encoded radiance (3), depth (1), normal (3)
ALBEDO_FEATURES = 8  # and whether albedo was divided out
MEAN_SIZES = (4, 8, 16, 32)
MIN_ALBEDO = 1e-3  # where no channel is above this (mirrors, emitters, background), radiance is left as it is
LEAK = 0.1

State = list[torch.Tensor]
Step = Callable[[torch.Tensor, State | None], tuple[torch.Tensor, State]]


def convolution(inputs: int, outputs: int) -> nn.Conv2d:
    """A 3x3 convolution that keeps the size, initialised for leaky ReLU (He et al. 2015)."""
    layer = nn.Conv2d(inputs, outputs, 3, padding=1)
    nn.init.kaiming_normal_(layer.weight, a=LEAK, nonlinearity="leaky_relu")
    nn.init.zeros_(layer.bias)
    return layer


def activate(x: torch.Tensor) -> torch.Tensor:
    """Leaky ReLU with slope 0.1, in place: every caller passes a fresh convolution output."""
    return F.leaky_relu(x, LEAK, inplace=True)


def convolve_patches(layer: nn.Conv2d, x: torch.Tensor, patch: int) -> torch.Tensor:
    """`layer` of a (B, C, H, W) picture whose squares of patch x patch pixels are one pixel of C patch^2 channels each.

    On a CPU as one convolution of wider stride, which is the same sum: there, the shuffle takes longer than it does.
    """
    if patch == 1:
        return layer(x)
    if x.is_cuda:
        return layer(F.pixel_unshuffle(x, patch))
    return F.conv2d(x, F.pixel_shuffle(layer.weight, patch), layer.bias, stride=patch, padding=patch)


class EncoderLevel(nn.Module):
    """A convolution and a recurrent block of three, in which the hidden state joins behind the first (figure 3).

    patch: see RecurrentAutoencoder.
    """

    def __init__(self, inputs: int, width: int, patch: int = 1):
        super().__init__()
        self.patch = patch
        self.entry = convolution(inputs * patch**2, width)
        self.before = convolution(width, width)
        self.join = convolution(2 * width, width)
        self.after = convolution(width, width)

    def enter(self, x: torch.Tensor) -> torch.Tensor:
        """What does not depend on the frame before: (B, inputs, H, W) to (B, width, H / patch, W / patch)."""
        return activate(self.before(activate(convolve_patches(self.entry, x, self.patch))))

    def remember(self, x: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """What `enter` gave, and the hidden state of the same shape, to the new one, which is also the skip."""
        x = activate(self.join(torch.cat((x, hidden), 1)))
        return activate(self.after(x))


class DecoderLevel(nn.Module):
    """Nearest upsampling, the skip connection, two convolutions."""

    def __init__(self, inputs: int, skip: int, width: int):
        super().__init__()
        self.join = convolution(inputs + skip, width)
        self.after = convolution(width, width)

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """(B, inputs, H/2, W/2) and the (B, skip, H, W) skip connection to (B, width, H, W)."""
        x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        return activate(self.after(activate(self.join(torch.cat((x, skip), 1)))))


class RecurrentAutoencoder(nn.Module):
    """The bare recurrent U-Net: (B, features, H, W) to 3 linear outputs; H and W divide by `multiple`.

    patch: each square of patch x patch pixels enters as one pixel of patch^2 times as many features, and leaves as
    patch^2 colours (Shi et al. 2016), so that the first level has that many fewer pixels; 1 is the paper's network.
    """

    def __init__(self, features: int, channels: tuple[int, ...], patch: int = 1):
        super().__init__()
        self.channels, self.patch = tuple(channels), patch
        self.strides = [patch << level for level in range(len(channels))]  # pixels from one to the next, per level
        self.multiple = self.strides[-1]
        self.encoder = nn.ModuleList([EncoderLevel(features, channels[0], patch)])
        self.encoder.extend(EncoderLevel(above, width) for above, width in pairwise(channels))
        self.decoder = nn.ModuleList(
            DecoderLevel(below, width, width) for below, width in zip(channels[:0:-1], channels[-2::-1], strict=True)
        )
        self.output = convolution(channels[0], 3 * patch**2)
        if patch > 1:  # a patch's pixels begin alike, or the picture begins with a grid (Aitken et al. 2017)
            first = self.output.weight.detach()[:: patch**2]
            self.output.weight = nn.Parameter(first.repeat_interleave(patch**2, 0))

    @property
    def memory_format(self) -> torch.memory_format:
        """That of the weights, which the activations take on."""
        last = self.output.weight.is_contiguous(memory_format=torch.channels_last)
        return torch.channels_last if last else torch.contiguous_format

    @property
    def receptive_radius(self) -> int:
        """How many pixels to each side of a pixel its output, and the state there, may depend on."""
        encoder, decoder = (sum(4 * s for s in self.strides), sum(2 * s for s in self.strides[:-1]))
        return encoder + decoder + self.patch + self.multiple - 1  # behind it all, a pixel's place in its coarsest one

    def initial_state(self, features: torch.Tensor) -> State:
        """The zero state for features of this shape, type and device: level l is (B, channels[l], H / s, W / s), where
        s = strides[l], in the memory format of the weights."""
        batch, _, *size = features.shape
        layout, state = self.memory_format, []
        for channels, stride in zip(self.channels, self.strides, strict=True):
            height, width = (extent // stride for extent in size)
            state.append(features.new_zeros(batch, channels, height, width).to(memory_format=layout))
        return state

    def forward(self, features: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        """T frames: (T, B, features, H, W) and the state before them to (T, B, 3, H, W) and the state behind them.

        Level by level, so that what does not depend on the frame before is done for all frames at once.
        """
        length, new_state, skips = len(features), [], []
        x = features.flatten(0, 1)
        for index, (level, hidden) in enumerate(zip(self.encoder, state, strict=True)):
            remembered = []
            for frame in level.enter(x if index == 0 else F.max_pool2d(x, 2)).chunk(length):
                hidden = level.remember(frame, hidden)
                remembered.append(hidden)
            x = torch.cat(remembered) if length > 1 else hidden
            skips.append(x)
            new_state.append(hidden)
        for level, skip in zip(self.decoder, skips[-2::-1], strict=True):
            x = level(x, skip)
        x = self.output(x)
        x = F.pixel_shuffle(x, self.patch) if self.patch > 1 else x
        return x.unflatten(0, (length, -1)), new_state


def local_mean(radiance: torch.Tensor, size: int) -> torch.Tensor:
    """The means of (B, 3, H, W) radiance over squares of `size` pixels, interpolated between their centres."""
    height, width = radiance.shape[2:]
    means = F.avg_pool2d(radiance, size, ceil_mode=True, count_include_pad=False)
    return F.interpolate(means, scale_factor=float(size), mode="bilinear")[..., :height, :width]


class Denoiser(nn.Module):
    """The autoencoder between linear radiance and linear radiance: any frame size, everything normalised inside.

    channels: widths of the encoder levels, full resolution first.
    patch: see RecurrentAutoencoder; 2 halves what the first level calls full resolution.
    means: sizes in pixels; for each, the network also sees the mean radiance of the squares of that size around a
        pixel, and what it gives is a correction of the last. All else that it sees is raised to 0.2 before it is
        averaged; how much less that gives depends on how few samples carry the light, so that the brightness of a
        scene that it does not know would be guesswork.
    demodulate: divide radiance by the first hit's albedo before, multiply after (section 4.2); frames then carry
        albedo as well (10 channels instead of 7).
    Raises ValueError where `channels` is not a list of positive widths.
    """

    def __init__(
        self,
        channels: tuple[int, ...] = PAPER_CHANNELS,
        demodulate: bool = False,
        patch: int = 1,
        means: tuple[int, ...] = (),
    ):
        super().__init__()
        if not channels or any(not isinstance(c, int) or c < 1 for c in channels):
            raise ValueError(f"channels {channels}: expected one positive width per encoder level, like 32 43 57")
        if patch not in (1, 2, 4):
            raise ValueError(f"patch {patch}: expected 1, 2 or 4")
        if any(size not in MEAN_SIZES for size in means):
            raise ValueError(f"means {means}: expected sizes among {MEAN_SIZES}")
        self.options = {
            "channels": list(channels),
            "demodulate": bool(demodulate),
            "patch": patch,
            "means": list(means),
        }
        self.inputs = ALBEDO_INPUTS if demodulate else PLAIN_INPUTS
        self.means = tuple(means)
        features = (ALBEDO_FEATURES if demodulate else PLAIN_FEATURES) + 3 * len(means)
        self.network = RecurrentAutoencoder(features, tuple(channels), patch)
        self.multiple = max(self.network.multiple, *means, 1)  # all of them are powers of two
        if means:
            nn.init.zeros_(self.network.output.weight)  # training begins with no correction

    @property
    def receptive_radius(self) -> int:
        """How many pixels to each side of a pixel its output, and the state there, may depend on."""
        return self.network.receptive_radius + 2 * max(self.means, default=0)

    def forward(self, frame: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """One frame: (B, C, H, W) and the state (None before the first) to (B, 3, H, W) linear radiance and the state.

        Raises ValueError where the frame's channels, or the state's shapes, are not this network's.
        """
        encoded, state = self.forward_encoded(frame, state)
        return decode_radiance(encoded), state

    def forward_encoded(self, frame: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """As forward, but the radiance is encoded, and may be negative: what the losses compare.

        (decode_radiance has no gradient at and below 0, so a loss of linear radiance could not lift a black output.)
        """
        encoded, state = self.forward_window(frame[None], state)
        return encoded[0], state

    def forward_window(self, frames: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """forward_encoded of T frames that follow each other, (T, B, C, H, W) to (T, B, 3, H, W): faster, but in T
        times the memory."""
        length, batch = frames.shape[:2]
        padded, (height, width) = self.pad(frames.flatten(0, 1))
        features, albedo_code, base = self.preprocess(padded)
        expected = self.initial_state(padded[:batch]) if state is None else state
        first = [extent // self.network.patch for extent in features.shape[-2:]]
        if len(expected) != len(self.network.channels) or list(expected[0].shape[-2:]) != first:
            raise ValueError(
                f"a state of {len(expected)} levels, the first {tuple(expected[0].shape)}, does not fit a frame of "
                f"{width}x{height}; pass None where a sequence begins or its frame size changes"
            )
        encoded, state = self.network(features.to(self.dtype).unflatten(0, (length, batch)), expected)
        encoded = (encoded.flatten(0, 1).float() + base) * albedo_code
        return encoded[..., :height, :width].unflatten(0, (length, batch)), state

    @property
    def dtype(self) -> torch.dtype:
        """What the network computes in: float32, unless the caller made its weights half floats."""
        return self.network.output.weight.dtype

    def initial_state(self, padded: torch.Tensor) -> State:
        """The state before the first frame, for a frame of `pad`."""
        return self.network.initial_state(padded.to(self.dtype))

    def pad(self, frame: torch.Tensor) -> tuple[torch.Tensor, tuple[int, int]]:
        """The frame with its last rows and columns repeated until the network can halve it; and its (H, W) before.

        Contiguous: what comes before the network takes several times as long where channels are innermost in memory.
        Raises ValueError where its channels are not this network's.
        """
        channels = sum(QUANTITIES[name].count for name in self.inputs)
        if frame.ndim != 4 or frame.shape[1] != channels:
            raise ValueError(
                f"a frame of shape {tuple(frame.shape)}: expected (B, {channels}, H, W), {', '.join(self.inputs)}"
            )
        height, width = frame.shape[-2:]
        pad = (0, -width % self.multiple, 0, -height % self.multiple)
        frame = frame.contiguous()
        return F.pad(frame, pad, mode="replicate") if any(pad) else frame, (height, width)

    def preprocess(self, frame: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | float]:
        """(B, C, H, W) to the (B, features, H, W) features, the encoded albedo that the output is multiplied by, and
        what is added to it before: the last of the means, if there are any.

        Since (a x)^0.2 = a^0.2 x^0.2, multiplying by the encoded albedo is remodulation. A pixel is divided in all
        channels or in none: were only those left out that are nearly 0 (the blue of a red leaf), the network, which
        does not see the albedo, would give them the brightness of their neighbours. Depth becomes log(1 + depth): the
        same for every frame, whatever its extremes.
        """
        counts = [QUANTITIES[name].count for name in self.inputs]
        color, depth, normal, *albedo = frame.split(counts, dim=1)
        divisor, flags = torch.ones_like(color), []
        if albedo:
            divided = albedo[0].amax(1, keepdim=True) > MIN_ALBEDO
            divisor = albedo[0].clamp(min=MIN_ALBEDO).where(divided, 1)
            flags = [divided.to(color.dtype)]
        radiance = color / divisor
        means = [encode_radiance(local_mean(radiance, size)) for size in self.means]
        auxiliary = torch.log1p(depth.clamp(min=0)), normal, *flags
        features = torch.cat((encode_radiance(radiance), *auxiliary, *means), 1)
        return features, encode_radiance(divisor), means[-1] if means else 0.0


def denoise(
    denoiser: Denoiser, frames: Iterable[torch.Tensor], step: Step | None = None
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Reconstructs a sequence: yields each (C, H, W) frame with its (3, H, W) linear radiance, on the CPU.

    Holds one frame and one hidden state, however long the sequence is. Works where the denoiser's weights are.
    step: a faster equivalent of the denoiser, from inference/engines.py.
    """
    device = next(denoiser.parameters()).device
    state = None
    for frame in frames:
        with torch.inference_mode():  # not around the yield: the caller's code is not ours to switch
            image, state = (step or denoiser)(frame[None].to(device), state)
        yield frame, image[0].cpu()
