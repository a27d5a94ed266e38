"""Pins silhouettes: mixed by coverage, nothing else changes, thin things stay, colors add up, bad values do no harm."""

import pytest
import torch

from frames.channels import MOTION_INPUTS, PLAIN_INPUTS, QUANTITIES, first_channel
from inference.silhouettes import find_silhouettes, resolve_silhouettes

DEPTH, NORMAL, ALBEDO = (first_channel(MOTION_INPUTS, name) for name in ("depth", "normal", "albedo"))
SKY, THING = 0.5, 3.0


def coverage(size=48, radius=15.3):
    """How much of each pixel a disk covers, (H, W)."""
    fine = 8
    places = (torch.arange(size * fine) + 0.5) / fine - size / 2
    disk = (places.square() + places[:, None].square() < radius**2).float()
    return disk.unflatten(0, (size, fine)).unflatten(2, (size, fine)).mean((1, 3))


def scene(covered):
    """A frame, (12, H, W), of something before the sky, and what it looks like, (3, H, W)."""
    frame = torch.zeros(12, *covered.shape)
    frame[DEPTH], frame[NORMAL + 2], frame[ALBEDO] = 4 * covered, covered, 0.6 * covered
    return frame, (covered * THING + (1 - covered) * SKY).expand(3, -1, -1).clone()


def before_a_wall(covered):
    """The same before a wall instead of the sky."""
    frame, exact = scene(covered)
    frame[DEPTH] += 6 * (1 - covered)
    frame[NORMAL], frame[ALBEDO : ALBEDO + 3] = 1 - covered, 0.6
    return frame, exact


def blurred(image):
    return torch.nn.functional.avg_pool2d(image, 3, 1, 1, count_include_pad=False)


@pytest.mark.parametrize("make", [scene, before_a_wall])
def test_edges_are_mixed_by_how_much_is_covered(make):
    frame, exact = make(coverage())
    image = blurred(exact)
    found = resolve_silhouettes(frame, image, MOTION_INPUTS)
    edges = find_silhouettes(frame[DEPTH : DEPTH + 1], frame[NORMAL : NORMAL + 3])
    assert 60 < edges.sum() < 400
    before, after = ((x - exact)[:, edges].abs() for x in (image, found))
    assert after.mean() < 0.15 * before.mean() and after.max() < 0.5 * before.max()
    assert torch.equal(found[:, ~edges], image[:, ~edges])


def test_without_albedo_normals_do():
    frame, exact = scene(coverage())
    found = resolve_silhouettes(frame[:7], blurred(exact), PLAIN_INPUTS)
    assert (found - exact).abs().mean() < 0.8 * (blurred(exact) - exact).abs().mean()


def test_depth_tells_parallel_surfaces_apart():
    covered = coverage()
    frame, exact = before_a_wall(covered)
    parallel = frame.clone()
    parallel[NORMAL], parallel[NORMAL + 2] = 0, 1
    # short normals in one half show that those of the other are means, too
    frame, exact = torch.cat((frame, parallel), 1), torch.cat((exact, exact), 1)
    found = resolve_silhouettes(frame, blurred(exact), MOTION_INPUTS)[:, 48:]
    mixed = (covered > 0) & (covered < 1)
    before, after = ((x - exact[:, 48:])[:, mixed].abs().mean() for x in (blurred(exact)[:, 48:], found))
    assert after < 0.3 * before


def test_a_lamp_does_not_shine_on_edges_that_share_nothing_with_it():
    frame, exact = before_a_wall(coverage())
    image = exact.clone()
    image[:, 24, 4] = 1000.0  # on the wall, nothing but its brightness tells
    edges = find_silhouettes(frame[DEPTH : DEPTH + 1], frame[NORMAL : NORMAL + 3])
    found = resolve_silhouettes(frame, image, MOTION_INPUTS)
    assert edges[20:29, 5:9].any() and torch.allclose(found, image, rtol=0.05)


@pytest.mark.parametrize("make", [scene, before_a_wall])
def test_single_samples_say_nothing_of_coverage(make):
    frame, exact = make((coverage() > 0.5).float())
    assert torch.equal(resolve_silhouettes(frame, blurred(exact), MOTION_INPUTS), blurred(exact))


def test_what_is_too_thin_to_have_an_inside_stays():
    covered = torch.zeros(32, 32)
    covered[:, 15], covered[:, 16] = 0.3, 0.8
    frame, exact = scene(covered)
    found = resolve_silhouettes(frame, exact, MOTION_INPUTS)
    assert torch.allclose(found, exact, rtol=0.05)


def test_constants_stay_and_brightness_scales():
    frame, exact = before_a_wall(coverage())
    image = blurred(exact)
    assert torch.allclose(resolve_silhouettes(frame, torch.full_like(image, 0.7), MOTION_INPUTS), torch.tensor(0.7))
    found = resolve_silhouettes(frame, image, MOTION_INPUTS)
    assert torch.allclose(resolve_silhouettes(frame, 64 * image, MOTION_INPUTS), 64 * found, rtol=1e-4)


def test_further_colors_add_up():
    frame, exact = scene(coverage())
    image = torch.cat((exact, 0.3 * exact, 0.7 * exact))
    found = resolve_silhouettes(frame, blurred(image), MOTION_INPUTS)
    assert torch.allclose(found[3:6] + found[6:], found[:3], rtol=1e-5)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e30, QUANTITIES["albedo"].missing])
def test_bad_values_do_no_harm(value):
    frame, exact = scene(coverage())
    frame[NORMAL:, 20:24] = value
    found = resolve_silhouettes(frame, blurred(exact), MOTION_INPUTS)
    assert torch.isfinite(found).all() and found.max() <= THING * 1.001 and found.min() >= SKY * 0.999


def test_black_stays_black():
    frame, _ = scene(coverage())
    assert resolve_silhouettes(frame, torch.zeros(3, 48, 48), MOTION_INPUTS).abs().max() == 0


def test_hardly_any_light_does_not_overflow():
    frame, exact = scene(coverage())
    image = blurred(exact)
    image[:, ::2] = 1e-40
    found = resolve_silhouettes(frame, image, MOTION_INPUTS)
    assert torch.isfinite(found).all() and found.max() <= THING * 1.001
