"""Renders frames in this process, in local processes, or on a dask.distributed cluster."""

import logging
import signal
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

from files import InputError
from machine import usable_cores

ROOT = Path(__file__).resolve().parent.parent
# What workers of a cluster need of this project: modules and whole folders.
NEEDED = ("files.py", "machine.py", "frames/__init__.py", "frames/channels.py", "frames/exr.py", "rendering", "rooms")


def default_workers() -> int:
    """One process per core; without dask, which starts them, one."""
    return usable_cores() if find_spec("distributed") else 1


def import_distributed():
    """The module dask.distributed, its log silenced. Raises InputError where it is not installed."""
    try:
        import distributed
    except ImportError as error:
        raise InputError(f"several workers need dask.distributed ({error}); pip install distributed") from error
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    return distributed


def start_processes(stack: ExitStack, workers: int):
    """A dask client for this many processes on this machine; they end with `stack`. Raises as import_distributed."""
    distributed = import_distributed()
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited: the main process alone handles Ctrl-C
    try:
        options = {"threads_per_worker": 1, "memory_limit": None, "dashboard_address": ":0"}
        cluster = distributed.LocalCluster(n_workers=workers, silence_logs=logging.CRITICAL, **options)
    finally:
        signal.signal(signal.SIGINT, handler)
    return stack.enter_context(distributed.Client(stack.enter_context(cluster)))


def join_cluster(stack: ExitStack, scheduler: str):
    """A dask client for the cluster at `scheduler`, closed with `stack`; its workers get this project's modules.

    Raises as import_distributed, or InputError where the scheduler does not answer.
    """
    distributed = import_distributed()
    try:
        client = stack.enter_context(distributed.Client(scheduler, timeout=30))
    except (OSError, ValueError) as error:
        raise InputError(f"--scheduler {scheduler}: no dask scheduler answers there ({error})") from error
    send_modules(client)
    return client


def send_modules(client) -> None:
    """Sends this project's modules, as one archive, to all workers of a cluster, those that join later included."""
    packages = {Path(name).parts[0].removesuffix(".py") for name in NEEDED}

    def forget() -> None:
        """Makes a worker import the modules again; an earlier run may have left it older ones."""
        for name in [name for name in sys.modules if name.partition(".")[0] in packages]:
            del sys.modules[name]

    client.run(forget)  # a nested function travels whole; one of this module would have to be there already
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "render_modules.zip"
        with zipfile.ZipFile(archive, "w") as file:
            for name in NEEDED:
                path = ROOT / name
                for source in sorted(path.glob("*.py")) if path.is_dir() else [path]:
                    file.write(source, source.relative_to(ROOT))
        client.upload_file(str(archive))


def run_jobs(work: Callable, jobs: Iterable, client=None) -> Iterator:
    """The results of work(job) for every job: in this process, in order; with a dask client, as workers finish them.

    `jobs` is drawn from as workers become free, so it may plan while they work. If a worker dies, another one does its
    job again. What the work raises is raised here; InputError where a job kills one worker after another.
    """
    if client is None:
        yield from map(work, jobs)
        return
    from distributed import KilledWorker, as_completed

    # a few jobs per worker in advance
    pending = as_completed()
    try:
        for job in jobs:
            pending.add(client.submit(work, job, pure=False))
            while pending.has_ready() or pending.count() > 2 + 3 * len(client.nthreads()):
                yield next(pending).result()
        for future in pending:
            yield future.result()
    except KilledWorker as error:
        raise InputError(
            f"rendering a frame killed several worker processes ({error}); render it with --workers 1 to see why"
        ) from error
