"""Pins what happens when a disk is full, or folders go away, under a run: one clear line, the last checkpoint kept."""

import errno
import os
import shutil
import sys
from pathlib import Path

import pytest
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from support import QUICK
from train_runs import run_training

import train
from checkpoints import load_denoiser
from training.module import DenoisingModule


def run_main(monkeypatch, *arguments):
    """Runs train.py within this process; returns the line that it ends with."""
    monkeypatch.setattr(sys, "argv", ["train.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        train.main()
    assert isinstance(stop.value.code, str)  # so the exit status is 1
    return stop.value.code


def full_disk(monkeypatch, limit):
    """Makes every file that is written by its path end at `limit` bytes."""
    write = Path.write_bytes

    def write_part(path, content):
        if len(content) <= limit:
            return write(path, content)
        write(path, bytes(content[:limit]))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(Path, "write_bytes", write_part)


def test_a_full_disk_keeps_the_checkpoint_before(small_dataset, tmp_path, monkeypatch):
    last = run_training(small_dataset, tmp_path / "runs", "--max_epochs", 1)
    before = last.read_bytes()
    full_disk(monkeypatch, 1000)
    said = run_main(
        monkeypatch, small_dataset, *QUICK, "--log_dir", tmp_path / "runs", "--checkpoint", last, "--max_epochs", 2
    )
    assert "not written (No space left on device); the earlier one is kept; free some space" in said
    assert last.read_bytes() == before and load_denoiser(last)
    assert not list(last.parent.glob(".*"))


def test_a_log_folder_that_cannot_be_made_is_one_line(small_dataset, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    said = run_main(monkeypatch, small_dataset, *QUICK, "--log_dir", tmp_path / "file" / "runs")
    assert said.startswith(f"train.py: --log_dir {tmp_path}/file/runs: Not a directory; choose another folder")


def remove_in_the_epoch(monkeypatch, folder):
    """Deletes a folder before the fourth step."""
    step = DenoisingModule.training_step

    def training_step(module, batch, index):
        if index == 3:
            shutil.rmtree(folder)
        return step(module, batch, index)

    monkeypatch.setattr(DenoisingModule, "training_step", training_step)


def test_a_log_folder_that_is_deleted_is_one_line(small_dataset, tmp_path, monkeypatch):
    remove_in_the_epoch(monkeypatch, tmp_path / "runs" / "version_0")
    more = ("--samples_per_epoch", 20, "--max_epochs", 1)
    said = run_main(monkeypatch, small_dataset, *QUICK, *more, "--log_dir", tmp_path / "runs")
    assert "version_0: the log cannot be written (No such file or directory)" in said


def test_a_folder_of_checkpoints_that_is_deleted_is_made_again(small_dataset, tmp_path, monkeypatch):
    checkpoints = tmp_path / "runs" / "version_0" / "checkpoints"
    checkpoints.mkdir(parents=True)
    monkeypatch.setattr(TensorBoardLogger, "_get_next_version", lambda _: 0)
    remove_in_the_epoch(monkeypatch, checkpoints)
    last = run_training(small_dataset, tmp_path / "runs", "--max_epochs", 1, "--samples_per_epoch", 20)
    assert last.parent == checkpoints and torch.load(last, weights_only=True)["global_step"] == 10


def test_a_dataset_that_is_deleted_is_one_line_and_the_checkpoint_stays(small_dataset, tmp_path, monkeypatch):
    remove_in_the_epoch(monkeypatch, small_dataset)
    more = ("--samples_per_epoch", 40, "--max_epochs", 1, "--checkpoint_minutes", 1e-9)
    said = run_main(monkeypatch, small_dataset, *QUICK, *more, "--log_dir", tmp_path / "runs")
    assert said.startswith(f"train.py: {small_dataset}") and "no such file" in said
    assert load_denoiser(tmp_path / "runs/version_0/checkpoints/last.ckpt")
