"""Pins the released weights: they load, stay small, and give the images that they gave when they were released."""

import pytest
import torch
from support import ROOT

from checkpoints import load_denoiser
from frames.channels import MOTION_INPUTS, QUANTITIES, first_channel
from model import denoise

# mean of each frame's image, with and without motion
GOLDEN = {
    "default": ([0.203834, 0.20328, 0.204491], [0.203834, 0.203339, 0.204697]),
    "fast": ([0.209181, 0.20751, 0.207058], [0.209181, 0.20848, 0.20811]),
}


def frames():
    """Three frames of a wall with a step in depth, seen by a camera that moves one pixel a frame."""
    generator = torch.Generator().manual_seed(0)
    planes = torch.zeros(3, 1, 12, 32, 48)
    planes[:, :, :3] = torch.rand(3, 1, 3, 32, 48, generator=generator).pow(4)
    planes[:, :, 3] = torch.where(torch.arange(48) < 20, 2.0, 3.0)
    planes[:, :, 6], planes[:, :, 7:10], planes[:, :, 10] = 1.0, 0.5, 1.0
    return planes


@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.parametrize("motion", [True, False])
def test_released_weights_give_their_golden_values(name, motion):
    denoiser = load_denoiser(ROOT / "weights" / f"{name}.safetensors")
    planes = frames()
    if not motion:
        planes[:, :, first_channel(MOTION_INPUTS, "motion") :] = QUANTITIES["motion"].missing
    means = [image.mean().item() for _, image in denoise(denoiser, planes[:, 0])]
    assert means == pytest.approx(GOLDEN[name][0 if motion else 1], rel=1e-3)


@pytest.mark.parametrize("name", GOLDEN)
def test_released_weights_are_small(name):
    assert (ROOT / "weights" / f"{name}.safetensors").stat().st_size < 8e6
