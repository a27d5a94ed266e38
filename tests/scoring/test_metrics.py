"""Pins the metrics: closed forms on flat images, temporal pairs, masks, and what has no value."""

import math

import pytest
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from scoring.metrics import SSIM_ROWS, SequenceScore, mean_scores, psnr, relmse


def flat(value, size=16):
    return torch.full((3, size, size), float(value))


def srgb(x):
    return 1.055 * x ** (1 / 2.4) - 0.055


def test_closed_forms_on_flat_images():
    score = SequenceScore(exposure=0.5)
    score.update(flat(0.4), flat(0.8))
    (frame,) = score.frames
    assert frame["psnr"] == pytest.approx(-20 * math.log10(srgb(0.4) - srgb(0.2)), abs=1e-3)
    assert frame["relmse"] == pytest.approx(0.4**2 / (0.8**2 + 0.01), rel=1e-4)
    assert frame["tpsnr"] is None


def test_identical_images_have_finite_scores():
    score = SequenceScore(1.0)
    score.update(flat(0.3), flat(0.3))
    assert score.frames[0]["psnr"] == 100 and score.frames[0]["ssim"] == pytest.approx(1, abs=5e-3) and psnr(0) == 100


def test_temporal_psnr_counts_flicker_not_bias():
    score = SequenceScore(1.0)
    for value in (0.5, 0.5, 0.6):
        score.update(flat(value), flat(0.2))
    assert score.frames[1]["tpsnr"] == 100
    assert score.frames[2]["tpsnr"] == pytest.approx(-20 * math.log10(srgb(0.6) - srgb(0.5)), abs=1e-3)


def test_a_frame_without_target_is_not_scored_and_breaks_the_pair():
    score = SequenceScore(1.0)
    score.update(flat(0.5), flat(0.5))
    score.update(flat(0.5), None)
    score.update(flat(0.5), flat(0.5))
    assert len(score.frames) == 3 and set(score.frames[1].values()) == {None}
    assert score.frames[2]["psnr"] == 100 and score.frames[2]["tpsnr"] is None


def test_ssim_is_that_of_torchmetrics():
    size = (2 * SSIM_ROWS + 22, 24)
    a, b = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0)).unbind(0)
    score = SequenceScore(1.0)
    score.update(a, b)
    image_srgb, target_srgb = (torch.where(x <= 0.0031308, 12.92 * x, srgb(x.clamp(min=1e-8)))[None] for x in (a, b))
    reference = structural_similarity_index_measure(image_srgb, target_srgb, data_range=1.0).item()
    assert score.frames[0]["ssim"] == pytest.approx(reference, abs=1e-4)


def test_pixels_without_a_finite_target_are_left_out():
    image, target = torch.rand(2, 3, 20, 20, generator=torch.Generator().manual_seed(0)).unbind(0)
    target[0, 3, 3] = float("nan")
    scores = []
    for value in (0.0, 1.0):
        image[:, 3, 3] = value
        score = SequenceScore(1.0)
        score.update(image, target)
        score.update(image * 0.5, target)
        scores.append(score.frames[1])
    assert scores[0] == scores[1] and all(math.isfinite(v) for v in scores[0].values())


def test_what_cannot_be_measured_is_none():
    score = SequenceScore(1.0)
    score.update(flat(0.5, size=3), flat(0.5, size=3))
    score.update(flat(0.5, size=3), flat(float("nan"), size=3))
    assert score.frames[0]["ssim"] is None and set(score.frames[1].values()) == {None}
    means = mean_scores(score.frames)
    assert means["psnr"] == 100 and means["ssim"] is None


def test_relmse_is_relative():
    assert relmse(flat(11), flat(10), torch.ones(16, 16, dtype=bool)) == pytest.approx(1 / 100.01)
