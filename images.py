"""EXR frames and the table of quantities in them.

Shapes: C channels, H rows, W columns. Arrays are channels first. Radiance is linear, in scene units, >= 0.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import OpenEXR

# OpenEXR's own threads do not survive the fork that starts a data-loading worker; the workers are the parallelism.
OpenEXR.set_global_thread_count(0)

MISS_DEPTH = 1e9  # Blender writes 1e10 where a ray hits nothing; here that is 0


@dataclass(frozen=True)
class Quantity:
    """One per-pixel quantity: its name in tensors and documents, and its names in the EXR files of various renderers.

    A channel `Layer.part` matches where `Layer`, or what follows its last dots (Blender puts the view layer in front),
    is one of `layers`, case aside, and its parts are one of `parts`. `bare` are names that stand without a layer.
    Earlier entries win. `loose`: (text, parts) pairs, tried last: any one layer with that text in its name will do,
    since in Mitsuba 3 the user names the layers.
    """

    name: str
    count: int
    unit: str
    layers: tuple[str, ...]
    parts: tuple[str, ...]
    bare: tuple[str, ...] = ()
    loose: tuple[tuple[str, str], ...] = ()

    @property
    def stored(self) -> list[str]:
        """The channel names that this project writes: the first ones."""
        if self.name == "color":
            return self.bare[0].split()
        return [f"{self.layers[0]}.{part}" for part in self.parts[0].split()]

    @property
    def accepted(self) -> str:
        """The accepted channel names, for messages: `R G B, Combined.R .G .B, ...`."""
        bare = [" ".join(names.split()) for names in self.bare]
        layers = [f"{layer}.{' .'.join(parts.split())}" for layer in self.layers for parts in self.parts]
        loose = [f"<{text or 'any'}>.{' .'.join(parts.split())}" for text, parts in self.loose]
        return ", ".join(bare + layers + loose)


# Noisy Image comes before Combined: where Cycles denoises, Combined is already denoised.
QUANTITIES = {
    q.name: q
    for q in (
        Quantity("color", 3, "linear radiance", ("Noisy Image", "Combined"), ("R G B",), ("R G B",)),
        Quantity(
            "depth",
            1,
            "scene units, 0 where nothing is hit",
            ("depth", "Denoising Depth", "P"),
            ("Z", "V", "T"),
            ("Z", "Z_noice", "Pz", "depth"),
            (("", "T"),),
        ),
        Quantity(
            "normal",
            3,
            "world-space shading normal, 0 where nothing is hit",
            ("normal", "Denoising Normal", "Ns", "sh_normal", "normals", "nn", "N_noice", "N"),
            ("R G B", "X Y Z"),
            ("Nsx Nsy Nsz", "Nx Ny Nz"),
            (("norm", "X Y Z"), ("norm", "R G B"), ("", "X Y Z")),
        ),
        Quantity(
            "albedo",
            3,
            "reflectance of the first hit, 0 to 1",
            ("albedo", "Denoising Albedo", "denoise_albedo", "diffuse_albedo", "DiffCol"),
            ("R G B",),
            (),
            (("alb", "R G B"),),
        ),
        Quantity(
            "motion",
            2,
            "pixels from here to where the surface point was in the frame before, x right, y down",
            ("motion", "Vector"),
            ("X Y",),
        ),
    )
}
PLAIN_INPUTS = ("color", "depth", "normal")  # what every noisy file must have, in the order of the network's input
ALBEDO_INPUTS = (*PLAIN_INPUTS, "albedo")
# Layers that have a vector's parts but hold no normal, so that the loosest rule must not take them.
NOT_NORMALS = {"position", "pos", "p", "vector", "motion", "velocity", "uv"}


class InputError(ValueError):
    """What the user gave cannot be used; the message names it, what was found, what was expected, and the fix."""


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


def find_channels(channels: tuple[str, ...], name: str) -> tuple[str, ...] | None:
    """The channels that hold quantity `name`, in its own order, or None where there are none.

    Raises InputError where several layers hold it and nothing tells which is meant.
    """
    quantity = QUANTITIES[name]
    by_lower = {channel.lower(): channel for channel in reversed(channels)}
    exact = set(channels)

    def pick(wanted: list[str]) -> tuple[str, ...] | None:
        found = [c if c in exact else by_lower.get(c.lower()) for c in wanted]
        return None if None in found else tuple(found)

    for names in quantity.bare:
        if found := pick(names.split()):
            return found
    layers = sorted({c.rpartition(".")[0] for c in channels if "." in c})
    rules = [(_named(alias), parts) for alias in quantity.layers for parts in quantity.parts]
    rules += [(_containing(text), parts) for text, parts in quantity.loose]
    for matches, parts in rules:
        hits = [
            layer for layer in layers if matches(layer.lower()) and pick([f"{layer}.{part}" for part in parts.split()])
        ]
        # Blender's compositor adds a layer `Composite` beside the view layer it was made from.
        hits = [h for h in hits if not h.startswith("Composite.")] or hits
        if len(hits) > 1:
            raise InputError(f"{name} is in several layers ({', '.join(hits)}); keep one of them")
        if hits:
            return pick([f"{hits[0]}.{part}" for part in parts.split()])
    return None


def _named(alias: str):
    """A test of layer names, in lower case: `alias`, perhaps with a view layer in front (`ViewLayer.Depth`)."""
    return lambda layer: f".{layer}".endswith(f".{alias.lower()}")


def _containing(text: str):
    """A test of layer names, in lower case: `text` is in the last part, which is no known layer of another kind."""
    return lambda layer: text in layer.rpartition(".")[2] and layer.rpartition(".")[2] not in NOT_NORMALS


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


def split_planes(planes: np.ndarray, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Views of (C, H, W) planes, one for each of the quantities `names`."""
    ends = np.cumsum([QUANTITIES[name].count for name in names])
    return dict(zip(names, np.split(planes, ends[:-1]), strict=True))


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


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Gives a temporary name beside `path` to write to; renames it to `path` if all went well, else removes it."""
    temporary = path.with_name(f".{socket.gethostname()}-{os.getpid()}-{path.name}")  # several machines may share it
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
