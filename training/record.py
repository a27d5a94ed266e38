"""How a run was started: `run.json` in its folder, enough to start it again and to tell whether the data changed."""

import argparse
import hashlib
import json
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import torch

from training import slurm
from version import VERSION

FILE = "run.json"
LIBRARIES = ("torch", "pytorch-lightning", "OpenEXR", "numpy")


def record_of(settings: argparse.Namespace, command: list[str], files: Iterable[Path]) -> dict:
    """The record of a run, as plain values. settings: from resolve. command: the command line. files: the EXR files."""
    return {
        "command": command,
        "commit": commit(),
        "versions": {"train.py": VERSION, "python": platform.python_version()} | {n: version(n) for n in LIBRARIES},
        "threads": torch.get_num_threads(),  # their number changes the order of sums
        "seed": settings.seed,
        "dataset": fingerprint(settings.dataset, files),
        "slurm_job": slurm.job(),
        "options": hyperparameters(settings),
    }


def fingerprint(dataset: Path, files: Iterable[Path]) -> str:
    """Tells datasets apart by the names and sizes of their files; a copy has the same, whatever its dates."""
    lines = sorted(f"{path.relative_to(dataset).as_posix()} {path.stat().st_size}" for path in files)
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()[:16]


def has_other_data(record: dict, checkpoint: Path) -> bool:
    """Whether the run that a checkpoint is of recorded another dataset. False if it left no record that can be read."""
    try:
        before = json.loads((checkpoint.resolve().parent.parent / FILE).read_text())["dataset"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return before != record["dataset"]


def hyperparameters(settings: argparse.Namespace) -> dict[str, str | int | float | bool]:
    """Options as TensorBoard's HParams page lists them: lists and paths as text, None as `none`."""
    found = {}
    for name, value in sorted(vars(settings).items()):
        if isinstance(value, list | tuple):
            value = " ".join(map(str, value))
        found[name] = value if isinstance(value, int | float) else with_escapes(str(value or "none"))
    return found


def with_escapes(text: str) -> str:
    """Text as TensorBoard takes it: file names that are not UTF-8 with escapes."""
    return text.encode(errors="backslashreplace").decode()


def commit() -> str:
    """The commit of this copy of the repository, with `-dirty` after changes; `unknown` where there is none."""
    command = ["git", "-C", str(Path(__file__).resolve().parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
