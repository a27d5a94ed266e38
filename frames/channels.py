"""The quantities of a frame: names, units, channel counts, and the EXR channel names that renderers give them.

To read the files of another renderer, add its channel names to QUANTITIES. To add an input, add a Quantity.
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from files import InputError

WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")  # in camelCase, snake_case and the like
MAX_WEIGHT = 32.0  # of the history: older samples fade beyond this effective sample count
HALF_MAX = 65504.0  # the largest half float, of which the cache of decoded frames is made


@dataclass(frozen=True)
class Quantity:
    """A per-pixel quantity and its channel names in EXR files.

    name: in tensors, options and documents.
    count: number of channels.
    unit: unit and convention, for messages.
    layers, parts: accepted names `Layer.Part`, ignoring case: any of `layers` with any of `parts` (one string holds
        the parts of all channels). More may precede the layer: Blender writes `ViewLayer.Depth.Z`.
    bare: accepted names without a layer, the names of all channels in one string.
    loose: (text, parts), tried last: any layer whose name contains the text, because Mitsuba 3 lets users name layers.
    missing: the value that stands for the quantity where a file lacks it; None if every noisy file must have it.
    limits: what the networks see of values beyond: the nearest of these. infinite: what stands for positive infinity.

    Earlier names win. This project writes the first ones.
    """

    name: str
    count: int
    unit: str
    layers: tuple[str, ...]
    parts: tuple[str, ...]
    bare: tuple[str, ...] = ()
    loose: tuple[tuple[str, str], ...] = ()
    missing: float | None = None
    limits: tuple[float, float] = field(default=(-HALF_MAX, HALF_MAX), repr=False)  # the cache's key: frames/cache.py
    infinite: float = field(default=0.0, repr=False)

    @property
    def stored(self) -> list[str]:
        """The channel names that this project writes."""
        if self.name == "color":
            return self.bare[0].split()
        return [f"{self.layers[0]}.{part}" for part in self.parts[0].split()]

    @property
    def accepted(self) -> str:
        """All accepted channel names, for messages: `R G B, Combined.R .G .B, ...`."""
        bare = [" ".join(names.split()) for names in self.bare]
        layers = [f"{layer}.{' .'.join(parts.split())}" for layer in self.layers for parts in self.parts]
        loose = [f"<{text or 'any'}>.{' .'.join(parts.split())}" for text, parts in self.loose]
        return ", ".join(bare + layers + loose)


QUANTITIES = {
    q.name: q
    for q in (
        Quantity(
            name="color",
            count=3,
            unit="linear radiance",
            layers=("Noisy Image", "Combined"),  # in this order: where Cycles denoises, Combined is denoised already
            parts=("R G B",),
            bare=("R G B",),
            limits=(0.0, HALF_MAX),  # filters with negative lobes go below
            infinite=HALF_MAX,  # of a lamp that half floats cannot hold
        ),
        Quantity(
            name="depth",
            count=1,
            unit="scene units, 0 where nothing is hit",
            layers=("depth", "Denoising Depth", "P"),
            parts=("Z", "V", "T"),
            bare=("Z", "Z_noice", "Pz", "depth"),
            loose=(("", "T"),),
            limits=(0.0, HALF_MAX),
        ),
        Quantity(
            name="normal",
            count=3,
            unit="world-space shading normal, 0 where nothing is hit",
            layers=("normal", "Denoising Normal", "Ns", "sh_normal", "normals", "nn", "N_noice", "N"),
            parts=("R G B", "X Y Z"),
            bare=("Nsx Nsy Nsz", "Nx Ny Nz"),
            loose=(("norm", "X Y Z"), ("norm", "R G B"), ("", "X Y Z")),
            limits=(-1.0, 1.0),
        ),
        Quantity(
            name="albedo",
            count=3,
            unit="reflectance of the first hit, 0 to 1",
            layers=("albedo", "Denoising Albedo", "denoise_albedo", "diffuse_albedo", "DiffCol"),
            parts=("R G B",),
            loose=(("alb", "R G B"),),
            missing=0.0,
            limits=(0.0, 1.0),
        ),
        Quantity(
            name="motion",
            count=2,
            unit="pixels from here to where the surface point was in the previous frame, x right, y down",
            layers=("motion", "Vector"),
            parts=("X Y",),
            missing=HALF_MAX,  # beyond any motion
        ),
    )
}

# Words in the names of layers with a vector's parts that are not normals (`WorldPosition`); `loose` never matches them.
OTHER_VECTORS = {"position", "pos", "p", "point", "vector", "motion", "velocity", "tangent", "uv", "uvs", "ref"}
# Words in the names of layers with colors that are not radiance, beside the names of other quantities.
OTHER_COLORS = OTHER_VECTORS | {"crypto", "cryptomatte", "id", "ids", "index", "matte", "mask", "depth", "z", "normal"}
OTHER_COLORS |= {"normals", "albedo"}

PLAIN_INPUTS = ("color", "depth", "normal")  # required in every noisy file, in the order of the network's input
ALBEDO_INPUTS = (*PLAIN_INPUTS, "albedo")
MOTION_INPUTS = (*ALBEDO_INPUTS, "motion")


def channel_count(names: tuple[str, ...]) -> int:
    """The number of channels of the quantities `names` together."""
    return sum(QUANTITIES[name].count for name in names)


def first_channel(names: tuple[str, ...], name: str) -> int:
    """Where the quantity `name` starts among the concatenated channels of `names`."""
    return channel_count(names[: names.index(name)])


def channels_of(names: tuple[str, ...], name: str) -> slice:
    """The channels of the quantity `name` among the concatenated channels of `names`."""
    return slice(first_channel(names, name), first_channel(names, name) + channel_count((name,)))


def split_planes(planes: np.ndarray, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Splits (C, H, W) planes into views, one per quantity in `names`, each (count, H, W)."""
    ends = np.cumsum([QUANTITIES[name].count for name in names])
    return dict(zip(names, np.split(planes, ends[:-1]), strict=True))


@lru_cache(1024)  # the files of a dataset mostly have the same channels
def find_channels(channels: tuple[str, ...], name: str) -> tuple[str, ...] | None:
    """The channels that hold the quantity `name`, in the quantity's own order, or None if there are none.

    channels: all channel names of a file. Raises InputError if several layers match equally well.
    """
    quantity = QUANTITIES[name]
    by_lower = {channel.lower(): channel for channel in reversed(channels)}
    exact = set(channels)

    def pick(names: list[str]) -> tuple[str, ...] | None:
        found = [c if c in exact else by_lower.get(c.lower()) for c in names]
        return None if None in found else tuple(found)

    # names without a layer
    for names in quantity.bare:
        if found := pick(names.split()):
            return found

    # layers: exact aliases first, then loose matches
    layers = sorted({c.rpartition(".")[0] for c in channels if "." in c})
    rules = [(_is_alias(alias), parts) for alias in quantity.layers for parts in quantity.parts]
    rules += [(_contains(text), parts) for text, parts in quantity.loose]
    for matches, parts in rules:
        hits = [layer for layer in layers if matches(layer) and pick([f"{layer}.{part}" for part in parts.split()])]
        # Blender's compositor adds a layer `Composite` next to the view layer that it was made from.
        hits = [h for h in hits if not h.startswith("Composite.")] or hits
        if len(hits) > 1:
            raise InputError(f"{name} is in several layers ({', '.join(hits)}); keep one of them")
        if hits:
            return pick([f"{hits[0]}.{part}" for part in parts.split()])
    return None


def _is_alias(alias: str):
    """A predicate on layer names, ignoring case: equal to `alias`, or ending in it after a dot (`viewlayer.depth`)."""
    return lambda layer: f".{layer.lower()}".endswith(f".{alias.lower()}")


def _contains(text: str):
    """A predicate on layer names: `text` is in the last part, ignoring case, and that has none of OTHER_VECTORS."""
    return lambda layer: text in layer.rpartition(".")[2].lower() and not words(layer) & OTHER_VECTORS


def words(layer: str) -> set[str]:
    """The words in the last part of a layer's name: `CryptoObject00` has crypto and object, `world_position` both."""
    return {word.lower() for word in WORD.findall(layer.rpartition(".")[2])}


def is_radiance(layer: str) -> bool:
    """Whether a layer of this name that has R, G and B may hold radiance, and not another quantity or IDs."""
    own = layer.rpartition(".")[2].lower()
    taken = {alias.lower() for q in QUANTITIES.values() if q.name != "color" for alias in q.layers}
    texts = (text for q in QUANTITIES.values() for text, parts in q.loose if text and "R" in parts)
    return (
        "crypto" not in own
        and own not in taken
        and not words(layer) & OTHER_COLORS
        and not any(text in own for text in texts)
    )


def require_channels(path: Path, channels: tuple[str, ...], names: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """The EXR channels of each quantity in `names`; `channels` are all that the file `path` has.

    Raises InputError that names the file, the quantity, the accepted names and the channels of the file.
    """
    found = {}
    for name in names:
        try:
            own = find_channels(channels, name)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        if own is None:
            raise InputError(
                f"{path}: no channel for {name} ({QUANTITIES[name].unit}); accepted: {QUANTITIES[name].accepted}; the "
                f"file has: {' '.join(channels) or 'none'}; export it, or add its name to frames/channels.py"
            )
        found[name] = own
    return found
