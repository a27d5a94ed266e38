"""Pins the units of a sequence: found whatever they are, kept from frame to frame, changed when they must be."""

import math

import numpy as np
import pytest
import torch

from frames.channels import MOTION_INPUTS, PLAIN_INPUTS
from frames.normalization import MOST, SQUARE, USUAL_DEPTH, divided, followed, known, normalized_batch, scale_of
from frames.radiance import KEY, luminance


def frame(seed: int = 0, size: tuple[int, int] = (40, 56)) -> torch.Tensor:
    """A (1, 15, H, W) frame with noise, a sky and a further color."""
    rng = np.random.default_rng(seed)
    planes = torch.from_numpy(rng.exponential(1.0, (1, 15, *size)).astype(np.float32))
    planes[:, :3] *= torch.from_numpy(rng.random(size) < 0.3)  # most samples find no light
    planes[:, 3, :10] = 0
    return planes


@pytest.mark.parametrize(("radiance", "depth"), [(1e-4, 1.0), (1.0, 100.0), (1e4, 1e-3), (1e12, 1e12)])
def test_units_do_not_matter(radiance, depth):
    plain, other = frame(), frame()
    other[:, :3] *= radiance
    other[:, 12:] *= radiance
    other[:, 3] *= depth
    scale, found = scale_of(plain, MOTION_INPUTS), scale_of(other, MOTION_INPUTS)
    assert torch.allclose(found / scale, torch.tensor([[radiance, depth]]), rtol=1e-5)
    assert torch.allclose(divided(plain, MOTION_INPUTS, scale), divided(other, MOTION_INPUTS, found), rtol=1e-4)


def test_squares_are_as_bright_as_pictures_and_depth_as_in_a_room_in_metres():
    planes = frame()
    scale = scale_of(planes, MOTION_INPUTS)
    done = divided(planes, MOTION_INPUTS, scale)[0]
    light = luminance(done[:3])
    squares = [light[y : y + SQUARE, x : x + SQUARE].mean() for y in (0, 16, 32) for x in (0, 16, 32, 48)]
    assert math.exp(np.mean(np.log(squares))) == pytest.approx(KEY, rel=1e-5)
    assert math.exp(done[3][done[3] > 0].log().mean()) == pytest.approx(USUAL_DEPTH, rel=1e-5)
    assert torch.equal(done[4:12], planes[0, 4:12]), "nothing else has units"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 3e38, -1.0])
def test_a_broken_pixel_hardly_changes_them(value):
    planes, broken = frame(), frame()
    broken[:, :4, 20, 20] = value
    ratio = scale_of(broken, MOTION_INPUTS) / scale_of(planes, MOTION_INPUTS)
    assert (ratio.log2().abs() < 1.2).all()


def test_what_shows_nothing_says_nothing():
    black = torch.zeros(1, 7, 8, 8)
    scale = scale_of(black, PLAIN_INPUTS)
    assert scale.tolist() == [[0, 0]] and known(scale).tolist() == [[1, 1]]
    first = torch.tensor([[2.0, 3.0]])
    assert torch.equal(followed(scale, first), first), "what was not known is taken"
    assert torch.equal(followed(first, scale), first), "and kept in a black frame"


def test_they_stay_until_the_picture_is_very_different():
    scale = torch.tensor([[1.0, 1.0]])
    for factor, kept in ((0.99 * MOST, True), (1.01 / MOST, True), (1.01 * MOST, False), (0.99 / MOST, False)):
        found = scale * factor
        assert torch.equal(followed(scale, found), scale if kept else found), factor


def test_training_windows_have_units_of_their_own():
    noisy = torch.stack([frame(n)[0, :12].movedim(0, -1) for n in range(6)]).unflatten(0, (2, 3))  # (B, T, H, W, C)
    batch = {"noisy": noisy.half(), "target": noisy[..., :3].half(), "start": noisy[:, 0, ..., :7].half()}
    other = {name: part.clone().float() for name, part in batch.items()}
    for part, channels in (("noisy", slice(0, 3)), ("target", slice(0, 3)), ("start", slice(0, 6))):
        other[part][1, ..., channels] *= 2**20
    plain, found = normalized_batch(batch, MOTION_INPUTS), normalized_batch(other, MOTION_INPUTS)
    assert all(torch.allclose(plain[name], found[name], rtol=1e-5) for name in plain)
    first = plain["noisy"][:, 0].movedim(-1, 1)
    assert torch.allclose(scale_of(first, MOTION_INPUTS), torch.ones(2, 2), rtol=1e-4)
