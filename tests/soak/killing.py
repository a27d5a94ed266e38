"""Kills a script at random moments and starts it again, for the tests of what is left."""

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

from forkserver import Script

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


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
