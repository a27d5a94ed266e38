"""What render.py costs on top of bare mitsuba.render calls with the same samples, side by side in one run.

    python -m benchmarks.rendering                                  # a procedural room
    python -m benchmarks.rendering --scene scene.xml --camera camera.json --denoise_target

Both trace the same noisy renderings, target and auxiliary samples on one thread; render.py adds motion, EXR files,
folders, and Open Image Denoise if asked to. Frames alternate between the two; the ratio is of the medians.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import mitsuba as mi
import numpy as np

from benchmarks.reporting import report
from files import InputError
from rendering.jobs import Job, open_sequence
from rendering.planning import plan_or_recall
from rendering.render_dataset import settings_for, sources
from rendering.renderer import render_frame
from rendering.rendering_options import parse
from rendering.scene import load_scene
from rendering.tracing import AUXILIARY, make_sensor
from rendering.variants import choose_variant


def render_bare(job: Job) -> None:
    """The same samples by mitsuba.render alone: pictures are fetched, nothing is written."""
    settings = job.settings
    scene, integrator, _ = load_scene(job.source, settings.variant, settings.max_depth)
    sensor = make_sensor(job.camera, (settings.height, settings.width), scene, 0)
    aovs = mi.load_dict({"type": "aov", "aovs": AUXILIARY})
    calls = [(integrator, settings.spp)] * settings.noisy
    calls += [(integrator, settings.target_spp), (aovs, settings.aux_spp)]
    for seed, (kind, spp) in enumerate(calls):
        np.array(mi.render(scene, sensor=sensor, integrator=kind, spp=spp, seed=seed))


def measure(jobs: list[Job]) -> tuple[list[float], list[float]]:
    """Seconds per frame with mitsuba.render alone and with render.py; the first frame warms both up."""
    times = ([], [])
    for number, job in enumerate(jobs):
        pair = ((0, render_bare), (1, render_frame))
        for index, work in pair if number % 2 else reversed(pair):
            start = time.perf_counter()
            work(job)
            if number:
                times[index].append(time.perf_counter() - start)
    return times


def sequence_jobs(folder: Path, given: list[str]) -> list[Job]:
    """The frames of the first sequence that render.py's options ask for. Raises InputError as render.py does."""
    options = parse([str(folder), *given])
    if options.frames < 2:
        raise InputError(f"--frames {options.frames}: expected 2 or more; the first one warms up")
    settings = settings_for(options, choose_variant(options.variant))
    target, source = sources(options)[0]
    return open_sequence(target, source, plan_or_recall(source, options.frames, None, settings), settings)


def main() -> None:
    """Takes render.py's options; the default is one procedural room, 12 frames of 256x256."""
    # options
    given = sys.argv[1:]
    if "--scene" not in given and "--procedural" not in given:
        given += ["--procedural", "1"]
    if "--frames" not in given:
        given += ["--frames", "12"]

    # both, frame by frame
    with tempfile.TemporaryDirectory() as folder:
        try:
            jobs = sequence_jobs(Path(folder), given)
        except InputError as error:
            sys.exit(f"benchmarks.rendering: {error}")
        bare, ours = (statistics.median(seconds) for seconds in measure(jobs))

    # table and JSON line
    settings, rows = jobs[0].settings, []
    for name, seconds in (("mitsuba.render", bare), ("render.py", ours)):
        row = {"": name, "ratio": seconds / bare, "s per frame": seconds}
        rows.append(row | {"M samples/s": settings.samples / 1e6 / seconds})
    report("rendering", rows, variant=settings.variant, options=given, mitsuba=mi.__version__)


if __name__ == "__main__":
    main()
