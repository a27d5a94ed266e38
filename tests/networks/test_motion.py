"""Pins estimated motion: known shifts are found to a fraction of a pixel, rest is rest, any batch, equal features."""

import pytest
import torch
import torch.nn.functional as F

from networks.motion import LEVELS, estimate_motion
from networks.warping import box_mean


def textured_wall(height=96, width=128, seed=0):
    """A wall with a smooth random albedo of a few pixels' scale, seen from the front: (1, 7, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    surface = torch.zeros(1, 7, height, width)
    surface[:, 0], surface[:, 3] = 3.0, 1.0
    coarse = torch.rand(1, 3, height // 8, width // 8, generator=generator)
    surface[:, 4:] = F.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1)
    return surface


def moved(surface, x, y):
    """What the wall looks like after the camera moved: the point at p was at p + (x, y)."""
    height, width = surface.shape[-2:]
    grid = F.affine_grid(
        torch.tensor([[[1.0, 0, 2 * x / width], [0, 1, 2 * y / height]]]), [1, 7, height, width], False
    )
    return F.grid_sample(surface, grid, padding_mode="border", align_corners=False)


@pytest.mark.parametrize(("x", "y"), [(0.5, -0.25), (3.3, -2.0), (-11.0, 7.5)])
def test_a_shift_is_found(x, y):
    then = textured_wall()
    motion = estimate_motion(then, moved(then, x, y))
    inside = motion[0, :, 20:-20, 20:-20]
    error = (inside - torch.tensor([x, y])[:, None, None]).norm(dim=0)
    assert error.median() < 0.1 and error.quantile(0.95) < 0.4


def test_a_camera_at_rest_has_no_motion():
    then = textured_wall()
    assert estimate_motion(then, then).abs().max() < 1e-3


def test_a_wall_without_features_gives_no_wild_motion():
    then = textured_wall()
    then[:, 4:] = 0.5
    assert estimate_motion(then, then + 0.001 * torch.randn(then.shape)).abs().max() < 0.5


def test_sequences_of_a_batch_do_not_mix():
    one, two = textured_wall(seed=1), textured_wall(seed=2)
    then, now = torch.cat((one, two)), torch.cat((moved(one, 2, 1), moved(two, -3, 0)))
    together = estimate_motion(then, now)
    for index in (0, 1):
        alone = estimate_motion(then[index : index + 1], now[index : index + 1])
        assert torch.allclose(together[index], alone[0], atol=1e-4)


def test_the_smallest_frame():
    surface = torch.zeros(1, 7, 2**LEVELS, 2**LEVELS)
    assert torch.isfinite(estimate_motion(surface, surface)).all()


def test_box_mean_counts_only_what_is_inside():
    planes = torch.arange(12.0).reshape(1, 1, 3, 4)
    means = box_mean(planes, 1)
    assert means[0, 0, 0, 0] == planes[0, 0, :2, :2].mean() and means[0, 0, 1, 2] == planes[0, 0, :, 1:].mean()
