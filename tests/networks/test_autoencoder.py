"""Pins how frames are padded, and that the U-Net gives the same a few rows at a time."""

import numpy as np
import pytest
import torch

from networks.autoencoder import RecurrentAutoencoder, pad_by_reflection, pad_to_multiple
from networks.cpu import ROWS


@pytest.mark.parametrize("size", [(8, 16), (9, 15), (5, 8), (13, 21)])
def test_a_frame_is_reflected_at_its_last_row_and_column(size):
    planes = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    bottom, right = (-extent % 8 for extent in size)
    expected = np.pad(planes.numpy(), ((0, 0), (0, 0), (0, bottom), (0, right)), mode="reflect")
    assert np.array_equal(pad_to_multiple(planes, 8).numpy(), expected)
    assert np.array_equal(pad_by_reflection(pad_by_reflection(planes, 2, bottom), 3, right).numpy(), expected)


def test_a_frame_too_small_is_reflected_and_then_repeats_its_first_row():
    planes = torch.arange(2.0)[None, None, :, None]
    assert pad_to_multiple(planes, 8)[0, 0].T.tolist() == [[0, 1, 0, 0, 0, 0, 0, 0]] * 8


@pytest.mark.parametrize("patch", [1, 2])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_network_gives_the_same_a_few_rows_at_a_time(patch, layout):
    network = RecurrentAutoencoder(5, (6, 4, 8), patch).to(memory_format=layout)
    frame = torch.zeros(3, 1, patch * 4 * ROWS, 16 * patch)
    state = [hidden + 0.5 for hidden in network.initial_state(frame)]
    entered = torch.rand(2, *state[0].shape, generator=torch.Generator().manual_seed(0))
    whole, states = network(entered, state)
    with torch.inference_mode():
        by_rows, by_rows_states = network(entered, state)
    for a, b in zip((*whole, *states), (*by_rows, *by_rows_states), strict=True):
        assert torch.allclose(a, b, atol=1e-5)
