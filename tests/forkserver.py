"""Runs the project's scripts many times without importing PyTorch each time: a process imports everything, and forks.

A script that is forked behaves as if started from a shell, with signals reset and a process group of its own.
"""

import gc
import json
import os
import resource
import runpy
import signal
import subprocess
import sys
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path

IMPORTED = (
    "train",
    "test",
    "export",
    "training.fit",
    "inference.datasets",
    "exporting.export_network",
    "torch.distributed.run",
)
ROOT = Path(__file__).resolve().parent.parent


class ForkServer:
    """A process that has imported what the scripts import; `start` forks it. A context manager."""

    def __init__(self, imported: tuple[str, ...] = IMPORTED):
        self.imported = imported

    def __enter__(self) -> "ForkServer":
        environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, __file__, *self.imported],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert self.process.stdout.readline() == "ready\n"
        return self

    def start(
        self, log: Path, script: str, *arguments, env: dict[str, str] | None = None, largest: int = -1
    ) -> "Script":
        """Starts a script or a module; what it prints goes to `log`.

        env: more environment variables. largest: bytes that the system lets it write to a file, -1 for any number.
        """
        log.write_text("")
        request = {"log": str(log), "script": script, "arguments": [str(a) for a in arguments], "env": env or {}}
        request["largest"] = largest
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return Script(int(self.process.stdout.readline()), log)

    def __exit__(self, *_) -> None:
        self.process.stdin.close()
        self.process.wait()


class Script:
    """A script that runs. process: its id, and that of its group."""

    def __init__(self, process: int, log: Path):
        self.process, self.log = process, log
        self.ended = log.with_suffix(".ended")

    def kill(self, number: int) -> None:
        """Sends a signal to the script and all that it started, as a terminal or SLURM does, unless it has ended."""
        with suppress(ProcessLookupError):
            os.killpg(self.process, number)

    def poll(self) -> int | None:
        """The exit status, minus the signal's number if one ended it; None while it runs."""
        return int(self.ended.read_text()) if self.ended.is_file() else None

    def wait(self, seconds: float = 300) -> int:
        """Waits for its end; returns the exit status."""
        deadline = time.monotonic() + seconds
        while self.poll() is None:
            assert time.monotonic() < deadline, f"still running:\n{self.log.read_text()[-3000:]}"
            time.sleep(0.02)
        return self.poll()

    def text(self) -> str:
        """What it has printed so far."""
        return self.log.read_text()


def serve() -> None:
    """Reads a request a line; answers with the id of the process that runs it."""
    for module in sys.argv[1:]:
        import_module(module)
    gc.freeze()
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        ended = Path(request["log"]).with_suffix(".ended")
        ended.unlink(missing_ok=True)
        process = os.fork()  # waits for the script, so that this one can go on
        if process == 0:
            wait_for_script(request, ended)
    with suppress(ChildProcessError):
        while True:
            os.wait()


def wait_for_script(request: dict, ended: Path) -> None:
    """Forks the script, tells its id, waits for its end, and writes down its exit status."""
    process = os.fork()
    if process == 0:
        run_script(request)
    os.write(sys.stdout.fileno(), f"{process}\n".encode())
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    temporary = ended.with_suffix(".new")
    temporary.write_text(str(status))
    temporary.rename(ended)
    os._exit(0)


def run_script(request: dict) -> None:
    """Becomes the script: its command line, standard streams, signals, and group."""
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler)
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(request["env"])
    resource.setrlimit(resource.RLIMIT_FSIZE, (request["largest"], -1))
    module, is_module = request["script"].removesuffix(".py"), not request["script"].endswith(".py")
    sys.argv = [module if is_module else str(ROOT / request["script"]), *request["arguments"]]
    status = 1
    try:
        if is_module:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(sys.argv[0], run_name="__main__")
        status = 0
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)


if __name__ == "__main__":
    serve()
