"""Renders the validation shots with Blender Cycles; run by the Python that `make bpy` sets up.

    .venv-bpy/bin/python -m benchmarks.cycles.render OUT

Writes OUT/<shot>/spp-<n>/0001.exr ... and OUT/<shot>/reference/half-0, half-1: multilayer EXR files as a Blender user
gets them, with the passes that denoising wants. Files that exist are skipped.
"""

import argparse
import sys
import time
from pathlib import Path

import bpy

from benchmarks.cycles import figure, focus, fog
from benchmarks.cycles.jobs import Job, jobs_of, missing
from files import atomic_file

SHOTS = {"figure": figure.build, "focus": focus.build, "fog": fog.build}  # each builds its scene for so many frames
BOUNCES = {"max": 4, "diffuse": 3, "glossy": 3, "transmission": 4, "volume": 0, "transparent_max": 6}


def settle(scene: bpy.types.Scene, size: tuple[int, int], threads: int) -> None:
    """Sets Cycles, passes and format; the rest has Blender's defaults. size: (W, H). threads: 0 takes all cores."""
    scene.render.engine = "CYCLES"
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = *size, 100
    if threads:
        scene.render.threads_mode, scene.render.threads = "FIXED", threads

    # sampling: a fixed number of samples, new noise in every frame
    cycles = scene.cycles
    cycles.device, cycles.use_adaptive_sampling, cycles.use_denoising = "CPU", False, False
    cycles.use_animated_seed = True
    for kind, most in BOUNCES.items():
        setattr(cycles, f"{kind}_bounces", most)

    # passes
    layer = scene.view_layers[0]
    layer.cycles.denoising_store_passes = True
    layer.use_pass_vector = layer.use_pass_z = layer.use_pass_normal = True
    image = scene.render.image_settings
    if hasattr(image, "media_type"):  # since Blender 5
        image.media_type = "MULTI_LAYER_IMAGE"
    image.file_format, image.color_depth, image.exr_codec = "OPEN_EXR_MULTILAYER", "16", "ZIP"


def render(scene: bpy.types.Scene, job: Job) -> None:
    """Renders one frame, as an atomic write."""
    job.path.parent.mkdir(parents=True, exist_ok=True)
    scene.cycles.samples, scene.cycles.seed = job.spp, job.seed
    scene.frame_set(job.frame)
    with atomic_file(job.path) as temporary:
        scene.render.filepath = str(temporary.absolute())
        bpy.ops.render.render(write_still=True)


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="the folder to write to")
    parser.add_argument("--shots", nargs="+", choices=SHOTS, default=list(SHOTS), metavar="SHOT")
    parser.add_argument("--spp", nargs="+", type=int, default=[4, 16], help="samples a pixel of the noisy frames")
    parser.add_argument("--reference_spp", type=int, default=512, help="samples a pixel of both halves together")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--size", nargs=2, type=int, default=[320, 180], metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--threads", type=int, default=0, help="0: all cores")
    return parser.parse_args()


def main() -> None:
    """Renders what is missing, shot by shot."""
    options = parse_options()
    for shot in options.shots:
        jobs = jobs_of(options.out, shot, options.spp, options.reference_spp, options.frames)
        todo = missing(jobs)
        print(f"{shot}: {len(todo)} of {len(jobs)} files to render", flush=True)
        if not todo:
            continue
        scene = SHOTS[shot](options.frames)
        settle(scene, options.size, options.threads)
        for job in todo:
            start = time.perf_counter()
            render(scene, job)
            seconds = time.perf_counter() - start
            rate = job.spp * options.size[0] * options.size[1] / seconds / 1e6
            print(f"{job.path}: {seconds:.1f} s, {rate:.3f} million samples a second", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
