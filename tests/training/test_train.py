"""Pins training: the command line, exact repetition, the schedule, what TensorBoard gets, clear errors."""

import math
import re
import sys

import numpy as np
import pytest
import torch
from support import QUICK, REAL_DATASET, make_scene, needs_real_dataset, run_script, write_channels
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from train_runs import assert_same_weights, run_training, weights

from checkpoints import load_denoiser
from files import InputError
from train import main
from training.fit import train
from training.module import DenoisingModule
from training.schedules import RAMP_SHARE, cosine_schedule, paper_schedule
from training.training_options import parse_options


def test_the_command_line_trains_logs_and_keeps_best_and_last(small_dataset, tmp_path):
    done = run_script("train.py", small_dataset, "--max_epochs", 2, *QUICK, "--log_dir", tmp_path / "runs")
    run = tmp_path / "runs" / "version_0"
    for name in ("best", "last"):
        assert load_denoiser(run / "checkpoints" / f"{name}.ckpt").options["demodulate"]
    assert "training: 2 scenes, 2 sequences, 6 frames, 2 windows" in done.stdout + done.stderr
    events = EventAccumulator(str(run), size_guidance={"images": 0})
    events.Reload()
    scalars = {f"{stage}/{loss}" for stage in ("train", "val") for loss in ("loss", "spatial", "gradient", "temporal")}
    scalars |= {"val/psnr", "val/ssim", "train/frames_per_second", "lr-Adam"}
    assert scalars <= set(events.Tags()["scalars"])
    assert {f"{kind}/{scene}" for kind in ("frames", "crops") for scene in "AB"} <= set(events.Tags()["images"])
    pictures = events.Images("frames/A")
    assert len(pictures) == 2 and pictures[0].width == 4 * 32 + 3 * 4 and pictures[0].height == 24
    rates = [e.value for e in events.Scalars("lr-Adam")]
    assert rates[0] == pytest.approx(5e-5) and rates == sorted(rates)


def test_seven_channel_datasets_train(tmp_path):
    make_scene(tmp_path / "data" / "train" / "A", albedo=False)
    last = run_training(tmp_path / "data", tmp_path / "runs", "--max_epochs", 1)
    assert not load_denoiser(last).options["demodulate"]


def test_a_scene_without_albedo_is_named(small_dataset, tmp_path, caplog):
    make_scene(small_dataset / "train" / "Plain", albedo=False)
    with caplog.at_level("INFO"):
        last = run_training(small_dataset, tmp_path / "runs", "--max_epochs", 1)
    assert "albedo: not used (not in Plain)" in caplog.text and not load_denoiser(last).options["demodulate"]


def test_the_filtering_network_is_said_to_use_albedo(small_dataset, tmp_path, caplog):
    with caplog.at_level("INFO"):
        run_training(small_dataset, tmp_path / "runs", "--network", "default", "--fast_dev_run")
    assert "albedo: divided out where frames have it" in caplog.text


def test_albedo_can_be_left_out(small_dataset, tmp_path):
    last = run_training(small_dataset, tmp_path / "runs", "--max_epochs", 1, "--albedo", "off")
    assert not load_denoiser(last).options["demodulate"]


@pytest.mark.parametrize("length", [2, 3, 5, 7])
def test_sequence_lengths(tmp_path, length):
    make_scene(tmp_path / "data" / "train" / "A", frames=2 * length)
    last = run_training(tmp_path / "data", tmp_path / "runs", "--max_epochs", 1, "--sequence_length", length)
    assert last.is_file()


def test_a_seed_repeats_and_workers_do_not_matter_and_another_seed_differs(small_dataset, tmp_path):
    runs = [
        run_training(small_dataset, tmp_path / str(i), "--max_epochs", 2, *more)
        for i, more in enumerate(((), ("--num_workers", 2), ("--seed", 1)))
    ]
    assert_same_weights(runs[0], runs[1])
    assert not torch.equal(*(next(iter(weights(runs[i]).values())) for i in (0, 2)))


def test_fast_dev_run_leaves_nothing(small_dataset, tmp_path):
    assert run_training(small_dataset, tmp_path / "runs", "--fast_dev_run") is None
    assert not list(tmp_path.rglob("*.ckpt"))


def test_nan_in_targets_does_not_reach_the_weights(small_dataset, tmp_path):
    size = (24, 32)
    color = np.full(size, 0.5, np.float32)
    color[3:9, 4:20] = np.nan
    for target in small_dataset.glob("train/A/*/target.exr"):
        write_channels(target, dict.fromkeys("RGB", color))
    last = run_training(small_dataset, tmp_path / "runs", "--max_epochs", 1)
    assert all(torch.isfinite(w).all() for w in weights(last).values())


def test_a_loss_that_is_not_finite_stops_before_the_checkpoint_is_overwritten(small_dataset, tmp_path):
    good = run_training(small_dataset, tmp_path / "runs", "--max_epochs", 1)
    before = good.read_bytes()
    more = ("--max_epochs", 3, "--checkpoint", good, "--learning_rate", 1e-3)
    arguments = [str(a) for a in (small_dataset, *QUICK, "--log_dir", tmp_path / "runs", *more)]
    options = parse_options(arguments)
    broken = tmp_path / "broken.ckpt"
    checkpoint = torch.load(good, weights_only=True)
    checkpoint["current_model_state"]["denoiser.output.bias"][:] = math.nan
    torch.save(checkpoint, broken)
    options.checkpoint = broken
    with pytest.raises(FloatingPointError, match="3 of 3 steps of epoch 1 had no finite loss or gradient"):
        train(options, arguments)
    assert good.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--crop_size", 64], r"frames smaller than --crop_size 64: A .*pass --crop_size 24 or less"),
        (["--sequence_length", 9], r"the longest has 6: pass --sequence_length 6 or less"),
        (["--sequence_length", 1], r"a sequence has at least 2 frames"),
        (["--batch_size", 0], r"'0' is not a whole number from 1 up"),
        (["--seed", -1], r"'-1' is not a whole number from 0 up"),
        (["--num_workers", -1], r"'-1' is not a whole number from 0 up"),
        (["--augment", "shear"], r"invalid choice: 'shear'"),
        (["--checkpoint", "none.ckpt"], r"none.ckpt: no such checkpoint"),
        (["--precision", "12-odd"], r"train.py: Precision '12-odd' is invalid"),
        (["--accelerator", "abacus"], r"train.py: .*abacus"),
        (["--max_time", "soon"], r"train.py: .*soon"),
        (["--learning_rate", -1], r"--learning_rate must be above 0"),
        (["--filter_rate", -1], r"--filter_rate and --detail_rate must not be negative"),
        (["--filter_rate", 0], r"--filter_rate and --detail_rate need a detail stage"),
        (["--detail", "base"], r"--detail base: the paper's network has none; use --network default or fast"),
    ],
)
def test_bad_options_are_one_clear_line(small_dataset, tmp_path, options, message, capsys, monkeypatch):
    arguments = [small_dataset, *QUICK, "--log_dir", tmp_path / "runs", "--max_epochs", 1, *options]
    monkeypatch.setattr(sys, "argv", ["train.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert re.search(message, f"{stop.value}{capsys.readouterr().err}")
    assert not list((tmp_path).rglob("*.ckpt"))


def test_a_resumed_run_may_change_its_learning_rate(small_dataset, tmp_path):
    last = run_training(small_dataset, tmp_path / "runs", "--max_epochs", 1)
    more = ("--max_epochs", 2, "--checkpoint", last)
    rates = []
    for rate in (1e-3, 5e-4):
        run_training(small_dataset, tmp_path / f"more-{rate}", *more, "--learning_rate", rate)
        events = EventAccumulator(str(tmp_path / f"more-{rate}" / "version_0"))
        events.Reload()
        rates.append([e.value for e in events.Scalars("lr-Adam")])
    assert rates[1] == pytest.approx([rate / 2 for rate in rates[0]])


def test_resuming_on_a_dataset_without_the_albedo_it_needs_names_the_file(small_dataset, tmp_path):
    last = run_training(small_dataset, tmp_path / "runs", "--max_epochs", 1)
    make_scene(tmp_path / "plain" / "train" / "A", albedo=False)
    with pytest.raises(InputError, match=r"noisy-0.exr: no channel for albedo"):
        run_training(tmp_path / "plain", tmp_path / "runs", "--max_epochs", 2, "--checkpoint", last)


def test_resuming_with_another_network_is_an_error(small_dataset, tmp_path, capsys):
    last = run_training(small_dataset, tmp_path / "runs", "--max_epochs", 1)
    with pytest.raises(SystemExit):
        parse_options([str(small_dataset), "--checkpoint", str(last), "--channels", "8"])
    assert "was trained with [8, 10]; leave --channels out" in capsys.readouterr().err


def test_an_empty_dataset_is_an_error_of_the_script(tmp_path):
    (tmp_path / "train").mkdir()
    done = run_script("train.py", tmp_path, check=False)
    assert done.returncode == 1 and "no scenes in it" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("workers", [0, 1])
def test_a_truncated_frame_met_while_training_is_one_clear_line(small_dataset, tmp_path, workers, monkeypatch):
    for path in small_dataset.glob("train/A/*/noisy-*.exr"):
        path.write_bytes(path.read_bytes()[:-200])
    arguments = [small_dataset, *QUICK, "--log_dir", tmp_path / "runs", "--max_epochs", 1, "--num_workers", workers]
    monkeypatch.setattr(sys, "argv", ["train.py", *map(str, arguments)])
    with pytest.raises(SystemExit, match=r"^train.py: \S*noisy-\d.exr: the pixels cannot be decoded .*again$"):
        main()


def test_losses_and_scores_are_in_float32_whatever_the_networks_precision():
    generator = torch.Generator().manual_seed(0)
    encoded, target = torch.rand(2, 1, 3, 3, 24, 24, generator=generator).unbind(0)
    module = DenoisingModule({"network": "paper", "channels": [8], "demodulate": False}, 1e-3)

    def measure():
        return {**module.compare(encoded, target), **module.scores(encoded[0], target[0])}

    exact = measure()
    with torch.autocast("cpu", torch.bfloat16):
        assert measure() == exact


def test_the_schedule_is_the_papers():
    assert paper_schedule(0, 10) == pytest.approx(0.1) and paper_schedule(10, 10) == pytest.approx(1)
    assert paper_schedule(5, 10) == pytest.approx(10**-0.5)  # geometric
    assert paper_schedule(40, 10) == pytest.approx(0.5) and paper_schedule(9.999, 10) == pytest.approx(1, abs=1e-3)
    assert paper_schedule(0, 0) == 1 and paper_schedule(4, 0) == pytest.approx(0.5)


def test_the_cosine_schedule_rises_then_falls_to_zero():
    assert cosine_schedule(0) == pytest.approx(0.1) and cosine_schedule(RAMP_SHARE) == pytest.approx(1)
    assert cosine_schedule((1 + RAMP_SHARE) / 2) == pytest.approx(0.5)
    assert cosine_schedule(1) == cosine_schedule(1.1) == 0  # a run that goes on past its end


@needs_real_dataset
def test_real_frames_train(tmp_path):
    last = run_training(REAL_DATASET, tmp_path / "runs", "--max_epochs", 1, "--crop_size", 64)
    assert load_denoiser(last).options["demodulate"]
