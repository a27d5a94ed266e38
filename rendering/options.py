"""The command line of render.py; kept apart so that it does not wait for Mitsuba."""

import argparse
import math
from pathlib import Path

from files import InputError

DESCRIPTION = """Renders sequences into the dataset format, from any Mitsuba 3 scene along a camera path, or from rooms
that it makes up. Killed and started again with the same options, it goes on where it was."""


def build_parser() -> argparse.ArgumentParser:
    """The command line of render.py."""
    formatter = argparse.ArgumentDefaultsHelpFormatter
    parser = argparse.ArgumentParser(description=DESCRIPTION, formatter_class=formatter, allow_abbrev=False)
    add = parser.add_argument
    add(
        "dataset",
        type=Path,
        help="folder to write to: DATASET/<split>/<Scene>/frame-0000/{target.exr, noisy-0.exr ...}",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--scene", type=Path, metavar="SCENE.XML", help="a scene that Mitsuba 3 loads")
    what.add_argument("--procedural", type=int, metavar="N", help="make up N rooms, a sequence each")
    add(
        "--camera",
        type=Path,
        metavar="CAMERA.JSON",
        help="key frames {origin, target, up, fov}, fov horizontal, in degrees; "
        "without it, a slow loop about the scene's own camera",
    )
    add(
        "--speed",
        type=float,
        default=1.0,
        help="key frames per frame; or, without --camera, turns of the loop per 240 frames",
    )
    add("--start", type=float, default=0.0, help="key frame to begin at; they are numbered from 0")
    add("--name", help="of the sequence; default: the scene's folder, or its file if that is not scene.xml")
    add("--split", choices=("train", "val", "test"), default="train", help="made-up rooms differ between splits")
    add("--frames", type=int, default=64, help="frames per sequence")
    add("--seed", type=int, default=0, help="of rooms and noise: the same seed, the same files")
    add("--width", type=int, default=256, help="pixels")
    add("--height", type=int, default=256, help="pixels")
    add("--spp", type=int, default=1, help="samples per pixel of a noisy rendering")
    add("--target_spp", type=int, default=1024, help="samples per pixel of the target")
    add("--aux_spp", type=int, help="samples per pixel of depth, normal and albedo; default: target_spp")
    add("--noisy", type=int, default=5, help="noisy renderings per frame")
    add(
        "--max_depth",
        type=int,
        help="longest path, in surfaces, light source included; 2: direct light; default: the scene's own (rooms: 9)",
    )
    add("--denoise_target", action="store_true", help="Open Image Denoise over the target (pip install pyoidn)")
    add(
        "--variant",
        default="auto",
        choices=("auto", "cuda_ad_rgb", "llvm_ad_rgb", "scalar_rgb"),
        help="of Mitsuba; auto: the fastest that works",
    )
    add("--workers", type=int, help="processes, a core each; default: one per core, or one for a GPU")
    add(
        "--scheduler",
        metavar="tcp://HOST:PORT",
        help="render on this dask.distributed cluster; DATASET must be a shared folder",
    )
    return parser


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The options, checked; raises InputError naming the option, what was found and what was expected."""
    options = build_parser().parse_args(arguments)
    options.aux_spp = options.target_spp if options.aux_spp is None else options.aux_spp
    for name in (
        "frames",
        "width",
        "height",
        "spp",
        "target_spp",
        "aux_spp",
        "noisy",
        "max_depth",
        "workers",
        "procedural",
    ):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise InputError(f"--{name} {value}: expected 1 or more")
    if options.seed < 0:
        raise InputError(f"--seed {options.seed}: expected 0 or more")
    if not (math.isfinite(options.speed) and options.speed > 0):
        raise InputError(f"--speed {options.speed}: expected a number above 0")
    if not (math.isfinite(options.start) and options.start >= 0):
        raise InputError(f"--start {options.start}: expected 0 or more")
    if options.procedural:
        for name in ("camera", "name"):
            if getattr(options, name) is not None:
                raise InputError(f"--{name} goes with --scene: made-up rooms have names and camera paths of their own")
        return options
    if not options.scene.is_file():
        raise InputError(f"{options.scene}: no such file; expected a Mitsuba 3 scene (.xml)")
    scene = options.scene = options.scene.resolve()
    options.name = options.name or (scene.parent.name if scene.stem == "scene" else scene.stem)
    if Path(options.name).name != options.name or options.name.startswith("."):
        raise InputError(f"--name {options.name}: expected a plain folder name")
    return options


def sources(options: argparse.Namespace) -> list[tuple[Path, tuple]]:
    """The folder and the source (see load_scene) of every sequence that is asked for."""
    root = options.dataset.resolve() / options.split
    if options.procedural is None:
        camera = options.camera and str(options.camera.resolve())
        return [(root / options.name, ("file", str(options.scene), camera, options.speed, options.start))]
    rooms_asked = [("room", options.seed, options.split, number) for number in range(options.procedural)]
    return [(root / f"room-{options.seed}-{source[3]:04d}", source) for source in rooms_asked]
