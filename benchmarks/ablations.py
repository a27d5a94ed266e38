"""What each idea in the filtering network is worth: the network with one of them changed, trained for the same steps.

    python -m benchmarks.ablations DATASET TEST                              # two hours on one core; can be resumed
    python -m benchmarks.ablations DATASET TEST --only baseline "no guides" --seeds 0 1

Every row starts from random weights, with the same data, steps and seed. TEST: a dataset, a folder of scenes, or one
scene's folder; several may be given. Options that this script does not know go to train.py.
"""

import argparse
import hashlib
import importlib
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch

from benchmarks import methods
from benchmarks.reporting import ROOT, alone, report
from files import atomic_file
from frames.augmentation import AUGMENTATIONS
from frames.channels import PLAIN_INPUTS
from frames.exr import load_target
from frames.radiance import exposure_of, luminance
from frames.sequences import find_test_sequences
from networks.filtering import blend
from networks.history import History, empty_history, reproject
from scoring.metrics import NAMES, SequenceScore, mean_scores
from training.fit import train
from training.training_options import parse_options


def nothing_found(history, motion, surface, divisor) -> tuple[History, torch.Tensor]:
    """Instead of networks.history.reproject: there is no history."""
    empty = empty_history(surface, history.previous.shape[1] // 3, history.output is not None)
    return empty._replace(surface=surface), torch.zeros_like(history.weight)


def previous_image_only(history, motion, surface, divisor) -> tuple[History, torch.Tensor]:
    """Instead of networks.history.reproject: kernels filter this frame's samples only."""
    found, validity = reproject(history, motion, surface, divisor)
    return found._replace(samples=torch.zeros_like(found.samples)), validity


def never_kept(filtered, divisor, previous, validity, gate, mix, gain) -> torch.Tensor:
    """Instead of networks.blending.blend: nothing of the previous image stays."""
    return blend(filtered, divisor, previous, torch.zeros_like(validity), gate, mix, gain)


def any_surface(then, now, depth_tolerance, least_cosine, albedo_tolerance) -> torch.Tensor:
    """Instead of networks.history.same_surface: whatever lies at the previous place is taken."""
    return torch.ones_like(now[:, 0], dtype=torch.bool)


def as_if_first(self, frame, state) -> tuple:
    """Instead of FilteringDenoiser.second_look: the second time, nothing is known of the first."""
    return frame, self.initial_state(self.fit(frame)[0])


def unwarped(hidden, motion, validity, stride) -> torch.Tensor:
    """Instead of networks.history.warp_hidden: the hidden state stays where it is, as in the paper."""
    return hidden


def forgotten(hidden, motion, validity, stride) -> torch.Tensor:
    """Instead of networks.history.warp_hidden: there is no recurrence but that of the history."""
    return torch.zeros_like(hidden)


@dataclass(frozen=True)
class Change:
    """options: more of train.py's. values: what replaces an attribute, by module.attribute."""

    options: tuple[str, ...] = ()
    values: dict = field(default_factory=dict)


FILTERING = "networks.filtering"
BLENDING = "networks.blending"


def without(name: str) -> tuple[str, ...]:
    """Options of train.py: all augmentations of the filtering network but this one."""
    return "--augment", *(a for a in AUGMENTATIONS if a != name)


CHANGES = {
    "baseline": Change(),
    "kernels of 5 pixels": Change(("--radius", "1")),
    "four levels": Change(("--channels", "32", "48", "64", "96")),
    "six levels": Change(("--channels", "32", "48", "64", "96", "128", "128")),
    "no history": Change(values={f"{FILTERING}.reproject": nothing_found}),
    "only this frame's samples": Change(values={f"{FILTERING}.reproject": previous_image_only}),
    "no blend with the previous image": Change(values={f"{FILTERING}.blend": never_kept}),
    "no test of surfaces": Change(values={"networks.history.same_surface": any_surface}),
    "history of 8 samples": Change(values={"networks.history.MAX_WEIGHT": 8.0}),
    "hidden state not warped": Change(values={f"{FILTERING}.warp_hidden": unwarped}),
    "no hidden state": Change(values={f"{FILTERING}.warp_hidden": forgotten}),
    "all samples trusted": Change(values={f"{FILTERING}.CONFIDENCE_BIAS": 1e4}),
    "all histories trusted": Change(values={f"{FILTERING}.TRUST_BIAS": 1e4}),
    "divided radiance only": Change(values={f"{BLENDING}.MIX_BIAS": 1e4}),
    "plain radiance only": Change(values={f"{BLENDING}.MIX_BIAS": -1e4}),
    "smallest divisor 0.1": Change(values={"networks.features.MIN_ALBEDO": 0.1}),
    "no guides": Change(values={"networks.kernels.BANDWIDTH_SCALES": (0.0,) * 4}),
    "no shading guide": Change(values={"networks.kernels.BANDWIDTH_SCALES": (50.0, 4.0, 4.0, 0.0)}),
    "no gain": Change(values={f"{BLENDING}.GAIN_LIMIT": 0.0}),
    "coarse pixels as squares": Change(values={"networks.heads.COARSE_SHARES": (0.5, 0.5)}),
    "one look at the first frame": Change(values={f"{FILTERING}.FilteringDenoiser.second_look": as_if_first}),
    "no windows that begin with history": Change(without("history")),
    "no windows of averaged renderings": Change(without("average")),
    "all buffers in every window": Change(without("drop")),
    "paper's loss": Change(("--loss", "paper")),
    "paper's network": Change(("--network", "paper", "--schedule", "cosine")),
}
COLUMNS = (*NAMES, "first psnr", "luminance")


def apply(values: dict) -> None:
    """Makes the changes in this process. Raises AttributeError if there is nothing of that name to change."""
    for name, value in values.items():
        place, attribute = name.rsplit(".", 1)
        try:
            owner = importlib.import_module(place)
        except ModuleNotFoundError:  # a class
            module, owner = place.rsplit(".", 1)
            owner = getattr(importlib.import_module(module), owner)
        getattr(owner, attribute)
        setattr(owner, attribute, value)


def train_and_test(name: str, dataset: Path, tests: list[Path], folder: Path, given: list[str]) -> dict[str, float]:
    """The mean metrics over the scenes of `tests`. Call it in a process of its own: it changes the network."""
    apply(CHANGES[name].values)
    command = [str(dataset), "--log_dir", str(folder), *given, *CHANGES[name].options]
    run = methods.network(train(parse_options(command), command))
    rows = []
    for sequence in (found for path in tests for found in find_test_sequences(path, PLAIN_INPUTS)[0]):
        targets = [torch.from_numpy(load_target(frame.target)[0]) for frame in sequence.frames]
        score, ratios = SequenceScore(exposure_of(torch.stack(targets))), []
        for image, target in zip(run(methods.read_buffers(sequence, 1)), targets, strict=True):
            score.update(image, target)
            ratios.append(float(luminance(image).mean() / luminance(target).mean()))
        first = {"first psnr": score.frames[0]["psnr"], "luminance": sum(ratios) / len(ratios)}
        rows.append(mean_scores(score.frames) | first)
    return {column: sum(row[column] for row in rows) / len(rows) for column in COLUMNS}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("tests", type=Path, nargs="+", metavar="TEST")
    parser.add_argument("--output_dir", type=Path, default=ROOT / "runs-ablations")
    parser.add_argument("--only", nargs="+", choices=CHANGES, default=list(CHANGES), metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="one training each; the table shows the mean")
    parser.add_argument("--steps", type=int, default=300)
    options, given = parser.parse_known_args()
    # what every row is trained with
    given = ["--max_epochs", "1", "--batch_size", "2", "--crop_size", "96", "--learning_rate", "1e-3", *given]
    given += ["--samples_per_epoch", str(2 * options.steps), "--network", "default"]
    # each row, unless it is there
    rows = []
    for name in options.only:
        found = []
        for seed in options.seeds:
            arguments = name, options.dataset, options.tests
            key = hashlib.sha256(json.dumps([*map(str, arguments), given, seed]).encode()).hexdigest()[:12]
            result = options.output_dir / key / "scores.json"
            if not result.is_file():
                scores = alone(train_and_test, *arguments, result.parent, [*given, "--seed", str(seed)])
                with atomic_file(result) as temporary:
                    temporary.write_text(json.dumps(scores))
            found.append(json.loads(result.read_text()))
            print(f"{name}, seed {seed}: {found[-1]}", file=sys.stderr, flush=True)
        rows.append({"network": name} | {c: sum(f[c] for f in found) / len(found) for c in COLUMNS})
    report("ablations", rows, steps=options.steps, seeds=options.seeds, training=given)


if __name__ == "__main__":
    main()
