"""Looks into every file, in a few threads: header, channels, and the values of the pixels."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from tqdm import tqdm

from checking.finding import File
from checking.problems import ERROR, KINDS, WARNING, Problem
from checking.values import Values, digest, measure
from files import InputError
from frames.cache import TARGET
from frames.channels import MOTION_INPUTS, PLAIN_INPUTS, QUANTITIES, find_channels, split_planes
from frames.exr import Header, check_pixels, read_header, read_pixels, read_planes
from frames.exr_writing import check_writable
from frames.layers import DEFAULT, Choice, Layout, find_layout
from frames.plausible import believed, distances
from machine import usable_cores

MOST_THREADS = 8
ODD = {  # what is said of odd values, by the kind of problem
    "nan": "{number} of {v.count} values of {name} are NaN or Inf",
    "empty": "{name} is 0 everywhere",
    "constant": "{name} is {v.low:.4g} everywhere",
    "encoded": "normals from {v.low:.3g} to {v.high:.3g}, as in a picture",
    "length": "{number} normals are longer than 1",
    "fireflies": "{number} pixels far brighter than the rest, up to {v.high:.4g}",
}

Item, Result = TypeVar("Item"), TypeVar("Result")


@dataclass(frozen=True)
class Contents:
    """What a file holds. header: None if it cannot be read. channels: of each quantity that it has.

    values: of each quantity, empty if its pixels were not decoded. digest: of its colors.
    """

    file: File
    header: Header | None = None
    channels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    values: dict[str, Values] = field(default_factory=dict)
    digest: str = ""
    problems: list[Problem] = field(default_factory=list)


def in_threads(work: Callable[[Item], Result], items: list[Item], title: str) -> Iterator[Result]:
    """The results of `work` for each item, in order, with a progress bar. After an interrupt nothing new is begun."""
    with ThreadPoolExecutor(min(MOST_THREADS, usable_cores())) as pool:
        pending = [pool.submit(work, item) for item in items]
        try:
            for future in tqdm(pending, desc=title, unit="file", delay=1, leave=False):
                yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def inspect(file: File, decode: bool, choice: Choice = DEFAULT) -> Contents:
    """Reads a file's header and, with `decode`, its pixels. What is wrong with it alone is in the `problems`.

    choice: of layers, for plain files.
    """
    # header
    try:
        header = read_header(file.path)
    except (InputError, OSError) as error:
        return Contents(file, problems=[Problem("unreadable", file.path, reason(file, error), file.scene)])

    # channels: those that every such file must have, and those that it may have
    layout = None
    if file.is_plain:
        layout, problems = recognize_plain(file, header, choice)
        channels = channels_of(layout)
    else:
        channels, problems = recognize(file, header)
    if any(problem.level == ERROR for problem in problems) or not decode:
        return Contents(file, header, channels, problems=problems)

    # pixels
    try:
        planes, notes = decode_plain(file, layout) if layout else (decode_as_training(file), ())
        problems += [Problem("left-out", file.path, note, file.scene) for note in notes]
        channels = {name: own for name, own in channels.items() if name in planes}
    except (InputError, OSError) as error:
        level, unread = ("", "") if file.decoded else (WARNING, ", which train.py and test.py do not notice here")
        kind = "layers" if "choose another layer" in str(error) else "pixels"
        problems.append(Problem(kind, file.path, reason(file, error) + unread, file.scene, level))
        return Contents(file, header, channels, problems=problems)
    values = {name: measure(name, planes[name]) for name in channels}
    problems += value_problems(file, values)
    return Contents(file, header, channels, values, digest(planes["color"]), problems)


def recognize(file: File, header: Header) -> tuple[dict[str, tuple[str, ...]], list[Problem]]:
    """The channels of each quantity that the file has, and what is missing or there twice."""
    required = TARGET if file.is_target else PLAIN_INPUTS
    channels, problems = {}, []
    for name in TARGET if file.is_target else MOTION_INPUTS:
        try:
            found = find_channels(header.channels, name)
        except InputError as error:
            problems.append(Problem("ambiguous", file.path, str(error).partition(";")[0], file.scene))
            continue
        if found:
            channels[name] = found
        elif name in required:
            what = f"no channel for {name} ({QUANTITIES[name].unit}); it has {' '.join(header.channels) or 'none'}"
            expected = f"one of {QUANTITIES[name].accepted}"
            problems.append(Problem("channel", file.path, what, file.scene, expected=expected))
    return channels, problems


def recognize_plain(file: File, header: Header, choice: Choice) -> tuple[Layout | None, list[Problem]]:
    """The layout of a plain file, as test.py finds it, and what is wrong with it."""
    try:
        layout = find_layout(header, MOTION_INPUTS, choice)
        check_writable(header)
    except InputError as error:
        what = reason(file, error)
        kind = "channel" if what.startswith("no channel") else "ambiguous" if "several" in what else "layers"
        return None, [Problem(kind, file.path, what, file.scene)]
    return layout, [Problem("left-out", file.path, note, file.scene) for note in layout.notes]


def channels_of(layout: Layout | None) -> dict[str, tuple[str, ...]]:
    """The channels of each quantity in a layout."""
    if layout is None:
        return {}
    motion = {"motion": layout.motion[0][0]} if layout.motion else {}
    return {"color": layout.colors[0].source, **layout.surface, **motion}


def decode_as_training(file: File) -> dict[str, np.ndarray]:
    """The planes of each quantity, (C, H, W), missing ones included, read as training reads them. Raises InputError."""
    names = TARGET if file.is_target else MOTION_INPUTS
    return split_planes(read_planes(file.path, names, fill=True), names)


def decode_plain(file: File, layout: Layout) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """The planes of each quantity, (C, H, W), and what is left out because of its values. Raises InputError."""
    header, pixels = read_pixels(file.path)
    plausible, planes = believed(header, pixels, layout), {}
    for name, own in channels_of(plausible).items():
        for channel in own:
            check_pixels(header, pixels, channel)
        planes[name] = np.stack([pixels[channel] for channel in own]).astype(np.float32)
    planes["depth"] = distances(planes["depth"])
    return planes, plausible.notes[len(layout.notes) :]


def value_problems(file: File, values: dict[str, Values]) -> list[Problem]:
    """What is odd about the values of a file."""
    return [
        Problem(kind, file.path, describe(kind, name, number, value), file.scene)
        for name, value in values.items()
        for kind, number in value.odd.items()
        if kind != "fireflies" or file.is_target  # noisy renderings are made of them
    ]


def describe(kind: str, name: str, number: int, value: Values) -> str:
    """How many values of the quantity `name` are odd in this way, and how far they go."""
    text = ODD.get(kind, "{number} of {v.count} values of {name} are outside, from {v.low:.4g} to {v.high:.4g}")
    return text.format(name=name, number=number, v=value)


def reason(file: File, error: Exception) -> str:
    """What a reader says is wrong with a file, without the file's name and the fix, which the kind of problem has."""
    text = str(error).removeprefix(f"{file.path}: ").replace("\n", " ")
    for kind in KINDS.values():
        text = text.removesuffix(f"; {kind.fix}")
    return text


def windows_differ(contents: Iterable[Contents]) -> list[Problem]:
    """A problem for each file of a sequence whose data window is not that of the first file that can be read."""
    readable = [c for c in contents if c.header]
    return [
        Problem(
            "size",
            c.file.path,
            f"{extent(c.header)}, but {readable[0].file.path} has {extent(readable[0].header)}",
            c.file.scene,
        )
        for c in readable
        if c.header.window != readable[0].header.window
    ]


def extent(header: Header) -> str:
    """Size and place of a file's data window, for messages."""
    height, width = header.size
    return f"{width}x{height} pixels from {header.window[:2]}"
