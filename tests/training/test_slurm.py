"""Pins what happens in jobs of SLURM, with a made-up scontrol: a warned run saves, is requeued, and goes on."""

import json
import os
import signal
import time

import pytest
import torch
from support import QUICK
from train_runs import assert_same_weights, run_training

from training import slurm
from training.training_options import parse_options

JOB = {"SLURM_JOB_ID": "4711", "SLURM_JOB_NAME": "train", "SLURM_NTASKS": "1", "SLURM_NTASKS_PER_NODE": "1"}
JOB |= {"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_NNODES": "1"}
LONG = ("--samples_per_epoch", 120, "--max_epochs", 1)


def test_a_warned_job_saves_is_requeued_and_goes_on(server, small_dataset, tmp_path):
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    scontrol.chmod(0o755)
    env = JOB | {"PATH": f"{scontrol.parent}:{os.environ['PATH']}"}
    training = (small_dataset, *QUICK, *LONG, "--log_dir", tmp_path / "runs")
    whole = run_training(small_dataset, tmp_path / "whole", *LONG)

    # warned in the middle of an epoch
    run = server.start(tmp_path / "log", "train.py", *training, env=env)
    while "| 5/60" not in run.text():
        assert run.poll() is None, run.text()
        time.sleep(0.02)
    run.kill(signal.SIGUSR1)
    assert run.wait() != 0 and "Traceback" not in run.text()
    assert (tmp_path / "asked").read_text() == "requeue 4711\n" and "job 4711 is requeued" in run.text()
    last = tmp_path / "runs/version_0/checkpoints/last.ckpt"
    assert 5 <= torch.load(last, weights_only=True)["global_step"] < 60

    # SLURM starts the same command again
    run = server.start(tmp_path / "log", "train.py", *training, env=env | {"SLURM_RESTART_COUNT": "1"})
    assert run.wait() == 0, run.text()
    assert_same_weights(whole, last)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["version_0"]


def test_only_the_same_command_of_the_same_requeued_job_goes_on(tmp_path, monkeypatch):
    for name, value in JOB.items():
        monkeypatch.setenv(name, value)
    arguments = ["data", "--log_dir", str(tmp_path)]
    last = tmp_path / "version_3" / "checkpoints" / "last.ckpt"
    last.parent.mkdir(parents=True)
    last.touch()
    record = {"slurm_job": "4711", "command": ["python", "train.py", *arguments]}
    (tmp_path / "version_3" / "run.json").write_text(json.dumps(record))
    (tmp_path / "version_4").mkdir()
    (tmp_path / "version_4" / "run.json").write_text("{damaged")
    assert slurm.earlier_checkpoint(tmp_path, arguments) is None  # the job's first start
    monkeypatch.setenv("SLURM_RESTART_COUNT", "2")
    assert slurm.earlier_checkpoint(tmp_path, arguments) == last
    assert slurm.earlier_checkpoint(tmp_path, [*arguments, "--seed", "1"]) is None
    monkeypatch.setenv("SLURM_JOB_ID", "4712")
    assert slurm.earlier_checkpoint(tmp_path, arguments) is None
    assert parse_options(arguments).checkpoint is None


@pytest.mark.parametrize(
    ("script", "said"), [("exit 0", "is requeued"), ("echo no such job >&2; exit 1", "no such job")]
)
def test_what_scontrol_says_is_passed_on(tmp_path, monkeypatch, script, said):
    for name, value in JOB.items():
        monkeypatch.setenv(name, value)
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(f"#!/bin/sh\n{script}\n")
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert said in slurm.requeue()
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert "resume it by hand" in slurm.requeue()
