"""How time and memory grow with pixels, window length, dataset size and processes.

    python -m benchmarks.scaling                # on synthetic frames

Every row of the first two tables runs in a process of its own.
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.reconstruction import run_network
from benchmarks.reporting import alone, best, parse_size, peak_memory, report, usual_precision
from benchmarks.training import epoch_rate, loader_rate, prepare_data, settings_of, synthetic_dataset
from frames.channels import channel_count
from inference.engines import choose_device
from training.fit import make_module


def pixels(sizes: list[tuple[int, int]], device: str) -> None:
    """Reconstruction: time per pixel, relative to the first size, and time and memory per frame."""
    rows = []
    precision = usual_precision(device)
    for size in sizes:
        found = alone(run_network, "default", precision, "eager", size, device, 3)
        per_pixel = found["seconds"] / size[0] / size[1]
        first = rows[0]["per pixel"] if rows else per_pixel
        rows.append({"size": f"{size[1]}x{size[0]}", "per pixel": per_pixel, "ms": found["seconds"] * 1e3})
        rows[-1] |= {"MiB": found["memory"]}
    report("scaling with pixels", [row | {"per pixel": row["per pixel"] / first} for row in rows], precision=precision)


def train_window(length: int, crop: int, recompute: bool) -> dict:
    """Seconds and peak memory of a training step on one window, as in train.py."""
    settings = settings_of(["-", "--recompute", "on" if recompute else "off"])
    device = choose_device("auto")
    module = make_module(settings).train().to(device)
    half = settings.precision.startswith("bf16")
    inputs = channel_count(module.denoiser.inputs)
    noisy, target = (torch.rand(1, length, channels, crop, crop, device=device) for channels in (inputs, 3))
    before = peak_memory(device)

    def work() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            module.losses(module(noisy), target)["loss"].backward()

    seconds = best(work, device, 2)
    return {"ms": seconds * 1e3, "MiB": peak_memory(device) - before}


def lengths(frames: list[int], crop: int) -> None:
    """Training: time and memory of a step by number of frames, with activations kept and recomputed."""
    rows = []
    for length in frames:
        kept, recomputed = (alone(train_window, length, crop, recompute) for recompute in (False, True))
        row = {"frames": str(length), "time, recomputed of kept": recomputed["ms"] / kept["ms"]}
        row |= {"memory, recomputed of kept": recomputed["MiB"] / max(kept["MiB"], 1)}
        row |= {"ms per frame": kept["ms"] / length, "MiB": kept["MiB"], "MiB recomputed": recomputed["MiB"]}
        rows.append(row)
    report("scaling with window length", rows, crop=crop)


def dataset_sizes(size: tuple[int, int], scenes: list[int], seconds: float, given: list[str]) -> None:
    """Decoding and loading by number of scenes: milliseconds per file, windows per second."""
    rows = []
    for count in scenes:
        with tempfile.TemporaryDirectory() as folder:
            dataset = synthetic_dataset(Path(folder), size, count)
            settings = settings_of([str(dataset), "--num_workers", "1", *given])
            start = time.perf_counter()
            entries = prepare_data(settings).entries
            preparing = time.perf_counter() - start
            rate = loader_rate(settings, seconds)
        mebibytes = sum(entry.bytes for entry in entries) / 2**20
        row = {"scenes": str(count), "files": str(len(entries)), "ms to prepare each": preparing / len(entries) * 1e3}
        rows.append(row | {"cache MiB": mebibytes, "windows per second": rate})
    report("scaling with the dataset", rows, size=size)


def processes(size: tuple[int, int], given: list[str]) -> None:
    """Windows per second of train.py with one and two processes, on the CPU, which share the cores."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        shared = [str(synthetic_dataset(Path(folder), size)), "--accelerator", "cpu", "--num_workers", "0", *given]
        for count in (1, 2):
            rate = epoch_rate([*shared, "--devices", str(count), "--strategy", "ddp"])
            ratio = rate / (rows[0]["windows per second"] if rows else rate)
            rows.append({"processes": str(count), "ratio": ratio, "windows per second": rate})
    report("scaling with processes", rows, options=given)


def main() -> None:
    """The command line; unknown options go to train.py, for the last two tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add = parser.add_argument
    add("--device", default="auto", help="of the first table")
    add("--sizes", nargs="*", default=["320x180", "640x360", "1280x720", "1920x1080", "2560x1440"])
    add("--lengths", nargs="*", type=int, default=[2, 4, 8, 16, 32], help="frames of a window")
    add("--crop", type=int, default=128, help="pixels of a window")
    add("--frame_size", default="256x144", help="of the datasets")
    add("--scenes", nargs="*", type=int, default=[1, 4, 16])
    add("--seconds", type=float, default=8, help="for each loader")
    options, given = parser.parse_known_args()
    pixels([parse_size(size) for size in options.sizes], options.device)
    lengths(options.lengths, options.crop)
    dataset_sizes(parse_size(options.frame_size), options.scenes, options.seconds, given)
    processes(parse_size(options.frame_size), ["--samples_per_epoch", "32", "--batch_size", "2", *given])


if __name__ == "__main__":
    main()
