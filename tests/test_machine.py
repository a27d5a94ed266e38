"""Pins how many cores are counted."""

import os

import pytest

import machine


@pytest.mark.parametrize(("quota", "most"), [("max 100000", 10**6), ("150000 100000", 1), ("50000 100000", 1)])
def test_a_container_quota_limits_the_cores(tmp_path, monkeypatch, quota, most):
    (tmp_path / "cpu.max").write_text(quota + "\n")
    monkeypatch.setattr(machine, "CPU_QUOTA", tmp_path / "cpu.max")
    assert machine.usable_cores() == min(len(os.sched_getaffinity(0)), most)
