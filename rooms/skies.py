"""The world outside procedural scenes: HDR environment maps from a folder, or procedural skies."""

import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import OpenEXR

from files import InputError
from rooms import textures
from rooms.floor import Room
from rooms.materials import Style, rgb
from rooms.primitives import box

MAP_SIZE = (256, 512)  # the largest height and width of an environment map in a scene
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])

# OpenEXR's threads do not survive a fork; parallelism comes from the processes.
OpenEXR.set_global_thread_count(0)


@lru_cache(maxsize=8)
def find_maps(folder: str) -> tuple[Path, ...]:
    """The EXR files in a folder and the folders in it, in alphabetical order. Raises InputError where there is none."""
    found = tuple(sorted(Path(folder).rglob("*.exr")))
    if not found:
        raise InputError(f"{folder}: no environment map (*.exr) in it; give a folder of HDR panoramas in EXR files")
    return found


@lru_cache(maxsize=16)
def read_map(path: Path) -> np.ndarray | None:
    """An environment map, (H, W, 3) linear radiance, at most MAP_SIZE; None, and a line on stderr, if it is broken."""
    try:
        with OpenEXR.File(str(path)) as file:
            channels = file.channels()
            pixels = channels["RGB" if "RGB" in channels else "RGBA"].pixels[..., :3].astype(np.float32)
    except Exception as error:  # OpenEXR raises RuntimeError, ValueError and its own types
        print(f"{path}: skipped, no readable environment map ({error})", file=sys.stderr)
        return None
    return shrunk(np.clip(np.nan_to_num(pixels, posinf=0), 0, None))


def shrunk(image: np.ndarray) -> np.ndarray:
    """An image (H, W, 3) of at most MAP_SIZE, each pixel the mean of those that it replaces."""
    for axis, most in enumerate(MAP_SIZE):
        if image.shape[axis] > most:
            edges = np.arange(most + 1) * image.shape[axis] // most
            counts = np.diff(edges).reshape([-1 if a == axis else 1 for a in range(3)])
            image = np.add.reduceat(image, edges[:-1], axis) / counts
    return image.astype(np.float32)


def mean_luminance(image: np.ndarray) -> float:
    """Of an environment map (H, W, 3): its mean over the sphere."""
    weights = np.sin((np.arange(len(image)) + 0.5) / len(image) * np.pi)
    return float(np.average((image @ LUMINANCE).mean(1), weights=weights))


def add_map(room: Room, style: Style, folder: str, level: float) -> bool:
    """Adds an environment map of a folder, at a random angle, to a room; returns whether one could be read.

    level: its mean luminance.
    Raises InputError for a folder without maps.
    """
    paths = find_maps(folder)
    for index in style.rng.permutation(len(paths)):
        image = read_map(paths[index])
        if image is not None and mean_luminance(image) > 0:
            image = np.roll(image, int(style.rng.integers(image.shape[1])), 1) * (level / mean_luminance(image))
            room.lights.append({"type": "envmap", "image": image.astype(np.float32)})
            room.sources[paths[index].relative_to(folder).as_posix()] = str(paths[index].absolute())
            return True
    return False


def add_sky(room: Room, style: Style) -> None:
    """A sky of one color, or with clouds; mostly a sun, far away and without size, as scene files have it."""
    # sky
    rng = style.rng
    if style.chance(0.5):
        color = rng.uniform([0.3, 0.5, 0.6], [1.0, 1.0, 1.2]) * rng.uniform(0.3, 1.2) * style.brightness
        room.lights.append({"type": "constant", "radiance": rgb(color)})
    else:
        room.lights.append({"type": "envmap", "image": style.brightness * textures.sky(rng, None)})

    # sun
    if style.chance(0.75):
        azimuth, elevation = rng.uniform(0, 2 * np.pi), rng.uniform(0.25, 1.4)
        flat, down = np.cos(elevation), np.sin(elevation)
        direction = [float(flat * np.sin(azimuth)), float(-down), float(flat * np.cos(azimuth))]
        color = rng.uniform([0.9, 0.75, 0.5], [1.0, 1.0, 1.0]) * 10 ** rng.uniform(-0.2, 1) * style.brightness
        sun = {"type": "directional", "direction": direction}
        room.lights.append(sun | {"irradiance": rgb(color)})


def add_view(room: Room, style: Style, turn: float, folder: str | None) -> None:
    """What is seen through windows: an environment map of a folder, or procedural daylight.

    turn: see add_daylight.
    Raises InputError as add_map.
    """
    level = style.brightness * 10 ** style.rng.uniform(-0.3, 0.5)
    if not (folder and style.chance(0.5) and add_map(room, style, folder, level)):
        add_daylight(room, style, turn, lambda: rgb(style.rng.uniform([0.05, 0.08, 0.03], [0.4, 0.4, 0.35])))


def add_daylight(room: Room, style: Style, turn: float, ground: Callable[[], dict]) -> None:
    """A sky, mostly with a sun, over a ground.

    turn: see rooms.floor.wall_frames, of the wall through which the sun shines.
    ground: draws its color.
    """
    sun = ((style.rng.uniform(-0.9, 0.9) - turn) % (2 * np.pi), style.rng.uniform(0.25, 0.95))
    sky = textures.sky(style.rng, sun if style.chance(0.7) else None)
    room.lights.append({"type": "envmap", "image": style.brightness * sky})
    room.shapes.append(box((-60, -3.2, -60), (60, -3, 60), style.matt(ground())))
