"""Frames as other programs write them: in parts, mip-mapped, subsampled, with empty lists, under other names.

Shapes: H rows, W columns.
"""

import struct
from pathlib import Path

import numpy as np
import OpenEXR
from support import ROOT, write_channels

from checkpoints import load_denoiser
from frames.exr import read_exr
from frames.shots import find_shots
from inference.reconstruction_options import build_parser
from inference.shots import denoise_shots

WEIGHTS = ROOT / "weights" / "fast.safetensors"
H, W = 64, 96
ZIP = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}


def quantities(number: int) -> dict[str, np.ndarray]:
    """Planes (C, H, W) of each quantity: a ball in front of a textured wall; the camera pans by 2 pixels a frame."""
    rng = np.random.default_rng(abs(number))
    y, x = np.mgrid[:H, :W].astype(np.float32)
    u = x + 2 * number
    albedo = np.stack([0.5 + 0.3 * np.sin(u / 5 + k) * np.cos(y / 7) for k in range(3)])
    normal = np.stack([0 * x, 0 * x, 0 * x + 1])
    column, row, radius = W / 2 - 2 * number, H / 2, 16
    squared = (x - column) ** 2 + (y - row) ** 2
    ball, z = squared < radius**2, np.sqrt(np.maximum(radius**2 - squared, 0)) / radius
    normal[:, ball] = np.stack([(x - column) / radius, (y - row) / radius, z])[:, ball]
    depth = np.where(ball, 3 - z, 5 + 0.01 * y)
    color = albedo * (0.4 + 0.6 * normal[2]) * rng.exponential(1, (1, H, W))
    found = {"color": color, "depth": depth[None], "normal": normal, "albedo": albedo}
    found["motion"] = np.stack([0 * x + 2, 0 * x])
    return {name: planes.astype(np.float32) for name, planes in found.items()}


def layer(name: str, planes: np.ndarray, parts: str = "RGB") -> dict[str, np.ndarray]:
    """Channels `name.R` ... of planes; without a name `R` ..."""
    return {f"{name}.{part}" if name else part: plane for part, plane in zip(parts, planes, strict=False)}


def usual(number: int) -> dict[str, np.ndarray]:
    """The channels of a frame under this project's names."""
    found = quantities(number)
    named = layer("normal", found["normal"]) | layer("albedo", found["albedo"])
    return layer("", found["color"]) | {"depth.Z": found["depth"][0]} | named | layer("motion", found["motion"], "XY")


def write_shot(folder: Path, channels_of, name: str = "shot_{:04d}.exr", frames=range(1, 4), **header) -> Path:
    """Writes frames of one part. channels_of: from a frame's number to its channels."""
    for number in frames:
        write_channels(folder / name.format(number), channels_of(number), **header)
    return folder


def write_parts(path: Path, parts: dict[str, dict], windows: dict[str, tuple] | None = None) -> Path:
    """A file of several parts: channels by the part's name, and its data window (x0, y0, x1, y1)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    full = (0, 0, W - 1, H - 1)
    made = []
    for name, channels in parts.items():
        x0, y0, x1, y1 = (windows or {}).get(name, full)
        header = ZIP | {"dataWindow": (np.array([x0, y0], np.int32), np.array([x1, y1], np.int32))}
        header |= {"displayWindow": (np.array(full[:2], np.int32), np.array(full[2:], np.int32))}
        made.append(OpenEXR.Part(header, {k: np.ascontiguousarray(v) for k, v in channels.items()}, name))
    OpenEXR.File(made).write(str(path))
    return path


def parts_of(number: int) -> dict[str, dict]:
    """The channels of a frame in parts, by the part's name, each with plain R, G and B."""
    found = quantities(number)
    parts = {name: layer("", found[quantity]) for name, quantity in (("albedo", "albedo"), ("normal", "normal"))}
    return parts | {"beauty": layer("", found["color"]), "depth": {"Z": found["depth"][0]}}


def add_attribute(path: Path, name: str, kind: str, value: bytes) -> None:
    """Adds an attribute to the header of a file of one part."""
    data = path.read_bytes()
    place = 8
    while data[place] != 0:  # name, type, size, value
        for _ in range(2):
            place = data.index(b"\0", place) + 1
        place += 4 + struct.unpack_from("<i", data, place)[0]
    added = name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<i", len(value)) + value
    first = struct.unpack_from("<Q", data, place + 1)[0]
    count = (first - place - 1) // 8
    offsets = (offset + len(added) for offset in struct.unpack_from(f"<{count}Q", data, place + 1))
    path.write_bytes(data[:place] + added + b"\0" + struct.pack(f"<{count}Q", *offsets) + data[first:])


def write_raw(path: Path, planes: dict[str, tuple[np.ndarray, int]], mip_mapped: bool = False) -> Path:
    """An uncompressed file of float planes, each with its sampling; mip_mapped: as if smaller levels followed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = sorted(planes, key=str.encode)
    listed = (
        b"".join(n.encode() + b"\0" + struct.pack("<iIii", 2, 0, planes[n][1], planes[n][1]) for n in names) + b"\0"
    )
    box = struct.pack("<4i", 0, 0, W - 1, H - 1)
    attributes = [("channels", "chlist", listed), ("compression", "compression", b"\0"), ("dataWindow", "box2i", box)]
    attributes += [("displayWindow", "box2i", box), ("lineOrder", "lineOrder", b"\0")]
    attributes += [("pixelAspectRatio", "float", struct.pack("<f", 1))]
    attributes += [("screenWindowCenter", "v2f", struct.pack("<2f", 0, 0))]
    attributes += [("screenWindowWidth", "float", struct.pack("<f", 1))]
    attributes += [("tiles", "tiledesc", struct.pack("<IIB", 128, 128, 1))] * mip_mapped
    data = b"v/1\1" + struct.pack("<I", 2 | 0x200 * mip_mapped)
    for name, kind, value in attributes:
        data += name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<i", len(value)) + value
    data += b"\0"
    lines = []
    for y in range(H):
        rows = (planes[n] for n in names)
        line = b"".join(plane[y // step].tobytes() for plane, step in rows if y % step == 0)
        lines.append(struct.pack("<ii", y, len(line)) + line)
    place = len(data) + 8 * H
    for line in lines:
        data += struct.pack("<Q", place)
        place += len(line)
    path.write_bytes(data + b"".join(lines))
    return path


def denoise(folder, output, *more):
    """Runs test.py's work in this process; returns its frames' colors, (T, 3, H, W)."""
    options = build_parser().parse_args([str(WEIGHTS), str(folder), "--output_dir", str(output), *map(str, more)])
    denoise_shots(load_denoiser(WEIGHTS), options)
    if options.dry_run:
        return None
    (shot, *_), _ = find_shots(output)
    return np.stack([read_exr(file, ("color",))["color"] for file in shot.files])
