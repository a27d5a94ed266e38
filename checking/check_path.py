"""Checks a path from its folder listings to the pixels, with the readers that train.py and test.py use."""

import argparse
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from checking.finding import PLAIN, Part, files_of, find_parts, sampled
from checking.inspection import Contents, in_threads, inspect, windows_differ
from checking.pairs import compare_scene, pair_problems
from checking.problems import ERROR, WARNING, Problem
from checking.report import Report
from checking.scenes import clipped_targets, lacking, same_pixels
from files import InputError
from frames.cache import cache_entries
from frames.channels import PLAIN_INPUTS
from frames.frame_options import choice_of
from frames.sequences import Split, check_crop, find_test_sequences, split_dataset, split_found


def check(options: argparse.Namespace) -> Report:
    """Everything about options.path. options: of checking_options. Raises InputError if there is no such path."""
    # folders and names
    report = Report(options.path)
    report.parts, report.problems = find_parts(options.path)
    decoded = decoded_files(report.parts, options.sequence_length)

    # every file by itself
    files = {part.name: files_of(part, decoded) for part in report.parts}
    every = [file for part in files.values() for file in part]
    sample = {path for part in report.parts for path in sampled(part.sequences)}
    choice = choice_of(options)
    found = in_threads(lambda f: inspect(f, not options.quick or f.path in sample, choice), every, "reading files")
    contents = {c.file.path: c for c in found}
    report.problems += [problem for c in contents.values() for problem in c.problems]
    report.contents = {name: [contents[file.path] for file in part] for name, part in files.items()}
    report.parts = [with_sizes(part, contents) for part in report.parts]

    # files of a scene against each other
    for part in report.parts:
        shots = part.scenes.values() if part.name == PLAIN else [[sequence] for sequence in part.sequences]
        for shot in shots:  # what must have one data window
            files_of_shot = (path for s in shot for frame in s.frames for path in frame.files)
            report.problems += windows_differ(contents[path] for path in files_of_shot)
        for sequence in part.sequences:
            report.problems += same_pixels(sequence, contents)
        for label in part.scenes:
            of_scene = [c for c in report.contents[part.name] if c.file.scene == label]
            report.problems += [*lacking(of_scene), *clipped_targets(of_scene)]

    # what train.py and test.py would say
    report.problems += fit_options(report.parts, options.sequence_length, options.crop_size)
    report.problems += refused(report, options.sequence_length, options.crop_size)

    # what the eye would see
    compare_frames(report)
    return report


def training_split(parts: list[Part], length: int) -> Split | None:
    """What train.py would make of the sequences; None if it has none. Raises InputError if they are too short."""
    named = {part.name: part.sequences for part in parts}
    return split_found(named["train"], named.get("val"), length) if named.get("train") else None


def decoded_files(parts: list[Part], length: int) -> set[Path]:
    """The files whose pixels train.py or test.py read; all of train/ and val/ if training could not begin."""
    frames = [frame for part in parts if not part.for_training for s in part.sequences for frame in s.frames]
    decoded = {path for frame in frames for path in (frame.noisy[0], frame.target) if path}
    try:
        split = training_split(parts, length)
    except InputError:
        split = None
    if split:
        return decoded | {entry.source for entry in cache_entries(split)}
    training = [sequence for part in parts if part.for_training for sequence in part.sequences]
    return decoded | {path for sequence in training for frame in sequence.frames for path in frame.files}


def with_sizes(part: Part, contents: dict[Path, Contents]) -> Part:
    """The part with the size of each sequence, that of the first file that can be read."""
    sequences = []
    for sequence in part.sequences:
        headers = (contents[path].header for frame in sequence.frames for path in frame.files)
        size = next((header.size for header in headers if header), sequence.size)
        sequences.append(replace(sequence, size=size))
    return replace(part, sequences=sequences)


def fit_options(parts: list[Part], length: int, crop_size: int) -> list[Problem]:
    """Sequences that are too short for training, and frames that are too small."""
    folder = parts[0].folder
    try:
        split = training_split(parts, length)
    except InputError as error:
        return [Problem("short", folder, first_line(error), "train")]
    if split is None:
        return []
    problems = [Problem("short", folder, note, level=WARNING) for note in split.notes]
    try:
        check_crop([s for s in split.training if all(s.size)], crop_size)
    except InputError as error:
        problems.append(Problem("small", folder, first_line(error), "train"))
    return problems


def first_line(error: Exception) -> str:
    """The message without the list below it."""
    return str(error).partition("\n")[0]


def refused(report: Report, length: int, crop_size: int) -> list[Problem]:
    """What the functions that find frames for train.py and test.py refuse, if nothing wrong was found so far."""
    if report.errors:
        return []
    problems = []
    for part in report.parts:
        try:
            if part.name == "train":
                split_dataset(report.path, length, crop_size)
            elif part.name == "test":
                find_test_sequences(report.path, PLAIN_INPUTS)
        except (InputError, OSError) as error:
            problems.append(Problem("refused", part.folder, first_line(error), part.name))
    return problems


def compare_frames(report: Report) -> None:
    """Compares successive frames of every scene without errors; adds what it finds to the report."""
    broken = {problem.scene for problem in report.problems if problem.level == ERROR}
    scenes = [(label, sequences) for label, sequences in report.scenes.items() if label not in broken]
    for label, sequences in tqdm(scenes, desc="comparing frames", unit="scene", delay=1, leave=False):
        report.pairs[label] = pair = compare_scene(sequences)
        found = pair_problems(pair, sequences, label) if pair else []
        # of plain frames, test.py finds out by itself how to read their motion
        report.problems += [p for p in found if not (p.kind == "motion" and label.startswith(f"{PLAIN}/"))]
