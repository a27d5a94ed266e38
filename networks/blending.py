"""The image, of what was filtered and of the image before it."""

import torch

from networks.history import BLACK

MIX_BIAS = 2.0  # before training: 0.88 from divided radiance
GAIN_LIMIT = 1.5  # logarithm of the largest factor on a filtered pixel


def blend(
    filtered: torch.Tensor,
    divisor: torch.Tensor,
    previous: torch.Tensor,
    validity: torch.Tensor,
    gate: torch.Tensor,
    mix: torch.Tensor,
    gain: torch.Tensor,
) -> torch.Tensor:
    """The image, (B, 3 L, H, W), of the filtered radiance, divided and plain, (B, 6 L, H, W), and the previous image.

    previous: (B, 3 L, H, W), divided by albedo, as the history has it. gate, mix, gain: (B, 1, H, W) outputs of the
    network.
    """
    share, factor = torch.sigmoid(mix + MIX_BIAS), torch.exp(GAIN_LIMIT * torch.tanh(gain))
    kept = torch.sigmoid(gate) * validity
    images = []
    for both, before in zip(filtered.split(6, 1), previous.split(3, 1), strict=True):
        divided, plain = both.split(3, 1)
        image = (share * divisor * divided + (1 - share) * plain) * factor
        images.append(torch.lerp(image, before * divisor, kept))
    return torch.cat(images, 1) if len(images) > 1 else images[0]


def distribute_change(detailed: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """All colors, (B, 3 L, H, W), of an image whose first color has become (B, 3, H, W) `detailed`.

    The others, such as light groups, are scaled by the same factor; where the first is black, they split the change
    equally. So they still add up to it if they did before.
    """
    first, *others = image.split(3, 1)
    change = detailed - first
    factor = change / first.clamp(min=BLACK)
    dark = first < BLACK
    changed = [color + torch.where(dark, change / len(others), color * factor) for color in others]
    return torch.cat((detailed, *changed), 1) if others else detailed
