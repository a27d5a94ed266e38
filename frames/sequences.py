"""Finds the sequences of a dataset, checks their files, and splits them into training and validation.

A dataset is `DATASET/{train,val,test}/<Scene>/frame-0000/{target.exr, noisy-0.exr, noisy-1.exr ...}`; `val` is
optional. Only file names and EXR headers are read, no pixels. Notes: one line for the user per skipped item.
"""

import gc
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby, islice, pairwise
from pathlib import Path

from files import InputError
from frames.channels import PLAIN_INPUTS, require_channels
from frames.exr import Header, has_quantity, read_headers

FRAME_NAME = re.compile(r"frame-(\d+)")
NOISY_NAME = re.compile(r"noisy-(\d+)\.exr")
DATASET_PARTS = ("train", "val", "test")
EXPECTED_FOLDERS = "<Scene>/frame-0000/{target.exr, noisy-0.exr ...}"


@dataclass(frozen=True)
class Frame:
    """One frame: its folder, its noisy files in order of their numbers, and its target, if there is one."""

    folder: Path
    noisy: tuple[Path, ...]
    target: Path | None

    @property
    def number(self) -> int:
        """The frame number in the folder's name."""
        return frame_number(self.folder)

    @property
    def files(self) -> tuple[Path, ...]:
        """All EXR files of the frame."""
        return (*self.noisy, self.target) if self.target else self.noisy


@dataclass(frozen=True)
class Sequence:
    """Consecutive frames of one scene, all of `size` (H, W). albedo: whether every noisy file has it."""

    scene: str
    frames: tuple[Frame, ...]
    size: tuple[int, int] = (0, 0)
    albedo: bool = False

    @property
    def label(self) -> str:
        """Scene, first and last frame, for messages."""
        return f"{self.scene} ({self.frames[0].folder.name} to {self.frames[-1].folder.name})"


def find_sequences(
    folder: Path, need_target: bool, inputs: tuple[str, ...] = PLAIN_INPUTS
) -> tuple[list[Sequence], list[str]]:
    """The sequences of every scene in `folder`, and notes on what was skipped.

    A frame without noisy files is skipped, and with `need_target` also a frame without a target. A missing or skipped
    frame splits a sequence. Raises InputError if no usable frame is left, the files of a sequence differ in their data
    window, or a file is not an EXR file or lacks a channel of `inputs`.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected {folder}/{EXPECTED_FOLDERS}; check the path")
    children = sorted(child for child in folder.iterdir() if child.is_dir())
    scenes = [child for child in children if is_scene(child)]
    if not scenes:
        raise InputError(f"{folder}: no scenes in it; expected {folder}/{EXPECTED_FOLDERS}; put the scenes there")
    sequences, notes = read_scenes(scenes, need_target, inputs)
    return sequences, [f"{c}: skipped, it has no folders frame-0000 ..." for c in children if c not in scenes] + notes


def find_test_sequences(path: Path, inputs: tuple[str, ...]) -> tuple[list[Sequence], list[str]]:
    """The sequences of a dataset's `test/`, a folder of scenes, or one scene's folder: see find_sequences.

    Targets are optional.
    """
    if path.is_dir() and is_scene(path):
        return read_scenes([path.resolve()], False, inputs)
    return find_sequences(path / "test" if (path / "test").is_dir() else path, False, inputs)


def holds_scenes(path: Path) -> bool:
    """Whether a folder is a dataset or a folder of scenes: it has scenes in it, or in its train/, val/ or test/."""
    folders = (path, *(path / part for part in DATASET_PARTS))
    return any(is_scene(child) for folder in folders if folder.is_dir() for child in folder.iterdir() if child.is_dir())


def read_scenes(scenes: list[Path], need_target: bool, inputs: tuple[str, ...]) -> tuple[list[Sequence], list[str]]:
    """The checked sequences of these scene folders, and notes. Raises InputError as find_sequences does."""
    sequences, notes = [], []
    with no_garbage_collection():
        for scene in scenes:
            found, scene_notes = scene_sequences(scene, need_target)
            sequences += found
            notes += scene_notes
        if not sequences:
            raise InputError(
                f"{scenes[0].parent}: no usable frame in it; expected {EXPECTED_FOLDERS}; render what is missing:\n  "
                + "\n  ".join(notes)
            )
        return check_headers(sequences, inputs), notes


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """For an index of many objects that all stay: looking for cycles among them would take a fifth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def is_scene(folder: Path) -> bool:
    """Whether a folder has frame folders in it."""
    with os.scandir(folder) as children:
        return any(FRAME_NAME.fullmatch(child.name) and child.is_dir() for child in children)


def frame_folders(scene: Path) -> list[Path]:
    """The frame folders of a scene, in order of their numbers."""
    with os.scandir(scene) as children:  # quicker than Path.iterdir, and there are many
        matches = [match for child in children if (match := FRAME_NAME.fullmatch(child.name)) and child.is_dir()]
    return [scene / name for _, name in sorted((int(match[1]), match[0]) for match in matches)]


def frame_number(folder: Path) -> int:
    """The frame number in the name of a frame's folder."""
    return int(FRAME_NAME.fullmatch(folder.name).group(1))


def scene_sequences(scene: Path, need_target: bool) -> tuple[list[Sequence], list[str]]:
    """The sequences of one scene folder, not yet checked, and notes. Reads only folder listings.

    Raises InputError if two folders have one number.
    """
    # one folder per number
    folders = frame_folders(scene)
    numbers = [frame_number(folder) for folder in folders]
    for (one, before), (other, after) in pairwise(zip(numbers, folders, strict=True)):
        if one == other:
            raise InputError(f"{before} and {after.name} are both frame {one}; keep one of them")

    # usable frames
    frames, notes = [], []
    for folder in folders:
        names = os.listdir(folder)
        noisy = [name for _, name in sorted((int(m[1]), m[0]) for m in map(NOISY_NAME.fullmatch, names) if m)]
        target = folder / "target.exr" if "target.exr" in names else None
        if not noisy:
            notes.append(f"{folder}: skipped, it has no noisy-0.exr (nor any other noisy-*.exr)")
        elif need_target and target is None:
            notes.append(f"{folder}: skipped, it has no target.exr")
        else:
            frames.append(Frame(folder, tuple(folder / name for name in noisy), target))

    # split at gaps
    runs = [tuple(f for _, f in run) for _, run in groupby(enumerate(frames), lambda item: item[1].number - item[0])]
    for before, after in pairwise(runs):
        notes.append(f"{scene}: gap between {before[-1].folder.name} and {after[0].folder.name}; two sequences")
    return [Sequence(scene.name, run) for run in runs], notes


def check_headers(sequences: list[Sequence], inputs: tuple[str, ...]) -> list[Sequence]:
    """Reads the EXR header of every file, in parallel; returns the sequences with `size` and `albedo` filled in.

    Raises InputError naming the first file that is not readable, lacks a channel, or has a different data window.
    """
    # read
    files = [file for sequence in sequences for frame in sequence.frames for file in frame.files]
    headers = iter(read_headers(files))

    # check each sequence against its first file
    checked = []
    for sequence in sequences:
        noisy, targets = [], []
        for frame in sequence.frames:
            noisy += islice(headers, len(frame.noisy))
            targets += islice(headers, 1 if frame.target else 0)
        first = noisy[0]
        for header in noisy:
            check_header(header, first, inputs)
        for header in targets:
            check_header(header, first, ("color",))
        albedo = all(has_quantity(header, "albedo") for header in noisy)
        checked.append(replace(sequence, size=first.size, albedo=albedo))
    return checked


def check_header(header: Header, first: Header, quantities: tuple[str, ...]) -> None:
    """Raises InputError if a file lacks a channel of `quantities`, or its data window is not that of `first`."""
    require_channels(header.path, header.channels, quantities)
    if header.window != first.window:
        raise InputError(
            f"{header.path}: data window {header.window} ({header.size[1]}x{header.size[0]}), but {first.path} has "
            f"{first.window} ({first.size[1]}x{first.size[0]}); render all frames of a scene at one resolution"
        )


def keep_long_enough(sequences: list[Sequence], length: int) -> tuple[list[Sequence], list[str]]:
    """The sequences of at least `length` frames, and a note on each shorter one. Raises InputError if none is left."""
    kept = [s for s in sequences if len(s.frames) >= length]
    short = [s for s in sequences if len(s.frames) < length]
    notes = [f"{s.label}: skipped, {len(s.frames)} frames are fewer than --sequence_length {length}" for s in short]
    if not kept:
        longest = max(len(s.frames) for s in short)
        raise InputError(
            f"no sequence has the {length} frames of --sequence_length; the longest has {longest}: pass "
            f"--sequence_length {longest} or less, or render longer sequences\n  " + "\n  ".join(notes)
        )
    return kept, notes


def split_validation(sequences: list[Sequence], length: int) -> tuple[list[Sequence], list[Sequence], list[str]]:
    """Splits every sequence into frames for training and frames for validation; also returns notes.

    The last tenth of a sequence, but at least one window of `length` frames, is for validation. A sequence shorter than
    two windows keeps one window for training, and the rest is for validation if it has two frames or more. Raises
    InputError if no training window or no validation frame is left.
    """
    # split each sequence
    training, validation = [], []
    kept, notes = keep_long_enough(sequences, length)
    for sequence in kept:
        total = len(sequence.frames)
        held = min(max(length, -(-total // 10)), total - length)
        if held < 2:
            held = 0
            notes.append(f"{sequence.label}: {total} frames, all for training; too few for validation too")
        training.append(replace(sequence, frames=sequence.frames[: total - held]))
        if held:
            validation.append(replace(sequence, frames=sequence.frames[total - held :]))

    # at least one must be long enough for both
    if not validation:
        longest = max(len(s.frames) for s in kept)
        raise InputError(
            f"no frames are left for validation: the longest sequence has {longest} frames; pass --sequence_length "
            f"{max(2, longest // 2)} or less, or put scenes into val/ next to train/\n  " + "\n  ".join(notes)
        )
    return training, validation, notes


@dataclass(frozen=True)
class Split:
    """Sequences for training and for validation, and notes on what was skipped."""

    training: list[Sequence]
    validation: list[Sequence]
    notes: list[str]

    @property
    def without_albedo(self) -> list[str]:
        """The names of scenes in which a noisy file lacks albedo."""
        return sorted({s.scene for s in (*self.training, *self.validation) if not s.albedo})


def split_dataset(root: Path, length: int, crop_size: int, inputs: tuple[str, ...] = PLAIN_INPUTS) -> Split:
    """Training and validation sequences of the dataset at `root`: from `train/` and, if it exists, `val/`.

    Without `val/`, validation gets the last frames of `train/`: see split_validation. Raises InputError if no
    sequence has `length` frames, frames are smaller than `crop_size`, or a file lacks a channel of `inputs`.
    """
    sequences, notes = find_sequences(root / "train", True, inputs)
    validation = None
    if (root / "val").is_dir():
        validation, validation_notes = find_sequences(root / "val", True, inputs)
        notes += validation_notes
    split = split_found(sequences, validation, length)
    check_crop(split.training, crop_size)
    return replace(split, notes=notes + split.notes)


def split_found(training: list[Sequence], validation: list[Sequence] | None, length: int) -> Split:
    """What split_dataset makes of the sequences of `train/` and of `val/`, None where there is no such folder.

    The notes are on sequences that are too short. Raises InputError as split_dataset does, but for the crop.
    """
    if validation is None:
        return Split(*split_validation(training, length))
    training, notes = keep_long_enough(training, length)
    return Split(training, validation, notes)


def check_crop(sequences: list[Sequence], crop_size: int) -> None:
    """Raises InputError if frames are smaller than the crop, naming their scenes and the crop size that fits all."""
    small = [s for s in sequences if min(s.size) < crop_size]
    if small:
        fit = min(min(s.size) for s in small)
        names = ", ".join(f"{s.scene} ({s.size[1]}x{s.size[0]})" for s in small)
        raise InputError(f"frames smaller than --crop_size {crop_size}: {names}; pass --crop_size {fit} or less")
