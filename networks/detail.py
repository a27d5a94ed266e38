"""The detail stage: a direct-prediction U-Net whose image is blended with the filtered one, level by level.

Kernel prediction preserves energy and is robust to heavy noise, but loses fine detail. A U-Net that was trained on
very many scenes recovers it. This one has the architecture of Open Image Denoise 2 (its networks `base` and `small`),
and can begin with its weights (training/add_detail.py). It also sees the filtered image and the previous output, and
predicts weights that blend its image with both. All images are encoded with the library's transfer function.

Shapes: B sequences, H rows and W columns, multiples of MULTIPLE. Level n of a pyramid is H / 2^n by W / 2^n.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from networks.cpu import pooled

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
FULL_SIZE = ENCODER[0], DECODER[-2]  # layers that see the input itself; its extra planes are their last channels
GUIDED = 9  # input channels of Open Image Denoise: color, albedo, normal
MORE = 7  # extra channels: filtered image, previous output, where there is one
LEVELS = 4  # of the pyramid; the finest has the picture's size
MULTIPLE = 16
REACH = 96  # receptive radius in pixels; a multiple of MULTIPLE
BLEND_LOGITS = 0.6, 0.2, -0.8, -2.0  # of the predicted image before training, finest level first
PREVIOUS_LOGIT = -1.95  # of the previous output, at every level: a weight of 1/8

# Open Image Denoise's PU transfer function (its color.h): perceptually uniform; linear, then a power, then a logarithm
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


class Prediction(NamedTuple):
    """The U-Net's output.

    image: (B, 3, H, W), encoded. logits: (B, 2, H / 2^n, W / 2^n) for each level n, of the blend weights of this image
    and of the previous output.
    """

    image: torch.Tensor
    logits: list[torch.Tensor]


class DetailStage(nn.Module):
    """Maps a frame, its filtered image and the previous output to the output.

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
        # blend weights, constant before training
        self.blend = nn.ModuleList(nn.Conv2d(width, 2, 1) for width in decoder[::-2])
        for layer, logit in zip(self.blend, BLEND_LOGITS, strict=True):
            nn.init.zeros_(layer.weight)
            layer.bias.data = torch.tensor([logit, PREVIOUS_LOGIT])

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        """The output, (B, 3, H, W) linear radiance, normalized (frames/normalization.py).

        planes: (B, 15, H, W), color, albedo and normal of the frame, its filtered image, and the previous output,
        reprojected; 0 where there is none.
        """
        color, albedo, normal, filtered, previous = planes.split(3, 1)
        known = (previous.amax(1, keepdim=True) > 0).to(previous.dtype)  # (B, 1, H, W)
        filtered, previous = encode(filtered), encode(previous)
        seen = torch.cat((encode(color), albedo, normal * 0.5 + 0.5, filtered, previous, known), 1)  # (B, 16, H, W)
        predicted = self.predict(seen)
        weights, of_previous = zip(*(torch.sigmoid(x).split(1, 1) for x in predicted.logits), strict=True)
        image = filtered + blend_pyramid(predicted.image - filtered, weights)
        return decode(image + blend_pyramid((previous - image) * known, of_previous))

    def guided_shapes(self) -> dict[str, tuple[int, ...]]:
        """The weight shapes of the library's own convolutions, without the extra channels."""
        shapes = {name: tuple(layer.weight.shape) for name, layer in self.convolutions.items()}
        for name in FULL_SIZE:
            outputs, inputs, *kernel = shapes[name]
            shapes[name] = outputs, inputs - MORE, *kernel
        return shapes

    def fits(self, weights: dict[str, torch.Tensor]) -> bool:
        """Whether these are weights of the library's network of this size for color, albedo and normals."""
        shapes = self.guided_shapes().items()
        return all(f"{name}.weight" in weights and weights[f"{name}.weight"].shape == shape for name, shape in shapes)

    @torch.no_grad()
    def begin_with(self, weights: dict[str, torch.Tensor]) -> None:
        """Takes the library's weights, by its names; those of the extra channels are 0."""
        for name, layer in self.convolutions.items():
            own = weights[f"{name}.weight"]
            layer.weight.zero_()
            layer.weight[:, : own.shape[1]] = own
            layer.bias.copy_(weights[f"{name}.bias"])

    def predict(self, seen: torch.Tensor) -> Prediction:
        """The U-Net's output for (B, 16, H, W) planes, as float32; it computes in the type of its weights."""
        layers, logits = self.convolutions, []
        x = seen = seen.to(layers[OUTPUT].weight.dtype)

        # encoder: pooled after the second to fifth convolution; what three of them leave is joined later
        skips = [seen]
        for name in ENCODER:
            x = F.relu(layers[name](x), inplace=True)
            if name in ENCODER[1:5]:
                x = F.max_pool2d(x, 2)
                skips.append(x)

        # decoder: at each level joined with what the encoder left, then the level's logits
        del skips[-1]
        for level, skip in enumerate(reversed(skips)):
            x = torch.cat((F.interpolate(x, scale_factor=2.0), skip), 1)
            for name in DECODER[2 * level : 2 * level + 2]:
                x = F.relu(layers[name](x), inplace=True)
            logits.append(self.blend[LEVELS - 1 - level](x).float())
        return Prediction(layers[OUTPUT](x).float(), logits[::-1])


def blend_pyramid(difference: torch.Tensor, weights: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Multiplies each level of the Laplacian pyramid of a (B, C, H, W) difference by its weight, and sums them.

    weights: (B, 1, H / 2^n, W / 2^n) for level n, 0 to 1. With all weights 1, the difference itself.
    """
    levels = [difference]
    for _ in weights[1:]:
        levels.append(pooled(levels[-1], 2))
    total = levels[-1] * weights[-1]
    for plane, coarser, weight in zip(levels[-2::-1], levels[:0:-1], weights[-2::-1], strict=True):
        total = enlarged(total) + weight * (plane - enlarged(coarser))
    return total


def enlarged(planes: torch.Tensor) -> torch.Tensor:
    """(B, C, h, w) planes at twice their size, interpolated."""
    return F.interpolate(planes, scale_factor=2.0, mode="bilinear", align_corners=False)
