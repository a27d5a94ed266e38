"""Renders frames in this process, in local processes, or on a dask.distributed cluster."""

import logging
import math
import signal
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

from files import InputError
from machine import usable_cores

AGAIN = 3  # times that a job is given out again after dask has given it up, which it does after four dead workers
LOOK = 5  # seconds after which to look whether there are workers
ROOT = Path(__file__).resolve().parent.parent
# What workers of a cluster need of this project: modules and folders.
NEEDED = ("files.py", "machine.py", "frames", "rendering", "rooms")


def default_workers() -> int:
    """One process per core; without dask, which starts them, one."""
    return usable_cores() if find_spec("distributed") else 1


def import_distributed():
    """The module dask.distributed, its log silenced. Raises InputError where it is not installed."""
    try:
        import distributed
    except ImportError as error:
        raise InputError(f"several workers need dask.distributed ({error}); pip install distributed") from error
    for name in [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "distributed"]:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # each has a level of its own
    return distributed


def start_processes(stack: ExitStack, workers: int):
    """A dask client for this many processes on this machine; they end with `stack`. Raises as import_distributed."""
    distributed = import_distributed()
    stack.enter_context(clear_errors())
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited: the main process alone handles Ctrl-C
    try:
        options = {"threads_per_worker": 1, "memory_limit": None, "dashboard_address": ":0"}
        cluster = distributed.LocalCluster(n_workers=workers, silence_logs=logging.CRITICAL, **options)
    finally:
        signal.signal(signal.SIGINT, handler)
    return stack.enter_context(distributed.Client(stack.enter_context(cluster)))


def join_cluster(stack: ExitStack, scheduler: str, minutes: float):
    """A dask client for the cluster at `scheduler`, closed with `stack`; its workers get this project's modules.

    Raises as import_distributed, or InputError where the scheduler does not answer within 30 seconds, no worker joins
    it within `minutes`, or a worker lacks Mitsuba.
    """
    distributed = import_distributed()
    stack.enter_context(clear_errors())
    try:
        client = stack.enter_context(distributed.Client(scheduler, timeout=30))
    except (OSError, ValueError) as error:
        raise InputError(
            f"--scheduler {scheduler}: no dask scheduler answers there ({error}); start `dask scheduler`, or correct "
            "the address"
        ) from error
    if not client.nthreads():
        print(f"waiting up to {minutes:g} minutes for a worker of the cluster")
        try:
            client.wait_for_workers(1, timeout=60 * minutes)
        except distributed.TimeoutError as error:
            raise without_workers(minutes) from error
    send_modules(client)
    check_workers(client)
    return client


def without_workers(minutes: float) -> InputError:
    """The error for a cluster without workers."""
    return InputError(
        f"the cluster has had no worker for {minutes:g} minutes; start some with `dask worker`, or wait longer with "
        "--wait_minutes; the finished frames are complete"
    )


def check_workers(client) -> None:
    """Raises InputError naming a worker of the cluster on which Mitsuba cannot be imported."""

    def missing() -> str:
        """What is missing on a worker; empty if nothing is."""
        try:
            import mitsuba  # noqa: F401
        except ImportError as error:
            return str(error)
        return ""

    for worker, error in client.run(missing).items():
        if error:
            raise InputError(f"worker {worker}: {error}; install Mitsuba there, as in requirements.txt")


def send_modules(client) -> None:
    """Sends this project's modules, as one archive, to all workers of a cluster, those that join later included."""
    # workers forget the modules of earlier runs
    packages = {Path(name).parts[0].removesuffix(".py") for name in NEEDED}

    def forget() -> None:
        """Makes a worker import the modules again; an earlier run may have left it older ones."""
        for name in [name for name in sys.modules if name.partition(".")[0] in packages]:
            del sys.modules[name]

    client.run(forget)  # a nested function is sent by value; one of this module would be imported there

    # and get these
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "render_modules.zip"
        with zipfile.ZipFile(archive, "w") as file:
            for name in NEEDED:
                path = ROOT / name
                for source in sorted(path.glob("*.py")) if path.is_dir() else [path]:
                    file.write(source, source.relative_to(ROOT))
        client.upload_file(str(archive))


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turns what goes wrong with a cluster into an InputError that says what to do."""
    from distributed import KilledWorker
    from distributed.comm import CommClosedError

    try:
        yield
    except KilledWorker as error:
        raise InputError(
            f"rendering a frame killed several worker processes ({error}); render it with --workers 1 to see why"
        ) from error
    except RuntimeError as error:
        if "deserialization" not in str(error):
            raise
        raise InputError(
            f"a worker cannot load this project's modules ({error.__cause__}); install there what requirements.txt "
            "lists for rendering, in the same versions"
        ) from error
    except (CancelledError, CommClosedError) as error:
        raise InputError(
            "the scheduler is gone, or out of reach; start one, and continue with the same command and its address; "
            "the finished frames are complete"
        ) from error


def run_jobs(work: Callable, jobs: Iterable, client=None, minutes: float = math.inf) -> Iterator:
    """The results of work(job) for every job: in this process, in order; with a dask client, as workers finish them.

    `jobs` is drawn from as workers become free, so it may plan while they work. If a worker dies, another one does its
    job again. What the work raises is raised here; InputError where a job kills one worker after another, the
    scheduler is gone, or there has been no worker for `minutes`.
    """
    if client is None:
        yield from map(work, jobs)
        return

    from distributed import KilledWorker

    pending: dict = {}  # the futures, each with its job, and how often that may be given out again

    def give_out(job, again: int) -> None:
        pending[client.submit(work, job, pure=False)] = job, again

    def collect() -> Iterator:
        """The results of those that have ended, at least one; a job that is given out again counts as one."""
        for future in ended(pending, client, minutes):
            job, again = pending.pop(future)
            try:
                yield future.result()
            except KilledWorker:
                if not again:
                    raise
                give_out(job, again - 1)

    # a few jobs per worker in advance
    for job in jobs:
        give_out(job, AGAIN)
        while len(pending) > 2 + 3 * len(client.nthreads()):
            yield from collect()
    while pending:
        yield from collect()


def ended(pending: Iterable, client, minutes: float) -> set:
    """Waits until one of the futures `pending` has ended; returns those that have. Raises as run_jobs."""
    from distributed import TimeoutError as NotYet
    from distributed import wait

    last_worker = time.monotonic()
    while True:
        try:
            return wait(list(pending), timeout=LOOK, return_when="FIRST_COMPLETED").done
        except NotYet as error:
            if client.nthreads():
                last_worker = time.monotonic()
            elif time.monotonic() - last_worker > 60 * minutes:
                raise without_workers(minutes) from error
