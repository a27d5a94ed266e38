"""Runs every benchmark that needs no dataset; tables go to the terminal, JSON lines to a file.

python -m benchmarks.everything results.jsonl       # 45 minutes on two cores; uses a GPU if there is one
"""

import argparse
import subprocess
import sys
from pathlib import Path

import torch

from benchmarks.reporting import ROOT

BATCH = "64" if torch.cuda.is_available() else "4"  # windows per training step; a few would leave a GPU idle
SCRIPTS = (
    ("reconstruction", "--end_to_end"),
    ("training", "--batch_size", BATCH, "--samples", str(8 * int(BATCH))),
    ("training", "--batch_size", BATCH, "--samples", str(8 * int(BATCH)), "--size", "256x144"),
    ("scaling",),
)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="a .jsonl file, to which lines are appended")
    results = parser.parse_args().results
    failed = []
    for script, *options in SCRIPTS:
        command = [sys.executable, "-m", f"benchmarks.{script}", *options]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
            for line in running.stdout:
                print(line, end="", flush=True)
                if line.startswith("{"):
                    with results.open("a") as file:
                        file.write(line)
        if running.returncode:
            failed.append(script)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
