"""The detail stage: a U-Net's direct estimate of the image, of which the filtered image takes what it lacks.

A filter keeps brightness and is right where noise is heavy; a U-Net that has seen very many scenes knows detail. The
U-Net is that of Open Image Denoise 2 (its networks `base` and `small`), whose weights it can begin with
(training/pretrained.py); it sees more, and also says how much of its estimate is taken. Both images are compared as the
library encodes radiance.

Shapes: B sequences, H rows and W columns, multiples of MULTIPLE. Level n of a pyramid is H / 2^n by W / 2^n.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from networks.pooling import pooled

# the convolutions' widths, by Open Image Denoise's names of its networks
ENCODERS = {"base": (32, 32, 48, 64, 80, 96, 96), "small": (32,) * 7}
DECODERS = {"base": (112, 112, 96, 96, 64, 64, 64, 32), "small": (64, 64, 64, 64, 64, 32, 32, 32)}
ENCODER = ("enc_conv0", "enc_conv1", "enc_conv2", "enc_conv3", "enc_conv4", "enc_conv5a", "enc_conv5b")
DECODER = (
    "dec_conv4a",
    "dec_conv4b",
    "dec_conv3a",
    "dec_conv3b",
    "dec_conv2a",
    "dec_conv2b",
    "dec_conv1a",
    "dec_conv1b",
)
OUTPUT = "dec_conv0"
SEEING = ENCODER[0], DECODER[-2]  # those that the planes of the picture itself enter; the last of their inputs
GUIDED = 9  # channels that Open Image Denoise sees: color, albedo, normal
MORE = 7  # that only this stage sees: filtered image, previous image, where there is one
LEVELS = 4  # of the pyramid in which shares are taken; the finest has the picture's size
MULTIPLE = 16
REACH = 96  # pixels to each side that a pixel's estimate can depend on; a multiple of MULTIPLE
SHARES = 0.6, 0.2, -0.8, -2.0  # logits of the estimate's shares before training, finest level first
PREVIOUS_SHARE = -1.95  # the same of the previous image: an eighth


# the transfer function (color.h, "PU"): a line, a power, a logarithm, so that equal steps look alike
SLOPE, SCALE, EXPONENT, OFFSET = 1.41283765e3, 1.64593172, 4.31384981e-1, -2.94139609e-3
FACTOR, SHIFT, HEIGHT = 1.92653254e-1, 6.26026094e-3, 9.98620152e-1
RADIANCE_ENDS, ENCODED_ENDS = (1.57945760e-6, 3.22087631e-2), (2.23151711e-3, 3.70974749e-1)  # of line and power
BRIGHTEST = FACTOR * 11.0898666 + HEIGHT  # what it gives for the largest half float


def encode(radiance: torch.Tensor) -> torch.Tensor:
    """Linear radiance, any shape, to 0 (black) to 1 (the largest half float)."""
    radiance = radiance.clamp(min=0)
    first, second = RADIANCE_ENDS
    power = SCALE * radiance.clamp(min=first).pow(EXPONENT) + OFFSET
    logarithm = FACTOR * (radiance + SHIFT).log() + HEIGHT
    pieces = torch.where(radiance <= first, SLOPE * radiance, torch.where(radiance <= second, power, logarithm))
    return pieces / BRIGHTEST


def decode(encoded: torch.Tensor) -> torch.Tensor:
    """The inverse of `encode`; what is below 0 is black, what is above 1 as bright as 1."""
    encoded = encoded.clamp(0, 1) * BRIGHTEST
    first, second = ENCODED_ENDS
    power = ((encoded - OFFSET) / SCALE).clamp(min=1e-9).pow(1 / EXPONENT)
    exponential = ((encoded - HEIGHT) / FACTOR).exp() - SHIFT
    return torch.where(encoded <= first, encoded / SLOPE, torch.where(encoded <= second, power, exponential))


class Estimate(NamedTuple):
    """What the U-Net says of a frame, encoded.

    image: (B, 3, H, W), its direct estimate. shares: logits, one pair of planes for each level, finest first: how much
    of the estimate is taken there, and how much of the previous image.
    """

    image: torch.Tensor
    shares: list[torch.Tensor]


class DetailStage(nn.Module):
    """From a frame, its filtered image and the previous image to the image.

    size: "base" or "small". Raises ValueError if it is neither.
    """

    def __init__(self, size: str):
        super().__init__()
        if size not in ENCODERS:
            raise ValueError(f"detail {size!r}: expected one of {', '.join(ENCODERS)}")
        # the U-Net
        inputs = GUIDED + MORE
        encoder, decoder = ENCODERS[size], DECODERS[size]
        skips = encoder[3], encoder[2], encoder[1], inputs
        joined = [width + skip for width, skip in zip((encoder[-1], *decoder[1:6:2]), skips, strict=True)]
        inner = zip(joined, decoder[::2], strict=True)
        befores = [inputs, *encoder[:-1], *(n for pair in inner for n in pair)]
        self.convolutions = nn.ModuleDict(
            {
                name: nn.Conv2d(before, width, 3, padding=1)
                for name, before, width in zip(ENCODER + DECODER, befores, encoder + decoder, strict=True)
            }
        )
        self.convolutions[OUTPUT] = nn.Conv2d(decoder[-1], 3, 3, padding=1)
        for layer in self.convolutions.values():
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        # the shares, the same everywhere before training
        self.shares = nn.ModuleList(nn.Conv2d(width, 2, 1) for width in decoder[::-2])
        for layer, share in zip(self.shares, SHARES, strict=True):
            nn.init.zeros_(layer.weight)
            layer.bias.data = torch.tensor([share, PREVIOUS_SHARE])

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        """The image, (B, 3, H, W) linear radiance, of (B, 15, H, W) planes, in the sequence's units (frames/scale.py).

        planes: color, albedo and normal of the frame, its filtered image, and the previous image, fetched along the
        motion, 0 where there is none.
        """
        color, albedo, normal, filtered, previous = planes.split(3, 1)
        known = (previous.amax(1, keepdim=True) > 0).to(previous.dtype)  # (B, 1, H, W)
        filtered, previous = encode(filtered), encode(previous)
        seen = torch.cat((encode(color), albedo, normal * 0.5 + 0.5, filtered, previous, known), 1)  # (B, 16, H, W)
        estimate = self.estimate(seen)
        taken, kept = zip(*(torch.sigmoid(logits).split(1, 1) for logits in estimate.shares), strict=True)
        image = filtered + in_shares(estimate.image - filtered, taken)
        return decode(image + in_shares((previous - image) * known, kept))

    def guided_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes that the library's own convolutions have: without what only this stage sees."""
        shapes = {name: tuple(layer.weight.shape) for name, layer in self.convolutions.items()}
        for name in SEEING:
            outputs, inputs, *kernel = shapes[name]
            shapes[name] = outputs, inputs - MORE, *kernel
        return shapes

    def fits(self, weights: dict[str, torch.Tensor]) -> bool:
        """Whether these are weights of the library's network of this size for color, albedo and normals."""
        shapes = self.guided_shapes().items()
        return all(f"{name}.weight" in weights and weights[f"{name}.weight"].shape == shape for name, shape in shapes)

    @torch.no_grad()
    def begin_with(self, weights: dict[str, torch.Tensor]) -> None:
        """Takes the library's weights, by its names; what only this stage sees counts for nothing at first."""
        for name, layer in self.convolutions.items():
            own = weights[f"{name}.weight"]
            layer.weight.zero_()
            layer.weight[:, : own.shape[1]] = own
            layer.bias.copy_(weights[f"{name}.bias"])

    def estimate(self, seen: torch.Tensor) -> Estimate:
        """The U-Net's answer to (B, 16, H, W) planes, float32; it computes in the type of its weights."""
        layers, shares = self.convolutions, []
        x = seen = seen.to(layers[OUTPUT].weight.dtype)

        # encoder: pooled after the second to fifth convolution; what three of them leave is joined later
        skips = [seen]
        for name in ENCODER:
            x = F.relu(layers[name](x), inplace=True)
            if name in ENCODER[1:5]:
                x = F.max_pool2d(x, 2)
                skips.append(x)

        # decoder: at each level joined with what the encoder left, then the level's shares
        del skips[-1]
        for level, skip in enumerate(reversed(skips)):
            x = torch.cat((F.interpolate(x, scale_factor=2.0), skip), 1)
            for name in DECODER[2 * level : 2 * level + 2]:
                x = F.relu(layers[name](x), inplace=True)
            shares.append(self.shares[LEVELS - 1 - level](x).float())
        return Estimate(layers[OUTPUT](x).float(), shares[::-1])


def in_shares(difference: torch.Tensor, shares: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """What is left of (B, C, H, W) planes of which only a share of each level of their pyramid is taken.

    shares: (B, 1, H / 2^n, W / 2^n) for level n, from 0 to 1. A level has what the next coarser one cannot hold; so
    with all shares 1 the planes are as they were.
    """
    levels = [difference]
    for _ in shares[1:]:
        levels.append(pooled(levels[-1], 2))
    total = levels[-1] * shares[-1]
    for plane, coarser, share in zip(levels[-2::-1], levels[:0:-1], shares[-2::-1], strict=True):
        total = enlarged(total) + share * (plane - enlarged(coarser))
    return total


def enlarged(planes: torch.Tensor) -> torch.Tensor:
    """(B, C, h, w) planes at twice their size, interpolated."""
    return F.interpolate(planes, scale_factor=2.0, mode="bilinear", align_corners=False)
