"""Starting render.py in the background, for the tests that stop it."""

import signal
import subprocess
import sys
import time
from pathlib import Path

from support import ROOT


def start(arguments: list) -> subprocess.Popen:
    """Starts a script in the background, in its own process group."""
    arguments = [sys.executable, ROOT / arguments[0], *arguments[1:]]
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "start_new_session": True}
    return subprocess.Popen([str(a) for a in arguments], preexec_fn=heed_interrupt, **quiet)


def heed_interrupt() -> None:
    """Restores Ctrl-C. A shell's background jobs ignore it, and so do their children, such as this suite's."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for(pattern: str, folder: Path, process: subprocess.Popen) -> Path:
    """Waits until a file of this pattern exists, and returns it; fails if the process ends first."""
    while not (found := list(folder.glob(pattern))):
        assert process.poll() is None, process.stdout.read().decode()
        time.sleep(0.02)
    return found[0]
