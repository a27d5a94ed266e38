"""Furniture of procedural rooms: each function makes one thing, as an Item that stands on the floor or as shapes.

Sizes are random, materials come from the style. To add a piece, write a function here and enter it in STANDING or
ORNAMENTS; existing seeds then get other rooms.
"""

from itertools import pairwise

import numpy as np

from rooms import meshes, textures
from rooms.materials import Style, glass, mirror, rgb
from rooms.primitives import Item, Shape, ball, body, box, disc, moved, rod


def legs(style: Style, width: float, depth: float, height: float, bsdf: dict) -> list[Shape]:
    """Four legs, square, round or turned, under a top of this width and depth."""
    kind, thick = style.rng.integers(3), style.rng.uniform(0.012, 0.04)
    turned = meshes.vase(style.rng, height, 1.6 * thick)
    result = []
    for x in (-width / 2 + thick, width / 2 - thick):
        for z in (-depth / 2 + thick, depth / 2 - thick):
            if kind == 0:
                result.append(box((x - thick, 0, z - thick), (x + thick, height, z + thick), bsdf))
            elif kind == 1:
                result.append(rod((x * 1.03, 0, z * 1.03), (x * 0.9, height, z * 0.9), 0.7 * thick, bsdf))
            else:
                result.append(body(turned, bsdf, (x, 0, z)))
    return result


def table(style: Style) -> Item:
    """A dining, coffee or side table, square or round."""
    rng, bsdf = style.rng, style.solid()
    width, depth, height = rng.uniform(0.5, 2.2), rng.uniform(0.5, 1.1), style.pick([0.42, 0.55, 0.74, 0.76])
    top = glass() if style.chance(0.08) else bsdf if style.chance(0.7) else style.solid()
    if style.chance(0.25):
        radius = depth / 2
        foot = np.array([[0.3, 0], [0.28, 0.03], [0.05, 0.08], [0.04, height]]) * [radius / 0.5, 1]
        return Item([disc(height, 0.03, radius, top), body(meshes.revolve(foot), bsdf)], (depth, depth), height + 0.03)
    slab = box((-width / 2, height - 0.03, -depth / 2), (width / 2, height, depth / 2), top)
    return Item([slab, *legs(style, 0.95 * width, 0.92 * depth, height - 0.03, bsdf)], (width, depth), height)


def chair(style: Style) -> Item:
    """A stool, or a chair with a panel or bars as its back."""
    # legs and seat
    rng, bsdf = style.rng, style.solid()
    seat, back = rng.uniform(0.42, 0.48), rng.uniform(0.8, 1.15)
    result = [*legs(style, 0.42, 0.42, seat, bsdf), box((-0.22, seat, -0.22), (0.22, seat + 0.03, 0.22), bsdf)]
    if style.chance(0.4):
        cushion = meshes.blob(rng, (0.21, 0.035, 0.21), 0, 0.4)
        result.append(body(cushion, style.cloth, (0, seat + 0.05, 0)))

    # back
    kind = rng.integers(4)
    if kind == 0:
        result.append(box((-0.21, seat + 0.1, -0.22), (0.21, back, -0.2), bsdf))
    elif kind < 3:
        bars = np.linspace(-0.19, 0.19, int(rng.integers(3, 8)))
        result += [rod((x, seat, -0.2), (1.1 * x, back, -0.26), 0.009, bsdf) for x in bars]
        result.append(rod((-0.22, back, -0.26), (0.22, back, -0.26), 0.016, bsdf))
    return Item(result, (0.5, 0.5))


def sofa(style: Style) -> Item:
    """An armchair or sofa of rounded blocks, with pillows."""
    rng, cloth = style.rng, style.cloth if style.chance(0.6) else style.matt(style.texture(repeat=2))
    width, depth = rng.uniform(0.8, 2.3), rng.uniform(0.8, 1.0)

    def block(low, high, bsdf=cloth) -> Shape:
        low, high = np.array(low), np.array(high)
        return body(meshes.blob(rng, tuple((high - low) / 2), 0.004, 0.25), bsdf, (low + high) / 2)

    # base, back, arms
    w, d = width / 2, depth / 2
    result = [block((-w, 0.08, -d), (w, 0.44, d)), block((-w, 0.3, -d), (w, rng.uniform(0.7, 0.95), -d + 0.24))]
    result += [block((s * w - 0.09, 0.1, -d), (s * w + 0.09, 0.62, d)) for s in (-1, 1)]

    # pillows
    for x in np.linspace(-w + 0.3, w - 0.3, max(1, int(width / 0.6))):
        if style.chance(0.6):
            pillow = body(meshes.blob(rng, (0.22, 0.2, 0.08), 0.02, 0.6), style.matt(style.texture()))
            result += moved([pillow], (x, 0.6, -d + 0.32), rng.normal(0, 0.3))
    return Item(result, (width + 0.2, depth))


def shelf(style: Style) -> Item:
    """A bookcase full of books and ornaments."""
    # boards, sides, back
    rng, bsdf = style.rng, style.solid()
    width, depth, height = rng.uniform(0.6, 1.8), rng.uniform(0.22, 0.4), rng.uniform(0.8, 2.2)
    w, d = width / 2, depth / 2
    boards = np.linspace(0.04, height - 0.02, int(height / 0.34) + 2)
    result = [box((-w, y, -d), (w, y + 0.02, d), bsdf) for y in boards]
    result += [box((x - 0.01, 0, -d), (x + 0.01, height, d), bsdf) for x in (-w, w)]
    if style.chance(0.6):
        result.append(box((-w, 0, -d), (w, height, -d + 0.01), style.solid()))

    # what stands on them, from left to right
    covers = [style.coated(style.color()) for _ in range(7)] + [style.matt(style.texture())]
    for y in boards[:-1] + 0.02:
        x = -w + 0.03
        while x < w - 0.1:
            if style.chance(0.12):
                result += moved(ornament(style, 0.2), (x + 0.1, y, 0))
                x += 0.22
            elif style.chance(0.1):
                x += rng.uniform(0.05, 0.25)
            else:
                thick, tall, deep = rng.uniform(0.012, 0.05), rng.uniform(0.16, 0.27), rng.uniform(0.1, 0.18)
                cover = covers[rng.integers(len(covers))]
                result.append(box((x, y, -0.08), (x + thick, y + tall, -0.08 + deep), cover))
                x += thick + 0.002
    return Item(result, (width, depth), height)


def cabinet(style: Style) -> Item:
    """A chest or kitchen unit: doors or drawers, with knobs or handles, under a worktop."""
    # body and worktop
    rng, bsdf = style.rng, style.solid()
    width, depth, height = rng.uniform(0.5, 2.4), rng.uniform(0.4, 0.62), style.pick([0.55, 0.88, 0.92, 1.3])
    w, d = width / 2, depth / 2
    result = [box((-w, 0.06, -d), (w, height - 0.03, d - 0.02), bsdf)]
    worktop = style.coated(style.texture(textures.marble)) if style.chance(0.4) else style.solid()
    result.append(box((-w - 0.015, height - 0.03, -d), (w + 0.015, height, d + 0.01), worktop))

    # doors or drawers, each with a knob or a handle
    columns, rows = max(1, round(width / 0.5)), int(rng.integers(1, 5))
    for x0, x1 in pairwise(np.linspace(-w, w, columns + 1)):
        for y0, y1 in pairwise(np.linspace(0.08, height - 0.05, rows + 1)):
            result.append(box((x0 + 0.01, y0 + 0.01, d - 0.02), (x1 - 0.01, y1 - 0.01, d), bsdf))
            center = ((x0 + x1) / 2, y1 - 0.07, d + 0.02)
            if rows > 2 or style.chance(0.5):
                result.append(ball(center, 0.014, style.metal))
            else:
                bar = np.array([0.07, 0, 0])
                result.append(rod(center - bar, center + bar, 0.006, style.metal))
    return Item(result, (width, depth), height)


def plant(style: Style) -> Item:
    """A plant in a pot."""
    rng, height = style.rng, style.rng.uniform(0.2, 0.5)
    green = rgb(rng.uniform([0.02, 0.12, 0.01], [0.2, 0.4, 0.1]))
    foliage = meshes.leaves(rng, int(rng.integers(15, 60)), rng.uniform(0.4, 1.0))
    pot = body(meshes.vase(rng, height, 0.18, 0.015), style.ornament())
    stem = rod((0, 0.05, 0), (0, height, 0), 0.02, style.timber)
    return Item([pot, stem, body(foliage, style.matt(green), (0, height - 0.03, 0))], (0.5, 0.5))


def sculpture(style: Style) -> Item:
    """A free form on a pedestal."""
    rng, height, size = style.rng, style.rng.uniform(0.05, 0.9), style.rng.uniform(0.15, 0.45)
    knot = style.chance(0.4)
    half = tuple(size * rng.uniform(0.4, 1, 3))
    mesh = meshes.knot(rng, size) if knot else meshes.blob(rng, half, rng.uniform(0.03, 0.15))
    lift = height + (0.35 * size if knot else 1.2 * half[1])
    pedestal = box((-0.2, 0, -0.2), (0.2, height, 0.2), style.solid())
    return Item([pedestal, body(mesh, style.ornament(), (0, lift, 0))], (2 * size, 2 * size))


def stairs(style: Style) -> Item:
    """A flight of steps with a thin railing."""
    rng, bsdf, steps = style.rng, style.solid(), int(style.rng.integers(5, 13))
    width, rise, going = rng.uniform(0.8, 1.2), 0.18, 0.26
    w, z0 = width / 2, steps * going / 2
    result = []
    for i in range(steps):
        bottom = 0 if style.chance(0.5) else i * rise + 0.13
        result.append(box((-w, bottom, z0 - (i + 1) * going), (w, (i + 1) * rise, z0 - i * going), bsdf))
        foot = np.array([w - 0.03, (i + 1) * rise, z0 - (i + 0.5) * going])
        result.append(rod(foot, foot + np.array([0, 0.9, 0]), 0.011, style.metal))
    ends = [np.array([w - 0.03, (i + 1) * rise + 0.9, z0 - (i + 0.5) * going]) for i in (0, steps - 1)]
    return Item([*result, rod(*ends, 0.022, style.timber)], (width, steps * going))


def vessel(style: Style, size: float) -> list[Shape]:
    """A vase or bowl."""
    return [body(meshes.vase(style.rng, size, 0.4 * size), style.ornament())]


def tumbler(style: Style, size: float) -> list[Shape]:
    """A vessel of glass."""
    return [body(meshes.vase(style.rng, 0.8 * size, 0.25 * size, 0.02 * size), glass())]


def books(style: Style, size: float) -> list[Shape]:
    """Up to four books in a pile."""
    thick, pile = size * style.rng.uniform(0.1, 0.25), []
    for i in range(int(style.rng.integers(1, 5))):
        low, high = (-0.5 * size, i * thick, -0.35 * size), (0.5 * size, (i + 0.96) * thick, 0.35 * size)
        pile += moved([box(low, high, style.coated(style.color()))], turn=style.rng.normal(0, 0.2))
    return pile


def fruit(style: Style, size: float) -> list[Shape]:
    """A bowl of fruit."""
    bowl = np.array([[0.001, 0.02], [0.25, 0.03], [0.5, 0.3], [0.48, 0.3], [0.23, 0.05], [0.001, 0.04]])
    result = [body(meshes.revolve(bowl * size), style.ornament())]
    for _ in range(4):
        x, z = size * style.rng.uniform(-0.2, 0.2, 2)
        result.append(ball((x, 0.2 * size, z), 0.13 * size, style.ornament()))
    return result


def knot(style: Style, size: float) -> list[Shape]:
    """A torus knot."""
    return [body(meshes.knot(style.rng, 0.7 * size), style.ornament(), (0, 0.3 * size, 0))]


def carton(style: Style, size: float) -> list[Shape]:
    """A small box."""
    high = (0.3 * size, style.rng.uniform(0.2, 1) * size, 0.2 * size)
    return moved([box((-0.3 * size, 0, -0.2 * size), high, style.ornament())], turn=style.rng.uniform(0, 3))


def pebble(style: Style, size: float) -> list[Shape]:
    """A free form."""
    half = tuple(size * style.rng.uniform(0.2, 0.45, 3))
    return [body(meshes.blob(style.rng, half, 0.06), style.ornament(), (0, half[1], 0))]


ORNAMENTS = (vessel, tumbler, books, fruit, knot, carton, pebble)


def ornament(style: Style, size: float) -> list[Shape]:
    """A small thing of ORNAMENTS, about `size` meters tall."""
    return ORNAMENTS[style.rng.integers(len(ORNAMENTS))](style, size)


def framed(style: Style, width: float, height: float) -> list[Shape]:
    """A framed picture or mirror of this width and height, in the xy plane, facing +z."""
    w, h, rim, bsdf = width / 2, height / 2, style.rng.uniform(0.01, 0.06), style.solid()
    face = mirror() if style.chance(0.2) else style.matt(style.texture(textures.picture))
    sides = [((-w - rim, -h - rim), (-w, h + rim)), ((w, -h - rim), (w + rim, h + rim))]
    sides += [((-w, -h - rim), (w, -h)), ((-w, h), (w, h + rim))]
    frame = [box((*low, 0), (*high, 0.03), bsdf) for low, high in sides]
    return [*frame, box((-w, -h, 0), (w, h, 0.015), face)]


# What stands on the floor, and how often.
STANDING = {table: 3, chair: 2, sofa: 2, shelf: 3, cabinet: 3, plant: 1.5, sculpture: 1.2, stairs: 0.6}
