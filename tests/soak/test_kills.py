"""Pins that the scripts survive being killed at any moment: started again, they end with the same bytes."""

import shutil
import time
from pathlib import Path

import pytest
import torch
from forkserver import Script
from killing import Killer, contents, temporary_files
from support import QUICK, make_scene
from train_runs import assert_same_weights

TRAINING = (*QUICK, "--samples_per_epoch", 60, "--max_epochs", 2, "--checkpoint_minutes", 0.001)


@pytest.fixture(scope="module")
def trained(server, tmp_path_factory) -> tuple[Path, Path, float]:
    """A dataset, the last checkpoint of an uninterrupted run on it, and how many seconds that took."""
    folder = tmp_path_factory.mktemp("trained")
    for scene in ("train/A", "train/B", "test/C", "test/D"):
        make_scene(folder / "data" / scene)
    start = time.monotonic()
    run = server.start(folder / "log", "train.py", folder / "data", *TRAINING, "--log_dir", folder / "runs")
    assert run.wait() == 0, run.text()
    return folder / "data", folder / "runs/version_0/checkpoints/last.ckpt", time.monotonic() - start


def test_training_ends_in_the_same_weights(server, trained, tmp_path, cases, record):
    data, whole, seconds = trained
    runs, steps = tmp_path / "runs", [0]

    def checkpoints() -> list[Path]:
        return sorted(runs.rglob("last.ckpt"), key=lambda path: path.stat().st_mtime)

    def start() -> Script:
        more = ["--checkpoint", checkpoints()[-1]] if checkpoints() else []
        return server.start(tmp_path / "log", "train.py", data, *TRAINING, "--log_dir", runs, *more)

    def look(ended: bool) -> None:
        for path in runs.rglob("*.ckpt"):
            if path not in temporary_files(runs):
                step = torch.load(path, weights_only=True)["global_step"]
                if path.name == "last.ckpt":
                    steps.append(step)
        assert steps == sorted(steps)  # nothing is lost twice
        if ended:
            assert_same_weights(whole, checkpoints()[-1])
            assert not temporary_files(runs)
            shutil.rmtree(runs)
            steps[:] = [0]

    killer = Killer(start, 0.7 * seconds, look)
    killer.run(cases(4, 60))
    record("train.py killed", cases=killer.kills + killer.ends, faults=killer.kills, survived=killer.kills)


def test_the_cache_of_decoded_frames_is_whole(server, tmp_path, cases, record):
    for scene in range(cases(1, 4)):
        make_scene(tmp_path / "data" / "train" / str(scene), frames=40)
    whole = None

    def start() -> Script:
        return server.start(tmp_path / "log", "train.py", tmp_path / "data", *QUICK, "--fast_dev_run")

    begun = time.monotonic()
    assert start().wait() == 0
    seconds, cache = time.monotonic() - begun, tmp_path / "data" / ".cache"
    whole = contents(cache)
    shutil.rmtree(cache)

    def look(ended: bool) -> None:
        found = contents(cache)
        assert found.items() <= whole.items()  # whole, or not there
        if ended:
            assert found == whole
            shutil.rmtree(cache)

    killer = Killer(start, seconds, look)
    killer.run(cases(2, 50))
    record("cache killed", cases=killer.kills + killer.ends, faults=killer.kills, survived=killer.kills)


@pytest.mark.parametrize("script", ["test.py", "export.py"])
def test_results_are_whole_or_not_there(server, trained, tmp_path, cases, record, script):
    data, checkpoint, _ = trained
    out = tmp_path / "out"
    results = (checkpoint, out / "model.onnx") if script == "export.py" else (checkpoint, data, "--output_dir", out)

    def start() -> Script:
        return server.start(tmp_path / "log", script, *results)

    begun = time.monotonic()
    assert start().wait() == 0
    seconds, whole = time.monotonic() - begun, contents(out)
    assert whole
    kept = False  # start with an empty folder and with earlier results in turn

    def look(ended: bool) -> None:
        nonlocal kept
        found = contents(out)
        assert found.items() <= whole.items() and (not kept or found == whole)
        if ended:
            assert found == whole and not temporary_files(out)
            kept = not kept
            if not kept:
                shutil.rmtree(out)

    shutil.rmtree(out)
    killer = Killer(start, seconds, look)
    killer.run(cases(4, 60))
    record(f"{script} killed", cases=killer.kills + killer.ends, faults=killer.kills, survived=killer.kills)
