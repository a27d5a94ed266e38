"""Windows per second: train.py as a whole, its loader alone, its step alone; and a plain baseline of each.

    python -m benchmarks.training                                   # synthetic frames of 1280x720 pixels
    python -m benchmarks.training DATASET --batch_size 8            # your frames; unknown options go to train.py

The baseline decodes whole EXR files for every crop and computes in float32, contiguous, eager, with an unfused Adam; in
its step alone, the gradient loss is one convolution of single-channel images, as its formula reads.
"""

import argparse
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path
from unittest import mock

import torch
import torch.nn.functional as F
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.flop_counter import FlopCounterMode

import losses
from benchmarks.noise_frames import write_sequence
from benchmarks.reporting import parse_size, peaks, report, run_script, wait_for
from dataset import SequenceData
from frames.channels import ALBEDO_INPUTS
from frames.sequences import split_dataset
from inference.engines import choose_device
from training.fit import make_data, make_module
from training.resolve import resolve
from training.training_options import parse_options

PLAIN = ["--cache_dir", "none", "--precision", "32-true", "--channels_last", "off"]
PLAIN += ["--compile", "off", "--fused", "off"]


def synthetic_dataset(folder: Path, size: tuple[int, int], scenes: int = 2) -> Path:
    """A dataset of sequences of 12 frames with two noisy renderings each."""
    for scene in range(scenes):
        write_sequence(folder / "train" / f"Synthetic-{scene}", size, 12, 2, scene)
    return folder


def settings_of(arguments: list[str]) -> argparse.Namespace:
    """What train.py would do with these arguments, on a dataset with albedo."""
    return resolve(parse_options(arguments))


def prepare_data(settings: argparse.Namespace) -> SequenceData:
    """The loaders that train.py would use, its cache filled."""
    split = split_dataset(settings.dataset, settings.sequence_length, settings.crop_size, ALBEDO_INPUTS)
    data = make_data(split, settings)
    data.prepare_data()
    data.setup("fit")
    return data


def loader_rate(settings: argparse.Namespace, seconds: float) -> float:
    """Windows per second of the loader alone, with its workers running."""
    loader = prepare_data(settings).train_dataloader()
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


def step_rate(settings: argparse.Namespace, steps: int) -> float:
    """Windows per second of the training step alone, with its batches already on the device."""
    # batches, module and optimizer, as in train.py
    device = choose_device("auto")
    data = prepare_data(settings)
    raw = [{k: v.to(device) for k, v in batch.items()} for batch in islice(data.train_dataloader(), 2)]
    module = make_module(settings).train().to(device)
    optimizer = torch.optim.Adam(module.parameters(), 1e-4, betas=(0.9, 0.99), fused=module.speed.fused)
    half = settings.precision.startswith("bf16")
    batches = cycle(raw)

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


def plain_gradient_l1(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The same value as losses.gradient_l1, written as in the formula."""
    batch, length, channels, height, width = prediction.shape
    difference = (prediction - target).reshape(batch * length * channels, 1, height, width)
    padded = F.pad(difference, (losses.LOG_SIZE // 2,) * 4, mode="replicate")
    kernel = losses.laplacian_of_gaussian(device=difference.device)[None, None]
    response = F.conv2d(padded, kernel).reshape(batch, length, -1)
    return losses.weighted_mean(response.abs().mean(2), losses.frame_weights(length, prediction.device))


def window_gflop(settings: argparse.Namespace) -> float:
    """GFLOP of the convolutions of a window, forward and backward."""
    shape = 1, settings.sequence_length, 10, settings.crop_size, settings.crop_size
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        make_module(settings).train()(torch.empty(shape)).sum().backward()
    return counter.get_total_flops() / 1e9


def epoch_rate(arguments: list[str]) -> float:
    """Windows per second in train.py's second epoch, including waiting for data."""
    with tempfile.TemporaryDirectory() as folder:
        run_script("train.py", *arguments, "--max_epochs", 2, "--log_dir", folder)
        events = EventAccumulator(f"{folder}/version_0")
        events.Reload()
    return events.Scalars("train/frames_per_second")[-1].value / parse_options(arguments).sequence_length


def step_rates(ours: list[str], plain: list[str], steps: int, rounds: int = 4) -> list[float]:
    """Windows per second of our step, the plain one, and the plain one with our loss; they alternate."""
    seconds = [0.0, 0.0, 0.0]
    for _ in range(rounds):
        for index, (arguments, loss) in enumerate(((ours, None), (plain, plain_gradient_l1), (plain, None))):
            with mock.patch.object(losses, "gradient_l1", loss or losses.gradient_l1):
                seconds[index] += 1 / step_rate(settings_of(arguments), steps)
    return [rounds / total for total in seconds]


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
        shared = [str(dataset), "--cache_dir", f"{folder}/cache", "--samples_per_epoch", str(options.samples), *given]
        plain = [*shared, *PLAIN]
        step, plain_step, plain_with_our_loss = step_rates(shared, plain, options.steps)
        found = {
            "loader": [loader_rate(settings_of(arguments), options.seconds) for arguments in (shared, plain)],
            "step": [step, plain_step],
            "step, our loss in both": [step, plain_with_our_loss],
            "epoch": [epoch_rate(arguments) for arguments in (shared, plain)],
        }
    # the table
    rows = [{"": name, "ratio": a / b, "ours": a, "plain": b} for name, (a, b) in found.items()]
    rows.append({"": "epoch of step", "ours": found["epoch"][0] / step})
    precision = "bfloat16" if settings_of(shared).precision.startswith("bf16") else "float32"
    reached, gflop = peaks("auto", precision), window_gflop(settings_of(plain))
    rows.append({"": "step of the matrix peak", "ours": gflop * step / reached["gflops"]})
    size = "its own" if options.dataset else options.size
    report("training", rows, unit="windows per second", options=given, size=size, gflop=gflop, peaks=reached)


if __name__ == "__main__":
    main()
