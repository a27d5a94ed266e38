"""Pins what radiance is divided by, and that the network's input may be made a few rows at a time."""

import pytest
import torch

from networks.autoencoder import RecurrentAutoencoder
from networks.features import FEATURES, MIN_ALBEDO, RIM_ALBEDO, Seen, albedo_divisor, enter
from networks.rows import ROWS

BROWN = torch.tensor([0.2, 0.1, 0.02])[:, None, None]


def test_radiance_is_divided_by_albedo_where_there_is_one():
    albedo = (BROWN * torch.tensor([1.0, 0.5, 0.0001])).repeat(1, 8, 3)[None]
    albedo[..., 2], albedo[..., 5] = albedo[..., 0], albedo[..., 1]  # 0.0001 stays at the right edge only
    has_albedo, divisor = albedo_divisor(albedo)
    assert has_albedo[..., :8].all() and not has_albedo[..., 8].any()
    assert torch.equal(divisor[..., :7], albedo[..., :7].clamp(min=MIN_ALBEDO))
    assert (divisor[..., 8] == 1).all()
    assert torch.equal(albedo_divisor(torch.zeros(1, 3, 4, 4))[1], torch.ones(1, 3, 4, 4))


def test_rims_of_what_has_no_albedo_do_not_outshine_their_neighbors():
    """A wall before the sky: a rim that is mostly sky has little albedo, and here the sky's radiance."""
    coverage = torch.ones(1, 1, 6, 9)
    coverage[..., 4], coverage[..., 5:] = 0.06, 0
    _, divisor = albedo_divisor(coverage * BROWN)
    assert torch.equal(divisor[..., :4], (coverage * BROWN)[..., :4].clamp(min=MIN_ALBEDO)), "not beside the sky"
    rim = divisor[..., 4]
    assert torch.allclose(rim.amax(1), torch.tensor(RIM_ALBEDO))
    assert torch.allclose(rim[:, 0], 1.2 * rim[:, 1]), "0.012 to 0.01, the least"


@pytest.mark.parametrize("patch", [1, 2])
def test_the_first_convolution_is_the_same_a_few_rows_at_a_time_and_in_the_layout_of_the_weights(patch):
    height, generator = 3 * patch * ROWS - 4 * patch, torch.Generator().manual_seed(0)
    channels = (3, 1, 3, 3, 1, 10, 1)  # of Seen
    seen = Seen(*(torch.rand(2, count, height, 64, generator=generator) for count in channels))
    network = RecurrentAutoencoder(FEATURES, (8, 8), patch).to(memory_format=torch.channels_last)
    hidden = network.initial_state(torch.zeros(2, FEATURES, height, 64))[0]
    together = enter(network, seen, hidden)  # gradients are wanted: one block
    with torch.inference_mode():
        by_rows = enter(network, seen, hidden)
    assert by_rows.shape == hidden.shape
    assert by_rows.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(by_rows, together, atol=1e-5)
