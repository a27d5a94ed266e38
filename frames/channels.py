"""The table of quantities in a frame: their names, units and channel counts, and how renderers name their channels."""

from dataclasses import dataclass

import numpy as np

from files import InputError


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


def split_planes(planes: np.ndarray, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Views of (C, H, W) planes, one for each of the quantities `names`."""
    ends = np.cumsum([QUANTITIES[name].count for name in names])
    return dict(zip(names, np.split(planes, ends[:-1]), strict=True))
