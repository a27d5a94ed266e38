"""Which channels of a renderer's frame are read, and which receive the result. Names are compared ignoring case."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from files import InputError
from frames.channels import QUANTITIES, find_channels, is_radiance, require_channels
from frames.exr import Header
from frames.exr_header import BEAUTY_PARTS

Channels = tuple[str, ...]
Names = dict[str, str]  # lower-case name, without the chosen layer, to the name in the file

BEAUTY = ("Noisy Image", "Combined")  # Cycles' names: the first is denoised, the second receives the result
COMPOSITE = "Composite"  # the layer of Blender's compositor
CAMERA_NORMAL = "denoising normal"  # in camera space; Cycles' plain `Normal` is in world space, as in training
MOTION_LAYERS = ("motion", "Vector", "motionvector", "motion_vector")
MOTION_PARTS = (("X Y", "previous"), ("Z W", "next"), ("R G", "previous"))  # as Blender's `Vector` has them
NONE = "none"  # as a layer of Choice.use: leave the quantity out


@dataclass(frozen=True)
class Choice:
    """What the user chooses among a file's layers.

    layer: the view layer, view, part or other layer to denoise; None if there is only one.
    also: names or patterns (`Combined_*`) of further color layers to denoise.
    use: the layer of a quantity, by the quantity's name; NONE leaves it out.
    """

    layer: str | None = None
    also: tuple[str, ...] = ()
    use: dict[str, str] = field(default_factory=dict)


DEFAULT = Choice()


@dataclass(frozen=True)
class ColorLayer:
    """A layer to denoise: the three channels that are read and the three that receive the result."""

    source: Channels
    result: Channels


@dataclass(frozen=True)
class Layout:
    """What a frame's channels hold.

    colors: the beauty, then further layers.
    surface: the channels of each quantity beside color and motion.
    motion: pairs of channels that hold motion, with the frame they may lead to: "previous", "next", or "" for either.
    alpha: the channel of the beauty's alpha, None if it has none.
    notes: what was left out, and why.
    """

    colors: tuple[ColorLayer, ...]
    surface: dict[str, Channels]
    motion: tuple[tuple[Channels, str], ...]
    alpha: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def read(self) -> Channels:
        """All channels that are read."""
        layers = (*(c.source for c in self.colors), *self.surface.values(), *(m for m, _ in self.motion))
        return tuple(channel for layer in layers for channel in layer)


def find_layout(header: Header, inputs: tuple[str, ...], choice: Choice = DEFAULT) -> Layout:
    """The layout of a file. inputs: the quantities that the network reads.

    Raises InputError if the file lacks what is chosen or needed, or has several layers of it and none is chosen.
    """
    # colors
    inside, outside = split_channels(header, choice.layer)
    colors = (find_beauty(header.path, inside), *find_further(header, inside, outside, choice.also))
    red = colors[0].result[0]
    names = {channel.lower(): channel for channel in header.channels}
    alpha = names.get(f"{red.rpartition('.')[0]}.a".lower().lstrip("."))

    # the quantities beside them
    surface, notes = {}, []
    for name in (n for n in inputs if n not in ("color", "motion")):
        own, note = find_surface(header, (inside, outside), name, choice)
        surface |= {name: own} if own else {}
        notes += [note] if note else []
    motion = ()
    if "motion" in inputs and choice.use.get("motion") != NONE:
        wanted = (choice.use["motion"],) if "motion" in choice.use else MOTION_LAYERS
        motion = find_motion(inside, wanted) or find_motion(outside, wanted)
        if not motion and "motion" in choice.use:
            raise InputError(f"{header.path}: no motion in --use motion={wanted[0]}; {layers_in(header)}")
    return Layout(colors, surface, motion, alpha, tuple(notes))


def short(channels: Channels) -> str:
    """The names of a layer's channels, for messages: `Depth.Z`, `Normal.X .Y .Z`, `R G B`."""
    first, *rest = channels
    return " ".join([first, *(f".{c.rpartition('.')[2]}" if "." in c else c for c in rest)])


def layers_in(header: Header) -> str:
    """The layers of a file, for messages."""
    return choices_in({channel.rpartition(".")[0] for channel in header.channels} - {""})


def choices_in(names: Iterable[str]) -> str:
    """What a file has to choose from, for messages."""
    names = ", ".join(sorted(names))
    return f"the file has: {names}; choose one of them" if names else "the file has none; leave the option out"


def view_layers(channels: Channels) -> list[str]:
    """The names of the view layers, `Name.Combined.R` or `Name.Noisy Image.R`; Blender's compositor is none."""
    beauty = {name.lower() for name in BEAUTY}
    layers = {c.rpartition(".")[0].rpartition(".") for c in channels}
    return sorted({view for view, _, name in layers if name.lower() in beauty and view and view != COMPOSITE})


def below(channels: Channels, layer: str) -> Names:
    """The channels of a layer, by their names without it."""
    start = f"{layer}.".lower()
    return {c[len(start) :].lower(): c for c in channels if c.lower().startswith(start)}


def split_channels(header: Header, layer: str | None) -> tuple[Names, Names]:
    """The channels of the layer to denoise, by their names without it, and those that belong to no such layer.

    layer: None if there is only one. Raises InputError if it is not in the file, or None and the file has several.
    """
    everything = {c.lower(): c for c in header.channels}

    # a stereo file: each view has all quantities
    default, *others = header.views or ("",)
    if others:
        if layer is None:
            raise InputError(f"{header.path}: several views ({', '.join(header.views)}); choose one with --layer")
        if layer.lower() == default.lower():
            starts = tuple(f"{view}.".lower() for view in others)
            return {name: c for name, c in everything.items() if not name.startswith(starts)}, {}

    # the layer
    views = view_layers(header.channels)
    if layer is None and len(views) > 1:
        raise InputError(f"{header.path}: several view layers ({', '.join(views)}); choose one with --layer")
    layer = layer or next(iter(views), None) or find_color_layer(header)
    if layer is None or layer.lower() == header.beauty.lower():
        return everything, {}
    inside = below(header.channels, layer)
    if not inside:
        found = choices_in((*header.views, *views)) if header.views or views else layers_in(header)
        raise InputError(f"{header.path}: no --layer {layer}; {found}")
    if others:
        return inside, {}
    starts = tuple(f"{view}.".lower() for view in (*views, layer, COMPOSITE))
    return inside, {name: c for name, c in everything.items() if not name.startswith(starts)}


def color_layers(channels: Channels) -> list[str]:
    """The layers with R, G and B, as the file spells them, sorted."""
    lower = {c.lower() for c in channels}
    layers = sorted({c.rpartition(".")[0] for c in channels} - {""})
    return [layer for layer in layers if {f"{layer}.{part}".lower() for part in "rgb"} <= lower]


def holds_radiance(header: Header, layer: str) -> bool:
    """Whether a layer of colors may hold radiance, by its name and the file's list of IDs."""
    last = layer.rpartition(".")[2].lower()
    return is_radiance(layer) and not any(last.startswith(name.lower()) for name in header.ids)


def find_color_layer(header: Header) -> str | None:
    """The layer with the beauty of a file whose R, G and B have no known name; None if they have one.

    The only layer that may hold radiance, or the first of BEAUTY_PARTS. Raises InputError if several may be it.
    """
    if find_channels(header.channels, "color"):
        return None
    layers = [layer for layer in color_layers(header.channels) if holds_radiance(header, layer)]
    by_name = {layer.lower(): layer for layer in layers}
    usual = [by_name[name] for name in BEAUTY_PARTS if name in by_name]
    if usual or len(layers) == 1:
        return (usual or layers)[0]
    if layers:
        raise InputError(
            f"{header.path}: no channel is known to hold the colors; these layers may: {', '.join(layers)}; "
            f"choose one with --layer {layers[0]}"
        )
    return None


def find_beauty(path: Path, inside: Names) -> ColorLayer:
    """What to denoise. Where there is a `Noisy Image`, `Combined` receives its result. Raises InputError."""
    (source,) = require_channels(path, tuple(inside), ("color",)).values()
    noisy, combined = (f"{name}.".lower() for name in BEAUTY)
    result = tuple(inside.get(c.replace(noisy, combined)) for c in source)
    source = tuple(inside[c] for c in source)
    return ColorLayer(source, source if None in result else result)


def find_further(header: Header, inside: Names, outside: Names, also: tuple[str, ...]) -> list[ColorLayer]:
    """The further color layers that `also` names, in the file's order; a pattern takes layers of radiance only.

    Raises InputError if a name fits none, or a layer that holds no radiance.
    """
    everywhere = {**outside, **inside}
    beauty = {name.lower() for name in BEAUTY}
    layers = [layer for layer in color_layers(tuple(everywhere)) if layer not in beauty]
    names = {layer: everywhere[f"{layer}.r"].rpartition(".")[0][-len(layer) :] for layer in layers}  # as spelled
    chosen = []
    for pattern in also:
        hits = [layer for layer in layers if fnmatchcase(layer, pattern.lower())]
        wanted = [layer for layer in hits if holds_radiance(header, names[layer])]
        if hits and not wanted:
            raise InputError(
                f"{header.path}: --also {pattern}: by its name, {names[hits[0]]} holds no radiance, and filtering it "
                "would destroy it; leave it out, or rename it"
            )
        if not hits:
            found = choices_in(names[layer] for layer in layers if holds_radiance(header, names[layer]))
            raise InputError(f"{header.path}: no layer for --also {pattern}; {found}")
        chosen += [layer for layer in wanted if layer not in chosen]
    parts = (tuple(everywhere[f"{layer}.{part}"] for part in "rgb") for layer in chosen)
    return [ColorLayer(channels, channels) for channels in parts]


def find_surface(
    header: Header, places: tuple[Names, Names], name: str, choice: Choice
) -> tuple[Channels | None, str | None]:
    """The channels of depth, normal or albedo, and a note if an optional one is left out.

    places: the channels of the chosen layer, which come first, and the others. World-space normals come before
    camera-space ones. Raises InputError if a quantity that must be there is not, or is there several times.
    """
    # as the user says
    required = QUANTITIES[name].missing is None
    if name in choice.use:
        if choice.use[name] == NONE and not required:
            return None, None
        return chosen_surface(header, places, name, choice.use[name]), None

    # by names
    for channels in places:
        world = tuple(c for c in channels if c.rpartition(".")[0].rpartition(".")[2] != CAMERA_NORMAL)
        try:
            found = find_channels(world, name) or find_channels(tuple(channels), name)
        except InputError as error:
            what = f"{str(error).partition(';')[0]}; choose one with --use {name}=LAYER"
            if required:
                raise InputError(f"{header.path}: {what}") from error
            return None, f"{name}: left out: {what}"
        if found:
            return tuple(channels[c] for c in found), None

    # not there
    if required:
        require_channels(header.path, header.channels, (name,))
        raise InputError(
            f"{header.path}: no channel for {name} in --layer {choice.layer}, only in another; render it in both"
        )
    return None, None


def chosen_surface(header: Header, places: tuple[Names, Names], name: str, layer: str) -> Channels:
    """The channels of a quantity in the layer that --use names. Raises InputError if they are not there."""
    quantity = QUANTITIES[name]
    for channels in places:
        for parts in dict.fromkeys((*quantity.parts, *(p for _, p in quantity.loose), "R G B", "X Y Z")):
            names = [f"{layer}.{part}".lower() for part in parts.split()][: quantity.count]
            if len(names) == quantity.count and all(n in channels for n in names):
                return tuple(channels[n] for n in names)
        if quantity.count == 1 and layer.lower() in channels:
            return (channels[layer.lower()],)
    raise InputError(f"{header.path}: no {name} in --use {name}={layer}; {layers_in(header)}")


def find_motion(channels: Names, layers: tuple[str, ...]) -> tuple[tuple[Channels, str], ...]:
    """Pairs of channels that hold motion, in the first of `layers` that is there, and where they may lead."""
    names = sorted({c.rpartition(".")[0] for c in channels})
    for layer in layers:
        for hit in (name for name in names if f".{name}".endswith(f".{layer.lower()}")):
            pairs = [([f"{hit}.{part}".lower() for part in parts.split()], leads) for parts, leads in MOTION_PARTS]
            found = [(tuple(channels[c] for c in pair), leads) for pair, leads in pairs if channels.keys() >= set(pair)]
            if found:
                both = {leads for _, leads in found} == {"previous", "next"}
                return tuple((pair, leads if both else "") for pair, leads in found)
    return ()
