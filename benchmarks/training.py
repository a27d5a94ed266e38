"""Windows per second: train.py as a whole, its loader alone, its step alone; and a plain baseline of each.

    python benchmarks/training.py DATASET                           # CPU or GPU, whatever train.py takes
    python benchmarks/training.py DATASET --enlarge 5               # the same frames, repeated 5 times both ways

The baseline decodes whole EXR files for every crop and computes in float32, contiguous, eager, with an unfused Adam.
--enlarge makes 1280x720 of 256x144 in a temporary folder, to measure what large frames cost the loader.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
from reporting import ROOT, report
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tqdm import tqdm

import train
from dataset import SequenceData
from images import ALBEDO_INPUTS, read_exr, write_exr
from lightning_module import DenoisingModule
from sequences import split_dataset
from speed import choose_precision, choose_speed

PLAIN = [
    "--cache_dir",
    "none",
    "--precision",
    "32-true",
    "--channels_last",
    "off",
    "--compile",
    "off",
    "--fused",
    "off",
]


def enlarge(dataset: Path, folder: Path, times: int, frames: int) -> Path:
    """The first `frames` frames of each training scene, repeated `times` both ways, as a dataset in `folder`."""
    for path in tqdm(sorted((dataset / "train").glob("*/frame-*/*.exr")), desc="enlarging", delay=1):
        scene, frame = path.parts[-3:-1]
        if int(frame.removeprefix("frame-")) < frames:
            names = ALBEDO_INPUTS if path.name.startswith("noisy") else ("color",)
            target = folder / "train" / scene / frame / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            write_exr(target, {n: np.tile(v, (1, times, times)) for n, v in read_exr(path, names).items()})
    return folder


def make_data(options: argparse.Namespace) -> SequenceData:
    """The loaders that train.py would use."""
    split = split_dataset(options.dataset, options.sequence_length, options.crop_size, ALBEDO_INPUTS)
    sizes = (options.sequence_length, options.crop_size, options.batch_size, options.num_workers, options.seed)
    augment, cache = tuple(options.augment), train.frame_cache(options)
    data = SequenceData(split, ALBEDO_INPUTS, *sizes, augment, options.samples_per_epoch, cache)
    data.prepare_data()
    data.setup("fit")
    return data


def loader_rate(options: argparse.Namespace, seconds: float) -> float:
    """Windows per second of the loader alone, its workers warm."""
    loader = make_data(options).train_dataloader()
    next(iter(loader))
    taken, start, epoch = 0, time.perf_counter(), 0
    while (passed := time.perf_counter() - start) < seconds:
        epoch += 1
        loader.sampler.set_epoch(epoch)
        for _ in loader:
            taken += options.batch_size
            if time.perf_counter() - start > seconds:
                break
    return taken / passed


def step_rate(options: argparse.Namespace, steps: int) -> float:
    """Windows per second of the training step alone, on batches that are on the device already."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    data = make_data(options)
    raw = [{k: v.to(device) for k, v in batch.items()} for batch in islice(data.train_dataloader(), 2)]
    network = {"demodulate": True} | {name: getattr(options, name) for name in ("channels", "patch", "means")}
    module = DenoisingModule(network, options.learning_rate, speed=choose_speed(options)).to(device).train()
    optimizer = torch.optim.Adam(module.parameters(), 1e-4, betas=(0.9, 0.99), fused=module.speed.fused)
    half = choose_precision(options).startswith("bf16")
    times = []
    for batch in islice(cycle(raw), steps + 3):
        start = time.perf_counter()
        batch = data.on_after_batch_transfer(batch, 0)
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            loss = module.losses(module(batch["noisy"]), batch["target"])["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return options.batch_size * steps / sum(times[3:])


def epoch_rate(arguments: list[str], length: int) -> float:
    """Windows per second of train.py's second epoch, waiting for data included."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["train.py", *arguments, "--max_epochs", "2", "--log_dir", folder]
        subprocess.run([sys.executable, *command], cwd=ROOT, check=True, capture_output=True)
        events = EventAccumulator(f"{folder}/version_0")
        events.Reload()
    return events.Scalars("train/frames_per_second")[-1].value / length


def measure(arguments: list[str], seconds: float, steps: int) -> dict[str, float]:
    """Windows per second of loader, step and whole epoch with these options of train.py."""
    options = train.parse_options(arguments)
    return {
        "loader": loader_rate(options, seconds),
        "step": step_rate(options, steps),
        "epoch": epoch_rate(arguments, options.sequence_length),
    }


def main() -> None:
    """The command line; what it does not know goes to train.py."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--enlarge", type=int, default=1)
    parser.add_argument("--frames", type=int, default=10, help="of each scene, with --enlarge")
    parser.add_argument("--seconds", type=float, default=20, help="for each loader")
    parser.add_argument("--steps", type=int, default=8)
    options, given = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        dataset = options.dataset
        if options.enlarge > 1:
            dataset = enlarge(dataset, Path(folder), options.enlarge, options.frames)
        shared = [str(dataset), "--cache_dir", f"{folder}/cache", "--samples_per_epoch", "32", *given]
        ours = measure(shared, options.seconds, options.steps)
        plain = measure([*shared, *PLAIN], options.seconds, options.steps)
        free = shutil.disk_usage(folder).free / 1e9
    rows = [{"": name, "ratio": ours[name] / plain[name], "ours": ours[name], "plain": plain[name]} for name in ours]
    rows.append({"": "epoch of step", "ours": ours["epoch"] / ours["step"], "plain": plain["epoch"] / plain["step"]})
    report("training", rows, unit="windows per second", options=given, enlarge=options.enlarge, free_gb=free)


if __name__ == "__main__":
    main()
