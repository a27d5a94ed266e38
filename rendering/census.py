"""Counts what is in rendered scenes, from their files, and names the artists whose models are in them.

python -m rendering.census DATASET/train
python -m rendering.census DATASET/train --credits MODELS > CREDITS.md
"""

import argparse
import json
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

from files import InputError
from frames.exr import read_exr
from rendering.jobs import Settings
from rooms.models import FORMATS, find_models

DRAWN = ("spp", "pixel_filter", "guides", "unit")  # settings whose values are counted
DEFAULTS = {name: field.default for name, field in Settings.__dataclass_fields__.items()}  # which records leave out


def read_records(folder: Path) -> dict[str, dict]:
    """The `sequence.json` of every finished scene in a folder, by the scene's name.

    Raises InputError where there is none.
    """
    records = {}
    for path in sorted(folder.glob("*/sequence.json")):
        record = json.loads(path.read_text())
        if all((path.parent / f"frame-{n:04d}" / "target.exr").is_file() for n in range(record["frames"])):
            records[path.parent.name] = record
    if not records:
        raise InputError(f"{folder}: no finished scene of render.py; give a folder such as DATASET/train")
    return records


def models_in(records: dict[str, dict], key: str) -> Counter:
    """In how many scenes each model is. key: content, wherever it stands there; visible, if it is in view."""
    names = (name for record in records.values() for name in record.get(key, ()))
    return Counter(name for name in names if name.lower().endswith(FORMATS))


def picture_speed(folder: Path, frames: int) -> float:
    """The median length of the motion in the middle frame of a scene, in pixels a frame; as it was rendered."""
    motion = read_exr(folder / f"frame-{frames // 2:04d}" / "target.exr", ("motion",))["motion"]
    return float(np.median(np.hypot(*motion)))


def report(folder: Path) -> str:
    """The counts, a line each. Raises InputError as read_records."""
    records = read_records(folder)
    settings = [DEFAULTS | record for record in records.values()]
    lines = [f"scenes: {len(records)}, of {sum(record['frames'] for record in records.values())} frames in all"]

    def count(name: str, values) -> None:
        lines.append(f"{name}: " + ", ".join(f"{value} {n}" for value, n in sorted(Counter(values).items())))

    # what was drawn
    count("kind", (record["source"][0] for record in settings))
    for name in DRAWN:
        count(name, (record[name] for record in settings))
    lines.append(f"depth of field: {sum(record['lens'] > 0 for record in settings)}")
    lines.append(f"motion blur: {sum(record['shutter'] > 0 for record in settings)}")

    # what can be seen
    used, seen = models_in(records, "content"), models_in(records, "visible")
    lines.append(f"models: {len(used)} in the scenes, {len(seen)} in view")
    moving = sum(record.get("moving", 0) > 0 for record in settings)
    lines.append(f"scenes in which something moves by itself: {moving} ({moving / len(records):.0%})")
    speeds = [picture_speed(folder / name, record["frames"]) for name, record in records.items()]
    shown = ", ".join(f"{speed:.2g}" for speed in np.percentile(speeds, [5, 25, 50, 75, 95]))
    return "\n".join([*lines, f"pixels a frame in the 5th, 25th, 50th, 75th and 95th of 100 scenes: {shown}"])


def credits(folder: Path, models: Path) -> str:
    """The creators of the models that are in the scenes, by license, as Markdown.

    Raises InputError where a folder cannot be used.
    """
    used = models_in(read_records(folder), "content")
    by = defaultdict(list)
    for model in find_models(str(models)):
        if model.path in used:
            by[model.license or "license unknown", model.creator or "creator unknown"].append(model.name or model.path)
    lines, license = [], None
    for (found, creator), names in sorted(by.items()):
        lines += [f"\n## {found}\n"] if found != license else []
        license = found
        lines.append(f"- {creator}: {', '.join(sorted(set(names)))}")
    return "\n".join(lines).strip()


def main() -> None:
    """The command line. Folders that cannot be used end it with one clear line."""
    parser = argparse.ArgumentParser(
        prog="python -m rendering.census", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="a folder of scenes, such as DATASET/train")
    parser.add_argument("--credits", type=Path, metavar="MODELS", help="name the creators of its models instead")
    options = parser.parse_args()
    try:
        print(credits(options.folder, options.credits) if options.credits else report(options.folder))
    except (InputError, OSError) as error:
        sys.exit(f"census: {error}")


if __name__ == "__main__":
    main()
