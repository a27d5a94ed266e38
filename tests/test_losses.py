"""Pins the losses: closed forms, the paper's table, zero-sum and per-channel Laplacian, gradient to every frame."""

import math

import pytest
import torch

import losses
from training.presets import LOSS_NAMES


def random_pair(length=7, size=16):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, 2, length, 3, size, size, generator=generator).unbind(0)


def test_frame_weights_are_the_papers_table():
    table = torch.tensor([0.011, 0.044, 0.135, 0.325, 0.607, 0.882, 1.0])
    assert torch.allclose(losses.frame_weights(7), table, atol=5e-4)


@pytest.mark.parametrize("length", [1, 3, 5, 12])
def test_frame_weights_of_any_length_end_like_the_table(length):
    weights = losses.frame_weights(length)
    assert len(weights) == length and weights[-1] == 1
    assert torch.equal(weights[-3:], losses.frame_weights(7)[-min(3, length) :])


def test_spatial_l1_of_a_constant_error_is_that_error():
    prediction, _ = random_pair()
    assert losses.spatial_l1(prediction, prediction + 0.25) == pytest.approx(0.25, rel=1e-4)


def test_spatial_l1_weights_frames():
    target = torch.zeros(1, 3, 3, 4, 4)
    prediction = target.clone()
    prediction[:, 1] = 1
    weights = losses.frame_weights(3)
    assert losses.spatial_l1(prediction, target).item() == pytest.approx((weights[1] / weights.sum()).item())


def test_temporal_l1_ignores_a_constant_error_and_measures_flicker():
    target = random_pair()[0]
    assert losses.temporal_l1(target + 0.5, target) < 1e-6
    flicker = torch.tensor([0.0, 1, 0, 1, 0, 1, 0]).reshape(1, 7, 1, 1, 1)
    assert losses.temporal_l1(target + flicker, target).item() == pytest.approx(1, rel=1e-5)


def test_temporal_l1_is_a_difference_not_a_sum():
    """A public re-implementation adds successive frames, so that a still picture has a temporal loss."""
    still = torch.rand(1, 1, 3, 8, 8).expand(1, 4, 3, 8, 8)
    assert losses.temporal_l1(still, torch.zeros_like(still)) == 0


def test_laplacian_sums_to_zero_and_has_its_closed_form():
    kernel = losses.laplacian_of_gaussian()
    assert kernel.shape == (15, 15) and abs(kernel.sum()) < 1e-6
    assert torch.equal(kernel, kernel.T) and torch.equal(kernel, kernel.flip(0))
    # at distance r: (r^2 - 2 s^2) / s^4 times the Gaussian, up to the mean that is taken off
    center, zero_crossing = kernel[7, 7], 2**0.5 * 1.5
    assert center.item() == pytest.approx(-2 / 1.5**2 / (2 * torch.pi * 1.5**2), rel=1e-2)
    assert kernel[7, 7 + int(zero_crossing)] < 0 < kernel[7, 7 + int(zero_crossing) + 1]


def test_gradient_l1_is_blind_to_a_constant_error():
    target = random_pair()[0]
    assert losses.gradient_l1(target + 3, target) < 1e-5


def test_gradient_l1_of_a_wave_is_its_closed_form():
    """The Laplacian of a Gaussian turns cos(k x) into -k^2 exp(-k^2 sigma^2 / 2) cos(k x)."""
    k = 2 * math.pi / 8
    wave = torch.cos(k * torch.arange(256.0)).expand(1, 1, 3, 32, 256)
    closed = k**2 * math.exp(-((k * 1.5) ** 2) / 2) * wave.abs().mean().item()
    assert losses.gradient_l1(wave, torch.zeros_like(wave)).item() == pytest.approx(closed, rel=0.03)


def test_gradient_l1_does_not_mix_channels():
    target = torch.zeros(1, 1, 3, 32, 32)
    red, gray = target.clone(), target.clone()
    red[:, :, 0, 16, 16] = 1
    gray[:, :, :, 16, 16] = 1
    assert losses.gradient_l1(gray, target).item() == pytest.approx(3 * losses.gradient_l1(red, target).item())
    opposite = red.clone()
    opposite[:, :, 1, 16, 16] = -1  # would cancel if channels were added
    assert losses.gradient_l1(opposite, target).item() == pytest.approx(2 * losses.gradient_l1(red, target).item())


def test_gradient_l1_equals_a_plain_convolution():
    prediction, target = random_pair(length=1, size=20)
    kernel = losses.laplacian_of_gaussian()
    difference = torch.nn.functional.pad((prediction - target)[:, 0], (7, 7, 7, 7), mode="replicate")
    slow = sum(
        (difference[b, c, y : y + 15, x : x + 15] * kernel).sum().abs()
        for b in range(2)
        for c in range(3)
        for y in range(20)
        for x in range(20)
    ) / (2 * 3 * 20 * 20)
    assert losses.gradient_l1(prediction, target).item() == pytest.approx(slow.item(), rel=1e-4)


paper = losses.LOSSES["paper"].of


def test_total_is_the_papers_mix():
    parts = paper(*random_pair())
    mix = 0.8 * parts["spatial"] + 0.1 * parts["gradient"] + 0.1 * parts["temporal"]
    assert parts["loss"].item() == pytest.approx(mix.item())


@pytest.mark.parametrize("length", [2, 3, 5, 7])
def test_every_frame_gets_gradient_the_first_included(length):
    prediction, target = random_pair(length)
    prediction.requires_grad_()
    paper(prediction, target)["loss"].backward()
    assert (prediction.grad.abs().sum((0, 2, 3, 4)) > 0).all()


def test_single_frames_have_no_temporal_loss_but_a_gradient():
    prediction, target = random_pair(length=1)
    prediction.requires_grad_()
    parts = paper(prediction, target)
    parts["loss"].backward()
    assert parts["temporal"] == 0 and prediction.grad.abs().sum() > 0


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_pixels_without_a_finite_target_neither_count_nor_get_gradient(bad):
    prediction, target = random_pair(length=3)
    prediction.requires_grad_()
    target[:, :, 1, 5, 6] = bad
    masked = losses.mask_target(prediction, target)
    loss = paper(prediction, masked)["loss"]
    loss.backward()
    assert torch.isfinite(loss)
    changed = prediction.detach().clone()
    changed[..., 5, 6] += 10
    again = paper(changed, losses.mask_target(changed, target))["loss"]
    assert again.item() == pytest.approx(loss.item(), rel=1e-5)
    assert prediction.grad[..., 5, 6].abs().max() < 1e-9


def picture(prediction, target, exposure):
    return losses.LOSSES["picture"].of(losses.as_pictures(prediction, target, exposure))


def pictures(length=4):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, 2, length, 3, 8, 8, generator=generator).exp().unbind(0)


def test_picture_loss_of_equal_sequences_is_zero_and_has_finite_gradients():
    prediction, _ = pictures()
    prediction[:, :, :, 0] = 0
    target = prediction.clone()
    prediction.requires_grad_()
    parts = picture(prediction, target, torch.ones(2))
    assert all(value == 0 for value in parts.values())
    picture(prediction, target + 1, torch.ones(2))["loss"].backward()
    assert torch.isfinite(prediction.grad).all()


def test_picture_loss_is_its_sum_and_does_not_depend_on_the_unit_of_radiance():
    prediction, target = pictures()
    parts = picture(prediction, target, torch.tensor([0.5, 0.2]))
    total = sum(weight * parts[name] for name, (weight, _) in losses.LOSSES["picture"].terms.items())
    assert parts["loss"].item() == pytest.approx(total.item())
    again = picture(7 * prediction, 7 * target, torch.tensor([0.5, 0.2]) / 7)
    assert again["loss"].item() == pytest.approx(parts["loss"].item(), rel=1e-4)


def test_picture_loss_limits_what_one_firefly_weighs():
    _, target = pictures(1)
    prediction = target.clone()
    prediction[0, 0, :, 3, 3] = 1e30
    parts = picture(prediction, target, torch.ones(2))
    assert parts["relative"].item() == pytest.approx(losses.RELATIVE_LIMIT / 128) and torch.isfinite(parts["loss"])


def test_brightness_is_of_means_and_blind_to_what_averages_out():
    _, target = pictures()
    swapped = target.flip(-1)
    parts = picture(swapped, target, torch.ones(2))
    assert parts["brightness"] < 1e-9 < parts["spatial"]
    brighter = picture(1.1 * target, target, torch.ones(2))["brightness"]
    assert brighter.item() == pytest.approx(2 * 0.5 * (0.1 / 1.1) ** 2, rel=0.1)  # two sizes, Huber's half


def test_the_best_brightness_is_the_mean_of_what_may_be():
    """Not below it, as for errors relative to the target: here the target is 1 or 3, and the best guess is 2."""
    target = torch.ones(2, 1, 3, 16, 16)
    target[1] = 3
    guess = torch.full((1, 1, 3, 16, 16), 2.0, requires_grad=True)
    losses.brightness_error(losses.Pictures(guess.expand_as(target), target, None)).backward()
    assert guess.grad.abs().max() < 1e-9


def test_the_tone_curve_rises_from_black_to_white():
    curve = losses.tone_curve(torch.linspace(0, 8, 200))
    assert (curve.diff() > 0).all() and curve[0] < 0.05 and 0.99 < curve[-1] < 1.01
    assert losses.tone_curve(torch.tensor(0.18)).item() == pytest.approx(0.18 ** (1 / 2.2), rel=0.02)


def test_the_command_line_knows_every_loss_and_a_new_term_is_trained_and_charted(monkeypatch):
    """presets.py, which imports no PyTorch, has the names again."""
    assert tuple(losses.LOSSES) == LOSS_NAMES
    assert set(losses.TERM_NAMES) == {"loss", *(name for loss in losses.LOSSES.values() for name in loss.terms)}
    more = losses.LOSSES["paper"].terms | {"constant": losses.Term(2.0, lambda *_: torch.tensor(3.0))}
    changed = losses.LOSSES["paper"]._replace(terms=more)
    prediction, target = random_pair()
    before, after = paper(prediction, target), changed.of(prediction, target)
    assert after["constant"] == 3 and after["loss"].item() == pytest.approx(before["loss"].item() + 6)
