"""The work of a run, without the renderer: what a frame is rendered from, its seeds, and which frames are missing.

A sequence's folder holds `sequence.json`, which records how its frames are made, and `frame-0000` ...; a frame's folder
appears under its name only when all its files are in it.
"""

import hashlib
import json
import os
import shutil
import socket
import time
from dataclasses import dataclass, fields
from pathlib import Path

from files import InputError, atomic_file
from rendering.cameras import Camera, as_json, key_frame
from rooms.stock import Stock

SHOWN = 3  # changed files that a message names
ABANDONED = 24 * 3600  # seconds, after which another machine's temporary folder is taken for a leftover


@dataclass(frozen=True)
class FileSource:
    """A scene file. path: absolute; camera: path of the camera file, None for a loop around the scene's own camera.

    speed, start: as --speed and --start.
    """

    path: str
    camera: str | None = None
    speed: float = 1.0
    start: float = 0.0

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.path

    def as_list(self) -> list:
        """What `sequence.json` records of it."""
        return ["file", self.path, self.camera, self.speed, self.start]


@dataclass(frozen=True)
class RoomSource:
    """A procedural scene, which these determine (see rooms.kinds.build); kind: a key of rooms.kinds.KINDS.

    stock: models and environment maps to furnish it with, None for the grammar's own things.
    """

    seed: int
    split: str
    number: int
    kind: str = "room"
    stock: Stock | None = None

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.kind} {self.number} of seed {self.seed}, {self.split}"

    def as_list(self) -> list:
        """What `sequence.json` records of it; the stock is in the scene's digests."""
        return [self.kind, self.seed, self.split, self.number]


Source = FileSource | RoomSource


@dataclass(frozen=True)
class Plan:
    """What a sequence shows. content: see rendering.content.content; planning: rendering.content.planning_key.

    moving: the number of things that move by themselves; visible: the models that are in view.
    """

    content: dict[str, str]
    planning: str
    cameras: list[Camera]
    moving: int = 0
    visible: tuple[str, ...] = ()


UNITS = {"m": 1.0, "cm": 100.0, "inch": 39.3701}  # of procedural scenes: how many make a meter


@dataclass(frozen=True)
class Settings:
    """What the pixels of a sequence depend on besides scene and cameras; `sequence.json` records all of it.

    Names are those of render.py's options. Samples are per pixel; max_depth: None for the scene's own; mitsuba: its
    version. pixel_filter: a key of rendering.exposures.FILTERS; guides: clean or own; lens: the diameter in pixels of
    the circle of confusion at infinity; shutter: how long it is open, in frames; speed_range: median speed of the
    picture in pixels a frame, None for the camera's own; unit: a key of UNITS, of depth.
    """

    width: int
    height: int
    spp: int
    target_spp: int
    aux_spp: int
    noisy: int
    max_depth: int | None
    denoise_target: bool
    seed: int
    variant: str
    mitsuba: str
    pixel_filter: str = "box"
    guides: str = "clean"
    lens: float = 0.0
    shutter: float = 0.0
    speed_range: float | None = None
    unit: str = "m"

    def as_record(self) -> dict:
        """All settings by name; those that the first records do not have are left out at their defaults."""
        return {f.name: v for f in fields(self) if (v := getattr(self, f.name)) != f.default}

    @property
    def samples(self) -> int:
        """Paths traced for one frame."""
        return self.width * self.height * (self.noisy * self.spp + self.target_spp)

    @property
    def files(self) -> list[str]:
        """The names of a frame's files."""
        return [f"noisy-{k}.exr" for k in range(self.noisy)] + ["target.exr"]


@dataclass(frozen=True)
class Job:
    """One frame to render. folder: the sequence's; before, after: the neighboring frames' cameras, None at the ends."""

    folder: str
    source: Source
    frame: int
    camera: Camera
    before: Camera | None
    settings: Settings
    after: Camera | None = None

    @property
    def frame_folder(self) -> Path:
        """The folder of the frame's files."""
        return Path(self.folder) / f"frame-{self.frame:04d}"

    def is_done(self) -> bool:
        """Whether every file of the frame is there."""
        return all((self.frame_folder / name).is_file() for name in self.settings.files)

    def seed(self, rendering: str, part: int = 0) -> int:
        """The 32-bit seed of one rendering of this frame; no other rendering of any frame has it, but for chance.

        rendering: noisy-0, noisy-1 ..., target, aux, aux-rest; part: which of the passes that it takes.
        """
        text = f"{self.settings.seed}/{Path(self.folder).name}/{self.frame}/{rendering}/{part}"
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "little")


def remove_leftovers(folder: Path) -> None:
    """Removes the temporary folders that killed processes left in a sequence's folder.

    Those of other running processes stay: a second run of the same command may be at work. Processes of
    other machines cannot be checked, so their folders go after a day.
    """
    for leftover in folder.glob(".frame-*"):
        host, _, process = leftover.name.partition("-")[2].partition("-")[2].rpartition("-")
        try:
            if host == socket.gethostname():
                os.kill(int(process), 0)  # raises if there is no such process
                continue
            if time.time() - leftover.stat().st_mtime < ABANDONED:
                continue
        except PermissionError:
            continue  # it runs, as another user
        except (OSError, ValueError):
            pass
        shutil.rmtree(leftover, ignore_errors=True)


def read_record(folder: Path) -> dict | None:
    """The `sequence.json` of a folder, None where there is none, with a Camera for each of its cameras.

    Raises InputError where it is damaged.
    """
    path = folder / "sequence.json"
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text())
        kept = {"variant": str(record["variant"]), "source": list(record["source"])}
        kept |= {"content": dict(record.get("content", {}))}
        return record | kept | {"cameras": [key_frame(values, "a camera") for values in record["cameras"]]}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: damaged ({error!r}); delete {folder} to render it again") from error


def open_sequence(folder: Path, source: Source, planned: Plan, settings: Settings) -> list[Job]:
    """The frames of a sequence that are missing. Writes `sequence.json`; more frames than before extend the sequence.

    Raises InputError where the folder was rendered with other parameters, naming them, or holds frames of unknown
    origin; OSError where it cannot be written.
    """
    # what is asked for and what is there
    cameras = planned.cameras
    record = {"scene": folder.name, "source": source.as_list(), **settings.as_record()}
    record |= {"content": planned.content, "planning": planned.planning, "frames": len(cameras), "cameras": cameras}
    record |= {"moving": planned.moving} if planned.moving else {}
    record |= {"visible": list(planned.visible)} if planned.visible else {}
    found = read_record(folder)
    if found is None and folder.is_dir() and any(folder.glob("frame-*")):
        raise InputError(f"{folder}: has frames that render.py did not make (no sequence.json); choose another folder")
    if found is not None:
        check_same(folder, found, record)

    # the record, before the first frame
    if found != record:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_file(folder / "sequence.json") as temporary:
            temporary.write_text(json.dumps(record | {"cameras": [as_json(c) for c in cameras]}, indent=1) + "\n")

    # missing frames
    remove_leftovers(folder)
    around = zip(cameras, [None, *cameras[:-1]], [*cameras[1:], None], strict=True)
    jobs = [
        Job(str(folder), source, n, camera, before, settings, after) for n, (camera, before, after) in enumerate(around)
    ]
    return [job for job in jobs if not job.is_done()]


def check_same(folder: Path, found: dict, asked: dict) -> None:
    """Raises InputError, naming what differs, unless the sequence asked for is the one found, or extends it."""
    # content
    kept = min(len(found["cameras"]), len(asked["cameras"]))
    differing = []
    if found["content"]:  # older versions recorded none; digests decide rather than paths, since a scene may have moved
        changed = sorted(dict(found["content"].items() ^ asked["content"].items()))
        differing += [f"{name} has changed since" for name in changed[:SHOWN]]
        differing += [f"{len(changed) - SHOWN} more files as well"] if len(changed) > SHOWN else []
        found, asked = without_paths(found), without_paths(asked)

    # settings, frames, cameras
    for name in sorted((found.keys() | asked.keys()) - {"cameras", "frames", "content", "planning", "visible"}):
        if found.get(name) != asked.get(name):
            differing.append(f"{name} {json.dumps(found.get(name))} there, {json.dumps(asked.get(name))} asked for")
    if len(found["cameras"]) > len(asked["cameras"]):
        differing.append(f"frames {len(found['cameras'])} there, {len(asked['cameras'])} asked for")
    if found["cameras"][:kept] != asked["cameras"][:kept]:
        differing.append("the camera path")
    if differing:
        raise InputError(
            f"{folder}: rendered with other parameters ({'; '.join(differing)}); "
            "use the same, choose another folder, or delete this one"
        )


def without_paths(record: dict) -> dict:
    """A record without the paths of its scene file and camera file."""
    kind, *values = record["source"]
    return record | {"source": [kind, *values[2:]]} if kind == "file" else record
