"""Loads models: a file in, shapes of a scene dictionary out, in meters, standing on the floor and facing +z."""

import os
import sys
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from rooms.finishes import Look
from rooms.looks import from_mtl
from rooms.merging import shapes_of
from rooms.models import Model
from rooms.pictures import MOST_BYTES, find_file
from rooms.primitives import Shape
from rooms.roles import ROLES
from rooms.soup import MOST_FACES, Soup, welded
from rooms.wavefront import read_mtl, read_obj

UNITS = (1.0, 0.01, 0.001, 0.0254)  # meters, centimeters, millimeters, inches


@dataclass(frozen=True)
class Thing:
    """A model as shapes; size: (W, H, D) in meters. It stands on y = 0, its middle is at x = z = 0, it faces +z."""

    shapes: list[Shape]
    size: tuple[float, float, float]


@lru_cache(maxsize=32)  # of up to some 10 MB each, mostly textures
def load_thing(model: Model) -> Thing | None:
    """The model as shapes; None, and a line on stderr once per model, where its file is broken or too large."""
    try:
        return make_thing(model)
    except Exception as error:  # a file may be broken in any way, and then any step may fail
        report_once(f"{os.path.join(model.folder, model.path)}: left out ({type(error).__name__}: {error})")
        return None


@lru_cache(maxsize=4096)
def report_once(message: str) -> None:
    """Prints a message on stderr, the first time that it comes."""
    print(message, file=sys.stderr)


def make_thing(model: Model) -> Thing:
    """The model as shapes. Raises ValueError, OSError, and whatever a reader raises, where the file is unusable."""
    # file
    root = os.path.realpath(model.folder)
    path = Path(root, model.path).resolve()
    if not path.is_relative_to(root):
        raise ValueError("it lies outside the folder of models")
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES >> 20} MiB")
    if path.suffix.lower() == ".obj":
        soup, looks = from_obj(root, path)
    else:
        from rooms.gltf import from_scene  # needs trimesh, which nothing else does

        soup, looks = from_scene(root, path)

    # triangles
    if len(soup.faces) > MOST_FACES:
        raise ValueError(f"it has {len(soup.faces):,} faces; at most {MOST_FACES:,} are used")
    used = np.unique(soup.faces)
    if not np.isfinite(soup.points[used]).all():
        raise ValueError("a vertex is not finite")
    points, size = placed(soup.points, used, model, path.suffix.lower() in (".gltf", ".glb"))
    soup = welded(replace(soup, points=points))

    # shapes
    return Thing(shapes_of(soup, looks), size)


def from_obj(root: str, path: Path) -> tuple[Soup, list[Look]]:
    """Triangles and materials of an OBJ file, with the MTL files and textures that it names, as far as they exist."""
    soup, names, libraries = read_obj(path.read_text("utf-8", "replace"))
    near = path.parent.relative_to(root).as_posix().removeprefix(".")
    materials = {}
    for library in libraries:
        found = find_file(root, near, library)
        if found and Path(root, found).stat().st_size < MOST_BYTES:
            materials |= read_mtl(Path(root, found).read_text("utf-8", "replace"))
    return soup, [from_mtl(root, near, name, materials.get(name, {})) for name in names]


def placed(
    points: np.ndarray, used: np.ndarray, model: Model, meters: bool
) -> tuple[np.ndarray, tuple[float, float, float]]:
    """Points (N, 3) turned, scaled to meters and moved onto the floor, and their size (W, H, D).

    used: the points that count.
    meters: whether the file's unit is known to be the meter.
    A size in the catalogue is used first; without one, the first unit in which the height suits the model's role; else
    the scale that gives it a suitable height.
    """
    # turned
    points = points @ np.array(model.rotation or np.eye(3).ravel()).reshape(3, 3).T
    low, high = points[used].min(0), points[used].max(0)
    extent = high - low
    if np.sort(extent)[1] <= 0:
        raise ValueError("it has no area")

    # scaled
    if model.size:
        scale = np.where(extent > 1e-6 * extent.max(), np.array(model.size) / np.maximum(extent, 1e-12), 1.0)
    else:
        role = ROLES[model.role]
        units = [unit for unit in UNITS[: 1 if meters else None] if role.low <= unit * extent[1] <= role.high]
        scale = np.full(3, units[0] if units else np.sqrt(role.low * role.high) / max(extent[1], 0.05 * extent.max()))
    middle = np.array([(low[0] + high[0]) / 2, low[1], (low[2] + high[2]) / 2])
    return (points - middle) * scale, tuple(float(side) for side in extent * scale)
