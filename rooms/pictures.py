"""Textures of models: finds their files, however their names are written, and decodes them to linear reflectance."""

import os
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

LONGEST = 512  # pixels; larger textures are scaled down
MOST_PIXELS = 80_000_000  # of a file, which bounds the memory to decode it
MOST_BYTES = 64 * 2**20  # of any file of a model
PICTURES = ("PNG", "JPEG", "BMP", "TGA", "GIF", "TIFF", "WEBP")  # as Pillow calls them; it runs programs for others


def linear(encoded):
    """sRGB values in [0, 1] as linear ones; an array or a number."""
    encoded = np.asarray(encoded, np.float64)
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


LINEAR = linear(np.arange(256) / 255).astype(np.float32)  # of 8-bit values


@lru_cache(maxsize=8)
def files_below(root: str) -> dict[str, str]:
    """The files below a folder: for each path relative to it, in lower case, the path as it is. Links are left out."""
    found = {}
    for place, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(place, name)
            if not os.path.islink(path):
                relative = os.path.relpath(path, root).replace(os.sep, "/")
                found.setdefault(relative.lower(), relative)
    return found


def find_file(root: str, near: str, reference: str) -> str | None:
    """The file that `reference` means in a file in the folder `near`, relative to root as the answer; None: no such.

    Upper and lower case count as the same. A path that leads elsewhere, such as one of the artist's disk, is reduced to
    its name, which is looked for in `near` and below. Nothing outside root is ever found.
    """
    files, reference = files_below(root), reference.strip().strip('"').replace("\\", "/")
    path = os.path.normpath(os.path.join(near, reference)).replace(os.sep, "/").lower()
    if path in files:
        return files[path]
    name, start = "/" + path.rsplit("/", 1)[-1], near.lower() + "/" if near else ""
    nearest = [other for other in files if other.startswith(start) and ("/" + other).endswith(name)]
    return files[min(nearest, key=lambda other: (other.count("/"), other))] if nearest else None


def open_picture(path: Path) -> Image.Image:
    """A picture file, not yet decoded. Raises OSError or ValueError where it is none or too large."""
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{path.name} has more than {MOST_BYTES >> 20} MiB")
    return Image.open(path, formats=PICTURES)


def decode(picture: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """Linear color (H, W, 3) float32 and, where the picture has one, alpha (H, W) float32; LONGEST pixels at most.

    Raises ValueError where the picture is too large to decode.
    """
    if picture.format not in (*PICTURES, None) or picture.width * picture.height > MOST_PIXELS:
        raise ValueError(f"a texture of {picture.width}x{picture.height} pixels in {picture.format} format")
    picture.draft("RGB", (LONGEST, LONGEST))  # JPEG files decode faster to a smaller size
    transparent = "A" in picture.getbands() or "transparency" in picture.info
    picture = picture.convert("RGBA" if transparent else "RGB")
    picture.thumbnail((LONGEST, LONGEST))
    values = np.asarray(picture)
    return LINEAR[values[..., :3]], values[..., 3].astype(np.float32) / 255 if transparent else None
