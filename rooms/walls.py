"""Walls of procedural rooms: coverings, windows, doorways, and what hangs there.

A wall is made in the xy plane, facing +z, with the middle of its foot at the origin. Lengths are in meters.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from rooms import meshes, textures
from rooms.floor import wall_frames
from rooms.furniture import framed, ornament
from rooms.lighting import emitter, light_color
from rooms.materials import BLACK, Style
from rooms.primitives import Shape, ball, body, box, moved, rod

Opening = tuple[float, float, float, float]  # x0, x1, y0, y1 on a wall


def surface(style: Style) -> Callable[[float, float], dict]:
    """A covering for floors and walls: a function from the width and height of a part to its material."""
    kind = style.pick({"plain": 4, "paint": 1, "pattern": 3, "timber": 1})
    if kind in ("plain", "paint"):
        bsdf = style.matt(style.pale()) if kind == "plain" else style.coated(style.pale())
        return lambda width, height: bsdf
    pattern = textures.wood if kind == "timber" else style.pick(textures.PATTERNS)
    image, meters = style.texture(pattern), style.rng.uniform(0.4, 2.0)
    finish = style.coated if style.chance(0.5) else style.matt
    return lambda width, height: finish(image | {"repeat": (width / meters, height / meters)})


def floor_and_ceiling(size: tuple, floor: dict, ceiling: dict, margin: float = 0.2) -> list[Shape]:
    """Two slabs for a (W, H, D) room, and their materials; margin: how thick they are, and how far beyond the walls."""
    (width, height, depth), thick = size, margin or 0.1
    w, d = width / 2 + margin, depth / 2 + margin
    return [box((-w, -thick, -d), (w, 0, d), floor), box((-w, height, -d), (w, height + thick, d), ceiling)]


def bare_walls(size: tuple, materials: list[dict]) -> list[Shape]:
    """Plain walls of a (W, H, D) room, the first of wall_frames, as many as there are materials."""
    walls = []
    for (length, foot, turn), bsdf in zip(wall_frames(size), materials, strict=False):
        walls += moved([box((-length / 2, 0, -0.1), (length / 2, size[1], 0), bsdf)], foot, turn)
    return walls


def wall(style: Style, length: float, height: float, covering: Callable, window: bool) -> list[Shape]:
    """A wall with openings and what hangs on it; covering: see surface; window: whether it gets windows."""
    # openings
    half, thickness = length / 2, 0.2
    openings = []
    if window:
        openings = windows(style, half, height)
    elif style.chance(0.25) and length > 2.5:
        x = style.rng.uniform(-half + 0.5, half - 1.4)
        openings = [(x, x + 0.9, 0.0, min(2.05, height - 0.1))]

    # the solid parts beside, below and above them
    parts, x = [], -half - thickness
    for x0, x1, y0, y1 in openings:
        parts += [((x, 0), (x0, height)), ((x0, 0), (x1, y0)), ((x0, y1), (x1, height))]
        x = x1
    parts.append(((x, 0), (half + thickness, height)))
    solid = [(a, b) for a, b in parts if b[0] - a[0] > 1e-3 and b[1] - a[1] > 1e-3]
    result = [box((*a, -thickness), (*b, 0), covering(b[0] - a[0], b[1] - a[1])) for a, b in solid]

    # what is in the openings and on the wall
    for opening in openings:
        result += glazing(style, *opening) if window else corridor(style, *opening)
    result += skirting(style, half) if style.chance(0.5) and not openings else []
    return result + hangings(style, half, height, openings)


def windows(style: Style, half: float, height: float) -> list[Opening]:
    """A row of windows of one size, for a wall from -half to half."""
    rng = style.rng
    count = int(rng.integers(1, max(2, int(2 * half / 1.6)) + 1))
    sill, top = rng.uniform(0.1, 1.0), height - rng.uniform(0.15, 0.5)
    edges = np.linspace(-half + 0.15, half - 0.15, count + 1)
    gap = rng.uniform(0.1, 0.35) * (edges[1] - edges[0])
    return [(a + gap, b - gap, sill, top) for a, b in pairwise(edges)]


def glazing(style: Style, x0: float, x1: float, y0: float, y1: float) -> list[Shape]:
    """A window's frame and glazing bars; often curtains or blinds."""
    # bars and sill
    rng, frame = style.rng, style.paint
    lines_x = np.linspace(x0, x1, int(rng.integers(2, 5)))
    lines_y = np.linspace(y0, y1, int(rng.integers(2, 5)))
    bars = [box((x - 0.02, y0, -0.12), (x + 0.02, y1, -0.07), frame) for x in lines_x]
    bars += [box((x0, y - 0.02, -0.12), (x1, y + 0.02, -0.07), frame) for y in lines_y]
    bars.append(box((x0 - 0.03, y0 - 0.03, -0.02), (x1 + 0.03, y0, 0.08), frame))

    # curtains or blinds
    kind = style.pick({"bare": 1.5, "curtains": 1.2, "blinds": 1.5})
    if kind == "curtains":
        span, drop = (x1 - x0) * rng.uniform(0.15, 0.5), y1 - y0 + 0.2
        for x in (x0 - 0.1, x1 + 0.1 - span):
            bars.append(body(meshes.curtain(rng, span, drop), style.cloth, (x, y0 - 0.1, 0.1)))
        bars.append(rod((x0 - 0.2, y1 + 0.1, 0.1), (x1 + 0.2, y1 + 0.1, 0.1), 0.012, style.metal))
    elif kind == "blinds":
        bottom, tilt = y0 + (y1 - y0) * rng.uniform(0, 0.6), rng.uniform(0.0, 0.02)
        slat = style.matt(style.color())
        bars += [box((x0, y, -0.06), (x1, y + 0.003 + tilt, -0.02), slat) for y in np.arange(bottom, y1, 0.045)]
    return bars


def corridor(style: Style, x0: float, x1: float, y0: float, y1: float) -> list[Shape]:
    """A doorway: its frame, and a passage behind it, mostly with a lamp of its own."""
    # passage
    bsdf, end = style.matt(style.color()), -0.2 - style.rng.uniform(1.0, 3.0)
    a, b, h = x0 - 0.6, x1 + 0.6, y1 + 0.3
    parts = [((a, -0.1, end), (b, 0, -0.2)), ((a, h, end), (b, h + 0.1, -0.2)), ((a, 0, end - 0.1), (b, h, end))]
    parts += [((a - 0.1, 0, end), (a, h, -0.2)), ((b, 0, end), (b + 0.1, h, -0.2))]
    result = [box(low, high, bsdf) for low, high in parts]

    # frame
    trim = [((x0 - 0.08, 0), (x0, y1)), ((x1, 0), (x1 + 0.08, y1)), ((x0 - 0.08, y1), (x1 + 0.08, y1 + 0.08))]
    result += [box((*low, 0), (*high, 0.025), style.paint) for low, high in trim]

    # lamp
    if style.chance(0.6):
        light = emitter(light_color(style), style.rng.uniform(1, 15) * style.brightness)
        result.append(ball(((x0 + x1) / 2, h - 0.15, end / 2), 0.09, BLACK, emitter=light))
    return result


def skirting(style: Style, half: float) -> list[Shape]:
    """A board along the foot of a wall."""
    return [box((-half, 0, 0), (half, style.rng.uniform(0.06, 0.16), 0.015), style.paint)]


def hangings(style: Style, half: float, height: float, openings: list[Opening]) -> list[Shape]:
    """Pictures, mirrors, shelves, radiators and pipes on the parts of a wall without openings, from left to right."""
    rng, result, x = style.rng, [], -half + 0.3

    def is_free(low: float, high: float) -> bool:
        return all(high < x0 - 0.1 or low > x1 + 0.1 for x0, x1, _, _ in openings)

    while x < half - 0.5:
        # what, if it fits
        wide, tall = rng.uniform(0.2, 1.1), rng.uniform(0.2, 0.9)
        kind = style.pick({"nothing": 2, "frame": 3, "board": 1, "radiator": 0.6, "pipes": 0.3})
        if x + wide > half - 0.1 or not is_free(x, x + wide):
            kind = "nothing"

        # its shapes
        if kind == "frame":
            result += moved(framed(style, wide, tall), (x + wide / 2, rng.uniform(1.3, 1.7), 0))
        elif kind == "board":
            y = rng.uniform(1.1, height - 0.6)
            result.append(box((x, y, 0), (x + wide, y + 0.025, 0.2), style.timber))
            for at in np.arange(x + 0.1, x + wide - 0.05, 0.2):
                result += moved(ornament(style, rng.uniform(0.1, 0.22)), (at, y + 0.025, 0.1), rng.uniform(0, 6))
        elif kind == "radiator":
            ribs = np.arange(x, x + wide, 0.05)
            result += [rod((at, 0.1, 0.06), (at, 0.65, 0.06), 0.018, style.paint) for at in ribs]
        elif kind == "pipes":
            result += [rod((at, 0, 0.05), (at, height, 0.05), 0.015, style.metal) for at in (x, x + 0.08)]
        x += wide + rng.uniform(0.1, 0.8)
    return result
