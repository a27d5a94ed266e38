"""Pins how many cores are counted, and whose signals a worker obeys."""

import multiprocessing
import os
import signal
import subprocess
import time

import pytest

import machine


@pytest.mark.parametrize(("quota", "most"), [("max 100000", 10**6), ("150000 100000", 1), ("50000 100000", 1)])
def test_a_container_quota_limits_the_cores(tmp_path, monkeypatch, quota, most):
    (tmp_path / "cpu.max").write_text(quota + "\n")
    monkeypatch.setattr(machine, "CPU_QUOTA", tmp_path / "cpu.max")
    assert machine.usable_cores() == min(len(os.sched_getaffinity(0)), most)


@pytest.mark.skipif(not hasattr(signal, "sigwaitinfo"), reason="this system does not tell who sent a signal")
@pytest.mark.parametrize("forked", ["fork", "spawn"])
def test_a_worker_obeys_a_signal_of_its_main_process_only(forked):
    context = multiprocessing.get_context(forked)
    ready = context.Event()
    worker = context.Process(target=work, args=(ready,))
    worker.start()
    assert ready.wait(60)
    for name in ("INT", "TERM"):
        subprocess.run(["kill", f"-{name}", str(worker.pid)], check=True)  # not from the main process
    worker.join(0.5)
    assert worker.is_alive()
    worker.terminate()
    worker.join(30)
    assert worker.exitcode == 128 + signal.SIGTERM


def work(ready):
    machine.leave_signals_to_the_main_process(0)
    ready.set()
    time.sleep(300)
