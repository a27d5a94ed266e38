"""Reads and writes EXR frames.

Shapes: C channels, H rows, W columns. Arrays are channels first. Radiance is linear, in scene units, >= 0.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import OpenEXR
from tqdm import tqdm

from files import InputError, whole_file
from frames.channels import QUANTITIES, channel_count, find_channels, require_channels, split_planes

MISS_DEPTH = 1e9  # Blender writes 1e10 where a ray hits nothing; this project writes 0
REPEATED_LOSS = (OpenEXR.DWAA_COMPRESSION, OpenEXR.DWAB_COMPRESSION)  # decoding and encoding again changes pixels

# OpenEXR's threads do not survive the fork that starts a data-loading worker; parallelism comes from the workers.
OpenEXR.set_global_thread_count(0)


@dataclass(frozen=True)
class Header:
    """Channel names and data window (x0, y0, x1, y1) of an EXR file; x1 and y1 belong to the window."""

    path: Path
    channels: tuple[str, ...]
    window: tuple[int, int, int, int]

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the data window."""
        x0, y0, x1, y1 = self.window
        return y1 - y0 + 1, x1 - x0 + 1


def _open(path: Path, header_only: bool) -> OpenEXR.File:
    """Opens an EXR file with at least one part. Raises FileNotFoundError or InputError."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        file = OpenEXR.File(str(path), separate_channels=True, header_only=header_only)
        parts = len(file.parts)
    except Exception as error:  # OpenEXR raises RuntimeError, ValueError and its own types
        raise InputError(f"{path}: not a readable EXR file ({error}); render or copy it again") from error
    if not parts:
        raise InputError(f"{path}: the pixels cannot be decoded (truncated or corrupt); render or copy it again")
    return file


def _full_name(part_index: int, part_name: str, channel: str) -> str:
    """A channel's name; in parts after the first, with the part's name in front unless it is there already."""
    if part_index == 0 or not part_name or channel.startswith(part_name + "."):
        return channel
    return f"{part_name}.{channel}"


def _window(file: OpenEXR.File) -> tuple[int, int, int, int]:
    """The data window (x0, y0, x1, y1) of the first part."""
    low, high = file.header()["dataWindow"]
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def read_header(path: Path) -> Header:
    """Reads channel names and data window of an EXR file without decoding its pixels.

    Raises FileNotFoundError, or InputError if it is not an EXR file.
    """
    file = _open(path, header_only=True)
    names = []
    for index in range(len(file.parts)):
        header = file.header(index)
        names += [_full_name(index, header.get("name", ""), channel.name) for channel in header["channels"]]
    return Header(Path(path), tuple(names), _window(file))


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

    Raises FileNotFoundError, or InputError if the file is damaged.
    """
    file = _open(path, header_only=False)
    pixels = {}
    for index, part in enumerate(file.parts):
        for channel in part.channels.values():
            pixels[_full_name(index, part.name() if index else "", channel.name)] = channel.pixels
    return Header(Path(path), tuple(pixels), _window(file)), pixels


def read_planes(path: Path, names: tuple[str, ...], fill: bool = False) -> np.ndarray:
    """Reads the quantities `names` of an EXR file, concatenated, (C, H, W) float32, as stored, with NaN and Inf.

    H and W are those of the data window, wherever it starts. Depths of 1e9 and more (a miss in Blender) become 0.
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
            if pixels[channel] is None or pixels[channel].shape != header.size:
                reason = "subsampled or deep channels are not supported"
                raise InputError(f"{path}: {name} has no pixels of size {header.size} ({reason})")
            plane[:] = pixels[channel]  # converts while copying: nothing is read more often than frames
        if name == "depth":
            quantity[np.isfinite(quantity) & (np.abs(quantity) >= MISS_DEPTH)] = 0
    return planes


def replace_invalid(values: np.ndarray) -> int:
    """Replaces NaN and Inf by 0, in place; returns how many there were."""
    valid = np.isfinite(values)
    count = valid.size - int(np.count_nonzero(valid))
    if count:
        values[~valid] = 0
    return count


def load_noisy(path: Path, inputs: tuple[str, ...]) -> tuple[np.ndarray, int]:
    """Reads the quantities `inputs` of a noisy frame, (C, H, W), and returns how many NaN and Inf in them became 0.

    Albedo and motion that the file lacks get their `missing` values.
    """
    planes = read_planes(path, inputs, fill=True)
    return planes, replace_invalid(planes)


def load_target(path: Path) -> np.ndarray:
    """Reads the (3, H, W) linear radiance of a target, with NaN and Inf."""
    return read_planes(path, ("color",))


def write_exr(path: Path, quantities: dict[str, np.ndarray]) -> None:
    """Writes quantities, each (C, H, W), under the first of their names in QUANTITIES, as half floats, ZIP.

    The file appears whole or not at all. Values beyond the range of half floats are clamped to +-65504. Raises OSError
    if it cannot be written.
    """
    path = Path(path)
    limit = np.finfo(np.float16).max
    channels = {}
    for name, planes in quantities.items():
        for channel, plane in zip(QUANTITIES[name].stored, planes, strict=True):
            channels[channel] = np.ascontiguousarray(np.clip(plane, -limit, limit), np.float16)
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    _write(OpenEXR.File(header, channels), path)


def replace_channels(source: Path, destination: Path, planes: dict[str, np.ndarray]) -> None:
    """Writes a copy of an EXR file with other pixels in some channels; all else stays, bit by bit.

    planes: (H, W) by channel name, as Header has it. Pixel types stay, and half floats are clamped to +-65504. Parts
    whose compression would change other channels once more (DWAA, DWAB) are compressed with ZIP. The copy appears
    whole or not at all. Raises FileNotFoundError, InputError if the source is damaged, OSError if it cannot be written.
    """
    source, destination = Path(source), Path(destination)
    file = _open(source, header_only=False)
    for index, part in enumerate(file.parts):
        for channel in part.channels.values():
            plane = planes.get(_full_name(index, part.name() if index else "", channel.name))
            if plane is not None:
                kind = channel.pixels.dtype
                limit = np.finfo(kind).max
                channel.pixels = np.ascontiguousarray(np.clip(plane, -limit, limit), kind)
        if part.header["compression"] in REPEATED_LOSS:
            part.header["compression"] = OpenEXR.ZIP_COMPRESSION
    _write(file, destination)


def _write(file: OpenEXR.File, path: Path) -> None:
    """Writes the file whole or not at all. Raises OSError if it cannot be written."""
    with whole_file(path) as temporary:
        try:
            file.write(str(temporary))
        except RuntimeError as error:
            raise OSError(f"{path}: not written ({error}); free some space, or choose another folder") from error


def report_invalid(source: Path | str, invalid: int) -> None:
    """Prints on stderr that NaN and Inf in `source` were replaced, if there were any."""
    if invalid:
        tqdm.write(f"{source}: {invalid} NaN or Inf values, replaced by 0", file=sys.stderr)
