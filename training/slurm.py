"""Jobs of SLURM that are started again when their time is up: asking for it, and finding the run to continue."""

import json
import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from lightning_fabric.plugins.environments import SLURMEnvironment

SIGNAL = signal.SIGUSR1  # of #SBATCH --signal=SIGUSR1@120


def job() -> str | None:
    """The id of the SLURM job that this process is part of; None outside of SLURM and in its interactive shells.

    With a job array, that of this task: scontrol takes both.
    """
    return os.environ.get("SLURM_JOB_ID") if SLURMEnvironment.detect() else None


def requeue() -> str:
    """Asks SLURM to start this job again; returns what came of it, for the terminal."""
    try:
        done = subprocess.run(["scontrol", "requeue", job()], capture_output=True, text=True, timeout=60, check=False)
        error = done.stderr.strip() if done.returncode else ""
    except (OSError, subprocess.TimeoutExpired) as failure:
        error = str(failure)
    return f"job {job()}: not requeued ({error}); resume it by hand" if error else f"job {job()} is requeued"


def earlier_checkpoint(log_dir: Path, arguments: list[str]) -> Path | None:
    """The last checkpoint of the run in `log_dir` that this job began before it was started again; None without one.

    arguments: of train.py, which tell the runs of a job apart.
    """
    if os.environ.get("SLURM_RESTART_COUNT", "0") == "0":
        return None
    found = []
    for path in log_dir.glob("version_*/run.json"):
        with suppress(OSError, ValueError, LookupError, TypeError):  # not of this project, or damaged
            record, last = json.loads(path.read_text()), path.parent / "checkpoints" / "last.ckpt"
            if record["slurm_job"] == job() and record["command"][2:] == arguments:
                found.append((last.stat().st_mtime, last))
    return max(found)[1] if found else None
