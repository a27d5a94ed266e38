"""Pins what a sequence's samples say of its images: gain and contrast, within limits, and no more than they know."""

import pytest
import torch

from frames.radiance import luminance
from inference.brightness import CONTRAST_LIMIT, GAIN_LIMIT, Brightness, Curve

GREY = torch.ones(3, 1, 1)


def curve(frames, images):
    """Brightness.curve of a sequence."""
    brightness = Brightness()
    for frame, image in zip(frames, images, strict=True):
        brightness.add(frame, image)
    return brightness.curve


def ramp(width=64):
    """An image from 1/16 to 4, at every row the same."""
    return GREY * torch.logspace(-4, 2, width, base=2).expand(16, width)


def test_without_samples_nothing_changes():
    light = ramp()
    assert Brightness().curve == Curve()
    assert curve([9 * light], [light]) == Curve(), "one frame has none before it"
    assert torch.equal(Curve()(light), light)
    assert curve([0 * light] * 3, [0 * light] * 3) == Curve()
    for odd in (torch.inf, torch.nan):
        assert curve([light, odd * light], [light] * 2) == Curve()
        assert curve([light] * 3, [light, odd * light, light]) == Curve()


def test_it_is_of_the_sequence_and_not_of_a_frame():
    light = torch.ones(3, 2, 2)
    found = curve([light, 3 * light, 0 * light], [light, light, 2 * light])
    assert found.gain == pytest.approx(1) and found.contrast == pytest.approx(0)


def test_contrast_that_images_lack_is_found():
    light = ramp()
    wanted = Curve(1.02, 0.05, float(light.mean()))(light)
    found = curve([wanted] * 3, [light] * 3)
    assert torch.allclose(found(light), wanted, rtol=0.02)
    assert luminance(found(light)).sum() == pytest.approx(float(luminance(wanted).sum()), rel=2e-3)


@pytest.mark.parametrize("change, gain, contrast", [(5, GAIN_LIMIT, 0), (0.2, 1 / GAIN_LIMIT, 0)])
def test_gain_is_limited(change, gain, contrast):
    found = curve([change * ramp(4096)] * 2, [ramp(4096)] * 2)
    assert found.gain == pytest.approx(gain) and found.contrast == pytest.approx(contrast, abs=1e-6)


def test_gain_is_trusted_as_far_as_the_samples_are():
    """Samples 10 percent brighter in the mean: nearly all of it if all are; little if one firefly makes it."""
    light = torch.ones(3, 100, 100)
    assert curve([1.1 * light] * 2, [light] * 2).gain == pytest.approx(1.1, abs=1e-3)
    firefly = light.clone()
    firefly[:, 50, 50] += 0.1 * 100 * 100
    assert 1.005 < curve([firefly] * 2, [light] * 2).gain < 1.03
    noise = [light * (0.6 + torch.rand(1, 100, 100, generator=torch.Generator().manual_seed(i))) for i in range(5)]
    assert curve(noise, [light] * 5).gain == pytest.approx(1.1, abs=0.005)


def test_mended_images_follow_the_samples_so_far():
    light, brightness = ramp(1024), Brightness()
    gains = [float((brightness.corrected(k * light, light) / light).median()) for k in (1, 1.02, 1.04, 1.0)]
    assert gains == pytest.approx([1, 1.02, 1.03, 1.02], abs=1e-3)


@pytest.mark.parametrize("power, contrast", [(2, CONTRAST_LIMIT), (0.8, 0)])
def test_contrast_is_limited_and_never_lowered(power, contrast):
    found = curve([ramp() ** power] * 2, [ramp()] * 2)
    assert found.contrast == contrast


def test_noise_that_shows_in_an_image_is_not_taken_for_contrast():
    """Bright samples make bright images: in the bins of their own image, they would seem brighter still."""
    generator = torch.Generator().manual_seed(0)
    truth = ramp(256).repeat(1, 16, 1)
    samples = [truth * torch.empty(1, *truth.shape[1:]).exponential_(generator=generator) for _ in range(4)]
    images = [0.8 * truth + 0.2 * noisy for noisy in samples]
    found = curve(samples, images)
    assert found.gain == pytest.approx(1, abs=0.02) and found.contrast < 0.01
    brightness = Brightness()
    for noisy, image in zip(samples, images, strict=True):
        brightness.add(noisy, image)
        brightness.add(noisy, image)  # now every other bin is of the very samples
    assert brightness.curve.contrast > 0.02


def test_colors_of_a_pixel_keep_their_ratio():
    light = torch.cat((ramp(), ramp().flip(2)))
    scale = Curve(1.01, 0.08, 0.5)(light) / light
    assert torch.allclose(scale, scale[:1].expand_as(scale))
    assert scale.max() < 1.3 and scale.min() > 0.7
