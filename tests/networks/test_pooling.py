"""Pins pooling: sums of shifted planes give what PyTorch's own pooling does."""

import pytest
import torch
import torch.nn.functional as F

from networks.pooling import mean_around, pooled

PLANES = torch.rand(2, 3, 8, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("size", [1, 2, 4])
def test_pooled(size, gradient):
    planes = PLANES.clone().requires_grad_(gradient)
    assert torch.allclose(pooled(planes, size), F.avg_pool2d(PLANES, size))
    assert torch.equal(planes, PLANES), "what is given stays"


@pytest.mark.parametrize("gradient", [False, True])
def test_mean_around(gradient):
    wanted = F.avg_pool2d(F.pad(PLANES, (1, 1, 1, 1), mode="replicate"), 3, 1)
    assert torch.allclose(mean_around(PLANES.clone().requires_grad_(gradient)), wanted)
