"""Pins the training of the filtering network: any set of buffers, resuming, both losses, released weights."""

import json

import numpy as np
import pytest
import torch
from support import make_scene, run_script, write_channels

from checkpoints import as_checkpoint, average, load_denoiser, write_weights
from files import InputError
from frames.channels import MOTION_INPUTS, PLAIN_INPUTS, find_channels
from frames.exr import read_exr, read_header
from frames.normalization import divided, scale_of
from inference.datasets import run
from inference.reconstruction_options import build_parser
from model import denoise, estimates
from training.fit import train
from training.module import DenoisingModule
from training.training_options import parse_options

SMALL = ["--network", "default", "--channels", "8", "10", "--crop_size", "16", "--sequence_length", "3"]
PARTS = "network", "heads", "finest", "detail.convolutions", "detail.blend"
SMALL += ["--batch_size", "2", "--num_workers", "0", "--accelerator", "cpu", "--precision", "32-true"]


def run_training(dataset, log_dir, *more):
    """Trains in this process; returns the last checkpoint's path."""
    arguments = [str(a) for a in (dataset, *SMALL, "--log_dir", log_dir, "--samples_per_epoch", 6, *more)]
    return train(parse_options(arguments), arguments)


def add_motion(scene):
    """Gives every noisy file of a scene a motion of one pixel to the left."""
    for path in scene.glob("*/noisy-*.exr"):
        names = read_header(path).channels
        quantities = ("color", "depth", "normal", "albedo") if find_channels(names, "albedo") else PLAIN_INPUTS
        planes = read_exr(path, quantities)
        channels = dict(zip("RGB", planes["color"], strict=True)) | {"depth.Z": planes["depth"][0]}
        for name in quantities[2:]:
            channels |= {f"{name}.{c}": p for c, p in zip("RGB", planes[name], strict=True)}
        channels |= {"motion.X": np.full_like(planes["depth"][0], -1), "motion.Y": np.zeros_like(planes["depth"][0])}
        write_channels(path, {name: values.astype(np.float16) for name, values in channels.items()})


@pytest.fixture
def mixed_dataset(tmp_path):
    """One scene with every buffer, one without motion, one with neither motion nor albedo."""
    for name, albedo in (("Everything", True), ("Still", True), ("Plain", False)):
        make_scene(tmp_path / "data" / "train" / name, albedo=albedo)
    add_motion(tmp_path / "data" / "train" / "Everything")
    make_scene(tmp_path / "data" / "test" / "Plain", frames=3, albedo=False)
    return tmp_path / "data"


def test_one_network_trains_on_and_reconstructs_every_set_of_buffers(mixed_dataset, tmp_path):
    run_script("train.py", mixed_dataset, *SMALL, "--max_epochs", 1, "--log_dir", tmp_path / "runs")
    checkpoint = tmp_path / "runs/version_0/checkpoints/last.ckpt"
    for path in (mixed_dataset, mixed_dataset / "train"):
        run_script("test.py", checkpoint, path, "--output_dir", tmp_path / "out", "--write", "exr")
        assert json.loads((tmp_path / "out/metrics.json").read_text())["mean"]["denoised"]["psnr"] > 5


def test_training_computes_what_reconstruction_does():
    torch.manual_seed(0)
    module = DenoisingModule({"channels": [8, 10], "network": "filtering"}, 1e-3, loss="picture").eval()
    noisy = torch.rand(2, 3, 12, 64, 64)  # (B, T, C, H, W)
    scale = scale_of(noisy[:, 0], MOTION_INPUTS).repeat_interleave(3, 0)
    noisy = divided(noisy.flatten(0, 1), MOTION_INPUTS, scale).unflatten(0, (2, 3))
    with torch.no_grad():
        images = module(noisy)
        for window, image in zip(noisy, images, strict=True):
            wanted = torch.stack([found for _, found in denoise(module.denoiser, window)])
            assert torch.allclose(image, wanted, rtol=1e-4, atol=1e-5)
        # a history in one window changes that window alone, and an empty one changes nothing
        start = torch.zeros(2, 7, 64, 64)
        assert torch.allclose(module(noisy, start), images, rtol=1e-4, atol=1e-5)
        start[1] = 1
        changed = (module(noisy, start) - images).abs().amax((1, 2, 3, 4))
        assert changed[0] < 1e-5 < 1e-3 < changed[1]


def test_every_other_training_step_looks_at_the_first_frame_once(monkeypatch):
    torch.manual_seed(0)
    module = DenoisingModule({"channels": [8, 10], "network": "filtering"}, 1e-3, loss="picture")
    noisy = torch.rand(1, 2, 12, 32, 32)
    once, _ = module.denoiser(noisy[:, 0])
    for step in (0, 1, 2):
        monkeypatch.setattr(DenoisingModule, "global_step", step)
        first = module.train()(noisy)[:, 0]
        assert torch.allclose(first, once, atol=1e-6) == (step == 1)
        assert not torch.allclose(module.eval()(noisy)[:, 0], once, atol=1e-6)


@pytest.mark.parametrize("loss", ["paper", "picture"])
def test_both_losses_train(mixed_dataset, tmp_path, loss):
    last = run_training(mixed_dataset, tmp_path / "runs", "--max_epochs", 1, "--loss", loss, "--recompute", "on")
    checkpoint = torch.load(last, weights_only=True)
    assert checkpoint["hyper_parameters"]["options"]["loss"] == loss
    assert all(torch.isfinite(w).all() for w in checkpoint["state_dict"].values())


def test_a_resumed_run_equals_an_uninterrupted_one(mixed_dataset, tmp_path):
    schedule = "--schedule", "paper"  # does not depend on --max_epochs
    whole = run_training(mixed_dataset, tmp_path / "whole", *schedule, "--max_epochs", 3)
    half = run_training(mixed_dataset, tmp_path / "half", *schedule, "--max_epochs", 1)
    arguments = [str(mixed_dataset), "--checkpoint", str(half), "--max_epochs", "3", "--num_workers", "0"]
    arguments += ["--accelerator", "cpu", "--log_dir", str(tmp_path / "half")]
    resumed = train(parse_options(arguments), arguments)
    a, b = (torch.load(p, weights_only=True)["state_dict"] for p in (whole, resumed))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_released_weights_reconstruct_what_the_checkpoint_does_and_can_be_fine_tuned(mixed_dataset, tmp_path):
    last = run_training(mixed_dataset, tmp_path / "runs", "--max_epochs", 1)
    released = tmp_path / "small.safetensors"
    run_script("-m", "checkpoints", last, released)
    assert released.stat().st_size < 0.3 * last.stat().st_size
    scores = []
    for file in (last, released):
        options = [str(file), str(mixed_dataset), "--output_dir", str(tmp_path / "out"), "--write", "exr"]
        options = build_parser().parse_args(options)
        scores.append(run(load_denoiser(file), options)["mean"]["denoised"]["psnr"])
    assert scores[0] == pytest.approx(scores[1], abs=0.05)
    arguments = [mixed_dataset, "--checkpoint", released, "--max_epochs", 1, "--crop_size", 16, "--sequence_length", 3]
    arguments += ["--batch_size", 2, "--num_workers", 0, "--samples_per_epoch", 2, "--log_dir", tmp_path / "tuned"]
    arguments = [
        str(a) for a in (*arguments, "--learning_rate", 1e-9, "--accelerator", "cpu", "--precision", "32-true")
    ]
    tuned = load_denoiser(train(parse_options(arguments), arguments)).state_dict()
    for name, weight in load_denoiser(released).state_dict().items():
        assert torch.allclose(weight, tuned[name], atol=1e-6)


def test_weights_of_several_checkpoints_are_averaged(tmp_path):
    saved = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        module = DenoisingModule({"channels": [4, 6], "network": "filtering"}, 1e-3)
        saved.append({"hyper_parameters": {"denoiser": module.denoiser.options}, "state_dict": module.state_dict()})
    name = "denoiser.finest.bias"
    mean = average(saved)["state_dict"][name]
    assert torch.allclose(mean, (saved[0]["state_dict"][name] + saved[1]["state_dict"][name]) / 2)
    saved[1]["hyper_parameters"] = {"denoiser": module.denoiser.options | {"radius": 1}}
    with pytest.raises(InputError, match="different networks cannot be averaged"):
        average(saved)


def test_a_file_that_holds_no_weights_is_named(tmp_path):
    (tmp_path / "bad.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    with pytest.raises(ValueError, match=r"bad.safetensors: not released weights"):
        load_denoiser(tmp_path / "bad.safetensors")


@pytest.mark.parametrize(("filter_rate", "detail_rate"), [(0, 1), (0.1, 1)])
def test_a_detail_stage_learns_with_the_filter_or_alone(filter_rate, detail_rate, mixed_dataset, tmp_path):
    """In four steps of each kind: with one look and two, from one direction and from both."""
    begun = run_training(mixed_dataset, tmp_path / "a", "--detail", "small", "--max_epochs", 1)
    weights = load_denoiser(begun).state_dict()
    write_weights(as_checkpoint(load_denoiser(begun)), tmp_path / "begun.safetensors")
    rates = "--filter_rate", filter_rate, "--detail_rate", detail_rate, "--average", "off", "--learning_rate", 1e-3
    checkpoint = ("--checkpoint", tmp_path / "begun.safetensors", "--detail", "small", "--max_epochs", 2)
    found = load_denoiser(run_training(mixed_dataset, tmp_path / "b", *checkpoint, *rates)).state_dict()
    moved = {name: (found[name] - weight.half().float()).abs().max() for name, weight in weights.items()}
    parts = {part: max(m for name, m in moved.items() if name.startswith(part)) for part in PARTS}
    assert all((parts[part] > 0) == (filter_rate > 0) for part in ("network", "heads", "finest"))
    assert (parts["detail.convolutions"] > 0) == (detail_rate > 0)
    assert parts["detail.blend"] > 0
    if filter_rate == 0.1:
        assert parts["network"] < 0.3 * parts["detail.convolutions"]


def test_training_from_both_directions_is_what_reconstruction_does():
    """But for flipping, brightness and silhouettes; where motion leads to every pixel, so that none is estimated."""
    torch.manual_seed(0)
    module = DenoisingModule({"channels": (8, 10), "network": "filtering", "detail": "small"}, 1e-3, loss="picture")
    frames = torch.rand(3, 12, 64, 64, generator=torch.Generator().manual_seed(0))
    frames[:, 3], frames[:, 4:7] = 2.0, torch.tensor([0.0, 0.0, 1.0])[:, None, None]
    frames[:, 7:10], frames[:, 10:] = 0.5, 0.0
    scale = scale_of(frames[:1], MOTION_INPUTS)
    frames = divided(frames, MOTION_INPUTS, scale.expand(3, 2))
    denoiser = module.denoiser.eval()
    backward = [estimate for _, estimate in estimates(denoiser, frames.flip(0), detail=False)][::-1]
    expected = torch.stack([found.image for _, found in estimates(denoiser, frames, backward=iter(backward))])
    with torch.no_grad():
        first, state = module.first_look(frames[:1], None)
        found = module.from_both_directions(torch.cat((first, frames[1:]))[None], state)[0]
    assert torch.allclose(found, expected, rtol=1e-3, atol=1e-4)
