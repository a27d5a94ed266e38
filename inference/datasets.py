"""Reconstructs the scenes below a path: reading, network, writing and scoring, each in a thread of its own.

Shapes: C input channels, H rows, W columns.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from itertools import groupby
from pathlib import Path

import torch
from tqdm import tqdm

from files import atomic_file
from frames.channels import MOTION_INPUTS
from frames.exr import load_noisy, load_target, read_header
from frames.radiance import exposure_for, log_luminance
from frames.repairs import report_repairs
from frames.sequences import Frame, find_test_sequences
from frames.sequences import Sequence as FrameSequence
from inference.engines import choose_device, choose_dtype, fast_engine, prepare
from inference.leftovers import find_leftovers
from inference.loading import LoadedFrame, reconstruct_loading, warn_of_repetition
from inference.output import VIDEO, Images, SceneFrames, SceneOutput, SceneScores, all_metrics
from inference.reconstruct import backward_frames
from inference.reconstruction_options import has_backward_pass
from inference.report import check_report, write_report
from inference.threads import BackgroundCalls
from model import Denoiser
from networks.repetition import COMPARED
from scoring.video import open_video


def scene_exposure(sequences: list[FrameSequence], progress: tqdm) -> float | None:
    """The exposure for all frames of a scene, from the log-average luminance of its targets; None without targets."""
    logs = []
    for frame in (f for s in sequences for f in s.frames if f.target):
        logs.append(float(log_luminance(torch.from_numpy(load_target(frame.target)[0]))))
        progress.update()
    logs = [value for value in logs if math.isfinite(value)]
    return exposure_for(math.exp(sum(logs) / len(logs))) if logs else None


def load_frames(
    sequence: FrameSequence, inputs: tuple[str, ...], with_targets: bool, backward: bool = False
) -> Iterator[LoadedFrame]:
    """Loads each frame's first noisy rendering and, if it has one and `with_targets`, its target.

    What loading changes in the values is reported on stderr. backward: the last frame first, with motion to the frame
    after it, without targets and reports.

    inputs: the quantities that the network reads.
    """
    if backward:
        reverse = sequence.frames[::-1]
        planes = backward_frames((load_planes(frame, inputs) for frame in reverse), inputs)
        yield from (LoadedFrame(frame, own) for frame, own in zip(reverse, planes, strict=True))
        return
    for frame in sequence.frames:
        noisy, repairs = load_noisy(frame.noisy[0], inputs)  # (C, H, W)
        report_repairs(frame.noisy[0], repairs)
        target = None
        if frame.target and with_targets:
            radiance, repairs = load_target(frame.target)
            report_repairs(frame.target, repairs)
            target = torch.from_numpy(radiance)
        yield LoadedFrame(frame, torch.from_numpy(noisy), target)


def load_planes(frame: Frame, inputs: tuple[str, ...]) -> torch.Tensor:
    """The first noisy rendering of a frame, (C, H, W). Reports no repairs."""
    return torch.from_numpy(load_noisy(frame.noisy[0], inputs)[0])


def reconstruct_scene(
    denoiser: Denoiser, sequences: list[FrameSequence], options: argparse.Namespace, progress: tqdm
) -> tuple[SceneFrames, float]:
    """Reconstructs, writes and scores all sequences of a scene.

    Returns the metrics by kind, sequence and frame, and the exposure of all its pictures.

    Frames pass through four threads in order, and each object is used by one thread only:

        reading    the generator of loaded frames
        this one   the network and its hidden state, the progress bar
        writing    `output`, with the exposure, the video and the frame of the strip
        scoring    `scores`

    This thread creates all of them before the others start and reads `output` and `scores` after they have ended.
    Tensors change hands with their frame; no thread changes one that it has passed on.
    """
    # what to compare with, at which size and exposure
    with_targets = options.score == "on"
    columns = 3 if with_targets and all(f.target for s in sequences for f in s.frames) else 2
    size = tuple(max(extents) for extents in zip(*(s.size for s in sequences), strict=True))  # (H, W)
    exposure = scene_exposure(sequences, progress) if with_targets else None

    folder = options.output_dir / sequences[0].scene
    folder.mkdir(parents=True, exist_ok=True)
    engine = fast_engine(denoiser, options.tile)
    scores = SceneScores()
    video_file = open_video(folder / VIDEO) if "video" in options.write else nullcontext()

    # On leaving: writing ends first, since it calls scoring; the video closes last.
    with video_file as video, BackgroundCalls() as scoring, BackgroundCalls() as writing:
        output = SceneOutput(folder, options.write, video, columns, size, exposure)

        def write_then_score(frame: Frame, radiance: Images) -> None:  # on the writing thread
            srgb = output.add(frame.folder.name, radiance, read_header(frame.noisy[0]))
            scoring.call(scores.add, radiance, srgb)

        for sequence in sequences:
            # by way of the writing thread: after the last frame of the sequence before
            writing.call(scoring.call, scores.start_sequence)

            # reading thread -> network
            load = partial(load_frames, sequence, denoiser.inputs, with_targets)
            count = len(sequence.frames)
            for loaded, image in reconstruct_loading(denoiser, load, count, options, engine, progress):
                # network -> writing thread -> scoring thread; the copy frees the auxiliary channels
                frame, noisy, target, _ = loaded
                writing.call(write_then_score, frame, (noisy[:3].clone(), image, target))

    # the other threads have ended
    output.finish()
    return scores.frames(), output.exposure


def run(denoiser: Denoiser, options: argparse.Namespace) -> dict:
    """Reconstructs every scene below options.path; returns the metrics, as written to metrics.json.

    options: of test.py. Raises InputError or OSError naming the file at fault.
    """
    # device and precision
    device = choose_device(options.device)
    denoiser = prepare(denoiser, device, choose_dtype(options.precision, device))

    # frames to reconstruct
    sequences, notes = find_test_sequences(options.path, denoiser.required)
    for note in notes:
        print(note, file=sys.stderr)
    check_report(options, sequences)
    frames = [f for s in sequences for f in s.frames]
    options.output_dir.mkdir(parents=True, exist_ok=True)
    for note in find_leftovers(options, sequences):
        print(note, file=sys.stderr)

    for sequence in sequences:
        some = sequence.frames[:COMPARED]
        warn_of_repetition((load_planes(frame, MOTION_INPUTS) for frame in some), sequence.label)

    # scene by scene; steps: each direction of a frame, and its target, since the exposure needs that before
    scores, exposures = {}, {}
    twice = sum(len(s.frames) for s in sequences if has_backward_pass(options, len(s.frames)))
    steps = len(frames) + twice + sum(f.target is not None for f in frames if options.score == "on")
    with tqdm(total=steps, desc="frames", delay=1) as progress:
        for scene, parts in groupby(sequences, lambda s: s.scene):
            scores[scene], exposures[scene] = reconstruct_scene(denoiser, list(parts), options, progress)

    # metrics; the report adds FLIP, other methods, and every frame
    metrics = all_metrics(scores)
    save_metrics(options.output_dir, metrics)
    if options.report:
        metrics = write_report(options, sequences, scores, exposures)
        save_metrics(options.output_dir, metrics)
    return metrics


def save_metrics(folder: Path, metrics: dict) -> None:
    """Writes metrics.json into a folder."""
    with atomic_file(folder / "metrics.json") as temporary:
        temporary.write_text(json.dumps(metrics, indent=2) + "\n")
