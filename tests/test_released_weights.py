"""Pins the released weights: they load, stay small, and give the images that they gave when they were released."""

import pytest
import torch
from support import ROOT

from training.checkpoints import load_denoiser

WEIGHTS = ROOT / "weights" / "filtering.safetensors"
GOLDEN = [0.197722, 0.199904, 0.202266]  # mean of each frame's image


def frames():
    """Three frames of a wall with a step in depth, seen by a camera that moves one pixel a frame."""
    generator = torch.Generator().manual_seed(0)
    planes = torch.zeros(3, 1, 12, 32, 48)
    planes[:, :, :3] = torch.rand(3, 1, 3, 32, 48, generator=generator).pow(4)
    planes[:, :, 3] = torch.where(torch.arange(48) < 20, 2.0, 3.0)
    planes[:, :, 6], planes[:, :, 7:10], planes[:, :, 10] = 1.0, 0.5, 1.0
    return planes


def test_released_weights_give_their_golden_values():
    denoiser, state, means = load_denoiser(WEIGHTS), None, []
    for frame in frames():
        image, state = denoiser(frame, state)
        means.append(image.mean().item())
    assert means == pytest.approx(GOLDEN, rel=1e-3)


def test_released_weights_are_small():
    assert WEIGHTS.stat().st_size < 8e6
