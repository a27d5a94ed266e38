"""Renders what the options of render.py ask for: plans every sequence, then renders the frames that are missing."""

import argparse
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path

import mitsuba as mi
import numpy as np
from tqdm import tqdm

from files import InputError
from machine import usable_cores
from rendering.cluster import default_workers, join_cluster, run_jobs, start_processes
from rendering.content import stock_files
from rendering.exposures import FILTERS
from rendering.jobs import FileSource, Job, RoomSource, Settings, Source, open_sequence, read_record, remove_leftovers
from rendering.planning import plan_or_recall
from rendering.renderer import DENOISER_THREADS, render_frame
from rendering.rendering_options import DRAWN
from rendering.variants import FASTER, find_variant
from rooms.room import SPLITS
from rooms.stock import Stock


def sources(options: argparse.Namespace) -> list[tuple[Path, Source]]:
    """The folder and the source of every sequence that the options ask for."""
    root = options.dataset.resolve() / options.split
    if options.procedural is None:
        camera = options.camera and str(options.camera.resolve())
        return [(root / options.name, FileSource(str(options.scene), camera, options.speed, options.start))]
    part, parts = options.part
    stock = stock_of(options)
    rooms = [
        RoomSource(options.seed, options.split, number, drawn(options, "kind", number), stock)
        for number in range(part - 1, options.procedural, parts)
    ]
    return [(root / f"{room.kind}-{room.seed}-{room.number:04d}", room) for room in rooms]


def stock_of(options: argparse.Namespace) -> Stock | None:
    """What --assets and its companions furnish procedural scenes with. Raises InputError where it cannot be used."""
    if options.assets is None:
        return None
    environments = options.environments and str(options.environments.resolve())
    licenses = tuple(text.strip() for text in options.licenses.split(",") if text.strip())
    stock = Stock(str(options.assets.resolve()), environments, licenses, options.moving or 0.0)
    stock_files(stock)  # names what is wrong with a folder before anything is rendered
    return stock


def drawn(options: argparse.Namespace, name: str, number: int):
    """The value of one of DRAWN for a scene. Each option has random numbers of its own."""
    place = SPLITS.index(options.split), number, list(DRAWN).index(name)
    choices = getattr(options, name)
    return choices if choices is None else choices.draw(np.random.default_rng([options.seed, *place]))


def settings_for(options: argparse.Namespace, variant: str, number: int = 0) -> Settings:
    """What the pixels of one scene depend on. number: of the scene; variant: the one that was found to work here."""
    kept = {f.name: getattr(options, f.name) for f in fields(Settings) if hasattr(options, f.name)}
    kept |= {name: drawn(options, name, number) for name in DRAWN if name in kept}
    if FILTERS[kept["pixel_filter"]].splat:
        # each pixel would have to take other passes than its neighbors, which would make its noise independent again
        kept |= {"shutter": 0.0, "lens": 0.0}
    return Settings(**kept | {"variant": variant, "mitsuba": mi.__version__})


def run(options: argparse.Namespace) -> None:
    """Renders every frame that is missing.

    Raises InputError or OSError naming the file or option and what is wrong with it.
    """
    if options.denoise_target and not find_spec("pyoidn"):
        raise InputError("--denoise_target needs Open Image Denoise: pip install pyoidn")
    found = sources(options)
    with ExitStack() as stack:
        # variant, which must be the same for all machines and all frames
        client = join_cluster(stack, options.scheduler, options.wait_minutes) if options.scheduler else None
        records = [read_record(folder) for folder, _ in found]
        variant = find_variant(options.variant, {record["variant"] for record in records if record}, client)
        print(f"Mitsuba {mi.__version__}, variant {variant}")
        if variant == "scalar_rgb":
            print(f"  {FASTER}")

        # processes, between which the cores are shared out
        workers = options.workers or (1 if variant.startswith("cuda") else default_workers())
        if client is None:
            os.environ.setdefault(DENOISER_THREADS, str(max(1, usable_cores() // workers)))  # which they inherit
        if client is None and workers > 1:
            client = start_processes(stack, workers)

        # frames, planned while others are rendered
        progress = stack.enter_context(tqdm(total=len(found) * options.frames, unit="frame", smoothing=0.05))
        jobs = missing_frames(found, options, variant, progress)
        samples, start = 0, time.monotonic()
        for traced in run_jobs(render_frame, jobs, client, options.wait_minutes):
            samples += traced
            progress.set_postfix_str(f"{samples / 1e6 / (time.monotonic() - start):.2f} M samples/s", refresh=False)
            progress.update()

        # temporary folders of workers that died, and frames that went to another disk
        for folder, _ in found:
            remove_leftovers(folder)
            lacking = [n for n in range(options.frames) if not (folder / f"frame-{n:04d}" / "target.exr").is_file()]
            if lacking:
                raise InputError(
                    f"{folder}: frames that workers rendered are not there ({len(lacking)}, such as {lacking[0]}); "
                    "let all machines see the dataset under the same path"
                )


def missing_frames(found: list[tuple], options: argparse.Namespace, variant: str, progress: tqdm) -> Iterator[Job]:
    """Plans one sequence after the other, as its frames are asked for; counts in `progress` what is already there."""
    frames = options.frames
    for folder, source in found:
        progress.set_description(folder.name)
        settings = settings_for(options, variant, source.number if isinstance(source, RoomSource) else 0)
        planned = plan_or_recall(source, frames, read_record(folder), settings)
        missing = open_sequence(folder, source, planned, settings)
        progress.update(frames - len(missing))
        yield from missing
