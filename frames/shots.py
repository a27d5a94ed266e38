"""Finds the shots in a folder of numbered EXR frames, as renderers write them: shot_0001.exr, shot_0002.exr ..."""

import re
from collections import defaultdict
from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path

from files import InputError
from frames.sequences import FRAME_NAME, is_scene

FRAME_FILE = re.compile(r"(.*?)(\d+)\.exr", re.IGNORECASE)  # the last digits are the frame's number


@dataclass(frozen=True)
class Shot:
    """Successive frames of one shot. name: what precedes the numbers."""

    name: str
    files: tuple[Path, ...]

    @property
    def label(self) -> str:
        """First and last file, for messages."""
        return f"{self.files[0].name} to {self.files[-1].name}"


def holds_shots(path: Path) -> bool:
    """Whether `path` is a folder of numbered EXR frames, and not a dataset, a scene or a frame of one."""
    if not path.is_dir() or FRAME_NAME.fullmatch(path.resolve().name):
        return False
    return not is_scene(path) and not (path / "test").is_dir() and bool(frame_files(path))


def frame_files(folder: Path) -> list[tuple[str, int, Path]]:
    """Name, number and path of every numbered EXR file, by name and number. Hidden files do not count."""
    found = []
    for path in folder.iterdir():
        match = FRAME_FILE.fullmatch(path.name)
        if match and not path.name.startswith(".") and path.is_file():
            found.append((match.group(1), int(match.group(2)), path))
    return sorted(found)


def find_shots(folder: Path) -> tuple[list[Shot], list[str]]:
    """The shots of a folder, and notes on what was skipped or split.

    Files whose names differ only in their number are one shot; the padding may vary. A gap in the numbers splits a
    shot. Where three or more frames are all 2 or more numbers apart, that is the shot's step and not a gap. Raises
    InputError if two files have one number.
    """
    named = defaultdict(list)
    files = frame_files(folder)
    for name, number, path in files:
        named[name].append((number, path))

    shots, notes = [], []
    for name, frames in named.items():
        # one file per number
        gaps = [after[0] - before[0] for before, after in pairwise(frames)]
        if 0 in gaps:
            first, second = frames[gaps.index(0)][1], frames[gaps.index(0) + 1][1]
            raise InputError(f"{first} and {second.name} are both frame {frames[gaps.index(0)][0]}; keep one of them")
        # split at gaps
        step = min(gaps) if len(frames) > 2 else 1
        if step > 1:
            notes.append(f"{folder / name}*: frames are {step} numbers apart; taken as successive")
        places = [number - step * index for index, (number, _) in enumerate(frames)]
        runs = [tuple(p for _, (_, p) in run) for _, run in groupby(zip(places, frames, strict=True), itemgetter(0))]
        for before, after in pairwise(runs):
            notes.append(f"{folder}: gap between {before[-1].name} and {after[0].name}; the second starts anew")
        shots += [Shot(name, run) for run in runs]

    known = {path for *_, path in files}
    others = sorted(p.name for p in folder.glob("[!.]*") if p.suffix.lower() == ".exr" and p not in known)
    notes += [f"{folder / name}: skipped, its name does not end in a number" for name in others]
    return shots, notes
