"""Pins that the recurrence is steady: over 192 frames, neither quality nor state drifts. The long run: benchmarks."""

import pytest
from support import ROOT

from benchmarks.steadiness import PERIOD, SCENES, drift, make_frames, measure
from checkpoints import load_denoiser
from frames.channels import MOTION_INPUTS, channel_count


@pytest.mark.parametrize(("name", "scene"), [("default", "still"), ("fast", "moving")])
def test_neither_quality_nor_state_drifts(name, scene):
    denoiser = load_denoiser(ROOT / "weights" / f"{name}.safetensors")
    frames = make_frames(3 * PERIOD, SCENES[scene], channel_count(MOTION_INPUTS))
    found = measure(denoiser, frames, every=1)
    # two whole periods of the motion against each other, after the first
    assert drift(found, "psnr", PERIOD) > -0.3
    assert abs(drift(found, "state", PERIOD)) < 0.05 * found["state"][-1]
    assert abs(drift(found, "image", PERIOD)) < 0.05
    assert abs(drift(found, "files", PERIOD)) < 0.1  # a file may be open for a moment; one that stays open counts 1
