"""Pins that the scripts survive being killed at any moment: started again, they end with the same bytes."""

import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from forkserver import Script
from support import QUICK, make_scene
from train_runs import assert_same_weights

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
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


class Killer:
    """Starts a script and kills it at a random moment, again and again.

    start: starts it. seconds: how long it takes uninterrupted. look: called after each kill, and after each end.
    """

    def __init__(self, start: Callable[[], Script], seconds: float, look: Callable[[bool], None], seed: int = 0):
        self.start, self.seconds, self.look, self.random = start, seconds, look, random.Random(seed)
        self.kills = self.ends = 0

    def run(self, kills: int) -> None:
        """Until so many kills have hit, and the script has then come to its end."""
        ended = False
        while self.kills < kills or not ended:
            script, hit = self.start(), False
            if self.kills < kills:
                time.sleep(self.random.uniform(0, self.seconds))
                if hit := script.poll() is None:
                    script.kill(self.random.choice(SIGNALS))
            ended = script.wait() == 0
            said = script.text()
            # Python drops a Ctrl-C that comes just while it forks, with such a trace; the script goes on
            assert "Traceback" not in said or ("Exception ignored in" in said and ended), said
            assert ended or hit, said
            self.ends, self.kills = self.ends + ended, self.kills + (not ended)
            self.look(ended)


def temporary_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*-*") if path.is_file()]


def contents(folder: Path) -> dict[str, bytes]:
    """What is in a folder, without temporary files."""
    hidden = temporary_files(folder)
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p not in hidden}


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
