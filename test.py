"""Reconstructs rendered sequences with a trained checkpoint, and scores them where there are targets."""

import argparse
import json
import math
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import torch
from tqdm import tqdm

from dataset import load_noisy, load_target
from film import Film, open_film
from images import InputError, whole_file, write_exr
from metrics import NAMES, WARM_UP, SequenceScore, mean_scores
from model import Denoiser, denoise, load_denoiser
from pictures import save_png, side_by_side
from radiance import exposure_for, exposure_of, log_luminance, tone_map
from sequences import Sequence, find_test_sequences


def build_parser() -> argparse.ArgumentParser:
    """The command line of test.py."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("checkpoint", type=Path, help="a .ckpt file of train.py")
    add("path", type=Path, help="a dataset (its test/ is used), a folder of scenes, or one scene's folder of frames")
    add("--output_dir", type=Path, default=Path("reconstructions"), help="default: %(default)s")
    add("--device", default="auto", help="auto (cuda where there is one), cpu, cuda, cuda:1 ...")
    return parser


def scene_exposure(sequences: list[Sequence], progress: tqdm) -> float | None:
    """One exposure for a scene: from the log-average luminance of all its targets; None where it has none."""
    logs = []
    for frame in (f for s in sequences for f in s.frames if f.target):
        logs.append(float(log_luminance(torch.from_numpy(load_target(frame.target)))))
        progress.update()
    logs = [value for value in logs if math.isfinite(value)]
    return exposure_for(math.exp(sum(logs) / len(logs))) if logs else None


def read_frames(sequence: Sequence, inputs: tuple[str, ...]) -> Iterator[torch.Tensor]:
    """The first noisy rendering of each frame, (C, H, W), read as it is asked for; tells of NaN and Inf."""
    for frame in sequence.frames:
        noisy, invalid = load_noisy(frame.noisy[0], inputs)
        if invalid:
            tqdm.write(f"{frame.noisy[0]}: {invalid} NaN or Inf values, replaced by 0", file=sys.stderr)
        yield torch.from_numpy(noisy)


class SceneOutput:
    """What is written of a scene, frame by frame: reconstructions, film, strip, and the scores.

    exposure: of the whole scene, or None to take the first reconstruction's. columns: 3 if every frame has a target.
    """

    def __init__(self, folder: Path, exposure: float | None, columns: int, film: Film):
        self.folder, self.exposure, self.columns, self.film = folder, exposure, columns, film
        self.scores: dict[str, list[SequenceScore]] = {"noisy": [], "denoised": []}
        self.strip = None

    def start_sequence(self) -> None:
        """Frames that follow continue nothing: the temporal metric starts anew."""
        for scores in self.scores.values():
            scores.append(SequenceScore(self.exposure or 1.0))

    def add(self, name: str, color: torch.Tensor, image: torch.Tensor, target: torch.Tensor | None) -> None:
        """Writes a frame; color, image and target are (3, H, W) linear radiance."""
        if self.exposure is None:
            self.exposure = exposure_of(image)
        write_exr(self.folder / f"{name}.exr", {"color": image.numpy()})
        save_png(self.folder / f"{name}.png", tone_map(image, self.exposure))
        self.scores["noisy"][-1].update(color, target)
        self.scores["denoised"][-1].update(image, target)
        shown = [color, image] if target is None else [color, image, target]
        self.film.add(side_by_side(shown[: self.columns], self.exposure))
        if target is not None or self.strip is None or len(self.strip) < 3:
            self.strip = shown

    def finish(self) -> None:
        """Writes the strip of the last frame, the last with a target if there is one."""
        save_png(self.folder / "strip.png", side_by_side(self.strip, self.exposure))


def reconstruct_scene(
    denoiser: Denoiser, sequences: list[Sequence], folder: Path, progress: tqdm
) -> dict[str, list[list[dict]]]:
    """Reconstructs all sequences of a scene into `folder`; returns each kind's scores, per sequence and frame."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = 3 if all(f.target for s in sequences for f in s.frames) else 2
    exposure = scene_exposure(sequences, progress)
    with open_film(folder / "animation.mp4") as film:
        output = SceneOutput(folder, exposure, columns, film)
        for sequence in sequences:
            output.start_sequence()
            reconstructed = denoise(denoiser, read_frames(sequence, denoiser.inputs))
            for frame, (noisy, image) in zip(sequence.frames, reconstructed, strict=True):
                target = torch.from_numpy(load_target(frame.target)) if frame.target else None
                output.add(frame.folder.name, noisy[:3], image, target)
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
    device = options.device if options.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    denoiser = load_denoiser(options.checkpoint)
    try:
        denoiser = denoiser.to(device, memory_format=torch.channels_last)
    except (RuntimeError, AssertionError) as error:  # PyTorch built without, or a machine without, that device
        raise InputError(f"--device {device}: {str(error).splitlines()[0]}; use auto or cpu") from error
    sequences, notes = find_test_sequences(options.path, denoiser.inputs)
    for note in notes:
        print(note, file=sys.stderr)
    frames = [f for s in sequences for f in s.frames]
    options.output_dir.mkdir(parents=True, exist_ok=True)
    scores = {}
    with tqdm(total=len(frames) + sum(f.target is not None for f in frames), desc="frames", delay=1) as progress:
        for scene, parts in groupby(sequences, lambda s: s.scene):
            scores[scene] = reconstruct_scene(denoiser, list(parts), options.output_dir / scene, progress)
    metrics = summarise(scores, 0) | {"after_warm_up": {"frames_left_out": WARM_UP, **summarise(scores, WARM_UP)}}
    with whole_file(options.output_dir / "metrics.json") as temporary:
        temporary.write_text(json.dumps(metrics, indent=2) + "\n")
    return metrics


def main() -> None:
    """The command line; what cannot be read or written is one clear line, not a trace."""
    options = build_parser().parse_args()
    try:
        metrics = run(options)
    except (InputError, OSError) as error:
        sys.exit(f"test.py: {error}")
    except KeyboardInterrupt:
        sys.exit(f"\ntest.py: interrupted; the frames finished so far are whole: {options.output_dir}")
    print(table(metrics) if metrics["scenes"] else "no frame has a target.exr: nothing was scored")
    print(f"pictures, films and metrics.json: {options.output_dir}")


if __name__ == "__main__":
    main()
