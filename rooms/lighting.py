"""Lamps of procedural rooms: those in LAMPS. To add one, write a function here and enter it there.

Each lamp function draws one group of lamps, with the parameters

    style: the room's materials and random generator
    light: Light, its color and power
    size: (W, H, D) of the room
    at: (x, z) on the floor or ceiling

and returns shapes in room space. The power of a lamp is radiance times area, so that a small lamp is a bright one.
Much of the light arrives indirectly or past shades and edges. As in real rooms, most paths find no lamp.
"""

import colorsys
from dataclasses import dataclass

import numpy as np

from rooms.floor import Room
from rooms.materials import BLACK, Style, rgb
from rooms.meshes import lampshade
from rooms.primitives import Shape, ball, body, box, disc, moved, rod


@dataclass(frozen=True)
class Light:
    """What a group of lamps emits. color: (3,), any scale; power: radiance times square meters."""

    color: np.ndarray
    power: float

    def emitter(self, area: float) -> dict:
        """The area light that spreads the power over `area` square meters."""
        return emitter(self.color, self.power / area)


def emitter(color: np.ndarray, radiance: float) -> dict:
    """An area light of this color (3,), scaled to this mean radiance."""
    value = np.asarray(color) / np.mean(color) * radiance
    return {"type": "area", "radiance": rgb(value)}


def light_color(style: Style) -> np.ndarray:
    """A color (3,) of light, from candle to daylight, sometimes saturated."""
    if style.chance(0.15):
        return np.array(colorsys.hsv_to_rgb(style.rng.random(), style.rng.uniform(0.5, 0.9), 1.0)) + 0.02
    warm, cold = np.array([1.0, 0.55, 0.2]), np.array([0.8, 0.9, 1.0])
    return warm + (cold - warm) * style.rng.beta(1.5, 1.0)


def add_lamps(room: Room, style: Style, daylight: bool) -> None:
    """One to three groups of lamps, each of one kind; with daylight, mostly none."""
    rng, (width, _, depth) = style.rng, room.size
    groups = int(rng.integers(1, 3)) * int(style.chance(0.3)) if daylight else int(rng.integers(1, 4))
    for _ in range(groups):
        # kind, color, power
        make = style.pick(LAMPS)
        color = light_color(style)
        light = Light(color, style.brightness * 10 ** rng.uniform(-0.3, 0.9) * width * depth / 20)

        # where it hangs or stands
        at = rng.uniform(-0.35, 0.35, 2) * (width, depth)
        if make is standing:
            floor = room.claim_anywhere(style, (0.35, 0.35), 0.1)
            make, at = (standing, floor) if floor else (pendant, at)  # so that no room stays dark

        room.shapes.extend(make(style, light, room.size, at))


def panel(style: Style, light: Light, size: tuple, at: tuple[float, float]) -> list[Shape]:
    """A rectangle of light under the ceiling."""
    (a, b), (x, z), height = style.rng.uniform(0.2, 1.5, 2), at, size[1]
    low, high = (x - a / 2, height - 0.03, z - b / 2), (x + a / 2, height - 0.001, z + b / 2)
    return [box(low, high, BLACK, emitter=light.emitter(a * b))]


def spots(style: Style, light: Light, size: tuple, at: tuple[float, float]) -> list[Shape]:
    """A row of small balls under the ceiling, which share the power."""
    radius, count = style.rng.uniform(0.015, 0.06), int(style.rng.integers(2, 7))
    shared = emitter(light.color, light.power / count / (2 * np.pi * radius**2))
    row = np.linspace(-0.4, 0.4, count) * size[0]
    return [ball((x, size[1] - radius, at[1]), radius, BLACK, emitter=shared) for x in row]


def shaded_bulb(style: Style, light: Light, height: float, radius: float) -> list[Shape]:
    """A bulb of this radius at this height above the origin, inside a shade of cloth or of translucent paper."""
    # shade
    rng, color = style.rng, light.color
    shade = lampshade(rng.uniform(0.15, 0.3), rng.uniform(0.14, 0.26), rng.uniform(0.06, 0.14))
    tint = rgb(rng.uniform(0.4, 0.9) * np.asarray(color) / max(color))
    paper = {"type": "principledthin", "base_color": tint, "roughness": 0.8, "diff_trans": float(rng.uniform(0.3, 1.2))}
    material = paper if style.chance(0.3) else style.matt(tint)

    # bulb
    bulb = ball((0, height, 0), radius, BLACK, emitter=light.emitter(4 * np.pi * radius**2))
    return [body(shade, material, (0, height - 0.1, 0)), bulb]


def standing(style: Style, light: Light, _size: tuple, at: tuple[float, float]) -> list[Shape]:
    """A standing lamp: a shaded bulb on a pole with a foot."""
    height, radius = style.rng.uniform(1.1, 1.7), style.rng.uniform(0.025, 0.06)
    foot = disc(0, 0.02, 0.13, style.metal)
    pole = rod((0, 0.02, 0), (0, height - radius, 0), 0.012, style.metal)
    return moved([*shaded_bulb(style, light, height, radius), foot, pole], (at[0], 0, at[1]))


def pendant(style: Style, light: Light, size: tuple, at: tuple[float, float]) -> list[Shape]:
    """A shaded bulb on a cord from the ceiling."""
    (x, z), height = at, size[1]
    bulb_height, radius = height - style.rng.uniform(0.4, 1.0), style.rng.uniform(0.025, 0.06)
    hanging = moved(shaded_bulb(style, light, 0.2, radius), (x, bulb_height - 0.2, z))
    return [*hanging, rod((x, bulb_height, z), (x, height, z), 0.006, BLACK)]


def tube(_style: Style, light: Light, size: tuple, at: tuple[float, float]) -> list[Shape]:
    """A fluorescent tube under the ceiling, along x."""
    (x, z), y = at, size[1] - 0.08
    return [rod((x - 0.6, y, z), (x + 0.6, y, z), 0.02, BLACK, emitter=light.emitter(np.pi * 0.04 * 1.2))]


def cove(style: Style, light: Light, size: tuple, _at: tuple[float, float]) -> list[Shape]:
    """Indirect light: a strip of light behind a ledge under the ceiling, along one wall, hidden from below."""
    # where: at one of the two walls across z
    width, height, depth = size
    side, y = style.pick([-1, 1]), height - style.rng.uniform(0.2, 0.6)

    def across(*distances: float) -> list[float]:
        """z at these distances from the wall, in ascending order."""
        return sorted(side * (depth / 2 - distance) for distance in distances)

    # ledge, lip, strip
    (near, far), (lip,), strip = across(0, 0.25), across(0.25), across(0.1, 0.14)
    ledge = box((-width / 2, y - 0.02, near), (width / 2, y, far), style.paint)
    edge = box((-width / 2, y, lip - 0.01), (width / 2, y + 0.1, lip + 0.01), style.paint)
    glow = emitter(light.color, 3 * light.power / (0.04 * width))
    low, high = (-width / 2, y + 0.01, strip[0]), (width / 2, y + 0.03, strip[1])
    return [ledge, edge, box(low, high, BLACK, emitter=glow)]


# Every kind of lamp, and how often rooms have it.
LAMPS = {panel: 1.5, spots: 2, standing: 2, pendant: 2.5, tube: 0.7, cove: 2}
