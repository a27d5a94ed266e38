"""Pins training in two processes: the weights of one, one writer, and an end with a message when a process dies.

In test_dataset.py: each sample goes to one process, once per epoch.
"""

import signal
import socket

import pytest
import torch
from support import QUICK, ROOT
from train_runs import assert_same_weights, run_training, weights

SAME = ("--precision", "32-true", "--samples_per_epoch", 60, "--max_epochs", 1)
TWO = ("--devices", 2, "--strategy", "ddp", "--batch_size", 2)
TOLERANCE = 1e-5  # of weights of about 0.1: sums over two processes are rounded in another order


def start_two(server, folder, *arguments):
    """Starts two processes as torchrun does, without waiting for them; returns them by rank."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
    shared |= {"LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "none"}
    return [
        server.start(folder / f"log-{rank}", "train.py", *arguments, env=shared | {"RANK": rank, "LOCAL_RANK": rank})
        for rank in "01"
    ]


def best_score(path):
    callbacks = torch.load(path, weights_only=True)["callbacks"]
    return float(next(c["best_model_score"] for c in callbacks.values() if c.get("monitor") == "val/loss"))


@pytest.mark.parametrize("launcher", ["devices", "torchrun"])
def test_two_processes_train_as_one_does(server, small_dataset, tmp_path, launcher):
    one = run_training(small_dataset, tmp_path / "one", *SAME, "--batch_size", 4)
    training = [small_dataset, *QUICK, *SAME, *TWO, "--log_dir", tmp_path / "two"]
    if launcher == "devices":
        run = server.start(tmp_path / "log", "train.py", *training)
    else:
        options = ["--standalone", "--nproc_per_node", 2]
        run = server.start(tmp_path / "log", "torch.distributed.run", *options, ROOT / "train.py", *training)
    assert run.wait() == 0, run.text()
    two = tmp_path / "two/version_0/checkpoints/last.ckpt"
    # the same steps: weights, and the loss of validation
    assert torch.load(two, weights_only=True)["global_step"] == 15
    a, b = weights(one), weights(two)
    assert max(float((a[name] - b[name]).abs().max()) for name in a) < TOLERANCE
    assert best_score(two) == pytest.approx(best_score(one), rel=1e-4)
    # one writer
    assert [path.name for path in (tmp_path / "two").iterdir()] == ["version_0"]
    assert len(list((tmp_path / "two/version_0").glob("events.*"))) == 1


def test_a_process_that_dies_ends_the_run_with_a_message_and_it_goes_on(server, small_dataset, tmp_path):
    training = [small_dataset, *QUICK, *SAME, *TWO, "--checkpoint_minutes", 0.001]
    assert [run.wait() for run in start_two(server, tmp_path, *training, "--log_dir", tmp_path / "whole")] == [0, 0]
    # kill one of them within the epoch
    first, second = start_two(server, tmp_path, *training, "--log_dir", tmp_path / "cut")
    last = tmp_path / "cut/version_0/checkpoints/last.ckpt"
    while not last.is_file():
        assert first.poll() is None, first.text()
    second.kill(signal.SIGKILL)
    assert first.wait(60) == 1 and "another process of this run has ended" in first.text()
    assert "Traceback" not in first.text() and f"--checkpoint {last}" in first.text()
    assert torch.load(last, weights_only=True)["global_step"] < 15
    # go on
    runs = start_two(server, tmp_path, *training, "--log_dir", tmp_path / "cut", "--checkpoint", last)
    assert [run.wait() for run in runs] == [0, 0]
    assert_same_weights(tmp_path / "whole/version_0/checkpoints/last.ckpt", last)
