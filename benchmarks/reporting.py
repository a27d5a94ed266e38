"""What the benchmarks share: a description of the machine, tables, and separate processes."""

import json
import multiprocessing
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch

from inference.engines import choose_device, choose_dtype
from machine import usable_cores

ROOT = Path(__file__).resolve().parent.parent


def machine() -> dict:
    """Processor, accelerator, versions and commit, for the JSON line."""
    info = Path("/proc/cpuinfo")  # on Linux
    lines = info.read_text().splitlines() if info.is_file() else []
    cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    git = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    return {
        "cpu": cpu or platform.processor(),
        "cores": usable_cores(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "commit": git.stdout.strip(),
    }


def usual_precision(device_name: str) -> str:
    """The precision that test.py chooses on this device."""
    return str(choose_dtype("auto", choose_device(device_name))).removeprefix("torch.")


def run_script(script: str, *options) -> None:
    """Runs a script of the project; exits with its output if it fails."""
    command = [sys.executable, script, *map(str, options)]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")


def wait_for(device: torch.device) -> None:
    """Waits until the device has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def peak_memory(device: torch.device) -> float:
    """Peak MiB so far, of the GPU's memory or of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def alone(work: Callable, *arguments):
    """Runs work(*arguments) in a separate process: for its peak memory, or because it changes what it imports."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def best(work: Callable, device: torch.device, repeat: int) -> float:
    """Seconds of the fastest of `repeat` calls, after two warm-up calls."""
    times = []
    for _ in range(repeat + 2):
        start = time.perf_counter()
        work()
        wait_for(device)
        times.append(time.perf_counter() - start)
    return min(times[2:])


def parse_size(text: str) -> tuple[int, int]:
    """Parses `WxH`; returns (H, W)."""
    width, height = text.split("x")
    return int(height), int(width)


def report(name: str, rows: list[dict], **more) -> None:
    """Prints `rows` as a table, and everything as one line of JSON."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [columns] + [[show(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    for line in cells:
        first, *others = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join([first, *(cell.strip().rjust(len(cell)) for cell in others)]))
    print(json.dumps({"benchmark": name, "rows": rows} | more | machine()), flush=True)


def show(value) -> str:
    """The text of a cell; numbers get three digits."""
    if isinstance(value, float):
        return f"{value:.3g}" if value < 1000 else f"{value:.0f}"
    return "-" if value is None else str(value)
