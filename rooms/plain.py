"""Plain scenes: a few things outdoors, or in a bare box under a large lamp. Large lights leave little noise.

The difficulty is sharpness rather than noise: fine texture up to the horizon, silhouettes against the sky, and lamps
that depth, normals and albedo do not separate from the ceiling. The floor is y = 0, its middle is the origin.
"""

import numpy as np

from rooms import meshes
from rooms.floor import Room
from rooms.furniture import STANDING
from rooms.lighting import Light, light_color
from rooms.materials import Style, conductor, glass, rgb
from rooms.primitives import Item, ball, body, box, rod
from rooms.room import put
from rooms.skies import add_sky
from rooms.walls import bare_walls, floor_and_ceiling, surface


def make_plain(rng: np.random.Generator) -> Room:
    """A plain scene; the same for a generator in the same state."""
    style = Style(rng)
    return outdoors(style) if style.chance(0.6) else bare_box(style)


def outdoors(style: Style) -> Room:
    """Things on a wide ground under a sky, mostly with a sun."""
    rng = style.rng
    room = Room((rng.uniform(6, 14), 4.0, rng.uniform(6, 14)))
    reach = rng.uniform(10, 40)
    ground = box((-reach, -0.2, -reach), (reach, 0, reach), surface(style)(2 * reach, 2 * reach))
    room.shapes.append(ground)
    add_sky(room, style)
    makers = {block: 3, sphere: 3, partition: 1.5, tree: 1.5, lambda style: style.pick(STANDING)(style): 3}
    for _ in range(int(rng.integers(6, 18))):
        place(room, style, style.pick(makers)(style))
    return room


def bare_box(style: Style) -> Room:
    """A box of plain walls, closed or open at one side, with a few blocks and spheres, as the Cornell box."""
    # floor, ceiling, walls
    rng = style.rng
    room = Room((rng.uniform(3, 7), rng.uniform(2.3, 4), rng.uniform(3, 7)))
    width, height, depth = room.size
    pale = style.matt(style.pale())
    floor = pale if style.chance(0.6) else surface(style)(width, depth)
    is_open = style.chance(0.5)
    walls = [pale if style.chance(0.5) else style.matt(style.color()) for _ in range(3 if is_open else 4)]
    room.shapes.extend([*floor_and_ceiling(room.size, floor, pale, margin=0), *bare_walls(room.size, walls)])

    # outside there is little light, but some: pictures that are half black have no sensible exposure
    if is_open:
        room.lights.append({"type": "constant", "radiance": rgb([0.05 * style.brightness] * 3)})

    # a lamp that reflects as the ceiling does
    a, b = rng.uniform(0.2, 0.7, 2) * (width, depth)
    (x, z), color = rng.uniform(-0.4, 0.4, 2) * (width - a, depth - b), light_color(style)
    light = Light(color, style.brightness * 10 ** rng.uniform(-0.3, 0.9) * width * depth / 20)
    low, high = (x - a / 2, height - 0.004, z - b / 2), (x + a / 2, height - 0.002, z + b / 2)
    room.shapes.append(box(low, high, pale, emitter=light.emitter(a * b)))

    # things
    for _ in range(int(rng.integers(3, 10))):
        place(room, style, style.pick((block, sphere))(style))
    return room


def place(room: Room, style: Style, item: Item) -> None:
    """Puts an item at a random free place and angle, if there is one."""
    reach = float(np.hypot(*item.size))
    spot = room.claim_anywhere(style, (reach, reach), 0.1)
    if spot:
        put(room, style, item, (spot[0], 0, spot[1]), style.rng.uniform(0, 2 * np.pi))


def block(style: Style) -> Item:
    """A block, from a crate to a pillar."""
    w, h, d = style.rng.uniform([0.2, 0.2, 0.2], [1.0, 2.0, 1.0])
    bsdf = style.matt(style.color()) if style.chance(0.5) else style.solid()
    return Item([box((-w / 2, 0, -d / 2), (w / 2, h, d / 2), bsdf)], (w, d))


def sphere(style: Style) -> Item:
    """A sphere of glass, metal, plastic or anything matt."""
    radius = style.rng.uniform(0.15, 0.6)
    kinds = [glass, lambda: conductor(style.rng), lambda: style.coated(style.color())]
    kinds += [lambda: style.matt(style.color()), lambda: style.matt(style.texture(repeat=2))]
    return Item([ball((0, radius, 0), radius, style.pick(kinds, [1, 1, 1.5, 1.5, 1])())], (2 * radius, 2 * radius))


def partition(style: Style) -> Item:
    """A free-standing wall."""
    length, height, thickness = style.rng.uniform([1.5, 0.4, 0.1], [5, 2.5, 0.3])
    bsdf = surface(style)(length, height)
    return Item([box((-length / 2, 0, -thickness / 2), (length / 2, height, thickness / 2), bsdf)], (length, thickness))


def tree(style: Style) -> Item:
    """A trunk with a crown of long leaves."""
    rng, height = style.rng, style.rng.uniform(0.8, 2.2)
    green = rgb(rng.uniform([0.03, 0.12, 0.01], [0.25, 0.4, 0.1]))
    foliage = meshes.leaves(rng, int(rng.integers(60, 200)), rng.uniform(0.8, 1.6))
    trunk = rod((0, 0, 0), (0, height, 0), rng.uniform(0.03, 0.1), style.timber)
    return Item([trunk, body(foliage, style.matt(green), (0, height, 0))], (1.0, 1.0))
