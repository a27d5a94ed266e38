"""Whether pixels can be what their channels' names say. What cannot be is not believed, whatever its name.

Shapes: C channels, H rows, W columns.
"""

from dataclasses import replace

import numpy as np

from files import InputError
from frames.exr import BACKGROUND_DEPTH, Header, check_pixels
from frames.layers import Layout, short

RARE = 0.25  # share of a frame's pixels that may be odd: the albedo of lamps is what some renderers let them emit
MIXED = 0.05  # share of depths with the rarer sign, from which they are no distances
LONG = 2.0  # of a normal: averages are shorter than 1, filters with negative lobes and coding as colors go beyond
BRIGHT = 1.25  # of an albedo: sheen goes beyond 1


def implausible(name: str, planes: np.ndarray) -> str | None:
    """Why (C, H, W) planes cannot be the quantity `name`; None if they can."""
    planes = np.nan_to_num(planes, posinf=0, neginf=0)
    if name == "depth":
        known = planes[np.abs(planes) < BACKGROUND_DEPTH]
        signs = np.count_nonzero(known < 0), np.count_nonzero(known > 0)
        return "it has values of both signs, so it is no distance" if min(signs) > MIXED * sum(signs) else None
    if name == "normal":
        sizes, limit, what = np.sqrt(np.square(planes).sum(0)), LONG, "a normal has length 1"
    elif name == "albedo":
        sizes, limit, what = np.abs(planes).max(0), BRIGHT, "an albedo lies between 0 and 1"
    else:
        return None
    odd = np.count_nonzero(sizes > limit)
    return f"its values reach {sizes.max():.4g}, and {what}" if odd > RARE * sizes.size else None


def distances(depth: np.ndarray) -> np.ndarray:
    """Depth as a renderer writes it to this project's, same shape: above 0 whatever its sign, 0 in the background."""
    return np.where(np.abs(depth) >= BACKGROUND_DEPTH, 0, np.abs(depth))


def believed(header: Header, pixels: dict[str, np.ndarray | None], layout: Layout) -> Layout:
    """The layout without what cannot be what it is taken for.

    pixels: of a frame of the shot, see frames.exr.read_pixels. Raises InputError if that leaves out a quantity that
    must be there, or a channel has no real numbers for the frame's pixels.
    """
    surface, notes = dict(layout.surface), list(layout.notes)
    for name, channels in layout.surface.items():
        for channel in channels:
            check_pixels(header, pixels, channel)
        reason = implausible(name, np.stack([pixels[channel] for channel in channels]).astype(np.float32))
        if reason is None:
            continue
        found = f"{short(channels)} cannot be {name}: {reason}"
        if name in ("depth", "normal"):
            raise InputError(
                f"{header.path}: {found}; choose another layer with --use {name}=LAYER, or render that pass"
            )
        del surface[name]
        notes.append(f"{name}: left out: {found}; choose another layer with --use {name}=LAYER")
    return replace(layout, surface=surface, notes=tuple(notes))
