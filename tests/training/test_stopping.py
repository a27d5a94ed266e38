"""Pins how a run stops and goes on: resuming, signals, --max_time, averaged weights, steps that break."""

import itertools
import math
import os
import re
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch
from support import QUICK, ROOT, run_script
from train_runs import assert_same_weights, hear_ctrl_c, run_training, weights

from train import main
from training.callbacks import AveragedWeights, FramesPerSecond, SaveWithinEpochs, StopOnBrokenSteps
from training.fit import train
from training.module import DenoisingModule
from training.training_options import parse_options


def test_a_resumed_run_equals_an_uninterrupted_one(small_dataset, tmp_path):
    whole = run_training(small_dataset, tmp_path / "whole", "--max_epochs", 4)
    half = run_training(small_dataset, tmp_path / "half", "--max_epochs", 2)
    arguments = [str(small_dataset), "--checkpoint", str(half), "--log_dir", str(tmp_path / "half")]
    resumed = parse_options([*arguments, "--max_epochs", "4", "--num_workers", "0", "--accelerator", "cpu"])
    assert resumed.crop_size == 16 and resumed.channels == [8, 10] and resumed.samples_per_epoch == 6
    last = train(resumed, arguments)
    assert last.resolve() == half.resolve()
    assert_same_weights(whole, last)
    a, b = (torch.load(p, weights_only=True) for p in (whole, last))
    assert a["epoch"] == b["epoch"] == 3 and a["global_step"] == b["global_step"] == 12
    assert a["lr_schedulers"] == b["lr_schedulers"]
    for x, y in zip(
        a["optimizer_states"][0]["state"].values(), b["optimizer_states"][0]["state"].values(), strict=True
    ):
        assert torch.equal(x["exp_avg_sq"], y["exp_avg_sq"])


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGINT, r"Epoch 0: .* [1-9]\d*/100"),
        (signal.SIGTERM, r"Epoch 0: .* [1-9]\d*/100"),
        (signal.SIGTERM, r"(?s)Epoch 0: [^\n]* 100/100.*Validation DataLoader"),
    ],
)
def test_a_signal_leaves_a_checkpoint_says_how_to_resume_and_the_resumed_run_equals_an_uninterrupted_one(
    small_dataset, tmp_path, number, moment
):
    many = ("--max_epochs", 2, "--samples_per_epoch", 200)
    whole = run_training(small_dataset, tmp_path / "whole", *many)
    arguments = [small_dataset, *QUICK, "--log_dir", tmp_path / "cut", *many]
    arguments[arguments.index("--num_workers") + 1] = "1"
    command = [sys.executable, str(ROOT / "train.py"), *map(str, arguments)]
    log = (tmp_path / "log").open("w+")
    process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, preexec_fn=hear_ctrl_c)
    deadline = time.monotonic() + 200
    while not re.search(moment, (tmp_path / "log").read_text()):
        assert process.poll() is None and time.monotonic() < deadline, (tmp_path / "log").read_text()
        time.sleep(0.05)
    os.killpg(process.pid, number)  # as terminals and SLURM do: the workers get it, too
    assert process.wait(100) != 0
    said = (tmp_path / "log").read_text()
    last = tmp_path / "cut" / "version_0" / "checkpoints" / "last.ckpt"
    assert last.is_file() and f"--checkpoint {last}" in said and "Traceback" not in said
    assert 0 < torch.load(last, weights_only=True)["global_step"] < 200
    resume = said[said.rindex(sys.executable) :].splitlines()[0].split()
    run_script(*resume[1:])
    assert_same_weights(whole, last)


@pytest.mark.parametrize("moment", ["on_sanity_check_start", "on_sanity_check_end"])
def test_a_signal_before_the_first_step_ends_with_an_error_code_and_a_word(
    small_dataset, tmp_path, monkeypatch, caplog, moment
):
    monkeypatch.setattr(FramesPerSecond, moment, lambda *_: os.kill(os.getpid(), signal.SIGTERM), raising=False)
    arguments = ["train.py", *map(str, (small_dataset, *QUICK, "--max_epochs", 1, "--log_dir", tmp_path))]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code  # 0 and None are what a script returns that has done its work
    assert "nothing of this training is kept" in caplog.text
    assert not list(tmp_path.rglob("*.ckpt"))


def test_a_second_ctrl_c_stops_at_once():
    stop = SaveWithinEpochs(None, 10, "")
    stop.request_stop(signal.SIGINT, None)
    assert stop.requested
    with pytest.raises(KeyboardInterrupt):
        stop.request_stop(signal.SIGINT, None)


def test_max_time_stops_within_an_epoch_and_the_resumed_run_equals_an_uninterrupted_one(small_dataset, tmp_path):
    many = ("--max_epochs", 1, "--samples_per_epoch", 400)
    whole = run_training(small_dataset, tmp_path / "whole", *many)
    last = run_training(small_dataset, tmp_path / "cut", *many, "--max_time", "00:00:00:01")
    assert 0 < torch.load(last, weights_only=True)["global_step"] < 200
    run_training(small_dataset, tmp_path / "cut", *many, "--checkpoint", last)
    assert_same_weights(whole, last)


def test_weights_that_are_not_finite_do_not_replace_a_checkpoint(tmp_path):
    module, saved = DenoisingModule({"network": "paper", "channels": [4, 4]}, 1e-3), []
    trainer = SimpleNamespace(is_last_batch=False, should_stop=False, save_checkpoint=lambda p, **_: saved.append(p))
    trainer.strategy = SimpleNamespace(reduce_boolean_decision=lambda value, all: value)
    stop = SaveWithinEpochs(tmp_path / "last.ckpt", 10, "")
    stop.requested = True
    for count in (1, 1):
        with pytest.raises(KeyboardInterrupt):
            stop.on_train_batch_end(trainer, module, None, None, 0)
        assert len(saved) == count
        next(module.parameters()).data[0] = math.nan


def test_a_step_without_a_finite_gradient_changes_nothing():
    module = DenoisingModule({"network": "paper", "channels": [4, 4]}, 1e-3)
    for gradient, skipped in ((1.0, False), (math.nan, True), (math.inf, True)):
        for parameter in module.parameters():
            parameter.grad = torch.ones_like(parameter) * gradient
        module.configure_gradient_clipping(None, 0.5)
        norm = torch.nn.utils.get_total_norm([p.grad for p in module.parameters()])
        assert module.skipped == skipped and norm == pytest.approx(0 if skipped else 0.5, rel=1e-4)


@pytest.fixture
def break_losses(monkeypatch):
    """break_losses(steps): makes the losses of these steps of a training infinite, with a gradient that is finite."""

    def replace(steps):
        whole, counter = DenoisingModule.compare, itertools.count()

        def losses(module, prediction, target):
            found = whole(module, prediction, target)
            broken = module.training and next(counter) in steps
            return found | {"loss": found["loss"] + math.inf} if broken else found

        monkeypatch.setattr(DenoisingModule, "compare", losses)

    return replace


def test_a_step_without_a_finite_loss_is_skipped_and_its_files_are_named(small_dataset, tmp_path, break_losses, capsys):
    break_losses({3})
    last = run_training(small_dataset, tmp_path / "runs", "--max_epochs", 1, "--samples_per_epoch", 50)
    assert all(torch.isfinite(weight).all() for weight in weights(last).values())
    said = capsys.readouterr().err
    assert said.count("a step without a finite loss is skipped") == 1
    assert (
        len(re.findall(rf"  {small_dataset}/train/[AB]: frame-000\d/noisy-\d.exr .*frame-000\d/target.exr", said)) == 2
    )


def test_many_steps_in_a_row_without_a_finite_loss_end_the_run(small_dataset, tmp_path, break_losses, capsys):
    break_losses(range(5, 1000))
    with pytest.raises(FloatingPointError, match=r"(?s)20 steps in a row.*--learning_rate.*noisy-\d.exr"):
        run_training(small_dataset, tmp_path / "runs", "--max_epochs", 1, "--samples_per_epoch", 200)
    assert capsys.readouterr().err.count("a step without a finite loss is skipped") == StopOnBrokenSteps.NAMED


def test_checkpoints_hold_the_mean_of_the_weights_and_a_resumed_run_may_go_on_without(small_dataset, tmp_path):
    quick = ("--samples_per_epoch", 40, "--learning_rate", 1e-2)
    last = run_training(small_dataset, tmp_path / "runs", "--max_epochs", 1, *quick)
    saved = torch.load(last, weights_only=True)
    name = "denoiser.output.bias"
    assert not torch.equal(saved["state_dict"][name], saved["current_model_state"][name])
    # without averages, and so it stays
    resume = ["--checkpoint", last, "--average", "off", "--max_epochs", 2]
    last = run_training(small_dataset, tmp_path / "runs", *resume, *quick)
    assert "current_model_state" not in torch.load(last, weights_only=True)
    assert parse_options([str(small_dataset), "--checkpoint", str(last)]).average == "off"


def test_a_run_that_stops_averaging_goes_on_from_the_weights_themselves():
    module = DenoisingModule({"network": "paper", "channels": [4, 4]}, 1e-3)
    for callbacks, wanted in (([], "own"), ([AveragedWeights()], "mean")):
        module._trainer = SimpleNamespace(callbacks=callbacks)
        saved = {"state_dict": "mean", "current_model_state": "own", "lr_schedulers": [], "optimizer_states": []}
        saved["hyper_parameters"] = {"learning_rate": 1e-3}
        module.on_load_checkpoint(saved)
        assert saved["state_dict"] == wanted


def test_the_mean_of_the_weights_is_that_of_about_the_last_tenth():
    mean, values = torch.zeros(1), [float(step) for step in range(1000)]
    for count, value in enumerate(values):
        AveragedWeights.approach([mean], [torch.tensor([value])], torch.tensor(count))
    assert 800 < mean.item() < 980
