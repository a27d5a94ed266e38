"""The command line of render.py. Imports neither Mitsuba nor PyTorch, so that --help answers at once."""

import argparse
import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from files import InputError
from rendering.choices import parse_choices
from rendering.exposures import FILTERS
from rendering.jobs import UNITS
from rendering.variants import VARIANTS
from version import add_version

DESCRIPTION = """Renders sequences into the dataset format, from any Mitsuba 3 scene along a camera path, or from
procedural rooms. If it is stopped, the same command continues."""
KIND_NAMES = ("room", "plain")  # of rooms.kinds.KINDS, which takes long to import
# Options that must be 1 or more.
COUNTS = ["frames", "target_spp", "aux_spp", "noisy", "max_depth", "workers", "procedural"]
# Options drawn for each scene: the kind of value, the lowest number, the words allowed.
DRAWN = {
    "kind": (str, 0, KIND_NAMES),
    "width": (int, 1, ()),
    "height": (int, 1, ()),
    "spp": (int, 1, ()),
    "pixel_filter": (str, 0, tuple(FILTERS)),
    "guides": (str, 0, ("clean", "own")),
    "speed_range": (float, 1e-3, ()),
    "lens": (float, 0, ()),
    "shutter": (float, 0, ()),
    "unit": (str, 0, tuple(UNITS)),
}
# Options of one kind of scene only, and why.
GO_WITH = {
    "scene": (("camera", "name", "speed", "start"), "procedural scenes have their own names and camera paths"),
    "procedural": (("kind", "part", "assets", "speed_range"), "a scene file has its own things and camera path"),
}
EACH_SCENE = """drawn for each scene: values between commas, A-B for a range, *W for how likely one is"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of render.py's command line."""
    parser = argparse.ArgumentParser(description=DESCRIPTION, allow_abbrev=False)
    add_version(parser)
    where = "folder to write to: DATASET/<split>/<Scene>/frame-0000/{target.exr, noisy-0.exr ...}"
    parser.add_argument("dataset", type=Path, help=where)
    add_sequence_options(parser.add_argument_group("what to render"))
    add_stock_options(parser.add_argument_group("artists' models, light and motion in procedural scenes"))
    add_sample_options(parser.add_argument_group("size and samples"))
    add_camera_options(parser.add_argument_group("camera and buffers", f"Each is {EACH_SCENE}, as 0*9,2-12."))
    add_machine_options(parser.add_argument_group("where to render"))
    return parser


def add_sequence_options(group) -> None:
    """Scenes, cameras, names, splits, seeds."""
    # scenes
    add = group.add_argument
    what = group.add_mutually_exclusive_group(required=True)
    what.add_argument("--scene", type=Path, metavar="SCENE.XML", help="any scene that Mitsuba 3 loads")
    what.add_argument("--procedural", type=int, metavar="N", help="render N procedural scenes, one sequence each")
    kinds = """of procedural scenes; room: furnished, with small lamps and much noise; plain: a few things outdoors or
    in a bare box, with little noise; room*2,plain draws one for each scene; default: room"""
    add("--kind", help=kinds)
    add("--part", metavar="K/N", help="every N-th procedural scene from the K-th, for N processes; default: all")

    # cameras
    keys = """key frames {origin, target, up, fov}, fov horizontal, in degrees; default: a slow loop around the scene's
    own camera"""
    add("--camera", type=Path, metavar="CAMERA.JSON", help=keys)
    speed = "key frames per frame; without --camera, turns of the loop per 240 frames; default: 1"
    add("--speed", type=float, help=speed)
    add("--start", type=float, help="key frame of --camera to begin at, counted from 0; default: 0")

    # names, splits, seeds
    add("--name", help="name of the sequence; default: the scene's folder, or its file if that is not scene.xml")
    splits = "each split has its own procedural rooms; default: %(default)s"
    add("--split", choices=("train", "val", "test"), default="train", help=splits)
    add("--frames", type=int, default=64, help="frames per sequence; default: %(default)s")
    seed = "of rooms and noise; the same seed gives the same files; default: %(default)s"
    add("--seed", type=int, default=0, help=seed)


def add_stock_options(group) -> None:
    """Folders of models and environment maps, and how often things move."""
    add = group.add_argument
    add("--assets", type=Path, metavar="FOLDER", help="furnish with these OBJ, glTF and PLY models; see docs/assets.md")
    add("--licenses", default="", help="only models of these licenses, as in the catalogue, between commas")
    add("--environments", type=Path, metavar="FOLDER", help="light with these HDR maps (.exr) and procedural skies")
    add("--moving", type=float, metavar="SHARE", help="of the scenes in which things move by themselves; default: 0")
    add("--speed_range", help=f"median speed of the picture in pixels a frame, {EACH_SCENE}: 0.1-20; default: any")


def add_sample_options(group) -> None:
    """What the pixels depend on besides the scene."""
    add = group.add_argument
    add("--width", default="256", help=f"pixels, {EACH_SCENE}; default: %(default)s")
    add("--height", default="256", help="pixels, as --width; default: %(default)s")
    add("--spp", default="1", help="samples per pixel of a noisy rendering, as --width: 1-16; default: %(default)s")
    add("--target_spp", type=int, default=1024, help="samples per pixel of the target; default: %(default)s")
    add("--aux_spp", type=int, help="samples per pixel of depth, normal and albedo; default: target_spp")
    add("--noisy", type=int, default=5, help="noisy renderings per frame; default: %(default)s")
    depth = "longest path, in surfaces, light source included; 2: direct light; default: the scene's own (rooms: 9)"
    add("--max_depth", type=int, help=depth)
    add("--denoise_target", action="store_true", help="run Open Image Denoise on the target (pip install pyoidn)")


def add_camera_options(group) -> None:
    """What renderers do with the samples of a pixel."""
    add = group.add_argument
    filters = f"{', '.join(FILTERS)}; those that splat correlate the noise of neighboring pixels; default: %(default)s"
    add("--pixel_filter", default="box", help=filters)
    guides = """depth, normal, albedo and motion of noisy renderings; clean: of --aux_spp samples; own: of the camera
    samples of their color; default: %(default)s"""
    add("--guides", default="clean", help=guides)
    add("--lens", default="0", help="depth of field: blur at infinity, in pixels; 0: none; default: %(default)s")
    add("--shutter", default="0", help="motion blur: frames for which the shutter is open; default: %(default)s")
    add("--unit", default="m", help=f"of procedural scenes: {', '.join(UNITS)}; default: %(default)s")


def add_machine_options(group) -> None:
    """Variant, processes, cluster."""
    add = group.add_argument
    add("--variant", default="auto", choices=("auto", *VARIANTS), help="of Mitsuba; auto: the fastest that works")
    add("--workers", type=int, help="processes, one core each; default: one per core, or one for a GPU")
    scheduler = "render on this dask.distributed cluster; DATASET must be a shared folder"
    add("--scheduler", metavar="tcp://HOST:PORT", help=scheduler)
    wait = "give up when the cluster has had no worker for this long; default: %(default)s"
    add("--wait_minutes", type=float, default=10, metavar="M", help=wait)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The options, checked. Raises InputError naming the option, what was found and what was expected."""
    options = build_parser().parse_args(arguments)
    options.aux_spp = options.target_spp if options.aux_spp is None else options.aux_spp
    check_numbers(options)
    for name, (kind, lowest, words) in DRAWN.items():
        if (text := getattr(options, name)) is not None:
            setattr(options, name, parse_choices(name, text, kind, lowest, words))
    if (shutter := max(map(np.max, options.shutter.items))) > 1:
        raise InputError(f"--shutter: expected at most 1, a whole frame, found {shutter}")
    check_combinations(options)

    # defaults of procedural scenes
    if options.procedural:
        options.part = parse_part(options.part or "1/1")
        options.kind = options.kind or parse_choices("kind", "room", str, names=KIND_NAMES)
        return options

    # defaults of a scene file
    if not options.scene.is_file():
        raise InputError(f"{options.scene}: no such file; expected a Mitsuba 3 scene (.xml)")
    scene = options.scene = options.scene.resolve()
    options.speed, options.start = options.speed or 1.0, options.start or 0.0
    folder = scene.parent.name if scene.stem == "scene" else ""
    options.name = options.name or folder or scene.stem  # the root of a disk has no name
    if Path(options.name).name != options.name or options.name.startswith("."):
        raise InputError(f"--name {options.name}: expected a plain folder name, without slashes or a dot in front")
    return options


def check_numbers(options: argparse.Namespace) -> None:
    """Raises InputError naming a number that is out of its range."""

    def check(name: str, is_possible: Callable[[float], bool], expected: str) -> None:
        value = getattr(options, name)
        if value is not None and not is_possible(value):
            raise InputError(f"--{name} {value}: expected {expected}")

    for name in COUNTS:
        check(name, lambda value: value >= 1, "1 or more")
    check("seed", lambda value: value >= 0, "0 or more")
    check("speed", lambda value: 0 < value < math.inf, "a number above 0")
    check("start", lambda value: 0 <= value < math.inf, "0 or more")
    check("wait_minutes", lambda value: value > 0, "a number above 0")
    check("moving", lambda value: 0 <= value <= 1, "a share from 0 to 1")


def check_combinations(options: argparse.Namespace) -> None:
    """Raises InputError naming an option that does not go with the others, or a folder that is not there."""
    # models and machines
    for name in ("licenses", "environments", "moving"):
        if getattr(options, name) and options.assets is None:
            raise InputError(f"--{name} goes with --assets, a folder of models; give one, or leave --{name} out")
    for name in ("assets", "environments"):
        if (folder := getattr(options, name)) is not None and not folder.is_dir():
            raise InputError(f"--{name} {folder}: no such folder; check the path, or see docs/assets.md")
    if options.scheduler and options.workers is not None:
        raise InputError("--workers is for this machine; with --scheduler, the cluster's workers render; leave it out")

    # scene file or procedural scenes
    if options.scene and options.start is not None and options.camera is None:
        raise InputError("--start goes with --camera: the scene's own camera has no key frames; give both or neither")
    for needed, (names, why) in GO_WITH.items():
        for name in names:
            if getattr(options, needed) is None and getattr(options, name) is not None:
                raise InputError(f"--{name} goes with --{needed}: {why}; leave --{name} out")


def parse_part(text: str) -> tuple[int, int]:
    """--part K/N as (K, N). Raises InputError."""
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    part, parts = map(int, match.groups()) if match else (0, 0)
    if not 1 <= part <= parts:
        raise InputError(f"--part {text}: expected K/N with K from 1 to N, as in 2/4")
    return part, parts
