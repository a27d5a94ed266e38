"""Pins what a run records of its beginning, and that the same command gives the same weights in another process."""

import json
import shutil
import sys

import pytest
import torch
from support import QUICK
from train_runs import assert_same_weights, run_training

import train
from training.record import fingerprint, has_other_data
from version import VERSION


def test_a_run_records_its_beginning_and_the_same_again_gives_the_same_weights(server, small_dataset, tmp_path):
    lasts = []
    for name in "ab":
        arguments = (small_dataset, *QUICK, "--samples_per_epoch", 20, "--max_epochs", 1, "--log_dir", tmp_path / name)
        run = server.start(tmp_path / "log", "train.py", *arguments)
        assert run.wait() == 0, run.text()
        lasts.append(tmp_path / name / "version_0/checkpoints/last.ckpt")
    assert_same_weights(*lasts)
    first, second = (json.loads((path.parent.parent / "run.json").read_text()) for path in lasts)
    assert first["command"][2:] == [*map(str, arguments[:-1]), str(tmp_path / "a")] and first["seed"] == 0
    assert first["versions"]["train.py"] == VERSION and torch.__version__.startswith(first["versions"]["torch"])
    assert first["versions"]["python"] == sys.version.split()[0] and "OpenEXR" in first["versions"]
    assert first["options"]["crop_size"] == 16 and first["slurm_job"] is None and len(first["commit"]) >= 7
    assert {n for n in first if first[n] != second[n]} == {"command", "options"}  # the log folder


def test_the_fingerprint_tells_datasets_apart_and_not_copies(small_dataset, tmp_path):
    def of(dataset):
        return fingerprint(dataset, dataset.rglob("*.exr"))

    copied = shutil.copytree(small_dataset, tmp_path / "copy", copy_function=shutil.copyfile)
    assert of(copied) == of(small_dataset)
    frame = next(copied.rglob("target.exr"))
    frame.write_bytes(frame.read_bytes() + b" ")
    assert of(copied) != of(small_dataset)
    frame.unlink()
    assert of(copied) != of(small_dataset)


def test_a_resumed_run_tells_if_its_dataset_has_changed(small_dataset, tmp_path, caplog):
    dataset, runs = shutil.copytree(small_dataset, tmp_path / "copy"), tmp_path / "runs"
    last = run_training(dataset, runs, "--max_epochs", 1)
    said = "its files have changed since this run began"
    with caplog.at_level("INFO"):
        run_training(dataset, runs, "--max_epochs", 2, "--checkpoint", last)
        assert said not in caplog.text
        frame = next((dataset / "train").rglob("target.exr"))
        frame.write_bytes(frame.read_bytes() + b" ")
        run_training(dataset, runs, "--max_epochs", 3, "--checkpoint", last)
    assert f"{dataset}: {said}" in caplog.text
    (last.parent.parent / "run.json").write_text("{")  # a record that cannot be read stops nothing
    assert not has_other_data({"dataset": ""}, last)


def test_fewer_epochs_than_the_checkpoint_has_is_one_line(small_dataset, tmp_path, monkeypatch):
    last = run_training(small_dataset, tmp_path / "runs", "--max_epochs", 3)
    arguments = [small_dataset, *QUICK, "--log_dir", tmp_path / "runs", "--checkpoint", last, "--max_epochs", 2]
    monkeypatch.setattr(sys, "argv", ["train.py", *map(str, arguments)])
    with pytest.raises(SystemExit, match=r"--max_epochs 2: \S*last.ckpt is in epoch 3; give 3 or more"):
        train.main()
