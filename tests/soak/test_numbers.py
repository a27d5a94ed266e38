"""Pins that numbers stay finite: networks, losses and gradients, whatever one pixel, a channel or a frame holds.

NaN, Inf, fireflies, black frames, zero albedo, infinite depth, absurd motion, frames of one pixel; in float32, bfloat16
and float16. And that what is broken stays where it is, and passes.
"""

from functools import cache

import numpy as np
import pytest
import torch
from support import ROOT

from checkpoints import load_denoiser
from frames.augmentation import AUGMENTATIONS, augment_batch, draw_transform
from frames.channels import HALF_MAX, MOTION_INPUTS, QUANTITIES, channel_count, first_channel
from inference.engines import prepare
from model import Engine, denoise, make_denoiser
from training.module import DenoisingModule

NETWORKS = ("default", "fast", "paper")
PRECISIONS = (torch.float32, torch.bfloat16, torch.float16)
BROKEN = (np.nan, np.inf, -np.inf, 3e38, 1e30, -1e30, 1e9, 1e6, -1e6, 65504.0, 32752.0, 1e-30, -1.0, 0.0)
SIZES = ((32, 48), (1, 1), (1, 40), (5, 3), (33, 17))
PAPER = {"network": "paper", "channels": [32, 43, 57, 76, 101, 101], "demodulate": True}


@cache
def network(name, precision):
    if name == "paper":
        torch.manual_seed(0)
        denoiser = make_denoiser(PAPER).eval().requires_grad_(False)
    else:
        denoiser = load_denoiser(ROOT / "weights" / f"{name}.safetensors")
    return prepare(denoiser, torch.device("cpu"), precision)


def good_frames(count, size, seed=0):
    """(T, 12, H, W): noisy light on two walls, seen by a camera that moves one pixel a frame."""
    generator = torch.Generator().manual_seed(seed)
    frames = torch.zeros(count, channel_count(MOTION_INPUTS), *size)
    frames[:, :3] = torch.rand(count, 3, *size, generator=generator).pow(4)
    frames[:, 3] = torch.where(torch.arange(size[1]) < size[1] // 2, 2.0, 3.0)
    frames[:, 6], frames[:, 7:10], frames[1:, 10] = 1.0, 0.5, 1.0
    return frames


def break_frames(frames, rng):
    """Puts one of BROKEN, in place, into a pixel, a rectangle, or the whole of a quantity, or of all, in some frames.

    frames: (T, C, H, W) numbers. Returns what was done.
    """
    count, channels, height, width = frames.shape
    name = str(rng.choice([*MOTION_INPUTS, "all"]))
    first = 0 if name == "all" else first_channel(MOTION_INPUTS, name)
    planes = slice(first, channels if name == "all" else first + QUANTITIES[name].count)
    if rng.random() < 0.5 and name != "all":
        planes = slice(planes.start, planes.start + 1)
    where = slice(int(rng.integers(count)), count if rng.random() < 0.3 else None)
    where = slice(where.start, where.stop or where.start + 1)
    top, left = int(rng.integers(height)), int(rng.integers(width))
    kind = str(rng.choice(["pixel", "rectangle", "frame"]))
    box = {
        "pixel": (slice(top, top + 1), slice(left, left + 1)),
        "rectangle": (slice(0, top + 1), slice(left, width)),
        "frame": (slice(None), slice(None)),
    }[kind]
    value = float(rng.choice(BROKEN))
    frames[(where, planes, *box)] = value
    return f"{value} in {kind} of {name}, channels {planes.start}:{planes.stop}, frames {where.start}:{where.stop}"


@pytest.mark.parametrize("precision", PRECISIONS, ids=str)
@pytest.mark.parametrize("name", NETWORKS)
def test_images_and_states_are_finite_whatever_frames_hold(name, precision, cases, record):
    denoiser = network(name, precision)
    rng = np.random.default_rng([3, NETWORKS.index(name), PRECISIONS.index(precision)])
    count = cases(8, 300)
    for _ in range(count):
        size = SIZES[int(rng.integers(len(SIZES)))]
        frames = good_frames(4, size, int(rng.integers(1000)))
        done = [break_frames(frames, rng) for _ in range(int(rng.integers(1, 4)))]
        states = []

        def step(frame, state, states=states):
            image, state = denoiser.estimate(frame, state)
            states.append(state)
            return image, state

        inputs = frames[:, : channel_count(denoiser.inputs)]
        images = torch.stack([image for _, image in denoise(denoiser, inputs, Engine(step, denoiser.finish))])
        assert images.isfinite().all(), (size, done)
        assert all(part.isfinite().all() for state in states for part in state), (size, done)
    record(f"broken frames, {name}, {str(precision).removeprefix('torch.')}", count, count, count)


@pytest.mark.parametrize("autocast", [None, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("loss", ["paper", "picture"])
@pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "colors"])
def test_losses_and_gradients_are_finite_whatever_a_batch_holds(kernels, loss, autocast, cases, record, monkeypatch):
    torch.manual_seed(0)
    options = {"channels": [8, 8, 8], "network": "filtering"} if kernels else {"channels": [8, 8], "network": "paper"}
    module = DenoisingModule(options, 1e-3, loss=loss)
    monkeypatch.setattr(module, "_log", lambda *_: None)  # there is no trainer
    inputs = module.denoiser.inputs
    rng = np.random.default_rng([5, kernels, loss == "paper", autocast is None])
    count = cases(4, 200)
    for _ in range(count):
        # a batch as the loader gives it: half floats, NaN in targets only
        batch = {"noisy": [], "target": [], "start": [], "flip": [], "turns": [], "gains": []}
        for _ in range(2):
            noisy = good_frames(3, (32, 32), int(rng.integers(1000))).numpy()
            target, start = noisy[:, :3] * 0 + 0.3, np.full((7, 32, 32), 0.3, np.float32)
            done = break_frames(noisy, rng)
            top = int(rng.integers(32))
            target[:, :, top:, :top] = float(rng.choice([np.nan, 0, 1e-7, HALF_MAX]))
            start[:6, top:], start[6] = float(rng.choice([0, HALF_MAX])), float(rng.choice([0, 32]))
            noisy = np.where(np.isfinite(noisy), noisy, 0)[:, : channel_count(inputs)]
            drawn = draw_transform(rng, AUGMENTATIONS)
            drawn |= {"noisy": np.moveaxis(noisy, 1, 3), "target": np.moveaxis(target, 1, 3)}
            drawn["start"] = np.moveaxis(start, 0, 2)
            for key in batch:
                batch[key].append(drawn[key])
        batch = {key: torch.from_numpy(np.stack(values)) for key, values in batch.items()}
        for key in ("noisy", "target", "start"):
            batch[key] = batch[key].clamp(-HALF_MAX, HALF_MAX).half()
        if not kernels:
            del batch["start"]
        batch = augment_batch(batch, inputs)
        module.zero_grad()
        with torch.autocast("cpu", dtype=autocast, enabled=autocast is not None):
            found = module.training_step(batch, 0)
        found.backward()
        assert found.isfinite(), done
        assert all(p.grad.isfinite().all() for p in module.parameters() if p.grad is not None), done
    kind = f"{'kernels' if kernels else 'colors'}, {loss} loss, {str(autocast or 'float32').removeprefix('torch.')}"
    record(f"broken batches, {kind}", count, count, count)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_broken_pixel_spoils_neither_pixels_far_away_nor_later_frames(name, cases, record):
    """Relative to the image without it. A firefly may shine for a while where it is; all else is barely seen."""
    denoiser, count = network(name, torch.float32), 44
    frames = good_frames(count, (32, 96))[:, : channel_count(denoiser.inputs)]
    good = torch.stack([image for _, image in denoise(denoiser, frames)])
    every = [(q, value) for q in denoiser.inputs for value in (np.nan, np.inf, 1e30, HALF_MAX)]
    tried = every[: cases(0, len(every))] or [("color", 1e30), ("color", np.nan)]
    for quantity, value in tried:
        broken = frames.clone()
        first = first_channel(MOTION_INPUTS, quantity)
        broken[3, first : first + QUANTITIES[quantity].count, 16, 10] = value
        bad = torch.stack([image for _, image in denoise(denoiser, broken)])
        difference = ((good - bad).abs() / (good.abs() + 0.05)).amax(1)  # (T, H, W)
        assert torch.equal(good[:3], bad[:3])
        firefly = quantity == "color" and np.isfinite(value)
        assert difference[3:, :, 60:].max() < (1.0 if firefly else 0.01), (quantity, value)
        assert difference[-1].max() < 0.02, (quantity, value)
    record(f"broken pixels, {name}", len(tried), len(tried), len(tried))
