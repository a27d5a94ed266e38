"""Reconstructs rendered sequences with a trained checkpoint, and scores them where there are targets."""

import argparse
import json
import math
import os
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import groupby
from pathlib import Path

# Before PyTorch: its idle threads sleep instead of spinning, since reading, writing and scoring want their cores.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from tqdm import tqdm

from files import InputError, whole_file
from frames.exr import load_noisy, load_target, report_invalid, write_exr
from frames.radiance import exposure_for, exposure_of, log_luminance, tone_map
from frames.sequences import Frame, Sequence, find_test_sequences
from inference.engines import PRECISIONS, choose_device, choose_precision, fast_step, place
from inference.threads import Behind, ahead
from machine import SWITCH, keep_freed_memory, positive
from model import Denoiser, denoise
from scoring.metrics import NAMES, WARM_UP, SequenceScore, mean_scores
from scoring.pictures import save_png, side_by_side, to_bytes
from scoring.video import Film, open_film
from training.checkpoints import load_denoiser

WRITTEN = ("exr", "png", "film")
Tensors = tuple[torch.Tensor | None, ...]


def build_parser() -> argparse.ArgumentParser:
    """The command line of test.py."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("checkpoint", type=Path, help="a .ckpt file of train.py")
    add("path", type=Path, help="a dataset (its test/ is used), a folder of scenes, or one scene's folder of frames")
    add("--output_dir", type=Path, default=Path("reconstructions"), help="default: %(default)s")
    add("--device", default="auto", help="auto (cuda where there is one), cpu, cuda, cuda:1 ...")
    add(
        "--precision",
        choices=("auto", *PRECISIONS),
        default="auto",
        help="of the network; auto: float16 on a GPU, bfloat16 on a CPU that has it in hardware, else float32",
    )
    add(
        "--tile",
        type=positive,
        help="pixels: divide frames that memory does not hold; the result is the same, but slower",
    )
    add("--write", nargs="*", choices=WRITTEN, default=list(WRITTEN), help="of every frame or scene; default: all")
    add("--score", choices=SWITCH, default="on", help="compare with the targets; default: on")
    return parser


def scene_exposure(sequences: list[Sequence], progress: tqdm) -> float | None:
    """One exposure for a scene: from the log-average luminance of all its targets; None where it has none."""
    logs = []
    for frame in (f for s in sequences for f in s.frames if f.target):
        logs.append(float(log_luminance(torch.from_numpy(load_target(frame.target)))))
        progress.update()
    logs = [value for value in logs if math.isfinite(value)]
    return exposure_for(math.exp(sum(logs) / len(logs))) if logs else None


def read_frames(sequence: Sequence, inputs: tuple[str, ...], scored: bool) -> Iterator[tuple[Frame, Tensors]]:
    """Each frame with its first noisy rendering, (C, H, W), and, if it has one and is to be `scored`, its target."""
    for frame in sequence.frames:
        noisy, invalid = load_noisy(frame.noisy[0], inputs)
        report_invalid(frame.noisy[0], invalid)
        target = torch.from_numpy(load_target(frame.target)) if frame.target and scored else None
        yield frame, (torch.from_numpy(noisy), target)


def remember(items: Iterator, passed: deque) -> Iterator:
    """The same items, each put into `passed` as well. (itertools.tee keeps dozens.)"""
    for item in items:
        passed.append(item)
        yield item


class SceneOutput:
    """What is written of a scene, frame by frame: reconstructions, film, strip, and the scores.

    exposure: of the whole scene, or None to take the first reconstruction's. columns: 3 if every frame has a target.
    kinds: of WRITTEN. scoring: where the scores are computed, beside the writing.
    """

    def __init__(self, folder: Path, exposure: float | None, columns: int, kinds: list[str], scoring: Behind):
        self.folder, self.exposure, self.columns, self.kinds, self.scoring = folder, exposure, columns, kinds, scoring
        self.scores: dict[str, list[SequenceScore]] = {"noisy": [], "denoised": []}
        self.strip = None

    def start_sequence(self) -> None:
        """Frames that follow continue nothing: the temporal metric starts anew."""
        self.scoring.call(self._start_scores)

    def _start_scores(self) -> None:
        for scores in self.scores.values():
            scores.append(SequenceScore(self.exposure or 1.0))

    def add(self, name: str, images: Tensors, film: Film | None) -> None:
        """Writes a frame; images: noisy, reconstruction, and target or None, (3, H, W) linear radiance."""
        if self.exposure is None:
            self.exposure = exposure_of(images[1])
        if "exr" in self.kinds:
            write_exr(self.folder / f"{name}.exr", {"color": images[1].numpy()})
        scored = images[2] is not None
        shown = [None, None, None]
        if scored or film or "png" in self.kinds:
            shown = [image if image is None else tone_map(image, self.exposure) for image in images]
        self.scoring.call(self._score, images, shown)
        pictures = [image if image is None else to_bytes(image) for image in shown]
        if "png" in self.kinds:
            save_png(self.folder / f"{name}.png", pictures[1])
        if film:
            film.add(side_by_side(pictures[: self.columns]))
        if scored or self.strip is None or self.strip[2] is None:
            self.strip = images

    def _score(self, images: Tensors, shown: Tensors) -> None:
        for scores, image, toned in zip(self.scores.values(), images, shown, strict=False):
            scores[-1].update(image, images[2], toned, shown[2])

    def finish(self) -> None:
        """Writes the strip of the last frame, the last with a target if there is one."""
        pictures = [to_bytes(tone_map(image, self.exposure)) for image in self.strip if image is not None]
        save_png(self.folder / "strip.png", side_by_side(pictures))


def reconstruct_scene(
    denoiser: Denoiser, sequences: list[Sequence], options: argparse.Namespace, progress: tqdm
) -> dict[str, list[list[dict]]]:
    """Reconstructs all sequences of a scene; returns each kind's scores, per sequence and frame.

    One thread reads ahead, one writes and one scores behind the network, which has all cores while they wait.
    """
    folder = options.output_dir / sequences[0].scene
    folder.mkdir(parents=True, exist_ok=True)
    scored = options.score == "on"
    columns = 3 if scored and all(f.target for s in sequences for f in s.frames) else 2
    exposure = scene_exposure(sequences, progress) if scored else None
    step = fast_step(denoiser, options.tile)
    filming = open_film(folder / "animation.mp4") if "film" in options.write else nullcontext()
    with filming as film, Behind() as scoring, Behind() as writing:
        output = SceneOutput(folder, exposure, columns, options.write, scoring)
        for sequence in sequences:
            writing.call(output.start_sequence)
            read = deque()
            frames = remember(ahead(read_frames(sequence, denoiser.inputs, scored)), read)
            for noisy, image in denoise(denoiser, (noisy for _, (noisy, _) in frames), step):
                frame, (_, target) = read.popleft()
                writing.call(output.add, frame.folder.name, (noisy[:3].clone(), image, target), film)
                progress.update()
    output.finish()
    return {kind: [score.frames for score in scores] for kind, scores in output.scores.items()}


def summarise(scores: dict[str, dict[str, list[list[dict]]]], skip: int) -> dict:
    """{"scenes": {scene: {"noisy": M, "denoised": M}}, "mean": {...}} without the first `skip` frames of a sequence.

    scores: per scene, kind, sequence and frame. Scenes without a scored frame are left out.
    """
    scenes = {}
    for scene, kinds in scores.items():
        kept = {kind: [f for frames in sequences for f in frames[skip:]] for kind, sequences in kinds.items()}
        if any(frame["psnr"] is not None for frame in kept["denoised"]):
            scenes[scene] = {kind: mean_scores(frames) for kind, frames in kept.items()}
    means = {kind: mean_scores([scene[kind] for scene in scenes.values()]) for kind in ("noisy", "denoised")}
    return {"scenes": scenes, "mean": means}


def table(summary: dict) -> str:
    """The metrics for the terminal, a line for each scene and kind."""
    rows = [*summary["scenes"].items(), ("mean", summary["mean"])]
    width = max(len(name) for name, _ in rows)
    lines = [f"{'scene':<{width}}  {'':<8}" + "".join(f"{name:>9}" for name in NAMES)]
    for name, kinds in rows:
        for kind, values in kinds.items():
            cells = (f"{values[n]:9.3f}" if values[n] is not None else f"{'-':>9}" for n in NAMES)
            lines.append(f"{name:<{width}}  {kind:<8}" + "".join(cells))
    return "\n".join(lines)


def run(options: argparse.Namespace) -> dict:
    """Reconstructs everything below options.path; returns what metrics.json holds.

    Raises InputError or OSError naming the file at fault.
    """
    device = choose_device(options.device)
    denoiser = place(load_denoiser(options.checkpoint), device, choose_precision(options.precision, device))
    sequences, notes = find_test_sequences(options.path, denoiser.inputs)
    for note in notes:
        print(note, file=sys.stderr)
    frames = [f for s in sequences for f in s.frames]
    options.output_dir.mkdir(parents=True, exist_ok=True)
    scores = {}
    steps = len(frames) + sum(f.target is not None for f in frames if options.score == "on")
    with tqdm(total=steps, desc="frames", delay=1) as progress:
        for scene, parts in groupby(sequences, lambda s: s.scene):
            scores[scene] = reconstruct_scene(denoiser, list(parts), options, progress)
    metrics = summarise(scores, 0) | {"after_warm_up": {"frames_left_out": WARM_UP, **summarise(scores, WARM_UP)}}
    with whole_file(options.output_dir / "metrics.json") as temporary:
        temporary.write_text(json.dumps(metrics, indent=2) + "\n")
    return metrics


def main() -> None:
    """The command line; what cannot be read or written is one clear line, not a trace."""
    options = build_parser().parse_args()
    keep_freed_memory()
    try:
        metrics = run(options)
    except (InputError, OSError) as error:
        sys.exit(f"test.py: {error}")
    except KeyboardInterrupt:
        sys.exit(f"\ntest.py: interrupted; the frames finished so far are whole: {options.output_dir}")
    print(table(metrics) if metrics["scenes"] else "nothing was scored: no frame has a target.exr, or --score is off")
    print(f"pictures, films and metrics.json: {options.output_dir}")


if __name__ == "__main__":
    main()
