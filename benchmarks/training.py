"""Windows per second: train.py as a whole, its loader alone, its step alone; and a plain baseline of each.

    python -m benchmarks.training                                   # synthetic frames of 1280x720 pixels
    python -m benchmarks.training DATASET --batch_size 8            # your frames; unknown options go to train.py

The baseline decodes whole EXR files for every crop and computes in float32, contiguous, eager, with an unfused Adam.
"""

import argparse
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from benchmarks.reporting import parse_size, report, run_script, wait_for
from dataset import SequenceData
from frames.channels import ALBEDO_INPUTS, QUANTITIES
from frames.exr_writing import write_exr
from frames.sequences import split_dataset
from inference.engines import choose_device
from training.fit import make_data, make_module
from training.module import DenoisingModule
from training.resolve import resolve
from training.training_options import parse_options

PLAIN = ["--cache_dir", "none", "--precision", "32-true", "--channels_last", "off"]
PLAIN += ["--compile", "off", "--fused", "off"]


def write_sequence(folder: Path, size: tuple[int, int], frames: int, noisy: int, seed: int) -> None:
    """A sequence in the dataset's format, with albedo: (H, W) pixels, `noisy` renderings a frame.

    Exponential noise on smooth radiance, a little of it on the rest: about as hard to decode as a rendering.
    """
    rng = np.random.default_rng(seed)
    smooth = np.linspace(0.1, 1, size[1], dtype=np.float32) * np.linspace(0.3, 1, size[0], dtype=np.float32)[:, None]
    for frame in range(frames):
        place = folder / f"frame-{frame:04d}"
        place.mkdir(parents=True)
        write_exr(place / "target.exr", {"color": np.stack([smooth * (1 + 0.1 * np.sin(frame))] * 3)})
        for index in range(noisy):
            pixels = {}
            for name in ALBEDO_INPUTS:
                shape = QUANTITIES[name].count, *size
                grain = rng.exponential(size=shape) if name == "color" else rng.normal(1, 0.02, shape)
                pixels[name] = (smooth * grain).astype(np.float32)
            write_exr(place / f"noisy-{index}.exr", pixels)


def synthetic_dataset(folder: Path, size: tuple[int, int]) -> Path:
    """A dataset of two sequences of 12 frames with two noisy renderings each."""
    for scene in range(2):
        write_sequence(folder / "train" / f"Synthetic-{scene}", size, 12, 2, scene)
    return folder


def prepare(arguments: list[str]) -> tuple[argparse.Namespace, DenoisingModule, SequenceData]:
    """What train.py would do with these arguments, on a dataset with albedo: settings, module, loaders."""
    settings = resolve(parse_options(arguments))
    module = make_module(settings)
    split = split_dataset(settings.dataset, settings.sequence_length, settings.crop_size, ALBEDO_INPUTS)
    data = make_data(split, settings, module.denoiser.inputs)
    data.prepare_data()
    data.setup("fit")
    return settings, module, data


def loader_rate(arguments: list[str], seconds: float) -> float:
    """Windows per second of the loader alone, with its workers running."""
    settings, _, data = prepare(arguments)
    loader = data.train_dataloader()
    next(iter(loader))
    taken, start, epoch = 0, time.perf_counter(), 0
    while (passed := time.perf_counter() - start) < seconds:
        epoch += 1
        loader.sampler.set_epoch(epoch)
        for _ in loader:
            taken += settings.batch_size
            if time.perf_counter() - start > seconds:
                break
    return taken / passed


def step_rate(arguments: list[str], steps: int) -> float:
    """Windows per second of the training step alone, with its batches already on the device."""
    # batches, module and optimizer, as in train.py
    device = choose_device("auto")
    settings, module, data = prepare(arguments)
    batches = cycle([{k: v.to(device) for k, v in b.items()} for b in islice(data.train_dataloader(), 2)])
    module.train().to(device)
    optimizer = torch.optim.Adam(module.parameters(), 1e-4, betas=(0.9, 0.99), fused=module.speed.fused)
    half = settings.precision.startswith("bf16")

    def step() -> None:
        batch = data.on_after_batch_transfer(dict(next(batches)), 0)
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            loss = module.batch_losses(batch)["loss"]
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), settings.clip)
        optimizer.step()

    # warm up, then measure
    for _ in range(3):
        step()
    wait_for(device)
    start = time.perf_counter()
    for _ in range(steps):
        step()
    wait_for(device)
    return settings.batch_size * steps / (time.perf_counter() - start)


def step_rates(ours: list[str], plain: list[str], steps: int, rounds: int = 4) -> list[float]:
    """Windows per second of our step and the plain one; they alternate."""
    pairs = [[step_rate(arguments, steps) for arguments in (ours, plain)] for _ in range(rounds)]
    return [rounds / sum(1 / rate for rate in rates) for rates in zip(*pairs, strict=True)]


def epoch_rate(arguments: list[str]) -> float:
    """Windows per second in train.py's second epoch, including waiting for data."""
    with tempfile.TemporaryDirectory() as folder:
        run_script("train.py", *arguments, "--max_epochs", 2, "--log_dir", folder)
        events = EventAccumulator(f"{folder}/version_0")
        events.Reload()
    return events.Scalars("train/frames_per_second")[-1].value / parse_options(arguments).sequence_length


def main() -> None:
    """The command line; unknown options go to train.py."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("dataset", type=Path, nargs="?")
    parser.add_argument("--size", default="1280x720", help="of synthetic frames")
    parser.add_argument("--seconds", type=float, default=20, help="for each loader")
    parser.add_argument("--steps", type=int, default=6, help="in each of four rounds")
    parser.add_argument("--samples", type=int, default=32, help="windows per epoch; there are two epochs")
    options, given = parser.parse_known_args()
    # measure, ours and plain
    with tempfile.TemporaryDirectory() as folder:
        dataset = options.dataset or synthetic_dataset(Path(folder) / "synthetic", parse_size(options.size))
        ours = [str(dataset), "--cache_dir", f"{folder}/cache", "--samples_per_epoch", str(options.samples), *given]
        plain = [*ours, *PLAIN]
        found = {
            "loader": [loader_rate(arguments, options.seconds) for arguments in (ours, plain)],
            "step": step_rates(ours, plain, options.steps),
            "epoch": [epoch_rate(arguments) for arguments in (ours, plain)],
        }
    # the table
    rows = [{"": name, "ratio": a / b, "ours": a, "plain": b} for name, (a, b) in found.items()]
    rows.append({"": "epoch of step", "ours": found["epoch"][0] / found["step"][0]})
    size = "its own" if options.dataset else options.size
    report("training", rows, unit="windows per second", options=given, size=size)


if __name__ == "__main__":
    main()
