"""Weights of earlier networks, made to fit the network as it is."""

from itertools import product

import torch

from networks.kernels import BANDWIDTHS, FINEST_TAPS, diamond

ALL_TRUSTED = 20.0  # logit of the trust in a history: its sigmoid is 1
PIXEL_FEATURES = 28  # what earlier networks saw of every pixel
OF_SAMPLES = 0, 1, 2, 23, 24, 25  # those among them that are still of every pixel; the others are now of every patch
FIRST = "network.encoder.0.conv1.weight"


def is_earlier(options: dict, weights: dict[str, torch.Tensor]) -> bool:
    """Whether these are weights of an earlier network. options: a denoiser's."""
    return has_square_kernels(options, weights) or sees_every_pixel(options, weights)


def upgraded(options: dict, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights, made to fit the network as it is if they are of an earlier one."""
    if has_square_kernels(options, weights):
        weights = without_corners(options, weights)
    return with_patch_features(weights) if sees_every_pixel(options, weights) else weights


def sees_every_pixel(options: dict, weights: dict[str, torch.Tensor]) -> bool:
    """Whether these are weights from before a patch's pixels had only their samples for themselves."""
    first = weights.get(FIRST)
    inputs = PIXEL_FEATURES * options.get("patch", 2) ** 2 if isinstance(options.get("patch", 2), int) else None
    return options.get("kernels") is True and isinstance(first, torch.Tensor) and first.shape[1:2] == (inputs,)


def with_patch_features(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights for PIXEL_FEATURES as weights for sample_planes and patch_planes (networks/features.py).

    A patch has one value instead of four, so their weights add up. What differs within a patch is no longer seen, which
    changes images by little.
    """
    pixels = weights[FIRST].unflatten(1, (PIXEL_FEATURES, -1))  # (C, PIXEL_FEATURES, patch^2, 3, 3)
    others = [feature for feature in range(PIXEL_FEATURES) if feature not in OF_SAMPLES]
    samples, patches = pixels[:, OF_SAMPLES].flatten(1, 2), pixels[:, others].sum(2)
    return weights | {FIRST: torch.cat((samples, patches), 1)}


def has_square_kernels(options: dict, weights: dict[str, torch.Tensor]) -> bool:
    """Whether these are weights from before kernels were diamonds. options: a denoiser's."""
    bias = weights.get("network.heads.0.bias")
    side = square_side(options)
    return side is not None and isinstance(bias, torch.Tensor) and bias.shape == (side**2 + BANDWIDTHS,)


def square_side(options: dict) -> int | None:
    """How many pixels wide the square kernels of these options were; None where there are no kernels."""
    radius = options.get("radius", 2)
    return 2 * radius + 1 if options.get("kernels") is True and isinstance(radius, int) and radius > 0 else None


def without_corners(options: dict, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights of square kernels as weights of diamonds, with all trust in the history. options: the denoiser's.

    The kernels' corners go, which changes images by little: see benchmarks/README.md, Reconstruction.
    """
    patch, side = options.get("patch", 2), square_side(options)
    below, finest = kept(side, diamond(side // 2)), kept(3, FINEST_TAPS)
    result = dict(weights)
    for name, weight in weights.items():
        if name.startswith("network.heads."):
            result[name] = cut(weight, side, below)
        elif name.startswith("network.finest."):
            planes = cut(weight.unflatten(0, (-1, patch**2)), 3, finest)  # (outputs, patch^2, ...)
            trust = torch.full_like(planes[:1], ALL_TRUSTED if name.endswith("bias") else 0.0)
            result[name] = torch.cat((planes[:-1], trust, planes[-1:])).flatten(0, 1)  # the gain stays last
    return result


def kept(side: int, taps: tuple) -> list[int]:
    """The numbers, row by row, of those pixels of a square that are taps."""
    return [number for number, tap in enumerate(product(range(side), repeat=2)) if tap in taps]


def cut(outputs: torch.Tensor, side: int, taps: list[int]) -> torch.Tensor:
    """A head's outputs without the logits of a square's other pixels."""
    return torch.cat((outputs[taps], outputs[side**2 :]))
