"""What render.py costs over bare mitsuba.render calls of the same samples, side by side in one run.

    python -m benchmarks.rendering                                  # a made-up room
    python -m benchmarks.rendering --scene scene.xml --camera camera.json --denoise_target

Both trace the same noisy renderings, target and auxiliary samples with one thread; render.py adds motion, EXR files,
folders, and Open Image Denoise if asked to. Frames alternate between the two; the ratio is of the medians.
"""

import json
import os
import platform
import statistics
import sys
import tempfile
import time

import mitsuba as mi
import numpy as np

import render
from files import InputError
from rendering.jobs import Job, open_sequence
from rendering.options import parse, sources
from rendering.variants import choose_variant


def bare(job: Job) -> None:
    """The same samples by mitsuba.render alone, pictures fetched, nothing written."""
    settings = job.settings
    scene, integrator = render.load_scene(job.source, settings.variant, settings.max_depth)
    sensor = render.make_sensor(job.camera, (settings.height, settings.width), scene)
    aovs = mi.load_dict({"type": "aov", "aovs": render.AUXILIARY})
    calls = [(integrator, settings.spp)] * settings.noisy
    calls += [(integrator, settings.target_spp), (aovs, settings.aux_spp)]
    for seed, (kind, spp) in enumerate(calls):
        np.array(mi.render(scene, sensor=sensor, integrator=kind, spp=spp, seed=seed))


def measure(jobs: list[Job]) -> tuple[list[float], list[float]]:
    """Seconds of each frame with mitsuba.render alone and with render.py; the first frame warms both up."""
    times = ([], [])
    for number, job in enumerate(jobs):
        pair = ((0, bare), (1, render.render_frame))
        for index, work in pair if number % 2 else reversed(pair):
            start = time.perf_counter()
            work(job)
            if number:
                times[index].append(time.perf_counter() - start)
    return times


def main() -> None:
    """Takes render.py's options; by default one made-up room, 12 frames of 256x256."""
    given = sys.argv[1:]
    if "--scene" not in given and "--procedural" not in given:
        given += ["--procedural", "1"]
    if "--frames" not in given:
        given += ["--frames", "12"]
    with tempfile.TemporaryDirectory() as folder:
        try:
            options = parse([folder, *given])
            if options.frames < 2:
                raise InputError(f"--frames {options.frames}: expected 2 or more, the first warms up")
            variant = choose_variant(options.variant)
        except InputError as error:
            sys.exit(f"rendering.py: {error}")
        settings = render.settings_for(options, variant)
        target, source = sources(options)[0]
        jobs = open_sequence(target, source, render.plan(source, options.frames), settings)
        alone, ours = (statistics.median(t) for t in measure(jobs))
    rate = settings.samples / 1e6
    print(f"{'':<16}{'ratio':>8}{'s per frame':>14}{'M samples/s':>14}")
    print(f"{'mitsuba.render':<16}{1:>8.3f}{alone:>14.3f}{rate / alone:>14.3f}")
    print(f"{'render.py':<16}{ours / alone:>8.3f}{ours:>14.3f}{rate / ours:>14.3f}")
    result = {"benchmark": "rendering", "ratio": ours / alone, "bare_s": alone, "render_py_s": ours, "variant": variant}
    result |= {"options": given, "mitsuba": mi.__version__, "machine": platform.platform(), "cores": os.cpu_count()}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
