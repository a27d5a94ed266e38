"""Pins clusters: the same files when a worker dies; one clear line without workers, scheduler or Mitsuba."""

import json
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from types import SimpleNamespace

import pytest
from render_runs import start, wait_for
from small_scene import NAME, command, pixels, render
from support import run_script

from files import InputError
from rendering import cluster as clusters
from rendering.cluster import check_workers, clear_errors, join_cluster, run_jobs

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")


@pytest.fixture
def cluster(tmp_path):
    """The address of a scheduler and two worker processes, by dask's command line.

    They run elsewhere, without this project's modules on their path.
    """
    file = tmp_path / "scheduler.json"
    dask = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--scheduler-file", file, "--port", 0]
    dask_worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", file, "--nthreads", 1]
    commands = [[*dask, "--dashboard-address", ":0"]] + [[*dask_worker, "--no-dashboard", "--no-nanny"]] * 2
    processes = []
    try:
        for arguments in commands:
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path}
            processes.append(subprocess.Popen([str(a) for a in arguments], **quiet))
        while not file.is_file():
            time.sleep(0.05)
        yield json.loads(file.read_text())["address"], processes[1:]
    finally:
        for process in processes:
            process.kill()


def test_a_cluster_that_loses_a_worker_makes_the_same_files(scene, tmp_path, cluster, no_child_processes):
    address, workers = cluster
    more = ("--frames", "8", "--target_spp", "256")
    render(scene, tmp_path / "one", *more)
    process = start(command(scene, tmp_path / "many", *more, "--scheduler", address))
    busy = wait_for(f"train/{NAME}/.frame-*-*", tmp_path / "many", process)  # whichever worker began first
    (worker,) = (worker for worker in workers if busy.name.endswith(f"-{worker.pid}"))
    worker.kill()
    worker.wait()  # until then, it counts as running
    said = process.communicate(timeout=300)[0].decode()
    assert process.returncode == 0, said
    assert pixels(tmp_path / "many") == pixels(tmp_path / "one")


def test_a_cluster_serves_one_run_after_another(scene, tmp_path, cluster):
    """Workers import the modules again, so that errors have this run's classes and stay one clear line."""
    run_script(*command(scene, tmp_path / "a", "--scheduler", cluster[0], "--frames", 1))
    refused = run_script(
        *command(scene, tmp_path / "b", "--scheduler", cluster[0], "--variant", "cuda_ad_rgb"), check=False
    )
    assert refused.returncode == 1 and "Traceback" not in refused.stderr
    assert "--variant cuda_ad_rgb does not work here" in refused.stderr
    run_script(*command(scene, tmp_path / "c", "--scheduler", cluster[0], "--frames", 1))
    assert pixels(tmp_path / "c") == pixels(tmp_path / "a")


def test_no_cluster_at_that_address_is_one_line(scene, tmp_path):
    done = run_script(*command(scene, tmp_path / "x", "--scheduler", "nonsense://here"), check=False)
    assert done.returncode == 1 and "no dask scheduler answers" in done.stderr and "Traceback" not in done.stderr


def one_process(workers: int):
    """A cluster of threads in this process."""
    options = {"n_workers": workers, "processes": False, "threads_per_worker": 1, "dashboard_address": None}
    return distributed.LocalCluster(**options, protocol="tcp", silence_logs=50)


@pytest.fixture
def cluster_and_client():
    """A cluster with one worker, a thread of this process, and a client of it."""
    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
        cluster = one_process(1)
        try:
            with distributed.Client(cluster.scheduler_address) as client:
                yield cluster, client
        finally:
            with suppress(distributed.TimeoutError):  # now and then, one whose scheduler has died never closes
                cluster.close(timeout=20)


def test_no_worker_within_the_time_is_one_line():
    with one_process(0) as cluster, ExitStack() as stack:
        address = cluster.scheduler_address
        with pytest.raises(InputError, match=r"had no worker for 0\.001 minutes"):
            join_cluster(stack, address, 0.001)


def test_workers_that_leave_and_do_not_come_back_are_missed(cluster_and_client, monkeypatch):
    monkeypatch.setattr(clusters, "LOOK", 0.1)
    cluster, client = cluster_and_client
    cluster.scale(0)
    with pytest.raises(InputError, match="had no worker for 0 minutes"):
        list(run_jobs(time.sleep, [5], client, 0))


def test_a_scheduler_that_dies_is_one_line(cluster_and_client):
    cluster, client = cluster_and_client
    client.loop.call_later(0.5, cluster.scheduler.close)
    with pytest.raises(InputError, match="scheduler is gone"), clear_errors():
        list(run_jobs(time.sleep, [5], client))


def test_a_worker_without_mitsuba_is_named(cluster_and_client, monkeypatch):
    monkeypatch.setitem(sys.modules, "mitsuba", None)
    with pytest.raises(InputError, match=r"worker tcp://.*mitsuba.*; install Mitsuba there"):
        check_workers(cluster_and_client[1])


def test_a_job_that_dask_gives_up_is_given_out_again_but_not_for_ever(cluster_and_client, tmp_path):
    """Where machines are taken away often, four workers may die under one job that is not to blame."""
    deaths = tmp_path / "deaths"

    def die(times):
        deaths.open("a").write("x")
        if len(deaths.read_text()) <= times:
            raise distributed.KilledWorker("the job", SimpleNamespace(address="one"), 3)
        return "done"

    assert list(run_jobs(die, [3], cluster_and_client[1])) == ["done"]
    deaths.unlink()
    with pytest.raises(InputError, match="killed several worker processes"), clear_errors():
        list(run_jobs(die, [4], cluster_and_client[1]))


def test_a_worker_that_cannot_load_the_modules_is_one_line():
    with pytest.raises(InputError, match=r"a worker cannot load this project's modules \(no numpy\)"), clear_errors():
        raise RuntimeError("Error during deserialization of the task graph.") from ImportError("no numpy")


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match="Mitsuba"), clear_errors():
        raise RuntimeError("Mitsuba says no")
