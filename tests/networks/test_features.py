"""Pins what radiance is divided by, and that the network's input may be made a few rows at a time."""

import pytest
import torch

from frames.channels import PLAIN_INPUTS
from networks.autoencoder import RecurrentAutoencoder
from networks.cpu import ROWS
from networks.features import (
    EDGE_ALBEDO,
    MIN_ALBEDO,
    PATCH_FEATURES,
    SAMPLE_FEATURES,
    Seen,
    albedo_divisor,
    clamp_to_limits,
    enter,
    is_within,
    mean_planes,
    patch_planes,
)

BROWN = torch.tensor([0.2, 0.1, 0.02])[:, None, None]


def test_radiance_is_divided_by_albedo_where_there_is_one():
    albedo = (BROWN * torch.tensor([1.0, 0.5, 0.0001])).repeat(1, 8, 3)[None]
    albedo[..., 2], albedo[..., 5] = albedo[..., 0], albedo[..., 1]  # 0.0001 stays at the right edge only
    has_albedo, divisor = albedo_divisor(albedo)
    assert has_albedo[..., :8].all() and not has_albedo[..., 8].any()
    assert torch.equal(divisor[..., :7], albedo[..., :7].clamp(min=MIN_ALBEDO))
    assert (divisor[..., 8] == 1).all()
    assert torch.equal(albedo_divisor(torch.zeros(1, 3, 4, 4))[1], torch.ones(1, 3, 4, 4))


def test_edges_of_what_has_no_albedo_do_not_outshine_their_neighbors():
    """A wall before the sky: an edge that is mostly sky has little albedo, and here the sky's radiance."""
    coverage = torch.ones(1, 1, 6, 9)
    coverage[..., 4], coverage[..., 5:] = 0.06, 0
    _, divisor = albedo_divisor(coverage * BROWN)
    assert torch.equal(divisor[..., :4], (coverage * BROWN)[..., :4].clamp(min=MIN_ALBEDO)), "not beside the sky"
    edge = divisor[..., 4]
    assert torch.allclose(edge.amax(1), torch.tensor(EDGE_ALBEDO))
    assert torch.allclose(edge[:, 0], 1.2 * edge[:, 1]), "0.012 to 0.01, the least"


def random_scene(height):
    """What there is to see of two frames, at random."""
    generator = torch.Generator().manual_seed(0)
    channels = (3, 1, 3, 3, 1, 3, 3, 1, 1)  # of Seen
    return Seen(*(torch.rand(2, count, height, 64, generator=generator) for count in channels))


def test_patches_whose_pixels_are_alike_are_seen_as_these_pixels():
    """Of such a picture, in every patch the network sees what it would see of the small picture's pixel."""
    small = random_scene(32)
    large = Seen(*(planes.repeat_interleave(2, 2).repeat_interleave(2, 3) for planes in small))
    found = patch_planes(large, mean_planes(large, 2), 2)
    depth, normal, flag, albedo, means, previous, validity, weight = found
    assert torch.allclose(depth, torch.log1p(small.depth), atol=1e-6)
    for planes, name in ((normal, "normal"), (flag, "has_albedo"), (albedo, "albedo"), (validity, "validity")):
        assert torch.allclose(planes, getattr(small, name), atol=1e-6), name
    assert torch.allclose(previous, small.previous.add(1e-4).pow(0.2), atol=1e-5)
    assert torch.allclose(weight, 1 / (1 + small.weight), atol=1e-6)
    samples = (small.divided + small.sums) / (1 + small.weight) + 1e-4
    by_hand = samples[0, 0, :16, :16].mean()  # of 32x32 pixels of the large picture; at its corner nothing is mixed in
    assert means[0, 6, 0, 0] == pytest.approx(float(by_hand) ** 0.2, rel=1e-4)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 65505.0])
@torch.inference_mode()
def test_only_frames_with_values_beyond_the_limits_are_copied(value):
    frame = torch.rand(1, 7, 4, 4)
    assert clamp_to_limits(frame, PLAIN_INPUTS) is frame and is_within(frame, 0.0, 1.0)
    frame[0, 3, 1, 2] = value  # a depth
    repaired = clamp_to_limits(frame, PLAIN_INPUTS)
    assert repaired[0, 3, 1, 2] == (65504 if value == 65505 else 0)
    assert torch.equal(frame[0, 3, 1, 2], torch.tensor(value)) or value != value, "the frame stays as it was"
    repaired[0, 3, 1, 2] = frame[0, 3, 1, 2]
    assert torch.equal(repaired.nan_to_num(), frame.nan_to_num()), "nothing else changes"


@torch.inference_mode()
def test_infinite_radiance_is_the_brightest_and_negative_radiance_is_black():
    frame = torch.rand(1, 10, 4, 4)  # with a further color
    frame[0, 0, 1, 1], frame[0, 1, 1, 1], frame[0, 8, 2, 2], frame[0, 9, 2, 2] = torch.tensor(
        [float("inf"), -5, -2, 1e9]
    )
    found = clamp_to_limits(frame, PLAIN_INPUTS)[0]
    assert found[:2, 1, 1].tolist() == [65504, 0] and found[8:, 2, 2].tolist() == [0, 65504]


@pytest.mark.parametrize("patch", [1, 2])
def test_the_first_convolution_is_the_same_a_few_rows_at_a_time_and_in_the_layout_of_the_weights(patch):
    height = 3 * patch * ROWS - 4 * patch
    seen = random_scene(height)
    inputs = SAMPLE_FEATURES * patch**2 + PATCH_FEATURES
    network = RecurrentAutoencoder(inputs, (8, 8), patch).to(memory_format=torch.channels_last)
    hidden = network.initial_state(torch.zeros(2, SAMPLE_FEATURES, height, 64))[0]
    together = enter(network, seen, hidden)  # gradients are wanted: one block
    with torch.inference_mode():
        by_rows = enter(network, seen, hidden)
    assert by_rows.shape == hidden.shape
    assert by_rows.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(by_rows, together, atol=1e-5)
