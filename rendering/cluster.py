"""Runs the frames' work here, in local processes, or on a dask.distributed cluster."""

import logging
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

from files import InputError


def default_workers() -> int:
    """As many as this process may use cores, inside a container or a batch job too; 1 where dask is not installed."""
    try:
        from dask.system import CPU_COUNT
    except ImportError:
        return 1
    return CPU_COUNT


def import_distributed():
    """dask.distributed, without its log. Raises InputError where it is not installed."""
    try:
        import distributed
    except ImportError as error:
        raise InputError(f"several workers need dask.distributed ({error}); pip install distributed") from error
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    return distributed


def start_processes(stack: ExitStack, workers: int):
    """A dask client for that many processes of this machine, which end with `stack`. Raises as import_distributed."""
    distributed = import_distributed()
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited: Ctrl-C is for the main process to handle
    try:
        options = {"threads_per_worker": 1, "memory_limit": None, "dashboard_address": ":0"}
        cluster = distributed.LocalCluster(n_workers=workers, silence_logs=logging.CRITICAL, **options)
    finally:
        signal.signal(signal.SIGINT, handler)
    return stack.enter_context(distributed.Client(stack.enter_context(cluster)))


def join_cluster(stack: ExitStack, scheduler: str, modules: list[Path]):
    """A dask client for the cluster at `scheduler`, closed with `stack`.

    modules: source files that the work needs, those that others import first; the workers get them, those that join
    later too. Raises as import_distributed, or InputError where the scheduler does not answer.
    """
    distributed = import_distributed()
    try:
        client = stack.enter_context(distributed.Client(scheduler, timeout=30))
    except (OSError, ValueError) as error:
        raise InputError(f"--scheduler {scheduler}: no dask scheduler answers there ({error})") from error
    for module in modules:
        client.upload_file(str(module))
    return client


def run_jobs(work: Callable, jobs: Iterable, client=None) -> Iterator:
    """The results of work(job) for every job: here and in order, or, with a dask client, as its workers finish them.

    A worker that dies costs the work it was at, which another does again. `jobs` is drawn from as workers get free, so
    it may plan while they work. What the work raises is raised here.
    """
    if client is None:
        yield from map(work, jobs)
        return
    from distributed import KilledWorker, as_completed

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
            f"a frame ended its worker's process again and again ({error}); render it with --workers 1 to see why"
        ) from error
