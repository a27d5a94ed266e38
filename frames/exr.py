"""Reads EXR frames; frames/exr_writing.py writes them.

Shapes: C channels, H rows, W columns. Arrays are channels first. Radiance is linear, in scene units, >= 0.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import OpenEXR
from tqdm import tqdm

from files import InputError
from frames.channels import QUANTITIES, channel_count, find_channels, require_channels, split_planes
from frames.exr_header import Contents, read_contents
from frames.repairs import Repairs, repair

BACKGROUND_DEPTH = 1e9  # Blender writes 1e10 where a ray hits nothing; this project writes 0
MOST_EXPANSION = 10_000  # decoded bytes for a byte of a file: no compression gets there, not even of one flat color
HEADERS = 256  # that a thread reads in one go
SLOW = 2e-4  # seconds for a header, above which files come slowly
LEAST_BOUND = 2**26  # bytes; what any file may decode to

# OpenEXR's threads do not survive the fork that starts a data-loading worker; parallelism comes from the workers.
OpenEXR.set_global_thread_count(0)


Window = tuple[int, int, int, int]  # x0, y0, x1, y1; x1 and y1 belong to it


@dataclass(frozen=True)
class Header:
    """What is in an EXR file.

    channels: the full names of those of all parts, see frames/exr_header.py.
    window: the data window of the part with the beauty; all pixels are read in it.
    display: its display window.
    beauty: the name of that part; "" in a file of one part.
    views: of a stereo file, the default one first; the channels of the others begin with their names.
    ids: names of layers that hold IDs.
    """

    path: Path
    channels: tuple[str, ...]
    window: Window
    display: Window | None = None
    beauty: str = ""
    views: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the data window."""
        return extent(self.window)


def contents_of(path: Path) -> Contents:
    """What the header of an EXR file says. Raises FileNotFoundError, OSError or InputError."""
    try:
        return read_contents(path)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise FileNotFoundError(f"{path}: no such file; check the path, or render it again") from error
    except ValueError as error:
        raise InputError(f"{path}: not a readable EXR file ({error}); render or copy it again") from error


def decode(path: Path) -> tuple[Contents, OpenEXR.File]:
    """The header of an EXR file, and the file with all its parts, decoded. Raises OSError or InputError.

    Before anything is decoded, the header must not ask for more memory than a file of this size can need.
    """
    contents = contents_of(path)
    needed, size = sum(part.bytes for part in contents.parts), path.stat().st_size
    if needed > max(LEAST_BOUND, MOST_EXPANSION * size):
        found = f"its header asks for {needed / 1e9:.3g} GB of pixels, the file has {size} bytes"
        raise InputError(f"{path}: the pixels cannot be decoded ({found}); render or copy it again")
    try:
        file = _read_foreign(path, contents) if contents.foreign else _read(path)
        parts = len(file.parts)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # OpenEXR raises RuntimeError, ValueError and its own types
        raise InputError(f"{path}: not a readable EXR file ({error}); render or copy it again") from error
    if parts < len(contents.parts):  # OpenEXR leaves out what it cannot decode
        raise InputError(f"{path}: the pixels cannot be decoded (truncated or corrupt); render or copy it again")
    return contents, file


def _read(path: Path) -> OpenEXR.File:
    """OpenEXR's reading of a file. As bytes, a path may have any name that the system allows."""
    return OpenEXR.File(os.fsencode(path), separate_channels=True)


def _read_foreign(path: Path, contents: Contents) -> OpenEXR.File:
    """OpenEXR's reading of a file with text that is not UTF-8, which it refuses: of a copy without that text.

    The text is put back, so that it is in what is written of the file, in UTF-8.
    """
    content = bytearray(path.read_bytes())
    for start, stop in contents.foreign:
        content[start:stop] = b"?" * (stop - start)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "frame.exr"
        copy.write_bytes(content)
        file = _read(copy)
    for part, read in zip(contents.parts, file.parts, strict=False):
        read.header.update(part.texts)
    return file


def decoded_channels(contents: Contents, file: OpenEXR.File) -> Iterator[tuple[str, OpenEXR.Channel, Window]]:
    """The decoded channels of all parts, with their full names and data windows."""
    for part, names, decoded in zip(contents.parts, contents.names, file.parts, strict=True):
        full = {channel.name: name for channel, name in zip(part.channels, names, strict=True)}
        for channel in decoded.channels.values():
            yield full[channel.name], channel, part.window


def _header(path: Path, contents: Contents) -> Header:
    """The Header of a file with these contents."""
    part = contents.parts[contents.beauty]
    return Header(
        path=path,
        channels=tuple(name for names in contents.names for name in names),
        window=part.window,
        display=part.display,
        beauty=part.name if len(contents.parts) > 1 else "",
        views=part.views,
        ids=tuple(name for part in contents.parts for name in part.ids),
    )


def read_header(path: Path) -> Header:
    """Reads channel names and data window of an EXR file without decoding its pixels.

    Raises FileNotFoundError, OSError, or InputError if it is not an EXR file.
    """
    return _header(path, contents_of(path))


def read_headers(paths: list[Path]) -> list[Header]:
    """The headers of many files. Raises as read_header does, for the first file that is at fault.

    In parallel where files come slowly, as from a network: threads then wait together. Where they come quickly, several
    threads would only get in each other's way.
    """
    start = time.perf_counter()
    headers = [read_header(path) for path in paths[:HEADERS]]
    slow = time.perf_counter() - start > SLOW * len(headers)
    rest = range(HEADERS, len(paths), HEADERS)
    runs = [paths[start : start + HEADERS] for start in rest]
    with (
        ThreadPoolExecutor(None if slow else 1) as pool,
        tqdm(total=len(paths), desc="reading headers", delay=2, leave=False) as progress,
    ):
        try:
            for run in pool.map(lambda run: [read_header(path) for path in run], runs):
                headers += run
                progress.update(len(run))
        finally:
            pool.shutdown(cancel_futures=True)
    return headers


def read_exr(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Reads the quantities `names` of an EXR file, each (C, H, W) float32: see read_planes."""
    return split_planes(read_planes(path, names), names)


def has_quantity(header: Header, name: str) -> bool:
    """Whether the file has the channels of quantity `name`. Raises InputError if several layers match equally well."""
    try:
        return find_channels(header.channels, name) is not None
    except InputError as error:
        raise InputError(f"{header.path}: {error}") from error


def read_pixels(path: Path) -> tuple[Header, dict[str, np.ndarray | None]]:
    """All channels of an EXR file, as stored; None where OpenEXR gives no pixels.

    Parts with other data windows are aligned with that of the beauty: what they lack of it is 0.
    Raises FileNotFoundError, or InputError if the file is damaged, or a part has no pixel of that window.
    """
    contents, file = decode(Path(path))
    header, pixels = _header(Path(path), contents), {}
    for name, channel, window in decoded_channels(contents, file):
        plane = channel.pixels
        whole = plane is not None and plane.shape == extent(window)  # else subsampled: check_pixels says so
        pixels[name] = aligned(header, name, plane, window) if whole and window != header.window else plane
    return header, pixels


def extent(window: Window) -> tuple[int, int]:
    """(H, W) of a window."""
    x0, y0, x1, y1 = window
    return y1 - y0 + 1, x1 - x0 + 1


def overlap(window: Window, other: Window) -> tuple[slice, slice]:
    """Rows and columns of `window` that `other` has, too; empty if there are none."""
    lows, highs = (max(window[i], other[i]) for i in (1, 0)), (min(window[i], other[i]) for i in (3, 2))
    starts = window[1], window[0]
    return tuple(slice(low - s, max(high - s + 1, low - s)) for low, high, s in zip(lows, highs, starts, strict=True))


def aligned(header: Header, name: str, plane: np.ndarray, window: Window) -> np.ndarray:
    """The (H, W) pixels of a channel with another data window in that of the header, 0 where it has none."""
    found = np.zeros(header.size, plane.dtype)
    here, there = overlap(header.window, window), overlap(window, header.window)
    if not found[here].size:
        raise InputError(
            f"{header.path}: the data window of {name}, {window}, lies outside of the beauty's, {header.window}; "
            "render all parts of a frame in one place"
        )
    found[here] = plane[there]
    return found


def read_planes(path: Path, names: tuple[str, ...], fill: bool = False) -> np.ndarray:
    """Reads the quantities `names` of an EXR file, concatenated, (C, H, W) float32, as stored, with NaN and Inf.

    H and W are those of the data window, wherever it starts. Depths of 1e9 and more (background in Blender) become 0.
    fill: give quantities that the file lacks their `missing` value, if they have one.
    Raises FileNotFoundError, or InputError if the file is damaged or lacks a quantity.
    """
    header, pixels = read_pixels(path)

    # those of the quantities
    absent = [n for n in names if fill and QUANTITIES[n].missing is not None and not has_quantity(header, n)]
    found = require_channels(header.path, header.channels, tuple(n for n in names if n not in absent))
    planes = np.empty((channel_count(names), *header.size), np.float32)  # (C, H, W)
    for name, quantity in split_planes(planes, names).items():
        if name in absent:
            quantity[:] = QUANTITIES[name].missing
            continue
        for plane, channel in zip(quantity, found[name], strict=True):
            check_pixels(header, pixels, channel)
            plane[:] = pixels[channel]  # converts while copying: nothing is read more often than frames
        if name == "depth":
            quantity[np.isfinite(quantity) & (np.abs(quantity) >= BACKGROUND_DEPTH)] = 0
    return planes


def check_pixels(header: Header, pixels: dict[str, np.ndarray | None], channel: str) -> None:
    """Raises InputError unless a channel has half or float values for all pixels. pixels: from read_pixels."""
    plane = pixels[channel]
    if plane is None or plane.shape != header.size or plane.dtype.kind != "f":
        expected = f"expected half or float pixels, {header.size[1]}x{header.size[0]}; render it as such"
        raise InputError(f"{header.path}: {channel} is subsampled, deep or of integers; {expected}")


def load_noisy(path: Path, inputs: tuple[str, ...]) -> tuple[np.ndarray, Repairs]:
    """Reads the quantities `inputs` of a noisy frame, (C, H, W), repaired: see frames.repairs.repair.

    Albedo and motion that the file lacks get their `missing` values.
    """
    planes = read_planes(path, inputs, fill=True)
    return planes, repair(planes, inputs)


def load_target(path: Path) -> tuple[np.ndarray, Repairs]:
    """Reads the (3, H, W) linear radiance of a target, from 0 up; Inf is NaN, which is no repair."""
    planes = read_planes(path, ("color",))
    return planes, replace(repair(planes, ("color",), np.nan), invalid=0)
