"""Pins test.py: what it writes, with and without targets, for any size and any path, streaming, and its errors."""

import json
import shutil
import subprocess
import sys
import weakref

import av
import numpy as np
import pytest
import torch
from support import QUICK, ROOT, make_scene, run_script
from torchvision.io import read_image

from checkpoints import load_denoiser
from frames.exr import load_noisy, load_target, read_exr
from inference import datasets
from inference.reconstruction_options import OUTPUTS, build_parser
from model import denoise
from training.fit import train
from training.training_options import parse_options


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Checkpoints of two tiny networks: with albedo and without."""
    root = tmp_path_factory.mktemp("trained")
    found = {}
    for albedo in ("auto", "off"):
        make_scene(root / albedo / "train" / "A")
        arguments = [str(root / albedo), *QUICK, "--log_dir", str(root / f"{albedo}-runs"), "--max_epochs", "1"]
        found[albedo] = train(parse_options([*arguments, "--albedo", albedo]), arguments)
    return found


def reconstruct(checkpoint, path, output, *more):
    """Runs test.py's work in this process; returns what metrics.json holds."""
    given = [checkpoint, path, "--output_dir", output, "--precision", "float32", *more]
    options = build_parser().parse_args([str(argument) for argument in given])
    return datasets.run(load_denoiser(options.checkpoint), options)


def frame_sizes(video):
    with av.open(str(video)) as container:
        return [(f.height, f.width) for f in container.decode(video=0)]


def test_the_command_line_reconstructs_and_scores(checkpoints, small_dataset, tmp_path):
    make_scene(small_dataset / "test" / "D", size=(17, 23), noisy=1)
    done = run_script("test.py", checkpoints["auto"], small_dataset, "--output_dir", tmp_path / "out")
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert set(metrics["scenes"]) == {"C", "D"}
    for values in (*metrics["scenes"].values(), metrics["mean"], metrics["after_warm_up"]["mean"]):
        for kind in ("noisy", "denoised"):
            assert set(values[kind]) == {"psnr", "ssim", "relmse", "tpsnr"}
            assert all(np.isfinite(v) for v in values[kind].values())
    mean = np.mean([metrics["scenes"][s]["noisy"]["psnr"] for s in "CD"])
    assert metrics["mean"]["noisy"]["psnr"] == pytest.approx(mean)
    for scene, (height, width) in {"C": (24, 32), "D": (17, 23)}.items():
        folder = tmp_path / "out" / scene
        names = {f"frame-{n:04d}.{kind}" for n in range(6) for kind in ("exr", "png")} | {"strip.png", "animation.mp4"}
        assert {p.name for p in folder.iterdir()} == names
        assert read_exr(folder / "frame-0003.exr", ("color",))["color"].shape == (3, height, width)
        assert read_image(str(folder / "frame-0003.png")).shape == (3, height, width)
        assert read_image(str(folder / "strip.png")).shape == (3, height, 3 * width + 2 * 4)
        assert len(frame_sizes(folder / "animation.mp4")) == 6
    assert f"{metrics['scenes']['C']['denoised']['psnr']:9.3f}" in done.stdout and "mean" in done.stdout


def test_frames_are_the_denoisers(checkpoints, small_dataset, tmp_path):
    reconstruct(checkpoints["auto"], small_dataset, tmp_path / "out", "--direction", "forward")
    denoiser = load_denoiser(checkpoints["auto"])
    scene = small_dataset / "test" / "C"
    frames = [torch.from_numpy(load_noisy(f / "noisy-0.exr", denoiser.inputs)[0]) for f in sorted(scene.iterdir())]
    for number, (_, image) in enumerate(denoise(denoiser, frames)):
        written = read_exr(tmp_path / "out" / "C" / f"frame-{number:04d}.exr", ("color",))["color"]
        assert np.allclose(written, image.numpy(), rtol=2e-3, atol=1e-4)


def test_frames_without_targets_are_reconstructed_all_the_same(checkpoints, tmp_path, capsys):
    make_scene(tmp_path / "scenes" / "A", target=False)
    done = run_script("test.py", checkpoints["auto"], tmp_path / "scenes", "--output_dir", tmp_path / "out")
    assert "nothing was scored" in done.stdout
    assert len(list((tmp_path / "out" / "A").glob("frame-*.exr"))) == 6
    assert read_image(str(tmp_path / "out/A/strip.png")).shape == (3, 24, 2 * 32 + 4)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["scenes"] == {} and metrics["mean"]["denoised"]["psnr"] is None


def test_some_targets_are_scored(checkpoints, tmp_path):
    whole, part = make_scene(tmp_path / "whole" / "A"), make_scene(tmp_path / "part" / "A")
    for number in (0, 4, 5):
        (part / f"frame-{number:04d}" / "target.exr").unlink()
    metrics = reconstruct(checkpoints["auto"], part, tmp_path / "out")
    assert metrics["scenes"]["A"]["denoised"]["psnr"] > 0
    assert "A" not in metrics["after_warm_up"]["scenes"]  # frames 4 and 5 have no target; 0 to 3 are the warm-up
    assert len(list((tmp_path / "out" / "A").glob("frame-*.exr"))) == 6
    first = [np.array(read_exr(tmp_path / "out/A/frame-0005.exr", ("color",))["color"])]
    reconstruct(checkpoints["auto"], whole, tmp_path / "out2")
    assert np.array_equal(first[0], read_exr(tmp_path / "out2/A/frame-0005.exr", ("color",))["color"])


def test_a_gap_starts_the_recurrence_anew(checkpoints, tmp_path, capsys):
    whole = make_scene(tmp_path / "scenes" / "A")
    shutil.rmtree(whole / "frame-0002")
    reconstruct(checkpoints["auto"], whole, tmp_path / "gap")
    assert "gap between frame-0001 and frame-0003" in capsys.readouterr().err
    for number in (0, 1):
        shutil.rmtree(whole / f"frame-{number:04d}")
    reconstruct(checkpoints["auto"], whole, tmp_path / "rest")
    for number in (3, 4, 5):
        a, b = (read_exr(tmp_path / d / f"A/frame-{number:04d}.exr", ("color",))["color"] for d in ("gap", "rest"))
        assert np.array_equal(a, b)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 40)])
def test_tiny_frames(checkpoints, tmp_path, size):
    make_scene(tmp_path / "A", frames=2, size=size)
    metrics = reconstruct(checkpoints["auto"], tmp_path / "A", tmp_path / "out")
    assert metrics["scenes"]["A"]["denoised"]["ssim"] is None  # no room for its window
    assert metrics["scenes"]["A"]["denoised"]["tpsnr"] > 0


def test_frames_do_not_pile_up_in_memory(checkpoints, tmp_path, monkeypatch):
    """However long the sequence, few decoded frames are alive at a time."""
    make_scene(tmp_path / "A", frames=40, noisy=1)
    alive, most = set(), 0

    def watched(path, *inputs):
        nonlocal most
        result = load_noisy(path, *inputs) if inputs else load_target(path)
        alive.add(path)
        weakref.finalize(result[0], alive.discard, path)
        most = max(most, len(alive))
        return result

    monkeypatch.setattr(datasets, "load_noisy", watched)
    monkeypatch.setattr(datasets, "load_target", watched)
    reconstruct(checkpoints["auto"], tmp_path / "A", tmp_path / "out")
    assert 2 <= most <= 20  # a few each being read, written and scored; two files per frame


@pytest.mark.parametrize(("kind", "more"), [("png", {"strip.png"}), ("exr", set())])
def test_what_is_not_wanted_is_not_written(checkpoints, small_dataset, tmp_path, kind, more):
    chosen = ["--write", kind, "--score", "off", "--tile", "8"]
    metrics = reconstruct(checkpoints["auto"], small_dataset, tmp_path / "out", *chosen)
    found = {p.name for p in (tmp_path / "out" / "C").iterdir()}
    assert found == more | {f"frame-{n:04d}.{kind}" for n in range(6)} and not metrics["scenes"]


def test_tiles_and_half_precision_reach_the_files(checkpoints, small_dataset, tmp_path):
    def last(name, *more):
        reconstruct(checkpoints["auto"], small_dataset, tmp_path / name, *more)
        return read_exr(tmp_path / name / "C" / "frame-0005.exr", ("color",))["color"]

    plain, tiled = last("plain"), last("tiled", "--tile", "8")
    half = last("half", "--precision", "bfloat16")
    assert np.allclose(tiled, plain, rtol=2e-3, atol=1e-4)  # the files are half floats
    assert np.abs(half - plain).max() < 0.1 * plain.max() and not np.array_equal(half, plain)


def test_invalid_inputs_are_reported(checkpoints, tmp_path, capsys):
    from support import frame_channels, write_channels

    make_scene(tmp_path / "A", frames=2, noisy=1)
    channels = frame_channels(np.random.default_rng(0), (24, 32), 0.5, True)
    channels["G"][3, 4] = np.nan
    channels["depth.Z"][0, 0] = np.inf
    write_channels(tmp_path / "A/frame-0001/noisy-0.exr", channels)
    metrics = reconstruct(checkpoints["auto"], tmp_path / "A", tmp_path / "out")
    assert capsys.readouterr().err.count("noisy-0.exr: 2 NaN or Inf values, replaced by 0") == 1
    assert np.isfinite(metrics["mean"]["denoised"]["psnr"])
    assert np.isfinite(read_exr(tmp_path / "out/A/frame-0001.exr", ("color",))["color"]).all()


def test_errors_name_their_culprit(checkpoints, small_dataset, tmp_path):
    make_scene(tmp_path / "plain" / "A", frames=1, albedo=False)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    cases = [
        (tmp_path / "none.ckpt", small_dataset, "out", r"none.ckpt: no such checkpoint"),
        (tmp_path / "file", small_dataset, "out", r"file: not a readable checkpoint"),
        (checkpoints["auto"], tmp_path / "empty", "out", r"empty: no scenes in it"),
        (checkpoints["auto"], tmp_path / "plain", "out", r"noisy-0.exr: no channel for albedo"),
        (checkpoints["auto"], small_dataset, "file/out", r"file/out"),
    ]
    for checkpoint, path, output, message in cases:
        with pytest.raises((ValueError, OSError), match=message):
            reconstruct(checkpoint, path, tmp_path / output)
    with pytest.raises(ValueError, match=r"--device abacus: .*use auto or cpu"):
        reconstruct(checkpoints["auto"], small_dataset, tmp_path / "out", "--device", "abacus")
    done = run_script("test.py", tmp_path / "none.ckpt", small_dataset, check=False)
    assert done.returncode == 1 and done.stderr.startswith("test.py: ") and "Traceback" not in done.stderr


def test_networks_without_albedo_work_on_datasets_with_and_without(checkpoints, small_dataset, tmp_path):
    make_scene(tmp_path / "plain" / "A", frames=2, albedo=False)
    for path in (tmp_path / "plain", small_dataset):
        assert reconstruct(checkpoints["off"], path, tmp_path / "out")["mean"]["denoised"]["psnr"] > 0


def test_help_answers_without_pytorch_and_film_still_means_video():
    command = [sys.executable, "-X", "importtime", ROOT / "test.py", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "--write" in done.stdout and "inference.reconstruction_options" in imported and "torch" not in imported
    options = build_parser().parse_args(["a.ckpt", "data", "--write", "film", "png"])
    assert options.write == ["video", "png"] and set(options.write) < set(OUTPUTS)
