"""Finds the shots in a folder of numbered EXR frames, as renderers write them: shot_0001.exr, shot_0002.exr ..."""

import os
import re
from collections import defaultdict
from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path

from files import InputError
from frames.sequences import FRAME_NAME, holds_scenes, is_scene

FRAME_FILE = re.compile(r"(.*?)(\d+)(\D*)\.exr", re.IGNORECASE)  # the last digits are the frame's number
BEFORE_MINUS = ("", ".", "_", " ")  # ends of what precedes a minus that belongs to the number; else it separates


@dataclass(frozen=True)
class Shot:
    """Successive frames of one shot. name: what precedes the numbers, and `*` and what follows them, if anything."""

    name: str
    files: tuple[Path, ...]

    @property
    def label(self) -> str:
        """First and last file, for messages."""
        return f"{self.files[0].name} to {self.files[-1].name}"


def holds_shots(path: Path) -> bool:
    """Whether `path` is an EXR file, or a folder of numbered ones, and no dataset, scene or frame of one."""
    if path.is_file():
        return path.suffix.lower() == ".exr"
    if not path.is_dir() or FRAME_NAME.fullmatch(path.resolve().name):
        return False
    return not is_scene(path) and not holds_scenes(path) and bool(frame_files(path))


def frame_files(folder: Path) -> list[tuple[str, int, Path]]:
    """Name, number and path of every numbered EXR file, by name and number. Hidden files do not count.

    Files whose number is not last (`shot_0001_L.exr`) count only where all are of that kind: beside others, they are
    masks, thumbnails and the like. Raises InputError for a link to a file that is not there.
    """
    # split names at their number
    found = []
    for entry in os.scandir(folder):
        match = FRAME_FILE.fullmatch(entry.name)
        if not match or entry.name.startswith(".") or entry.is_dir():
            continue
        if not entry.is_file():
            raise InputError(
                f"{entry.path}: a link to {os.readlink(entry.path)}, which is not there; restore that file"
            )
        name, digits, rest = match.groups()
        negative = name.endswith("-") and name[-2:-1] in BEFORE_MINUS
        number = -int(digits) if negative else int(digits)
        found.append((name[:-1] if negative else name, rest, number, folder / entry.name))

    # those whose number is last, if there are any
    if any(not rest for _, rest, *_ in found):
        found = [file for file in found if not file[1]]
    return sorted((f"{name}*{rest}" if rest else name, number, path) for name, rest, number, path in found)


def find_shots(path: Path) -> tuple[list[Shot], list[str]]:
    """The shots of a folder, or of one file, and notes on what was skipped or split.

    Files whose names differ only in their number are one shot; the padding may vary. A gap in the numbers splits a
    shot. Where three or more frames are all 2 or more numbers apart, that is the shot's step and not a gap. Raises
    InputError if two files have one number, or a file is a broken link.
    """
    if path.is_file():
        return [Shot(path.stem, (path,))], []
    named = defaultdict(list)
    files = frame_files(path)
    for name, number, file in files:
        named[name].append((number, file))

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
            notes.append(f"{path / name}*: frames are {step} numbers apart; taken as successive")
        places = [number - step * index for index, (number, _) in enumerate(frames)]
        runs = [tuple(p for _, (_, p) in run) for _, run in groupby(zip(places, frames, strict=True), itemgetter(0))]
        for before, after in pairwise(runs):
            notes.append(f"{path}: gap between {before[-1].name} and {after[0].name}; the second starts anew")
        shots += [Shot(name, run) for run in runs]

    known = {file for *_, file in files}
    others = sorted(p.name for p in path.glob("[!.]*") if p.suffix.lower() == ".exr" and p not in known)
    notes += [f"{path / name}: skipped, its name does not end in a number" for name in others]
    return shots, notes
