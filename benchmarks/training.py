"""Windows per second: train.py as a whole, its loader alone, its step alone; and a plain baseline of each.

    python benchmarks/training.py                                   # frames that it makes up, of 1280x720 pixels
    python benchmarks/training.py DATASET --batch_size 8            # your frames; what it does not know, train.py does

The baseline decodes whole EXR files for every crop and computes in float32, contiguous, eager, with an unfused Adam.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from made_up import write_sequence
from reporting import ROOT, parse_size, peaks, report
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.flop_counter import FlopCounterMode

import train
from dataset import SequenceData
from images import ALBEDO_INPUTS
from lightning_module import DenoisingModule
from sequences import split_dataset
from speed import Speed, choose_precision, choose_speed

PLAIN = ["--cache_dir", "none", "--precision", "32-true", "--channels_last", "off"]
PLAIN += ["--compile", "off", "--fused", "off"]


def made_up_dataset(folder: Path, size: tuple[int, int], scenes: int = 2) -> Path:
    """A dataset of sequences of 12 frames with two noisy renderings each."""
    for scene in range(scenes):
        write_sequence(folder / "train" / f"Made-up-{scene}", size, 12, 2, scene)
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


def make_module(options: argparse.Namespace, speed: Speed) -> DenoisingModule:
    """What train.py would train."""
    network = {"demodulate": True} | {name: getattr(options, name) for name in ("channels", "patch", "means")}
    return DenoisingModule(network, options.learning_rate, speed=speed).train()


def step_rate(options: argparse.Namespace, steps: int) -> float:
    """Windows per second of the training step alone, on batches that are on the device already."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    data = make_data(options)
    raw = [{k: v.to(device) for k, v in batch.items()} for batch in islice(data.train_dataloader(), 2)]
    module = make_module(options, choose_speed(options)).to(device)
    optimizer = torch.optim.Adam(module.parameters(), 1e-4, betas=(0.9, 0.99), fused=module.speed.fused)
    half = choose_precision(options).startswith("bf16")
    batches = cycle(raw)

    def step() -> None:
        batch = data.on_after_batch_transfer(dict(next(batches)), 0)
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            loss = module.losses(module(batch["noisy"]), batch["target"])["loss"]
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), options.clip)
        optimizer.step()

    for _ in range(3):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return options.batch_size * steps / (time.perf_counter() - start)


def window_gflop(options: argparse.Namespace) -> float:
    """Of the convolutions of a window, forward and backward: two for each multiplication and addition."""
    shape = 1, options.sequence_length, 10, options.crop_size, options.crop_size
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        make_module(options, Speed())(torch.empty(shape)).sum().backward()
    return counter.get_total_flops() / 1e9


def epoch_rate(arguments: list[str]) -> float:
    """Windows per second of train.py's second epoch, waiting for data included."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "train.py", *arguments, "--max_epochs", "2", "--log_dir", folder]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
        events = EventAccumulator(f"{folder}/version_0")
        events.Reload()
    return events.Scalars("train/frames_per_second")[-1].value / train.parse_options(arguments).sequence_length


def measure(arguments: list[str], seconds: float, steps: int) -> dict[str, float]:
    """Windows per second of loader, step and whole epoch with these options of train.py."""
    options = train.parse_options(arguments)
    loader, step = loader_rate(options, seconds), step_rate(options, steps)
    return {"loader": loader, "step": step, "epoch": epoch_rate(arguments)}


def main() -> None:
    """The command line; what it does not know goes to train.py."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("dataset", type=Path, nargs="?")
    parser.add_argument("--size", default="1280x720", help="of made-up frames")
    parser.add_argument("--seconds", type=float, default=20, help="for each loader")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--samples", type=int, default=32, help="windows per epoch, of which there are two")
    options, given = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        dataset = options.dataset or made_up_dataset(Path(folder) / "made-up", parse_size(options.size))
        shared = [str(dataset), "--cache_dir", f"{folder}/cache", "--samples_per_epoch", str(options.samples), *given]
        ours = measure(shared, options.seconds, options.steps)
        plain = measure([*shared, *PLAIN], options.seconds, options.steps)
    rows = [{"": name, "ratio": ours[name] / plain[name], "ours": ours[name], "plain": plain[name]} for name in ours]
    rows.append({"": "epoch of step", "ours": ours["epoch"] / ours["step"], "plain": plain["epoch"] / plain["step"]})
    parsed = train.parse_options(shared)
    precision = "bfloat16" if choose_precision(parsed).startswith("bf16") else "float32"
    reached, gflop = peaks("auto", precision), window_gflop(parsed)
    rows.append({"": "step of the matrix peak", "ours": gflop * ours["step"] / reached["gflops"]})
    size = "its own" if options.dataset else options.size
    report("training", rows, unit="windows per second", options=given, size=size, gflop=gflop, peaks=reached)


if __name__ == "__main__":
    main()
