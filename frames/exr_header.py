"""The header of an EXR file, read from its bytes: what there is to decode, before anything is decoded.

A file of several parts gives each channel the name of its part, as a layer (`depth.Z`), but for the part that holds the
beauty, whose channels are `R`, `G` and `B`, as in a file of one part. Which part that is depends on names, never on the
order of the parts.

OpenEXR's own reader (3.5.3, `header_only`) does not serve: it refuses text that is not UTF-8, and does not say of what
type pixels are, by which the memory to decode them is bounded. It reads one header faster than this module, but takes
three to eight times as long as recognizing one that is like an earlier one, as most of a dataset are.
Layout: https://openexr.com/en/latest/OpenEXRFileLayout.html.
"""

import os
import struct
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from frames.channels import is_radiance

MAGIC = b"v/1\x01"
MULTIPART = 0x1000  # a flag beside the version
TYPE_BYTES = {0: 4, 1: 2, 2: 4}  # of a pixel: whole numbers, half, float
FARTHEST = 2**30  # pixels, of a data window's edges; beyond, OpenEXR itself gives up
FIRST_BYTES = 4096  # of a file; mostly more than the header has
MOST_BYTES = 2**26  # of a header; large ones hold a preview
BEAUTY_PARTS = ("", "rgba", "rgb", "beauty", "combined", "ci", "c", "color", "main", "default")  # in this order


class Cut(Exception):
    """The bytes end within the header."""


class Channel(NamedTuple):
    """A channel of a part. kind: a key of TYPE_BYTES. sampling: pixels from one value to the next, x and y."""

    name: str
    kind: int
    sampling: tuple[int, int]


@dataclass(frozen=True)
class Part:
    """A part of a file. window: the data window, x0, y0, x1, y1; x1 and y1 belong to it.

    display: the display window, alike.
    block: rows and columns of a tile.
    levels: whether smaller copies of the picture are stored with it (mip or rip maps).
    texts: attributes of text that is not UTF-8, by name, taken as Latin-1.
    views: names of the views in its channels, the default one first (`multiView`); others begin their channels' names.
    ids: names of layers that hold IDs (Cryptomatte's attributes).
    """

    name: str
    channels: tuple[Channel, ...]
    window: tuple[int, int, int, int]
    display: tuple[int, int, int, int]
    block: tuple[int, int]
    levels: bool
    texts: tuple[tuple[str, str], ...]
    views: tuple[str, ...]
    ids: tuple[str, ...]

    @property
    def bytes(self) -> int:
        """How much memory its decoded pixels take, in whole tiles."""
        x0, y0, x1, y1 = self.window
        extents = zip((y1 - y0 + 1, x1 - x0 + 1), self.block, strict=True)
        rows, columns = (-(-extent // side) * side for extent, side in extents)
        return sum(TYPE_BYTES[kind] * -(-columns // x) * -(-rows // y) for _, kind, (x, y) in self.channels)


class Contents(NamedTuple):
    """What a header says.

    parts: in the file's order.
    names: the full names of each part's channels.
    beauty: the number of the part with the beauty; 0 if none stands out.
    foreign: where text is not UTF-8, (start, stop).
    """

    parts: tuple[Part, ...]
    names: tuple[tuple[str, ...], ...]
    beauty: int
    foreign: tuple[tuple[int, int], ...]


known: deque[tuple[bytes, Contents]] = deque(maxlen=16)  # the last headers: those of a scene are mostly alike


def read_contents(path: Path) -> Contents:
    """The contents of a file's header. Raises OSError, or ValueError if it is no header of an EXR file."""
    # in half the time that `open` takes; not waiting for what may never be written to a pipe
    file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        data = os.read(file, FIRST_BYTES)
        for header, contents in tuple(known):
            if data.startswith(header):
                return contents
        while True:
            try:
                contents, end = parse(data)
                known.append((data[:end], contents))
                return contents
            except Cut:
                more = os.read(file, 7 * len(data)) if len(data) < MOST_BYTES else b""
                if not more:
                    raise ValueError("it is cut short within its header") from None
                data += more
    finally:
        os.close(file)


def parse(data: bytes) -> tuple[Contents, int]:
    """The contents of a header, and where it ends. data: the file's first bytes.

    Raises Cut if there are too few, ValueError if they are no header of an EXR file.
    """
    if data[:4] != MAGIC[: len(data)] or data[4:5] not in (b"", b"\2"):
        raise ValueError("it does not begin like one")
    (flags,) = numbers(data, "<I", 4)
    parts, foreign, place = [], [], 8
    while not parts or (flags & MULTIPART and data[place : place + 1] != b"\0"):
        part, place = parse_part(data, place, foreign)
        parts.append(part)
    beauty = beauty_part(parts)
    names = tuple(full_names(part, index == beauty) for index, part in enumerate(parts))
    return Contents(tuple(parts), names, max(beauty, 0), tuple(foreign)), place + bool(flags & MULTIPART)


def beauty_part(parts: list[Part]) -> int:
    """The number of the part that holds the beauty, -1 if none stands out.

    Of the parts with R, G and B, the first of BEAUTY_PARTS; else the only one whose name may be that of radiance.
    """
    if len(parts) == 1:
        return 0
    colored = {
        part.name.lower(): index
        for index, part in enumerate(parts)
        if {"r", "g", "b"} <= {channel.name.lower() for channel in part.channels}
    }
    for name in BEAUTY_PARTS:
        if name in colored:
            return colored[name]
    others = [index for name, index in colored.items() if is_radiance(name)]
    return others[0] if len(others) == 1 else -1


def full_names(part: Part, is_beauty: bool) -> tuple[str, ...]:
    """The names of a part's channels, with the part's name in front unless it is there, or the part is the beauty's."""
    start = f"{part.name}."
    if is_beauty or not part.name:
        return tuple(channel.name for channel in part.channels)
    return tuple(c.name if c.name.lower().startswith(start.lower()) else start + c.name for c in part.channels)


def parse_part(data: bytes, place: int, foreign: list[tuple[int, int]]) -> tuple[Part, int]:
    """The part whose header begins at `place`, and where it ends. Adds to `foreign`. Raises as parse does."""
    found, texts, ids = {}, [], []
    while True:
        # name, type, size, value
        name, place = word(data, place)
        if not name:
            break
        kind, place = word(data, place)
        (size,) = numbers(data, "<i", place)
        start, place = place + 4, place + 4 + size
        if size < 0:
            raise ValueError(f"its attribute {name} has a negative size")
        if place > len(data):
            raise Cut
        value = data[start:place]
        if kind == "string":
            found[name], is_foreign = as_text(value)
            if name.lower().startswith("cryptomatte/") and name.lower().endswith("/name"):
                ids.append(found[name])
            if is_foreign:
                texts.append((name, found[name]))
                foreign.append((start, place))
        elif (name, kind) == ("channels", "chlist"):
            found[name] = parse_channels(value)
        elif name in ("dataWindow", "displayWindow") and kind == "box2i" and size == 16:
            found[name] = struct.unpack("<4i", value)
        elif (name, kind) == ("tiles", "tiledesc") and size == 9:
            columns, rows, mode = struct.unpack("<IIB", value)
            found[name] = max(1, rows), max(1, columns)
            found["levels"] = bool(mode & 15)
        elif (name, kind) == ("multiView", "stringvector"):
            found[name] = parse_texts(value)

    # what a part must have
    if "channels" not in found or "dataWindow" not in found:
        raise ValueError("it has no channels, or no data window")
    x0, y0, x1, y1 = window = found["dataWindow"]
    if x1 < x0 or y1 < y0 or max(map(abs, window)) > FARTHEST:
        raise ValueError(f"its data window, {window}, is empty or has impossible edges")
    part = Part(
        name=found.get("name", ""),
        channels=found["channels"],
        window=window,
        display=found.get("displayWindow", window),
        block=found.get("tiles", (1, 1)),
        levels=found.get("levels", False),
        texts=tuple(texts),
        views=found.get("multiView", ()),
        ids=tuple(ids),
    )
    return part, place


def parse_texts(value: bytes) -> tuple[str, ...]:
    """The texts of a `stringvector`, from the attribute's bytes; those that can be read if it is damaged."""
    texts, place = [], 0
    while place + 4 <= len(value):
        (size,) = struct.unpack_from("<i", value, place)
        texts.append(as_text(value[place + 4 : place + 4 + max(size, 0)])[0])
        place += 4 + max(size, 0)
    return tuple(texts)


def parse_channels(value: bytes) -> tuple[Channel, ...]:
    """The channels of a part, from the attribute's bytes. Raises ValueError if they are damaged."""
    channels, place = [], 0
    try:
        while value[place : place + 1] != b"\0":
            name, place = word(value, place)
            kind, _, x, y = numbers(value, "<iIii", place)
            if kind not in TYPE_BYTES or x < 1 or y < 1:
                raise ValueError(f"its channel {name} is of no known type or sampling")
            channels.append(Channel(name, kind, (x, y)))
            place += 16
    except Cut as error:
        raise ValueError("its list of channels is cut short") from error
    return tuple(channels)


def word(data: bytes, place: int) -> tuple[str, int]:
    """The name that begins at `place`, up to a zero byte, and where the next thing begins."""
    end = data.find(b"\0", place)
    if end < 0:
        raise Cut
    try:
        name = data[place:end].decode()
    except UnicodeDecodeError:
        name = "\0"
    if not name.isprintable():
        raise ValueError(f"its name {data[place:end]!r} is not printable UTF-8")
    return name, end + 1


def numbers(data: bytes, layout: str, place: int) -> tuple:
    """The numbers at `place`, in the layout of the module struct."""
    try:
        return struct.unpack_from(layout, data, place)
    except struct.error as error:
        raise Cut from error


def as_text(value: bytes) -> tuple[str, bool]:
    """Text, and whether it is not UTF-8; then it is taken as Latin-1, in which every byte means something."""
    try:
        return value.decode(), False
    except UnicodeDecodeError:
        return value.decode("latin-1"), True
