"""EXR frames and the table of quantities in them.

Shapes: C channels, H rows, W columns. Arrays are channels first. Radiance is linear, in scene units, >= 0.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import OpenEXR
from tqdm import tqdm

from files import InputError, whole_file
from frames.channels import QUANTITIES, find_channels, split_planes

MISS_DEPTH = 1e9  # Blender writes 1e10 where a ray hits nothing; here that is 0

# OpenEXR's own threads do not survive the fork that starts a data-loading worker; the workers are the parallelism.
OpenEXR.set_global_thread_count(0)


@dataclass(frozen=True)
class Header:
    """What an EXR file says of itself: its channel names and its data window (x0, y0, x1, y1), ends included."""

    path: Path
    channels: tuple[str, ...]
    window: tuple[int, int, int, int]

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the data window."""
        x0, y0, x1, y1 = self.window
        return y1 - y0 + 1, x1 - x0 + 1


def _open(path: Path, header_only: bool):
    """The OpenEXR handle of a file that is there and has at least one part."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        file = OpenEXR.File(str(path), separate_channels=True, header_only=header_only)
        parts = len(file.parts)
    except Exception as error:  # OpenEXR raises RuntimeError, ValueError and its own types alike
        raise InputError(f"{path}: not a readable EXR file ({error}); render or copy it again") from error
    if not parts:
        raise InputError(f"{path}: the pixels cannot be decoded (truncated or corrupt); render or copy it again")
    return file


def _qualified(part_index: int, part_name: str, channel: str) -> str:
    """A channel's name; in a multi-part file, parts after the first put their own name in front unless it is there."""
    if part_index == 0 or not part_name or channel.startswith(part_name + "."):
        return channel
    return f"{part_name}.{channel}"


def read_header(path: Path) -> Header:
    """Channel names and data window of an EXR file, without decoding its pixels.

    Raises FileNotFoundError, or InputError where the file is no EXR file.
    """
    file = _open(path, header_only=True)
    names = []
    for index in range(len(file.parts)):
        header = file.header(index)
        names += [_qualified(index, header.get("name", ""), channel.name) for channel in header["channels"]]
    low, high = file.header()["dataWindow"]
    return Header(Path(path), tuple(names), (int(low[0]), int(low[1]), int(high[0]), int(high[1])))


def require_channels(header: Header, names: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """The EXR channels of each quantity in `names`.

    Raises InputError naming the file, the quantity, the accepted names and the channels that are there.
    """
    found = {}
    for name in names:
        try:
            channels = find_channels(header.channels, name)
        except InputError as error:
            raise InputError(f"{header.path}: {error}") from error
        if channels is None:
            raise InputError(
                f"{header.path}: no channel for {name} ({QUANTITIES[name].unit}); "
                f"accepted: {QUANTITIES[name].accepted}; the file has: {' '.join(header.channels) or 'none'}"
            )
        found[name] = channels
    return found


def read_exr(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The quantities `names` of an EXR file, each (C, H, W) float32: see read_planes."""
    return split_planes(read_planes(path, names), names)


def read_planes(path: Path, names: tuple[str, ...]) -> np.ndarray:
    """The quantities `names` of an EXR file one behind the other, (C, H, W) float32, as stored, NaN and Inf included.

    The picture is the file's data window, wherever that starts. Depths of 1e9 and more (a miss in Blender) become 0.
    Raises FileNotFoundError, or InputError where the file is damaged or a quantity is not in it.
    """
    file = _open(path, header_only=False)
    pixels = {}
    for index, part in enumerate(file.parts):
        for channel in part.channels.values():
            pixels[_qualified(index, part.name() if index else "", channel.name)] = channel.pixels
    low, high = file.header()["dataWindow"]
    header = Header(Path(path), tuple(pixels), (int(low[0]), int(low[1]), int(high[0]), int(high[1])))
    found = require_channels(header, names)
    planes = np.empty((sum(QUANTITIES[name].count for name in names), *header.size), np.float32)
    for name, quantity in split_planes(planes, names).items():
        for plane, channel in zip(quantity, found[name], strict=True):
            if pixels[channel] is None or pixels[channel].shape != header.size:
                reason = "subsampled or deep channels are not supported"
                raise InputError(f"{path}: {name} has no pixels of size {header.size} ({reason})")
            plane[:] = pixels[channel]  # converted as it is copied: this is read more often than anything
        if name == "depth":
            quantity[np.isfinite(quantity) & (np.abs(quantity) >= MISS_DEPTH)] = 0
    return planes


def replace_invalid(values: np.ndarray) -> int:
    """Replaces NaN and Inf by 0, in place; returns how many values that were."""
    valid = np.isfinite(values)
    count = valid.size - int(np.count_nonzero(valid))
    if count:
        values[~valid] = 0
    return count


def load_noisy(path: Path, inputs: tuple[str, ...]) -> tuple[np.ndarray, int]:
    """The quantities `inputs` of a noisy rendering as (C, H, W), and how many NaN and Inf in them became 0."""
    planes = read_planes(path, inputs)
    return planes, replace_invalid(planes)


def load_target(path: Path) -> np.ndarray:
    """The (3, H, W) linear radiance of a target, NaN and Inf included."""
    return read_planes(path, ("color",))


def write_exr(path: Path, quantities: dict[str, np.ndarray]) -> None:
    """Writes quantities, each (C, H, W), under the first of their names in QUANTITIES, half float, ZIP.

    Whole or not at all. Values beyond what a half float holds (65504) are clamped to it. Raises OSError where it
    cannot be written.
    """
    path = Path(path)
    limit = np.finfo(np.float16).max
    channels = {}
    for name, planes in quantities.items():
        for channel, plane in zip(QUANTITIES[name].stored, planes, strict=True):
            channels[channel] = np.ascontiguousarray(np.clip(plane, -limit, limit), np.float16)
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with whole_file(path) as temporary:
        try:
            OpenEXR.File(header, channels).write(str(temporary))
        except RuntimeError as error:
            raise OSError(f"{path}: not written ({error}); free some space, or choose another folder") from error


def report_invalid(source: Path | str, invalid: int) -> None:
    """Says that NaN and Inf in an input were replaced, if any were."""
    if invalid:
        tqdm.write(f"{source}: {invalid} NaN or Inf values, replaced by 0", file=sys.stderr)
