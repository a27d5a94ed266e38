"""What model files say about surfaces, as Looks: lines of MTL files, and materials as trimesh reads them."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from rooms.finishes import Look
from rooms.pictures import decode, find_file, linear, open_picture

CLEAR = 0.9  # an image with no alpha below this counts as opaque


def numbers(text: str) -> list[float]:
    """The numbers at the start of a text."""
    values = []
    for word in text.split():
        try:
            values.append(float(word))
        except ValueError:
            break
    return [value for value in values if np.isfinite(value)]


def color_of(text: str, default: float) -> tuple[float, float, float]:
    """A color of an MTL file, linear; default: sRGB gray where it is missing. These colors are sRGB by custom."""
    values = np.clip((numbers(text) or [default])[:3], 0, 1)
    return tuple(float(c) for c in linear(np.resize(values, 3) if len(values) != 3 else values))


@lru_cache(maxsize=8)  # parts of a model often share one, and then become one shape
def texture(root: str, near: str, line: str) -> tuple[np.ndarray, np.ndarray | None] | None:
    """Color and alpha of the picture that a `map_` line names, None where there is none that can be read.

    The line may have options before the name; the name may have spaces.
    """
    words = line.split()
    for start in range(len(words)) if line.startswith("-") else (0,):
        found = find_file(root, near, " ".join(words[start:]) if start else line)
        if found:
            try:
                return decode(open_picture(Path(root, found)))
            except (OSError, ValueError, SyntaxError, EOFError):  # Pillow raises these for broken files
                return None
    return None


def cutout_of(alpha: np.ndarray | None) -> np.ndarray | None:
    """The alpha (H, W) of an image, None where nothing is cut out of it."""
    return alpha if alpha is not None and alpha.min() < CLEAR else None


def from_mtl(root: str, near: str, name: str, lines: dict[str, str]) -> Look:
    """The look of a material of an MTL file in the folder `near` of root; lines: of wavefront.read_mtl."""
    # numbers; Tr is 1 - d, but where it alone says that nothing can be seen, it was meant the other way round
    shininess = (numbers(lines.get("ns", "")) or [0.0])[0]
    dissolved = numbers(lines.get("d", "").removeprefix("-halo")) or [1 - t for t in numbers(lines.get("tr", ""))[:1]]
    opacity = dissolved[0] if dissolved and ("d" in lines or dissolved[0] > 0) else 1.0
    look = Look(
        name,
        color_of(lines.get("kd", ""), 0.7),
        opacity=float(np.clip(opacity, 0, 1)),
        highlight=max(color_of(lines.get("ks", ""), 0.0)) if shininess > 0 else 0.0,
        alpha=float(np.sqrt(2 / (max(shininess, 0) + 2))),  # of Blinn's exponent (Walter et al. 2007)
    )

    # textures
    if picture := texture(root, near, lines.get("map_kd", "")):
        look = replace(look, image=picture[0], cutout=cutout_of(picture[1]))
    if look.cutout is None and (picture := texture(root, near, lines.get("map_d", ""))):
        look = replace(look, cutout=cutout_of(picture[0].mean(2) if picture[1] is None else picture[1]))
    return look


def from_trimesh(visual) -> Look:
    """The look of the visual of a trimesh geometry: a glTF material, a plain one, or colors of vertices."""
    # colors of vertices or faces: their mean
    material = getattr(visual, "material", None)
    if material is None:
        color = np.asarray(visual.main_color if visual.defined else [180, 180, 180, 255]) / 255
        return Look("", tuple(float(c) for c in linear(color[:3])))

    # a plain material
    name = str(getattr(material, "name", None) or "")
    if not hasattr(material, "baseColorFactor"):
        image = None if material.image is None else decode(material.image)[0]
        return Look(name, tuple(float(c) for c in linear(np.asarray(material.main_color[:3]) / 255)), image)

    # glTF: color, linear and times the image
    factor = np.ones(4) if material.baseColorFactor is None else np.asarray(material.baseColorFactor) / 255
    mode = material.alphaMode or "OPAQUE"
    look = Look(name, tuple(float(c) for c in factor[:3]), opacity=float(factor[3]) if mode == "BLEND" else 1.0)
    if material.baseColorTexture is not None:
        image, alpha = decode(material.baseColorTexture)
        if mode == "MASK" and alpha is not None:
            limit = 0.5 if material.alphaCutoff is None else material.alphaCutoff
            alpha = (alpha * factor[3] >= limit).astype(np.float32)
        cutout = None if mode == "OPAQUE" else cutout_of(alpha)
        look = replace(look, image=image * factor[:3].astype(np.float32), cutout=cutout)

    # metal and roughness, which an image gives in its blue and green
    metallic = 1.0 if material.metallicFactor is None else material.metallicFactor
    rough = 1.0 if material.roughnessFactor is None else material.roughnessFactor
    if material.metallicRoughnessTexture is not None:
        share = np.asarray(material.metallicRoughnessTexture.convert("RGB").reduce(4), float).mean((0, 1)) / 255
        metallic, rough = metallic * share[2], rough * share[1]
    alpha = float(np.clip(rough, 0, 1)) ** 2
    return replace(look, highlight=0.0 if alpha > 0.6 else 0.5, alpha=alpha, metal=bool(metallic > 0.5))
