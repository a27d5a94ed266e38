"""Cost and quality of networks: each is trained for the same steps on the same data, then tested.

    python -m benchmarks.networks DATASET TEST_DATASET                     # an hour on two cores; can be resumed
    python -m benchmarks.networks DATASET TEST_DATASET --only paper fast --seeds 0 1 2

Runs and reconstructions go to --output_dir; a network that has been tested there with the same options is not trained
again. Options that this script does not know go to train.py.
"""

import argparse
import hashlib
import json
import shutil
import sys
from pathlib import Path

from benchmarks.reconstruction import gflop, run_network
from benchmarks.reporting import ROOT, alone, parse_size, report, run_script, usual_precision
from model import Denoiser
from training.presets import NETWORKS

CANDIDATES = {  # arguments of Denoiser
    "paper": NETWORKS["paper"],
    "paper, means": NETWORKS["paper"] | {"means": (8, 32)},
    "multiples of 16": {"channels": (32, 48, 64, 80, 96, 96), "patch": 1, "means": ()},
    "narrow, means": {"channels": (16, 32, 64, 80, 96, 96), "patch": 1, "means": (8, 32)},
    "direct, no means": NETWORKS["direct"] | {"means": ()},
    "direct": NETWORKS["direct"],
    "direct-fast": NETWORKS["direct-fast"],
}
SCORES = ("psnr", "ssim", "relmse", "tpsnr")


def arguments(network: dict) -> list[str]:
    """The options of train.py that make this network."""
    named = {f"--{option}": value for option, value in network.items()}
    values = {k: [str(n) for n in v] if isinstance(v, list | tuple) else [str(v)] for k, v in named.items()}
    return [text for option, value in values.items() for text in (option, *value)]


def quality(name: str, seed: int, options: argparse.Namespace, training: list[str]) -> dict[str, float]:
    """Trains and tests one network, unless done before; returns the mean metrics of the test dataset."""
    given = [*arguments(CANDIDATES[name]), "--seed", str(seed), *training]
    key = hashlib.sha256(json.dumps([str(options.dataset.resolve()), given]).encode()).hexdigest()[:8]
    folder = options.output_dir / f"{name.replace(', ', '-').replace(' ', '-')}-{key}"
    trained = folder / "trained"  # a checkpoint alone may be that of a training that was stopped
    if not trained.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        run_script("train.py", options.dataset, *given, "--log_dir", folder)
        trained.touch()
    tested = folder / ("test-" + hashlib.sha256(str(options.test_dataset.resolve()).encode()).hexdigest()[:8])
    if not (tested / "metrics.json").is_file():
        checkpoint = folder / "version_0" / "checkpoints" / "last.ckpt"
        run_script("test.py", checkpoint, options.test_dataset, "--output_dir", tested, "--write", "exr", "png")
    mean = json.loads((tested / "metrics.json").read_text())["mean"]["denoised"]
    print(f"{name}, seed {seed}: {mean}", file=sys.stderr, flush=True)
    return mean


def cost(name: str, size: tuple[int, int], device: str) -> dict:
    """Parameters, and GFLOP and milliseconds per frame, as in test.py and in plain float32."""
    denoiser = Denoiser(demodulate=True, **CANDIDATES[name])
    half = usual_precision(device)
    row = {"Mparameters": sum(p.numel() for p in denoiser.parameters()) / 1e6, "GFLOP": gflop(CANDIDATES[name], size)}
    for title, precision, engine in ((f"ms {half}", half, "eager"), ("ms plain", "float32", "plain")):
        seconds = alone(run_network, CANDIDATES[name], precision, engine, size, device, 3)["seconds"]
        row[title] = seconds * 1e3
    return row


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("test_dataset", type=Path)
    parser.add_argument("--output_dir", type=Path, default=ROOT / "runs-networks")
    parser.add_argument("--only", nargs="*", choices=CANDIDATES, default=list(CANDIDATES))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0], help="one training each; the table shows the mean")
    parser.add_argument("--epochs", type=int, default=25, help="of 24 steps of two windows")
    parser.add_argument("--device", default="auto", help="for the milliseconds")
    parser.add_argument("--size", default="1280x720", help="for GFLOP and milliseconds")
    options, given = parser.parse_known_args()
    training = ["--max_epochs", str(options.epochs), "--batch_size", "2", "--samples_per_epoch", "48"]
    training += ["--ramp_epochs", str(options.epochs / 5), "--num_workers", "1", *given]
    rows = []
    for name in options.only:
        found = [quality(name, seed, options, training) for seed in options.seeds]
        means = {score: sum(f[score] for f in found) / len(found) for score in SCORES}
        rows.append({"network": name} | means | cost(name, parse_size(options.size), options.device))
    report("networks", rows, training=training, seeds=options.seeds, size=options.size)


if __name__ == "__main__":
    main()
