"""Pins how weights of earlier networks become weights of this one.

Of square kernels only the corners go, and all history is trusted. Where a patch's pixels are alike, the network sees
the same as before.
"""

import pytest
import torch

from networks.filtering import TRUST_BIAS, FilteringDenoiser
from networks.kernels import FINEST_TAPS, diamond
from networks.upgrades import FIRST, OF_SAMPLES, PIXEL_FEATURES, has_square_kernels, is_earlier, upgraded

PATCH = 2


def as_pixel_features(weights):
    """The first convolution with PIXEL_FEATURES: a patch's features are those of its pixels, a quarter each."""
    samples, patches = weights.split([len(OF_SAMPLES) * PATCH**2, PIXEL_FEATURES - len(OF_SAMPLES)], 1)
    old = torch.empty(len(weights), PIXEL_FEATURES, PATCH**2, 3, 3)
    old[:, OF_SAMPLES] = samples.unflatten(1, (-1, PATCH**2))
    others = [feature for feature in range(PIXEL_FEATURES) if feature not in OF_SAMPLES]
    old[:, others] = patches[:, :, None] / PATCH**2
    return old.flatten(1, 2)


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
    found = upgraded(denoiser.options, old)
    for part in ("bias", "weight"):
        trust = slice(-2 * PATCH**2, -(PATCH**2))
        logit = found[f"network.finest.{part}"][trust].clone()
        assert torch.sigmoid(logit + TRUST_BIAS).eq(1).all() if part == "bias" else logit.eq(0).all()
        found[f"network.finest.{part}"][trust] = new[f"network.finest.{part}"][trust]
    for name, weight in new.items():
        assert torch.equal(found[name], weight), name


def test_what_pixels_were_seen_by_becomes_what_patches_are_seen_by():
    torch.manual_seed(0)
    denoiser = FilteringDenoiser((4, 6), PATCH)
    new = denoiser.state_dict()
    old = new | {FIRST: as_pixel_features(new[FIRST])}
    assert is_earlier(denoiser.options, old) and not is_earlier(denoiser.options, new)
    found = upgraded(denoiser.options, old)
    assert found.keys() == new.keys() and upgraded(denoiser.options, new) is new
    for name, weight in new.items():
        assert torch.allclose(found[name], weight, atol=1e-6), name


def test_both_upgrades_follow_each_other():
    torch.manual_seed(0)
    denoiser = FilteringDenoiser((4, 6), PATCH, 1)
    old = dict(denoiser.state_dict())
    old[FIRST] = as_pixel_features(old[FIRST])
    for name, weight in denoiser.state_dict().items():
        if name.startswith("network.heads."):
            old[name] = with_corners(weight, 3, diamond(1))
        elif name.startswith("network.finest."):
            planes = with_corners(weight.unflatten(0, (-1, PATCH**2)), 3, FINEST_TAPS)
            old[name] = torch.cat((planes[:-2], planes[-1:])).flatten(0, 1)
    new, found = denoiser.state_dict(), upgraded(denoiser.options, old)
    assert {name: weight.shape for name, weight in found.items()} == {name: w.shape for name, w in new.items()}
    assert torch.allclose(found[FIRST], new[FIRST], atol=1e-6) and not is_earlier(denoiser.options, found)


def test_networks_without_kernels_are_left_alone():
    assert not is_earlier({"channels": [3]}, {FIRST: torch.zeros(4, PIXEL_FEATURES * 4, 3, 3)})
    assert not is_earlier({"kernels": True, "patch": "text"}, {FIRST: torch.zeros(4, PIXEL_FEATURES * 4, 3, 3)})
    assert not has_square_kernels({"channels": [3]}, {"network.heads.0.bias": torch.zeros(13)})
    assert not has_square_kernels({"kernels": True, "radius": 1}, {"network.heads.0.bias": "text"})
