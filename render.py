"""Renders sequences into the dataset format: any Mitsuba 3 scene along a camera path, or rooms that it makes up.

    python render.py DATASET --scene scene.xml --camera camera.json --split train --frames 64
    python render.py DATASET --procedural 8 --split train

Killed and started again with the same command, it goes on where it was.
"""

import argparse
import math
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from tqdm import tqdm

from files import InputError, whole_folder
from frames.exr import write_exr
from rendering import cameras
from rendering.cameras import Camera
from rendering.cluster import default_workers, join_cluster, run_jobs, start_processes
from rendering.jobs import Job, Settings, open_sequence, read_record, remove_leftovers
from rendering.options import parse, sources
from rendering.variants import FASTER, find_variant
from rooms import room as rooms
from rooms.meshes import write_ply

try:
    import drjit
    import mitsuba as mi
except ImportError as missing:
    if __name__ != "__main__":
        raise
    sys.exit(f"render.py: {missing}; pip install mitsuba")

PLANNER = "scalar_rgb"  # works everywhere, so that every machine plans the same camera paths
PASS_SAMPLES = 2**23  # of one call of the renderer, which keeps some hundred bytes for each
AUXILIARY = "depth:depth,normal:sh_normal,albedo:albedo"  # for Mitsuba's aov integrator
MOTION_GRID = 4  # motion is averaged over at most 4x4 samples of each pixel
HORIZON = 256  # frames for which a path is checked to keep clear, so that a longer sequence begins as a shorter one
SHARED = ("twosided", "diffuse", "dielectric", "principledthin", "bitmap")  # values that several shapes have in common
# Modules that workers of a cluster need, those that others import first.
MODULES = "images cameras shapes textures materials furniture walls rooms variants jobs cluster render_options render"


def to_mitsuba(value, folder: str, made: dict):
    """A scene dictionary for mi.load_dict: matrices, images and meshes become Mitsuba's.

    folder: where meshes are written for it to load; made: materials made so far, since many things share them.
    """
    if isinstance(value, np.ndarray):
        return mi.ScalarTransform4f(value)
    if not isinstance(value, dict):
        return value
    if id(value) in made:
        return made[id(value)][1]
    result = {}
    for key, item in value.items():
        if key == "image":
            result["bitmap"] = mi.Bitmap(np.ascontiguousarray(item))
        elif key == "repeat":
            result |= {"to_uv": mi.ScalarTransform4f().scale([item[0], item[1], 1]), "raw": True}
        elif key == "mesh":
            result["filename"] = str(Path(folder) / f"{len(made)}.ply")
            write_ply(Path(result["filename"]), item)
        else:
            result[key] = to_mitsuba(item, folder, made)
    if value["type"] in SHARED:
        result = mi.load_dict(result)
    made[id(value)] = (value, result)  # with the value, so that its id stays its own
    return result


@lru_cache(maxsize=1)
def load_scene(source: tuple, variant: str, max_depth: int | None):
    """A scene and its integrator. source: ("file", path) or ("room", seed, split, number).

    Raises InputError where Mitsuba cannot load it.
    """
    mi.set_variant(variant)
    mi.set_log_level(mi.LogLevel.Error)
    drjit.set_thread_count(1)  # processes are the parallelism; one thread adds up in the same order every time
    try:
        if source[0] == "file":
            # Merging meshes orders lights by chance, anew in each process: the same seed would give another noise.
            scene = mi.load_file(source[1], optimize=False)
        else:
            with tempfile.TemporaryDirectory() as folder:
                scene = mi.load_dict(to_mitsuba(rooms.make_room(rooms.generator(*source[1:])).scene(), folder, {}))
    except Exception as error:  # Mitsuba raises RuntimeError, and others from its parser
        raise InputError(f"{source[1]}: Mitsuba {mi.__version__} cannot load it ({error})") from error
    integrator = scene.integrator() or mi.load_dict({"type": "path"})
    if max_depth is not None:
        kind = "volpath" if str(integrator).startswith("Vol") else "path"
        integrator = mi.load_dict({"type": kind, "max_depth": max_depth})
    return scene, integrator


def make_sensor(camera: Camera, size: tuple[int, int], scene):
    """Mitsuba's camera for a (H, W) picture, box filter, float."""
    box = scene.bbox()
    reach = float(np.linalg.norm(np.array(box.max) - np.array(box.min))) if box.valid() else 1.0
    film = {"type": "hdrfilm", "width": size[1], "height": size[0], "rfilter": {"type": "box"}}
    film |= {"component_format": "float32", "pixel_format": "rgb", "banner": False}
    return mi.load_dict(
        {
            "type": "perspective",
            "fov": camera.fov,
            "fov_axis": "x",
            "near_clip": 1e-6 * reach,  # depth is measured from there
            "far_clip": 1e3 * reach,
            "to_world": mi.ScalarTransform4f().look_at(
                origin=list(camera.origin), target=list(camera.target), up=list(camera.up)
            ),
            "film": film,
            "sampler": {"type": "independent"},
        }
    )


def render(scene, integrator, sensor, spp: int, job: Job, rendering: str) -> np.ndarray:
    """(H, W, C) float32, `spp` samples per pixel, in calls of at most PASS_SAMPLES."""
    height, width = sensor.film().size()[1], sensor.film().size()[0]
    most = max(1, PASS_SAMPLES // (height * width))
    total, done, part = 0.0, 0, 0
    while done < spp:
        count = min(most, spp - done)
        seed = job.seed(rendering, part)
        total = total + count * np.array(mi.render(scene, sensor=sensor, integrator=integrator, spp=count, seed=seed))
        done, part = done + count, part + 1
    return (total / spp).astype(np.float32)


def render_auxiliary(scene, sensor, job: Job) -> dict[str, np.ndarray]:
    """depth, normal, albedo and motion, each (C, H, W), averaged over aux_spp samples per pixel.

    The first of them, one for each cell of a grid of at most MOTION_GRID squared, have their position recorded, for the
    motion: a position must be projected before it is averaged.
    """
    settings, size = job.settings, (job.settings.height, job.settings.width)
    grid = min(MOTION_GRID, math.isqrt(settings.aux_spp), max(1, math.isqrt(PASS_SAMPLES // math.prod(size))))
    fine = make_sensor(job.camera, (size[0] * grid, size[1] * grid), scene)
    first = render(scene, mi.load_dict({"type": "aov", "aovs": f"{AUXILIARY},position:position"}), fine, 1, job, "aux")
    moved = np.zeros((*first.shape[:2], 2), np.float32)
    if job.before is not None:
        moved = cameras.motion(first[..., 7:], first[..., 0] > 0, job.camera, job.before) / grid
    cells = np.concatenate([first[..., :7], moved], -1).reshape(size[0], grid, size[1], grid, 9)
    values = cells.mean((1, 3)).transpose(2, 0, 1)
    if rest := settings.aux_spp - grid**2:
        others = render(scene, mi.load_dict({"type": "aov", "aovs": AUXILIARY}), sensor, rest, job, "aux-rest")
        values[:7] = (grid**2 * values[:7] + rest * others.transpose(2, 0, 1)) / settings.aux_spp
    return {"depth": values[:1], "normal": values[1:4], "albedo": np.clip(values[4:7], 0, 1), "motion": values[7:]}


def denoise_target(color: np.ndarray, auxiliary: dict[str, np.ndarray]) -> np.ndarray:
    """(3, H, W) through Open Image Denoise with clean auxiliary buffers."""
    import pyoidn

    planes = [
        np.ascontiguousarray(p.transpose(1, 2, 0), np.float32)
        for p in (color, auxiliary["albedo"], auxiliary["normal"])
    ]
    clean = pyoidn.denoise(planes[0], albedo=planes[1], normal=planes[2], hdr=True, quality="high", clean_aux=True)
    return clean.transpose(2, 0, 1)


def render_frame(job: Job) -> int:
    """Renders one frame into its folder, whole or not at all; returns the number of paths traced.

    Raises InputError where the scene cannot be loaded, OSError where the frame cannot be written.
    """
    settings = job.settings
    if mi.__version__ != settings.mitsuba:
        raise InputError(f"Mitsuba {mi.__version__} on {socket.gethostname()}, {settings.mitsuba} where the run began")
    scene, integrator = load_scene(job.source, settings.variant, settings.max_depth)
    sensor = make_sensor(job.camera, (settings.height, settings.width), scene)
    auxiliary = render_auxiliary(scene, sensor, job)

    def color(spp: int, rendering: str) -> np.ndarray:
        return render(scene, integrator, sensor, spp, job, rendering)[..., :3].transpose(2, 0, 1)

    with whole_folder(job.frame_folder) as folder:
        for k in range(settings.noisy):
            write_exr(folder / f"noisy-{k}.exr", {"color": color(settings.spp, f"noisy-{k}"), **auxiliary})
        target = color(settings.target_spp, "target")
        target = denoise_target(target, auxiliary) if settings.denoise_target else target
        write_exr(folder / "target.exr", {"color": target, **auxiliary})
    return settings.samples


def distances(scene) -> Callable:
    """How far rays go in a scene of the planner's variant, as cameras.keeps_clear wants it."""

    def cast(origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
        rays = zip(origins.tolist(), directions.tolist(), strict=True)
        return np.array([scene.ray_intersect(mi.Ray3f(o, d)).t for o, d in rays])

    return cast


def plan_room(source: tuple, frames: int) -> list[Camera]:
    """The camera path of a made-up room: the first of its shots that keeps clear of everything, else of walls only."""
    generator = rooms.generator(*source[1:])
    room = rooms.make_room(generator)
    scene, _ = load_scene(source, PLANNER, None)
    horizon = HORIZON * math.ceil(frames / HORIZON)
    shots = [rooms.shot(room, generator, horizon) for _ in range(rooms.SHOTS)]
    for clearance, sight in ((0.2, 2.5), (0.2, 1.5), (0.1, 0.8), (0.03, 0.1)):
        for path in shots:
            if cameras.keeps_clear(distances(scene), path, clearance, sight):
                return path[:frames]
    return [shots[0][0]] * frames


def plan_scene(source: tuple, frames: int, speed: float) -> list[Camera]:
    """A slow loop about the scene's own camera, as wide as keeps clear of walls."""
    scene, _ = load_scene(source, PLANNER, None)
    if not scene.sensors():
        raise InputError(f"{source[1]}: the scene has no camera of its own; give --camera camera.json")
    sensor = scene.sensors()[0]
    matrix = np.array(mi.traverse(sensor)["to_world"].matrix)
    origin, up = matrix[:3, 3], matrix[:3, 1]
    forward = matrix[:3, 2] / np.linalg.norm(matrix[:3, 2])
    box = scene.bbox()
    size = float(np.linalg.norm(np.array(box.max) - np.array(box.min)))
    distance = min(distances(scene)(origin[None], forward[None])[0], size)
    fov = float(np.ravel(mi.traverse(sensor)["x_fov"])[0])
    target = origin + distance * forward
    own = Camera(*(tuple(float(v) for v in vector) for vector in (origin, target, up)), fov)
    for radius in 0.15 * distance * 0.7 ** np.arange(12):
        if cameras.keeps_clear(distances(scene), cameras.around(own, radius, 240, 1.0), 0.2 * radius, radius):
            return cameras.around(own, radius, frames, speed)
    raise InputError(f"{source[1]}: the scene's own camera has no free space about it; give --camera camera.json")


def plan(source: tuple, frames: int) -> list[Camera]:
    """The cameras of a sequence. Loads the scene, so that one with an error is told of before anything is written."""
    if source[0] == "room":
        return plan_room(source, frames)
    load_scene(source, PLANNER, None)
    _, _, path, speed, start = source
    if path is None:
        return plan_scene(source, frames, speed)
    return cameras.along(cameras.read_key_frames(path), frames, speed, start)


def settings_for(options: argparse.Namespace, variant: str) -> Settings:
    """The options that the pixels depend on, with the variant that was found to work."""
    kept = {name: getattr(options, name) for name in Settings.__annotations__ if hasattr(options, name)}
    return Settings(**kept | {"variant": variant, "mitsuba": mi.__version__})


def run(options: argparse.Namespace) -> None:
    """Renders all that is not there yet. Raises InputError or OSError naming what is at fault."""
    from render import render_frame

    if options.denoise_target and not find_spec("pyoidn"):
        raise InputError("--denoise_target needs Open Image Denoise: pip install pyoidn")
    with ExitStack() as stack:
        here = Path(__file__).resolve().parent
        modules = [here / f"{name}.py" for name in MODULES.split()]
        client = join_cluster(stack, options.scheduler, modules) if options.scheduler else None
        found = sources(options)
        records = [read_record(folder) for folder, _ in found]
        variant = find_variant(options.variant, {record["variant"] for record in records if record}, client)
        print(f"Mitsuba {mi.__version__}, variant {variant}")
        if variant == "scalar_rgb":
            print(f"  {FASTER}")
        workers = options.workers or (1 if variant.startswith("cuda") else default_workers())
        if client is None and workers > 1:
            client = start_processes(stack, workers)
        settings = settings_for(options, variant)
        progress = stack.enter_context(tqdm(total=len(found) * options.frames, unit="frame", smoothing=0.05))

        def jobs() -> Iterator[Job]:
            for folder, source in found:
                progress.set_description(folder.name)
                missing = open_sequence(folder, source, plan(source, options.frames), settings)
                progress.update(options.frames - len(missing))
                yield from missing

        samples, start = 0, time.monotonic()
        for traced in run_jobs(render_frame, jobs(), client):
            samples += traced
            progress.set_postfix_str(f"{samples / 1e6 / (time.monotonic() - start):.2f} M samples/s", refresh=False)
            progress.update()
        for folder, _ in found:
            remove_leftovers(folder)  # of workers that died


def main() -> None:
    """The command line; what cannot be read or written is one clear line, not a trace."""
    try:
        options = parse()
        run(options)
    except (InputError, OSError) as error:
        sys.exit(f"render.py: {error}")
    except KeyboardInterrupt:
        print("\nrender.py: interrupted; the finished frames are whole; the same command goes on", file=sys.stderr)
        sys.exit(130)
    print(f"{options.dataset / options.split}: {options.frames} frames a sequence, all there")


if __name__ == "__main__":
    main()
