"""What there is to check below a path: the parts of a dataset, one folder of scenes, or numbered EXR files."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from checking.problems import Problem
from files import InputError
from frames.sequences import DATASET_PARTS, FRAME_NAME, NOISY_NAME, Frame, Sequence, is_scene, scene_sequences
from frames.shots import find_shots, holds_shots

PLAIN = "frames"  # the part of plain EXR files


@dataclass(frozen=True)
class Part:
    """Scenes that are used together. name: train, val, test, or frames for plain EXR files. folder: where they are."""

    name: str
    folder: Path
    sequences: list[Sequence]

    @property
    def for_training(self) -> bool:
        """Whether train.py reads it; test.py reads the others."""
        return self.name in ("train", "val")

    @property
    def scenes(self) -> dict[str, list[Sequence]]:
        """The sequences of each scene, by label."""
        scenes: dict[str, list[Sequence]] = {}
        for sequence in self.sequences:
            scenes.setdefault(self.label(sequence), []).append(sequence)
        return scenes

    def label(self, sequence: Sequence) -> str:
        """Part and scene, for messages."""
        return f"{self.name}/{sequence.scene}"


@dataclass(frozen=True)
class File:
    """A file to look at. scene: as Part.label. decoded: whether train.py or test.py decode its pixels.

    is_plain: it is no part of a dataset, and may have a renderer's channels in many layers.
    """

    path: Path
    scene: str
    is_target: bool
    decoded: bool
    is_plain: bool


def find_parts(path: Path) -> tuple[list[Part], list[Problem]]:
    """The parts below `path`, with sequences whose headers are not yet read, and what is wrong with names and numbers.

    Raises InputError if there is no such file or folder.
    """
    if holds_shots(path):
        part, problems = find_plain(path)
        return [part], problems
    if not path.is_dir():
        raise InputError(f"{path}: no such folder; name a dataset, a folder of scenes, or a folder of EXR files")
    names = [name for name in DATASET_PARTS if (path / name).is_dir()]
    if "train" not in names:
        names = [name for name in names if name == "test"]  # val/ is read for training only
    if names:
        found = [find_scenes(name, path / name) for name in names]
    elif is_scene(path):
        found = [scenes_part("test", path, [path.resolve()])]
    else:
        found = [find_scenes("test", path)]
    return [part for part, _ in found], [problem for _, problems in found for problem in problems]


def find_scenes(name: str, folder: Path) -> tuple[Part, list[Problem]]:
    """The scenes in a folder, as frames.sequences.find_sequences finds them."""
    children = sorted(child for child in folder.iterdir() if child.is_dir())
    scenes = [child for child in children if is_scene(child)]
    problems = [
        Problem("skipped-scene", child, "no folders frame-0000 ... in it", f"{name}/{child.name}")
        for child in children
        if child not in scenes and not child.name.startswith(".")
    ]
    part, found = scenes_part(name, folder, scenes)
    return part, problems + found


def scenes_part(name: str, folder: Path, scenes: list[Path]) -> tuple[Part, list[Problem]]:
    """The sequences of these scene folders."""
    part, problems = Part(name, folder, []), []
    for scene in scenes:
        label = f"{name}/{scene.name}"
        try:
            sequences, notes = scene_sequences(scene, part.for_training)
        except InputError as error:
            problems.append(Problem("refused", scene, str(error).removeprefix(f"{scene}/"), label))
            continue
        part.sequences.extend(sequences)
        for note in notes:  # "<folder>: <what>"; no colon in what follows the scene's folder
            below, _, what = note.removeprefix(str(scene)).partition(": ")
            kind = "gap" if what.startswith("gap") else "skipped-frame"
            what = what.removeprefix("skipped, ").partition(";")[0]
            problems.append(Problem(kind, Path(f"{scene}{below}"), what, label))
        problems += [Problem("name", path, what, label) for path, what in odd_names(scene)]
        problems += unequal_renderings(label, sequences)
    if not part.sequences:
        problems.append(Problem("nothing", folder, "no usable frame" if scenes else "no scenes in it", name))
    return part, problems


def odd_names(scene: Path) -> Iterator[tuple[Path, str]]:
    """Folders and EXR files in a scene's folder that look like frames but have other names."""
    for child in sorted(scene.iterdir()):
        if child.name.startswith("."):
            continue
        if not child.is_dir() or not FRAME_NAME.fullmatch(child.name):
            if re.search(r"\d", child.name) and (child.is_dir() or child.suffix.lower() == ".exr"):
                yield child, "not the name of a frame"
            continue
        for file in sorted(child.iterdir()):
            known = file.name == "target.exr" or NOISY_NAME.fullmatch(file.name)
            if file.suffix.lower() == ".exr" and not known and not file.name.startswith("."):
                yield file, "neither a noisy rendering nor a target by its name"


def unequal_renderings(label: str, sequences: list[Sequence]) -> list[Problem]:
    """A problem for each frame of a scene that has fewer noisy renderings than another."""
    frames = [frame for sequence in sequences for frame in sequence.frames]
    most = max((len(frame.noisy) for frame in frames), default=0)
    return [
        Problem("renderings", frame.folder, f"{len(frame.noisy)} of {most} noisy renderings", label)
        for frame in frames
        if len(frame.noisy) < most
    ]


def find_plain(folder: Path) -> tuple[Part, list[Problem]]:
    """Numbered EXR files, one per frame, as frames.shots.find_shots finds them: a sequence for each run of numbers."""
    part = Part(PLAIN, folder, [])
    try:
        shots, notes = find_shots(folder)
    except InputError as error:
        return part, [Problem("refused", folder, str(error), PLAIN)]
    for shot in shots:
        name = shot.name.rstrip("-_. ") or folder.resolve().name
        part.sequences.append(Sequence(name, tuple(Frame(path, (path,), None) for path in shot.files)))
    problems = []
    for note in notes:  # "<folder or file>: <what>"
        where, _, what = note.removeprefix(str(folder)).partition(": ")
        if what.startswith("gap"):
            problems.append(Problem("gap", folder, what.partition(";")[0], PLAIN))
        elif what.startswith("skipped"):
            expected = "names such as shot_0001.exr"
            problems.append(Problem("name", Path(f"{folder}{where}"), "no number at its end", PLAIN, expected=expected))
    return part, problems


def files_of(part: Part, decoded: set[Path]) -> list[File]:
    """All files of a part, in order. decoded: those whose pixels train.py or test.py read."""
    return [
        File(path, part.label(sequence), path == frame.target, path in decoded, part.name == PLAIN)
        for sequence in part.sequences
        for frame in sequence.frames
        for path in frame.files
    ]


def sampled(sequences: list[Sequence]) -> set[Path]:
    """The files of the first, middle and last frame of each sequence."""
    chosen = set()
    for frames in (sequence.frames for sequence in sequences):
        chosen |= {path for i in (0, len(frames) // 2, -1) for path in frames[i].files}
    return chosen
