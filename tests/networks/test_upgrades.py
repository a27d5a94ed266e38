"""Pins how weights of square kernels become weights of diamonds: only corners go, and all history is trusted."""

import pytest
import torch

from networks.filtering import TRUST_BIAS, FilteringDenoiser
from networks.kernels import FINEST_TAPS, diamond
from networks.upgrades import has_square_kernels, without_corners

PATCH = 2


def with_corners(outputs, side, taps):
    """A head's outputs, (taps and more, ...), with ones for the other pixels of a square."""
    square = torch.ones(side**2, *outputs.shape[1:])
    square[[side * row + column for row, column in taps]] = outputs[: len(taps)]
    return torch.cat((square, outputs[len(taps) :]))


@pytest.mark.parametrize("radius", [1, 2])
def test_only_corners_go(radius):
    torch.manual_seed(0)
    denoiser = FilteringDenoiser((4, 6), PATCH, radius)
    new = {name: torch.rand_like(weight) for name, weight in denoiser.state_dict().items()}
    old = dict(new)
    for name, weight in new.items():
        if name.startswith("network.heads."):
            old[name] = with_corners(weight, 2 * radius + 1, diamond(radius))
        elif name.startswith("network.finest."):
            planes = with_corners(weight.unflatten(0, (-1, PATCH**2)), 3, FINEST_TAPS)
            old[name] = torch.cat((planes[:-2], planes[-1:])).flatten(0, 1)  # there was no trust
    assert has_square_kernels(denoiser.options, old) and not has_square_kernels(denoiser.options, new)
    found = without_corners(denoiser.options, old)
    for part in ("bias", "weight"):
        trust = slice(-2 * PATCH**2, -(PATCH**2))
        logit = found[f"network.finest.{part}"][trust].clone()
        assert torch.sigmoid(logit + TRUST_BIAS).eq(1).all() if part == "bias" else logit.eq(0).all()
        found[f"network.finest.{part}"][trust] = new[f"network.finest.{part}"][trust]
    for name, weight in new.items():
        assert torch.equal(found[name], weight), name


def test_networks_without_kernels_are_left_alone():
    assert not has_square_kernels({"channels": [3]}, {"network.heads.0.bias": torch.zeros(13)})
    assert not has_square_kernels({"kernels": True, "radius": 1}, {"network.heads.0.bias": "text"})
