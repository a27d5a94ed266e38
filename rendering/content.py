"""What a sequence is made from, by content: an edited scene is noticed, a moved one is continued.

Digests are the first 16 hexadecimal digits of a SHA-256.
"""

import hashlib
import os
from dataclasses import asdict, is_dataclass, replace
from functools import lru_cache
from pathlib import Path
from xml.etree import ElementTree

import mitsuba as mi
import numpy as np

from files import InputError
from rendering.jobs import FileSource, RoomSource, Settings, Source
from rooms.kinds import build
from rooms.meshes import Mesh
from rooms.models import find_models
from rooms.room import scene_dictionary
from rooms.stock import Stock

ROOT = Path(__file__).resolve().parent.parent
# What rooms and camera paths depend on.
PLANNERS = ("rooms/*.py", *(f"rendering/{name}.py" for name in ("planning", "paths", "shots", "cameras")))


def digest(*parts: bytes) -> str:
    """Of all parts, one after the other."""
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]


def content(source: Source) -> dict[str, str]:
    """Digests of all that a source is rendered from, by the name that messages call it.

    For a scene file: the file and all that it refers to, by the names that it uses for them. For a room: its scene
    dictionary, and the models and environment maps in it. Raises InputError where a file cannot be read.
    """
    if isinstance(source, RoomSource):
        room, _ = build(source.seed, source.split, source.number, source.kind, source.stock)
        files = {name: file_digest(Path(path)) for name, path in sorted(room.sources.items())}
        return {f"the {source.kind} of this seed": digest(words(scene_dictionary(room)).encode())} | files
    return {name: file_digest(path) for name, path in sorted(scene_files(Path(source.path)).items())}


def planning_key(source: Source, settings: Settings) -> str:
    """A digest that changes where another camera path, or another room, might be planned for the same source.

    It covers the camera file with --speed and --start, the settings that paths depend on, the models that there are,
    the code that plans, and NumPy, whose random numbers may change with its version.
    """
    parts = [code_digest(), str((settings.width, settings.height, settings.lens, settings.speed_range))]
    if isinstance(source, FileSource):
        parts += [str(source.speed), str(source.start), file_digest(Path(source.camera)) if source.camera else "loop"]
    elif source.stock is not None:
        parts += [repr(replace(source.stock, assets="", environments=None)), *stock_files(source.stock)]
    return digest(" ".join(parts).encode())


@lru_cache(maxsize=1)
def stock_files(stock: Stock) -> list[str]:
    """Name and size of every file of a stock, in order. Raises InputError where its folders cannot be used."""
    names = [
        f"{model.path} {model.role} {os.path.getsize(Path(stock.assets, model.path))}"
        for model in find_models(stock.assets, stock.licenses)
    ]
    maps = sorted(Path(stock.environments).rglob("*")) if stock.environments else []
    return names + [f"{path.name} {path.stat().st_size}" for path in maps if path.is_file()]


@lru_cache(maxsize=1)
def code_digest() -> str:
    """A digest of the code that plans, and of NumPy's version."""
    return digest(np.__version__.encode(), *(p.read_bytes() for glob in PLANNERS for p in sorted(ROOT.glob(glob))))


def file_digest(path: Path) -> str:
    """The digest of a file. Raises InputError where it cannot be read."""
    try:
        return digest(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}), and frames depend on it; restore it") from error


def scene_files(scene: Path) -> dict[str, Path]:
    """The scene file and the files that it refers to, includes and what these refer to among them.

    By the name that the scene uses, which for relative names does not change when the scene moves. Raises InputError
    where Mitsuba cannot parse it.
    """
    # as Mitsuba reads it: with includes, defaults, and the folders that <path> adds
    before = mi.file_resolver()
    resolver = mi.FileResolver(before)
    resolver.prepend(str(scene.parent))
    mi.set_file_resolver(resolver)
    try:
        parsed = mi.parser.parse_file(mi.parser.ParserConfig("scalar_rgb"), str(scene))
    except Exception as error:  # RuntimeError, and others from the parser
        raise InputError(
            f"{scene}: Mitsuba {mi.__version__} cannot load it ({error}); correct the scene file"
        ) from error
    finally:
        mi.set_file_resolver(before)

    # every text in it that names a file; spectra are read while parsing
    properties = [(node.props, key) for node in parsed.nodes for key in node.props]
    names = [props[key] for props, key in properties if props.type(key) == props.Type.String]
    files = {Path(str(path)) for path in parsed.files}
    names += [e.get("filename") for path in files for e in ElementTree.parse(path).iter("spectrum")]
    found = {name: Path(str(resolver.resolve(name))) for name in names if name}
    own = {os.path.relpath(path, scene.parent): path for path in files}
    return own | {name: path for name, path in found.items() if path.is_file()}


def words(value) -> str:
    """A scene dictionary in words and rounded numbers, which do not depend on the processor.

    Of large arrays, such as images and the vertices of meshes, only their means, plain and weighted by place.
    """
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {words(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Mesh):
        return words([value.vertices, value.faces, value.uv])
    if is_dataclass(value):  # of rooms.moving
        return type(value).__name__ + words(asdict(value))
    if isinstance(value, np.ndarray) and value.size > 16:
        flat = value.ravel().astype(float)
        return f"{value.shape} {flat.mean():.4f} {np.average(flat, weights=np.arange(flat.size)):.4f}"
    if isinstance(value, np.ndarray | list | tuple):
        return "[" + " ".join(words(item) for item in value) + "]"
    return f"{round(value, 6) + 0.0:.6f}" if isinstance(value, float) else str(value)
