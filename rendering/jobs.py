"""What one frame's rendering is: its parameters, its seeds, and the folders that it leaves behind.

Nothing here knows the renderer. A sequence's folder holds `sequence.json`, which says how its frames are made, and
`frame-0000` ...; a frame's folder appears under its name only when all its files are in it.
"""

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from files import InputError, whole_file
from rendering.cameras import Camera, as_json


@dataclass(frozen=True)
class Settings:
    """What the pixels of a sequence depend on besides scene and cameras; `sequence.json` records all of it.

    Samples are per pixel; max_depth: None leaves the scene's integrator as it is; mitsuba: its version.
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
    """One frame. folder: the sequence's; source: what the scene is, see render.load_scene; before: None in frame 0."""

    folder: str
    source: tuple
    frame: int
    camera: Camera
    before: Camera | None
    settings: Settings

    @property
    def frame_folder(self) -> Path:
        """Where the frame goes."""
        return Path(self.folder) / f"frame-{self.frame:04d}"

    def is_done(self) -> bool:
        """Whether every file of the frame is there."""
        return all((self.frame_folder / name).is_file() for name in self.settings.files)

    def seed(self, rendering: str, part: int = 0) -> int:
        """The 32-bit seed of one rendering of this frame: of (seed, sequence, frame, rendering, part) and no other.

        rendering: noisy-0, noisy-1 ..., target, aux, aux-rest; part: of a rendering that is made in several calls.
        """
        text = f"{self.settings.seed}/{Path(self.folder).name}/{self.frame}/{rendering}/{part}"
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "little")


def remove_leftovers(folder: Path) -> None:
    """Removes what a killed rendering left in a sequence's folder: the temporary folders of frames."""
    for leftover in folder.glob(".frame-*"):
        shutil.rmtree(leftover, ignore_errors=True)


def read_record(folder: Path) -> dict | None:
    """The `sequence.json` of a folder, or None where there is none; raises InputError where it is damaged."""
    path = folder / "sequence.json"
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text())
        return record | {"cameras": list(record["cameras"])}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: damaged ({error!r}); delete {folder} to render it anew") from error


def open_sequence(folder: Path, source: tuple, cameras: list[Camera], settings: Settings) -> list[Job]:
    """The frames of a sequence that are not there yet; writes `sequence.json` first.

    Raises InputError where the folder was made with other parameters, naming those, or holds frames of unknown
    origin; OSError where it cannot be written. More frames than before continue the sequence.
    """
    record = {"scene": folder.name, "source": list(source), **asdict(settings), "frames": len(cameras)}
    record = json.loads(json.dumps(record | {"cameras": [as_json(camera) for camera in cameras]}))
    found = read_record(folder)
    if found is None and folder.is_dir() and any(folder.glob("frame-*")):
        raise InputError(f"{folder}: has frames that render.py did not make (no sequence.json); choose another folder")
    if found is not None:
        check_same(folder, found, record)
    if found != record:
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(folder / "sequence.json") as temporary:
            temporary.write_text(json.dumps(record, indent=1) + "\n")
    remove_leftovers(folder)
    befores = [None, *cameras[:-1]]
    pairs = enumerate(zip(cameras, befores, strict=True))
    jobs = [Job(str(folder), source, number, camera, before, settings) for number, (camera, before) in pairs]
    return [job for job in jobs if not job.is_done()]


def check_same(folder: Path, found: dict, asked: dict) -> None:
    """Raises InputError unless the asked sequence is the found one, or longer than it."""
    kept = min(len(found["cameras"]), len(asked["cameras"]))
    differing = []
    for name in sorted((found.keys() | asked.keys()) - {"cameras", "frames"}):
        if found.get(name) != asked.get(name):
            differing.append(f"{name} {json.dumps(found.get(name))} there, {json.dumps(asked.get(name))} asked for")
    if len(found["cameras"]) > len(asked["cameras"]):
        differing.append(f"frames {len(found['cameras'])} there, {len(asked['cameras'])} asked for")
    if found["cameras"][:kept] != asked["cameras"][:kept]:
        differing.append("the camera path")
    if differing:
        raise InputError(
            f"{folder}: rendered with other parameters ({'; '.join(differing)}); "
            "ask for the same, or choose another folder, or delete this one"
        )
