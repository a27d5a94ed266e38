"""The report of test.py: a folder with a page that opens from disk, its pictures and its numbers.

A browser runs scripts beside a page that was opened from disk, but lets it read no other files. So every picture is a
script of its own: base64 of the deflated half floats of its linear radiance, for the page to expose. The page itself is
report_page/, copied as it is; names and numbers reach it by data/report.js only. uPlot draws the plots, and
img-comparison-slider the sliders, both vendored, so that the page works offline; the rest exposes and zooms pictures.
Shapes: every image is (3, H, W), linear radiance unless named srgb.
"""

import argparse
import json
import shutil
import sys
import zlib
from base64 import b64encode
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from files import InputError, whole_folder
from frames.channels import require_channels
from frames.exr import load_noisy, load_target, read_header
from frames.radiance import tone_map
from frames.repairs import report_repairs
from frames.sequences import Frame, Sequence
from inference.output import SceneFrames, all_metrics
from scoring import flip
from scoring.metrics import METRICS, SequenceScore, mean_over

PAGE = Path(__file__).parent / "report_page"
FOLDER = "report"  # in the output folder
NUMBERS = Path("data", "report.js")  # in the report: what the page shows beside pictures


def check_report(options: argparse.Namespace, sequences: list[Sequence]) -> None:
    """Raises InputError, before anything is computed, if the report that the options ask for cannot be made."""
    if not options.report:
        if options.compare:
            raise InputError("--compare is for the report; add --report")
        return
    names = [name for name, _ in options.compare]
    if len(set(names)) < len(names):
        raise InputError(f"--compare: a name is given twice ({', '.join(names)}); give each method a name of its own")
    if "exr" not in options.write:
        raise InputError(f"--report needs the EXR files; add exr to --write {' '.join(options.write)}")
    folder = options.output_dir / FOLDER
    if folder.exists() and not (folder / NUMBERS).is_file():  # it will be replaced
        raise InputError(f"{folder}: not a report of test.py; move it away, or choose another --output_dir")
    for sequence in sequences:
        if sequence.scene.lower() == FOLDER:
            raise InputError(f"{sequence.scene}: --report writes to a folder of this name; rename the scene")
        for name, folder in options.compare:
            for frame in sequence.frames:
                check_compared(name, result_path(folder, sequence, frame), sequence.size)


def check_compared(name: str, path: Path, size: tuple[int, int]) -> None:
    """Raises InputError if a method's result is not an EXR file with color and of `size` (H, W)."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; --compare {name}=DIR needs DIR/<Scene>/frame-0000.exr ...")
    header = read_header(path)
    require_channels(header.path, header.channels, ("color",))
    if header.size != size:
        (height, width), (rows, columns) = header.size, size
        raise InputError(f"{path}: {width}x{height}, but the scene is {columns}x{rows}; render {name} at that size")


def result_path(folder: Path, sequence: Sequence, frame: Frame) -> Path:
    """Where test.py writes a frame's reconstruction, and where other methods must have theirs."""
    return folder / sequence.scene / f"{frame.folder.name}.exr"


def write_report(
    options: argparse.Namespace,
    sequences: list[Sequence],
    scores: dict[str, SceneFrames],
    exposures: dict[str, float],
) -> dict:
    """Writes the report into options.output_dir, instead of an earlier one, from the files that test.py wrote there.

    scores, exposures: by scene. Returns the metrics: those of `all_metrics` with FLIP and the other methods, and
    "frames" with those of every frame. Raises InputError or OSError naming the file at fault.
    """
    if not flip.INSTALLED:
        print("report: without FLIP, for which you need: pip install flip-evaluator", file=sys.stderr)
    folder = options.output_dir / FOLDER
    total = sum(len(s.frames) for s in sequences)
    with whole_folder(folder) as temporary, tqdm(total=total, desc="report", delay=1) as progress:
        # pictures
        scenes, all_scores = [], {}
        for index, (scene, parts) in enumerate(groupby(sequences, lambda s: s.scene)):
            pictures = temporary / "data" / str(index)  # a number, since a scene's name may not do in a URL
            pictures.mkdir(parents=True)
            result = add_scene(pictures, list(parts), scores[scene], exposures[scene], options, progress)
            scenes.append({"name": scene, "exposure": exposures[scene]} | result[0])
            all_scores[scene] = result[1]

        # numbers and page
        metrics = all_metrics(all_scores) | {"frames": all_scores}
        shown = {name: metric._replace(function=None)._asdict() for name, metric in METRICS.items()}
        parts = {"metrics": metrics, "scenes": scenes, "METRICS": shown}
        data = "".join(f"const {name} = {json.dumps(part)};\n" for name, part in parts.items())
        (temporary / NUMBERS).write_text(data, encoding="utf-8")
        shutil.copytree(PAGE, temporary, dirs_exist_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
    return metrics


def add_scene(
    folder: Path,
    sequences: list[Sequence],
    scores: SceneFrames,
    exposure: float,
    options: argparse.Namespace,
    progress: tqdm,
) -> tuple[dict, SceneFrames]:
    """Writes a scene's pictures into `folder`; returns what the page needs to know of the scene, and its scores.

    scores: of the noisy renderings and the reconstructions; those returned also have FLIP and the other methods.
    """
    methods = [*scores, *(name for name, _ in options.compare)]
    extended: SceneFrames = {name: [] for name in methods}
    frames = []
    for number, sequence in enumerate(sequences):
        compared = {name: SequenceScore(exposure) for name, _ in options.compare}
        for frames_of_method in extended.values():
            frames_of_method.append([])
        for index, frame in enumerate(sequence.frames):
            # images of every method, by name, and the target
            images = read_images(sequence, frame, options)
            target = None
            if frame.target and options.score == "on":
                target = torch.from_numpy(load_target(frame.target)[0])

            # scores
            found = {kind: sequences_of_kind[number][index] for kind, sequences_of_kind in scores.items()}
            for name, score in compared.items():
                score.update(images[name], target)
                found[name] = score.frames[-1]
            errors = flip_maps(images, target, exposure) if flip.INSTALLED else {}
            for name in methods:
                mean = {"flip": errors[name][1] if name in errors else None} if flip.INSTALLED else {}
                extended[name][number].append(found[name] | mean)

            # pictures, numbered as the page lists them
            stem = f"{folder.name}/{len(frames)}"
            for place, image in enumerate([*images.values(), *([] if target is None else [target])]):
                write_picture(folder.parent, f"{stem}-{place}", image)
            for place, (error, _) in enumerate(errors.values()):
                write_picture(folder.parent, f"{stem}-flip-{place}", error)
            height, width = sequence.size
            place = {"name": frame.folder.name, "number": frame.number, "sequence": number, "index": index}
            frames.append(place | {"width": width, "height": height, "target": target is not None})
            progress.update()
    return {"methods": methods, "flip": flip.INSTALLED, "frames": frames}, extended


def read_images(sequence: Sequence, frame: Frame, options: argparse.Namespace) -> dict[str, torch.Tensor]:
    """The noisy rendering, the reconstruction and the other methods' results of a frame; NaN and Inf become 0."""
    paths = {"noisy": frame.noisy[0], "denoised": result_path(options.output_dir, sequence, frame)}
    paths |= {name: result_path(folder, sequence, frame) for name, folder in options.compare}
    images = {}
    for name, path in paths.items():
        image, repairs = load_noisy(path, ("color",))
        if name not in ("noisy", "denoised"):  # test.py has reported on its own
            report_repairs(path, repairs)
        images[name] = torch.from_numpy(image)
    return images


def flip_maps(
    images: dict[str, torch.Tensor], target: torch.Tensor | None, exposure: float
) -> dict[str, tuple[torch.Tensor, float | None]]:
    """Each image's (1, H, W) FLIP error, and its mean over the pixels with a finite target; empty without a target."""
    if target is None:
        return {}
    valid = torch.isfinite(target).all(0)  # (H, W)
    srgb = {name: tone_map(image, exposure).where(valid, 0) for name, image in images.items()}
    target_srgb = tone_map(target, exposure).where(valid, 0)
    errors = {name: flip.flip_map(image, target_srgb) for name, image in srgb.items()}
    return {name: (error, mean_over(valid, error) if valid.any() else None) for name, error in errors.items()}


def write_picture(folder: Path, key: str, image: torch.Tensor) -> None:
    """Writes a (C, H, W) image as the script `key`.js, which hands it to the page. Raises OSError if it cannot."""
    limit = np.finfo(np.float16).max
    halves = image.clamp(-limit, limit).to(torch.float16).numpy()  # (C, H, W)
    # upper bytes, then lower bytes: as small as with OpenEXR's ZIP compression
    content = zlib.compress(np.stack((halves.view(np.uint8)[..., 1::2], halves.view(np.uint8)[..., 0::2])).tobytes())
    text = f"receive({json.dumps(key)}, {json.dumps(b64encode(content).decode())});\n"
    path = folder / f"{key}.js"
    try:
        path.write_text(text, encoding="ascii")
    except OSError as error:
        raise OSError(f"{path}: not written ({error}); free some space, or choose another folder") from error
