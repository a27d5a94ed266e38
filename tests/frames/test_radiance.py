"""Pins the radiance transforms: sRGB tone mapping and exposure."""

import pytest
import torch

from frames import radiance


def test_tone_mapping_is_srgb():
    linear = torch.tensor([0, 0.001, 0.18, 0.5, 1.0, 7.0]).reshape(1, 1, -1).expand(3, 1, -1)
    wanted = torch.tensor([0, 0.01292, 0.46135, 0.73536, 1, 1])  # IEC 61966-2-1
    assert torch.allclose(radiance.tone_map(linear, 1.0)[0, 0], wanted, atol=1e-4)


def test_exposure_brings_the_log_average_to_the_key():
    color = torch.full((3, 4, 4), 0.7)
    color[:, 0, 0] = float("nan")
    average = float(torch.exp(radiance.log_luminance(color)))
    assert average == pytest.approx(0.7, rel=1e-3)
    assert average * radiance.exposure_for(average) == pytest.approx(0.18)
