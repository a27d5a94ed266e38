"""Artists' models for procedural rooms: which there are, what each is for, and which split it belongs to.

A folder of models may have a `catalogue.tsv`; its columns are those of CATALOGUE_COLUMNS, of which only `obj` has to be
there. Without one, every model file below the folder counts, and its names say what it is. See docs/assets.md.
"""

import csv
import hashlib
import os
import re
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from files import InputError
from rooms.roles import LAMP_HEIGHT, ROLES, role_of

CATALOGUE = "catalogue.tsv"
CATALOGUE_COLUMNS = ("obj", "name", "category", "licence", "creator", "width_cm", "depth_cm", "height_cm")
CATALOGUE_COLUMNS += ("elevation_cm", "door_or_window", "model_rotation")
FORMATS = (".obj", ".gltf", ".glb", ".ply")


@dataclass(frozen=True)
class Model:
    """A model file, and what is known about it.

    path: relative to folder, with forward slashes. role: a key of rooms.roles.ROLES. creator, license: "" where
    unknown. size: (W, H, D) in meters, None where unknown. elevation: of its lower side above the floor, in meters.
    rotation: 9 numbers, a 3x3 matrix by rows that turns the file's axes so that y is up and it faces +z; () for none.
    """

    folder: str
    path: str
    name: str
    role: str
    creator: str = ""
    license: str = ""
    size: tuple[float, float, float] | None = None
    elevation: float = 0.0
    rotation: tuple[float, ...] = ()


@lru_cache(maxsize=8)
def find_models(folder: str, licenses: tuple[str, ...] = ()) -> tuple[Model, ...]:
    """The models in a folder, by path; licenses: as the catalogue writes them, empty for any.

    Raises InputError where there is no folder, no model or none with these licenses, or an unusable catalogue.
    """
    # all models
    if not os.path.isdir(folder):
        raise InputError(f"{folder}: no such folder; give one with models (docs/assets.md says where to get some)")
    catalogue = Path(folder) / CATALOGUE
    models = read_catalogue(folder, catalogue) if catalogue.is_file() else read_folder(folder)
    if not models:
        raise InputError(f"{folder}: no model; expected {', '.join(FORMATS)} files (see docs/assets.md)")

    # of these licenses
    chosen = [model for model in models if not licenses or model.license in licenses]
    if not chosen:
        there = ", ".join(sorted({model.license or "(none)" for model in models}))
        raise InputError(f"{folder}: no model has the license {' or '.join(licenses)}; give some of {there}")
    return tuple(sorted(chosen, key=lambda model: model.path))


def read_folder(folder: str) -> list[Model]:
    """Every model file below a folder; hidden files and folders, and links to folders, are left out."""
    models = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if name.lower().endswith(FORMATS) and not name.startswith("."):
                path = Path(place, name).relative_to(folder)
                role = role_of(path.stem, *reversed(path.parts[:-1]))
                models.append(Model(folder, path.as_posix(), path.stem, role))
    return models


def read_catalogue(folder: str, catalogue: Path) -> list[Model]:
    """The models of a catalogue; those whose file is missing or lies outside the folder are named and left out."""
    # rows
    try:
        with catalogue.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            columns, rows = reader.fieldnames or [], list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{catalogue}: cannot be read as tab-separated UTF-8 text ({error}); save it as such"
        ) from error
    if "obj" not in columns:
        found = ", ".join(columns) or "none"
        raise InputError(f"{catalogue}: needs a column `obj`, the path of each model; its columns are {found}; add it")

    # models
    models, root = {}, Path(folder).resolve()
    for number, row in enumerate(rows, 2):
        model = from_row(folder, {key: (row.get(key) or "").strip() for key in CATALOGUE_COLUMNS})
        path = (root / model.path).resolve()
        if not path.is_relative_to(root):
            print(f"{catalogue}, line {number}: {model.path} lies outside the folder; left out", file=sys.stderr)
        elif not path.is_file() or path.suffix.lower() not in FORMATS:
            print(f"{catalogue}, line {number}: {model.path} is no model file; left out", file=sys.stderr)
        else:
            models[model.path] = model  # of the same file twice, the last counts
    return list(models.values())


def from_row(folder: str, row: dict[str, str]) -> Model:
    """The model of one row of a catalogue. Numbers that are missing or unusable count as unknown."""
    # numbers
    width, height, depth = (numbers(row[f"{side}_cm"], 1) for side in ("width", "height", "depth"))
    size = None
    if width and height and depth and min(width + height + depth) > 0:
        size = (width[0] / 100, height[0] / 100, depth[0] / 100)
    elevation = sum(numbers(row["elevation_cm"], 1)) / 100

    # what it is
    path = re.sub(r"/+", "/", row["obj"].replace("\\", "/"))
    parts = Path(path).parts
    stem = Path(path).stem
    role = role_of(row["name"], stem, *reversed(parts[:-1]), row["category"])
    if row["door_or_window"].lower() == "true" and role not in ("door", "window"):
        role = "window" if elevation > 0.2 else "door"
    if role == "lamp-table" and size and size[1] > LAMP_HEIGHT:  # a name may be no more than "lamp"
        role = "lamp-floor"
    if role in ("lamp-table", "lamp-floor") and elevation > 1.2:
        role = "lamp-ceiling"
    if role == "plant" and size and size[1] > ROLES["plant"].high:
        role = "outdoor"
    known = row["name"] or stem, role, row["creator"], row["licence"]
    return Model(folder, path, *known, size, elevation, numbers(row["model_rotation"], 9))


def numbers(text: str, count: int) -> tuple[float, ...]:
    """`count` finite numbers from a text; () if it does not have as many."""
    try:
        values = tuple(float(word) for word in text.split())
    except ValueError:
        return ()
    return values if len(values) == count and all(abs(value) < 1e6 for value in values) else ()


def split_of(model: Model) -> str:
    """The split of a model, "train", "val" or "test", about 80, 10 and 10 percent: by a hash of its path alone.

    So no model that a network was trained on is in any room that it is judged by.
    """
    share = int.from_bytes(hashlib.sha256(model.path.encode()).digest()[:4], "big") / 2**32
    return "train" if share < 0.8 else "val" if share < 0.9 else "test"


def choose(models: tuple[Model, ...] | list[Model], split: str, role: str) -> list[Model]:
    """The models of one split and role, in order."""
    return [model for model in models if model.role == role and split_of(model) == split]
