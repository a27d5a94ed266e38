"""Pins how frames are extended to the sizes that a network needs; test_model.py tests the network itself."""

import numpy as np
import pytest
import torch

from networks.autoencoder import mirrored, pad_to_multiple


@pytest.mark.parametrize("size", [(8, 16), (9, 15), (5, 8), (13, 21)])
def test_a_frame_is_mirrored_at_its_last_row_and_column(size):
    planes = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    bottom, right = (-extent % 8 for extent in size)
    expected = np.pad(planes.numpy(), ((0, 0), (0, 0), (0, bottom), (0, right)), mode="reflect")
    assert np.array_equal(pad_to_multiple(planes, 8).numpy(), expected)
    assert np.array_equal(mirrored(mirrored(planes, 2, bottom), 3, right).numpy(), expected)


def test_a_frame_too_small_to_be_mirrored_is_mirrored_and_then_repeats_its_first_row():
    planes = torch.arange(2.0)[None, None, :, None]
    assert pad_to_multiple(planes, 8)[0, 0].T.tolist() == [[0, 1, 0, 0, 0, 0, 0, 0]] * 8
