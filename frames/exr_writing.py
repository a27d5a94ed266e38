"""Writes EXR frames, and copies of them with other pixels in some channels.

Shapes: C channels, H rows, W columns. Arrays are channels first. Radiance is linear, in scene units, >= 0.
"""

import os
from pathlib import Path

import numpy as np
import OpenEXR

from files import InputError, atomic_file
from frames.channels import HALF_MAX, QUANTITIES
from frames.exr import Header, contents_of, decode, decoded_channels, overlap, read_pixels
from frames.repairs import report_once

LOSS, HALF_STEP = 0.02, 1e-6  # mean difference, relative and absolute, that a compression may make
REPEATED_LOSS = (OpenEXR.DWAA_COMPRESSION, OpenEXR.DWAB_COMPRESSION)  # decoding and encoding again changes pixels


def write_exr(path: Path, quantities: dict[str, np.ndarray], like: Header | None = None) -> None:
    """Writes quantities, each (C, H, W), under the first of their names in QUANTITIES, as half floats, ZIP, atomically.

    Values beyond the range of half floats are clamped to +-65504. Raises OSError if it cannot be written.

    like: a header of this size, whose data and display windows the file gets.
    """
    path = Path(path)
    channels = {}
    for name, planes in quantities.items():
        for channel, plane in zip(QUANTITIES[name].stored, planes, strict=True):
            channels[channel] = np.ascontiguousarray(np.clip(plane, -HALF_MAX, HALF_MAX), np.float16)
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    if like:
        windows = {"dataWindow": like.window, "displayWindow": like.display or like.window}
        header |= {name: tuple(np.array(corner, np.int32) for corner in (w[:2], w[2:])) for name, w in windows.items()}
    _write(OpenEXR.File(header, channels), path)


def check_written(path: Path, planes: dict[str, np.ndarray]) -> None:
    """Reads a file back: raises InputError if it does not hold these (H, W) planes, within what compression loses."""
    _, pixels = read_pixels(path)
    for name, plane in planes.items():
        found = pixels.get(name)
        if found is None or found.shape != plane.shape:
            raise InputError(
                f"{path}: {name} cannot be read back; render the frames as scanline EXR with ZIP compression"
            )
        limit = np.finfo(found.dtype).max
        wanted = np.clip(plane, -limit, limit)
        if np.abs(found - wanted).mean() > LOSS * np.abs(wanted).mean() + HALF_STEP:
            raise InputError(f"{path}: {name} reads back changed; render with another compression, such as ZIP")


def replace_channels(source: Path, destination: Path, planes: dict[str, np.ndarray]) -> None:
    """Writes a copy of an EXR file with other pixels in some channels; all else stays, bit by bit.

    planes: (H, W) by channel name, as Header has it. Pixel types stay, and half floats are clamped to +-65504. Parts
    whose compression would change other channels once more (DWAA, DWAB) are compressed with ZIP. The write
    is atomic. Raises FileNotFoundError, InputError if the source is damaged, OSError if it cannot be written.
    """
    source, destination = Path(source), Path(destination)
    contents, file = decode(source)
    reference = contents.parts[contents.beauty].window
    for name, channel, window in decoded_channels(contents, file):
        if name in planes:
            kind = channel.pixels.dtype
            limit = np.finfo(kind).max
            changed = channel.pixels.copy()  # keeps what lies outside the beauty's window
            inside = overlap(window, reference), overlap(reference, window)
            changed[inside[0]] = np.clip(planes[name][inside[1]], -limit, limit)
            channel.pixels = changed
    for part in file.parts:
        drop_empty_lists(source, part.header)
        if part.header["compression"] in REPEATED_LOSS:
            part.header["compression"] = OpenEXR.ZIP_COMPRESSION
    _write(file, destination)


def check_writable(header: Header) -> None:
    """Raises InputError, naming what is at fault, if replace_channels could not write a copy of the file faithfully.

    OpenEXR's Python module writes neither subsampled channels nor several levels of a picture.
    """
    contents = contents_of(header.path)
    for part, names in zip(contents.parts, contents.names, strict=True):
        if part.levels:
            raise InputError(f"{header.path}: it is mip-mapped, which cannot be written; render it without levels")
        for channel, name in zip(part.channels, names, strict=True):
            if channel.sampling != (1, 1):
                across, down = channel.sampling
                raise InputError(
                    f"{header.path}: {name} has a value for {across}x{down} pixels, which cannot be written; render it "
                    "at full size, or leave it out"
                )


def drop_empty_lists(path: Path, header: dict) -> None:
    """Takes attributes that are empty lists out of a part's header, because OpenEXR cannot write them; says so once."""
    for name in [name for name, value in header.items() if isinstance(value, list | tuple) and not len(value)]:
        del header[name]
        report_once(
            name, f"{path}: its attribute {name} is an empty list, which cannot be written: left out everywhere"
        )


def _write(file: OpenEXR.File, path: Path) -> None:
    """Writes the file, atomically. Raises OSError if it cannot be written."""
    with atomic_file(path) as temporary:
        try:
            file.write(os.fsencode(temporary))
        except RuntimeError as error:
            raise OSError(f"{path}: not written ({error}); free some space, or choose another folder") from error
