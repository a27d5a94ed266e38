"""Which channels of a renderer's frame are read, and which receive the result."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from files import InputError
from frames.channels import QUANTITIES, find_channels, require_channels
from frames.exr import Header

Channels = tuple[str, ...]

BEAUTY = ("Noisy Image", "Combined")  # Cycles' names: the first is denoised, the second receives the result
COMPOSITE = "Composite"  # the layer of Blender's compositor
CAMERA_NORMAL = "Denoising Normal"  # in camera space; Cycles' plain `Normal` is in world space, as in training
MOTION_LAYERS = ("motion", "Vector", "motionvector", "motionvectors", "motion_vector")
MOTION_PARTS = (("X Y", "previous"), ("Z W", "next"), ("R G", "previous"))  # as Blender's `Vector` has them


@dataclass(frozen=True)
class ColorLayer:
    """A layer to denoise: the three channels that are read and the three that receive the result."""

    source: Channels
    result: Channels


@dataclass(frozen=True)
class Layout:
    """What a frame's channels hold.

    colors: the beauty, then further layers. surface: the channels of each quantity beside color and motion.
    motion: pairs of channels that hold motion, with the frame they may lead to: "previous", "next", or "" for either.
    """

    colors: tuple[ColorLayer, ...]
    surface: dict[str, Channels]
    motion: tuple[tuple[Channels, str], ...]

    @property
    def read(self) -> Channels:
        """All channels that are read."""
        layers = (*(c.source for c in self.colors), *self.surface.values(), *(m for m, _ in self.motion))
        return tuple(channel for layer in layers for channel in layer)


def find_layout(header: Header, inputs: tuple[str, ...], layer: str | None, also: list[str]) -> Layout:
    """The layout of a file.

    inputs: the quantities that the network reads. layer: the view layer to denoise; None if there is only one.
    also: names or patterns (`Combined_*`) of further color layers to denoise.
    Raises InputError if the file lacks what is asked for or needed, or has several view layers and `layer` is None.
    """
    inside, outside = split_channels(header, layer)
    colors = (find_beauty(header.path, inside), *find_further(header.path, inside, outside, also))
    surface = {}
    for name in (n for n in inputs if n not in ("color", "motion")):
        own = find_surface(header.path, inside, name) or find_surface(header.path, outside, name)
        if own is None and QUANTITIES[name].missing is None:
            require_channels(header.path, header.channels, (name,))
            raise InputError(
                f"{header.path}: no channel for {name} in --layer {layer}, only in another; render it in both"
            )
        if own:
            surface[name] = own
    motion = (find_motion(inside) or find_motion(outside)) if "motion" in inputs else ()
    return Layout(colors, surface, motion)


def view_layers(channels: Channels) -> list[str]:
    """The names of the view layers, `Name.Combined.R` or `Name.Noisy Image.R`; Blender's compositor is none."""
    layers = {c.rpartition(".")[0].rpartition(".") for c in channels}
    return sorted({view for view, _, name in layers if name in BEAUTY and view and view != COMPOSITE})


def split_channels(header: Header, layer: str | None) -> tuple[dict[str, str], dict[str, str]]:
    """The channels of the view layer, {name without the layer: full name}, and those that belong to no view layer.

    Raises InputError if `layer` is not in the file, or is None and the file has several.
    """
    views = view_layers(header.channels)
    if layer is None and len(views) > 1:
        raise InputError(f"{header.path}: several view layers ({', '.join(views)}); choose one with --layer")
    layer = layer or next(iter(views), None)
    if layer is None:
        return {c: c for c in header.channels}, {}
    inside = {c.removeprefix(f"{layer}."): c for c in header.channels if c.startswith(f"{layer}.")}
    if not inside:
        found = views or sorted({c.partition(".")[0] for c in header.channels if "." in c})
        raise InputError(f"{header.path}: no --layer {layer}; the file has: {', '.join(found) or 'no layers'}")
    others = tuple(f"{view}." for view in (*views, layer, COMPOSITE))
    return inside, {c: c for c in header.channels if not c.startswith(others)}


def find_beauty(path: Path, inside: dict[str, str]) -> ColorLayer:
    """What to denoise. Where there is a `Noisy Image`, `Combined` receives its result. Raises InputError."""
    (source,) = require_channels(path, tuple(inside), ("color",)).values()
    source = tuple(inside[c] for c in source)
    noisy, combined = BEAUTY
    result = tuple(c.replace(f"{noisy}.", f"{combined}.") for c in source)
    return ColorLayer(source, result if set(result) <= set(inside.values()) else source)


def find_further(path: Path, inside: dict[str, str], outside: dict[str, str], also: list[str]) -> list[ColorLayer]:
    """The further color layers that `also` names, in the file's order. Raises InputError if a name fits none."""
    everywhere = {**outside, **inside}
    layers = {c.rpartition(".")[0] for c in everywhere}
    layers = sorted(n for n in layers if n and n not in BEAUTY and all(f"{n}.{part}" in everywhere for part in "RGB"))
    known = {a for q in QUANTITIES.values() for a in q.layers}
    chosen = []
    for pattern in also:
        hits = [name for name in layers if name == pattern or (fnmatchcase(name, pattern) and name not in known)]
        if not hits:
            raise InputError(f"{path}: no layer for --also {pattern}; the file has: {', '.join(layers) or 'none'}")
        chosen += [name for name in hits if name not in chosen]
    parts = (tuple(everywhere[f"{name}.{part}"] for part in "RGB") for name in chosen)
    return [ColorLayer(channels, channels) for channels in parts]


def find_surface(path: Path, channels: dict[str, str], name: str) -> Channels | None:
    """The channels of depth, normal or albedo; world-space normals before camera-space ones. Raises InputError."""
    names = tuple(channels)
    try:
        world = tuple(c for c in names if c.rpartition(".")[0].rpartition(".")[2] != CAMERA_NORMAL)
        found = find_channels(world, name) or find_channels(names, name)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return found and tuple(channels[c] for c in found)


def find_motion(channels: dict[str, str]) -> tuple[tuple[Channels, str], ...]:
    """Pairs of channels that hold motion, and where they may lead: see Layout."""
    for layer in MOTION_LAYERS:
        names = sorted({c.rpartition(".")[0] for c in channels})
        for hit in (name for name in names if f".{name}".lower().endswith(f".{layer.lower()}")):
            pairs = [(tuple(f"{hit}.{part}" for part in parts.split()), leads) for parts, leads in MOTION_PARTS]
            found = [(tuple(channels[c] for c in pair), leads) for pair, leads in pairs if set(pair) <= set(channels)]
            if found:
                both = {leads for _, leads in found} == {"previous", "next"}
                return tuple((pair, leads if both else "") for pair, leads in found)
    return ()
