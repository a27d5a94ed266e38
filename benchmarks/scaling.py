"""How time and memory grow: with pixels, with the length of training windows, with the dataset, with processes.

    python benchmarks/scaling.py DATASET

Every row runs in a process of its own. The dataset gives frames for the last two tables; the sizes are made up.
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from reconstruction import run_network
from reporting import alone, peak_memory, report
from training import epoch_rate, loader_rate, make_data

import engines
import train
from lightning_module import DenoisingModule
from model import NETWORKS
from speed import Speed, choose_precision


def pixels(device: str) -> None:
    """Reconstruction: seconds and memory per frame size, and per pixel, relative to the smallest."""
    rows = []
    precision = choose_half(device)
    for size in ((180, 320), (360, 640), (720, 1280), (1080, 1920), (1440, 2560)):
        found = alone(run_network, "default", precision, "eager", size, device, 3)
        per_pixel = found["seconds"] / size[0] / size[1]
        rows.append({"size": f"{size[1]}x{size[0]}", "per pixel": per_pixel, "ms": found["seconds"] * 1e3})
        rows[-1] |= {"MiB": found["memory"]}
    first = rows[0]["per pixel"]
    report("scaling with pixels", [row | {"per pixel": row["per pixel"] / first} for row in rows], precision=precision)


def choose_half(device: str) -> str:
    """The precision that test.py would take."""
    return str(engines.choose_precision("auto", engines.choose_device(device))).removeprefix("torch.")


def train_window(length: int, recompute: bool) -> dict:
    """Seconds and peak memory of a training step on one window of 128x128 pixels."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    speed = Speed(channels_last=True, fused=True, recompute=recompute)
    module = DenoisingModule({"demodulate": True} | NETWORKS["default"], 1e-3, speed=speed)
    module.to(device).train()
    half = choose_precision(train.build_parser().parse_args(["-"])).startswith("bf16")
    noisy, target = (
        torch.rand(1, length, 10, 128, 128, device=device),
        torch.rand(1, length, 3, 128, 128, device=device),
    )
    before = peak_memory(device)
    for _ in range(3):
        start = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            module.losses(module(noisy), target)["loss"].backward()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
    return {"ms": seconds * 1e3, "MiB": peak_memory(device) - before}


def lengths() -> None:
    """Training: a step's time and memory by the number of frames, activations kept and recomputed."""
    rows = []
    for length in (2, 4, 8, 16, 32):
        kept, recomputed = (alone(train_window, length, recompute) for recompute in (False, True))
        row = {"frames": str(length), "time, recomputed of kept": recomputed["ms"] / kept["ms"]}
        row |= {
            "memory, recomputed of kept": recomputed["MiB"] / max(kept["MiB"], 1),
            "ms per frame": kept["ms"] / length,
        }
        row["ms per frame"] = kept["ms"] / length
        rows.append(row | {"MiB": kept["MiB"], "MiB recomputed": recomputed["MiB"]})
    report("scaling with window length", rows)


def copies(dataset: Path, folder: Path, times: int) -> Path:
    """A dataset of `times` copies of each training scene."""
    for scene in sorted((dataset / "train").iterdir()):
        for copy in range(times):
            shutil.copytree(scene, folder / "train" / f"{scene.name}-{copy}")
    return folder


def dataset_size(dataset: Path) -> None:
    """Preparing and loading: seconds of decoding per file, windows per second, by the number of scenes."""
    rows = []
    for times in (1, 4, 16):
        with tempfile.TemporaryDirectory() as name:
            options = train.parse_options([str(copies(dataset, Path(name), times)), "--num_workers", "1"])
            start = time.perf_counter()
            data = make_data(options)
            seconds = time.perf_counter() - start
            size = sum(entry.bytes for entry in data.entries) / 2**20
            row = {"files": str(len(data.entries)), "ms to prepare each": seconds / len(data.entries) * 1e3}
            rows.append(row | {"windows per second": loader_rate(options, 8), "cache MiB": size})
    report("scaling with the dataset", rows)


def processes(dataset: Path) -> None:
    """Windows per second of train.py with one and two processes, on the CPU."""
    rows = []
    shared = [
        str(dataset),
        "--accelerator",
        "cpu",
        "--num_workers",
        "0",
        "--samples_per_epoch",
        "32",
        "--batch_size",
        "2",
    ]
    for count in (1, 2):
        rate = epoch_rate([*shared, "--devices", str(count), "--strategy", "ddp"], 7)
        rows.append({"processes": str(count), "ratio": rate / (rows[0]["windows per second"] if rows else rate)})
        rows[-1] |= {"windows per second": rate}
    report("scaling with processes", rows)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    pixels(options.device)
    lengths()
    dataset_size(options.dataset)
    processes(options.dataset)


if __name__ == "__main__":
    main()
