"""Loads scenes into Mitsuba: scene files, and scene dictionaries of procedural rooms (see rooms/__init__.py)."""

import tempfile
from functools import lru_cache
from pathlib import Path

import drjit
import mitsuba as mi
import numpy as np

from files import InputError
from rendering.animation import Animation
from rendering.jobs import FileSource, Source
from rooms.kinds import build
from rooms.meshes import write_ply
from rooms.room import scene_dictionary

SHARED = ("twosided", "diffuse", "dielectric", "principledthin", "bitmap")  # types of values that several shapes share
LOADING_THREADS = 2  # with 1, Mitsuba 3.9 hangs where a scene has a picture in an EXR file, as a sky


def to_mitsuba(value, folder: Path, made: dict):
    """A value of a scene dictionary, for mi.load_dict: matrices, images and meshes become Mitsuba's.

    folder: where to write the PLY files that load_dict then reads.
    made: starts empty, and keeps what is converted, so that shapes that share a material go on sharing it.
    """
    if isinstance(value, np.ndarray):
        return mi.ScalarTransform4f(value)
    if not isinstance(value, dict):
        return value
    if id(value) in made:
        return made[id(value)][1]

    # the keys that are ours
    result = {}
    for key, item in value.items():
        if key == "image":
            result["bitmap"] = mi.Bitmap(np.ascontiguousarray(item))
        elif key in ("moves", "flicker"):
            continue  # for rendering.animation
        elif key == "repeat":
            result |= {"to_uv": mi.ScalarTransform4f().scale([item[0], item[1], 1]), "raw": True}
        elif key == "mesh":
            result["filename"] = str(folder / f"{len(made)}.ply")
            write_ply(Path(result["filename"]), item)
        else:
            result[key] = to_mitsuba(item, folder, made)

    if value["type"] in SHARED:
        result = mi.load_dict(result)
    made[id(value)] = (value, result)  # with the value, so that no other gets its id
    return result


def load_dictionary(scene: dict):
    """The Mitsuba scene of a scene dictionary; see load_scene for parallel and optimize."""
    with tempfile.TemporaryDirectory() as folder:
        return mi.load_dict(to_mitsuba(scene, Path(folder), {}), parallel=False, optimize=False)


def load_scene(source: Source, variant: str, max_depth: int | None) -> tuple:
    """The Mitsuba scene of a source, its integrator and its Animation.

    max_depth: of the integrator, None for the scene's own. Two scenes are kept: one that is rendered, and the next,
    whose camera path is planned.

    Nothing is loaded in parallel and meshes are not merged (optimize=False): both put lights in an order by chance,
    another one at each load, so that the same seed would give different noise. Raises InputError where Mitsuba cannot
    load it.
    """
    mi.set_variant(variant)
    scene, animation = _load(source, variant)
    integrator = scene.integrator() or mi.load_dict({"type": "path"})
    if max_depth is not None:
        kind = "volpath" if str(integrator).startswith("Vol") else "path"
        integrator = mi.load_dict({"type": kind, "max_depth": max_depth})
    return scene, integrator, animation


@lru_cache(maxsize=2)
def _load(source: Source, _variant: str) -> tuple:
    """The scene and its Animation, in the variant that is set."""
    # scene
    mi.set_log_level(mi.LogLevel.Error)
    drjit.set_thread_count(LOADING_THREADS)
    room = {}
    try:
        if isinstance(source, FileSource):
            scene = mi.load_file(source.path, optimize=False)
        else:
            room = scene_dictionary(build(source.seed, source.split, source.number, source.kind, source.stock)[0])
            scene = load_dictionary(room)
    except InputError:
        raise
    except Exception as error:  # Mitsuba raises RuntimeError, and others from its parser
        remedy = (
            "correct the scene file"
            if isinstance(source, FileSource)
            else "check what is in --assets and --environments"
        )
        raise InputError(f"{source.name}: Mitsuba {mi.__version__} cannot load it ({error}); {remedy}") from error
    drjit.set_thread_count(1)  # processes are the parallelism; one thread adds up in the same order every time

    # what moves or changes
    shapes = {name: value for name, value in room.items() if isinstance(value, dict)}
    movements = {name: shape["moves"] for name, shape in shapes.items() if "moves" in shape}
    emitters = shapes | {f"{name}.emitter": shape["emitter"] for name, shape in shapes.items() if "emitter" in shape}
    flickers = {name: emitter["flicker"] for name, emitter in emitters.items() if "flicker" in emitter}
    return scene, Animation(scene, movements, flickers)


def scene_size(scene) -> float:
    """The diagonal of the scene's bounding box, in scene units; 1 if it is empty."""
    box = scene.bbox()
    return float(np.linalg.norm(np.array(box.max) - np.array(box.min))) if box.valid() else 1.0
