"""Light in furnished scenes: the kinds in LIGHTS, besides daylight. To add one, write a function and enter it there.

Each function adds one kind of light to a stage, of the color and power of a Light (see rooms/lighting.py), and returns
whether it could. Lamps are shapes; spot lamps and projectors, which have no size, are entries of room.lights.
"""

from collections.abc import Callable

import numpy as np

from rooms import meshes, textures
from rooms.curves import catmull_rom
from rooms.lighting import LAMPS, Light, emitter, light_color, standing
from rooms.materials import BLACK, rgb
from rooms.placing import Prop, Stage, add, bounds, crowd, hang, model_prop, stand_anywhere
from rooms.primitives import Shape, ball, body, box, disc, rod


def add_light(stage: Stage, make: Callable) -> bool:
    """Adds one kind of LIGHTS to a room; returns whether there was room for it."""
    rng, (width, _, depth) = stage.style.rng, stage.room.size
    power = stage.style.brightness * 10 ** rng.uniform(-0.3, 0.9) * width * depth / 20
    return make(stage, Light(light_color(stage.style), power))


def add_lights(stage: Stage, least: int, most: int) -> None:
    """Adds from `least` to `most` kinds of LIGHTS, as far as there is room; one of SURE where there has to be light."""
    count, sure = int(stage.style.rng.integers(least, most + 1)), least == 0
    for _ in range(4 * count):
        kind = stage.style.pick(LIGHTS)
        if count and add_light(stage, kind):
            count -= 1
            sure |= kind in SURE
    if not sure:
        add_light(stage, stage.style.pick(SURE))


def clear_height(stage: Stage) -> float:
    """The height in meters below the beams and ledges that a ceiling may have."""
    height = stage.room.size[1]
    return min([low[1] for low, high in stage.boxes if high[1] > height - 0.01 and low[1] > height - 0.35] or [height])


def textured(image: np.ndarray, radiance: float) -> dict:
    """An area light that shows an image (H, W, 3), of this mean radiance."""
    scaled = (image * (radiance / max(float(image.mean()), 1e-3))).astype(np.float32)
    return {"type": "area", "radiance": {"type": "bitmap", "image": scaled, "repeat": (1.0, 1.0)}}


def sheet(width: float, height: float) -> meshes.Mesh:
    """A flat rectangle in the xy plane, facing +z, its middle at the origin."""
    x, y = np.meshgrid(np.array([-0.5, 0.5]) * width, np.array([-0.5, 0.5]) * height)
    return meshes.lattice(np.stack([x, y, np.zeros_like(x)], -1))


def aimed(origin, target) -> np.ndarray:
    """The matrix (4, 4) of something at `origin` (3,) that looks along +z, so that it looks at `target` (3,)."""
    forward = np.asarray(target, float) - origin
    forward /= np.linalg.norm(forward)
    right = np.cross([0.0, 1.0, 0.0] if abs(forward[1]) < 0.99 else [1.0, 0.0, 0.0], forward)
    right /= np.linalg.norm(right)
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([right, np.cross(forward, right), forward], 1)
    matrix[:3, 3] = origin
    return matrix


def classic(stage: Stage, light: Light) -> bool:
    """A lamp of the rooms without models: a panel, a row of spots, a pendant, a tube, or a cove."""
    make = stage.style.pick({lamp: weight for lamp, weight in LAMPS.items() if lamp is not standing})
    at = stage.style.rng.uniform(-0.35, 0.35, 2) * (stage.room.size[0], stage.room.size[2])
    size = (stage.room.size[0], clear_height(stage), stage.room.size[2])
    stage.room.shapes.extend(make(stage.style, light, size, tuple(at)))
    return True


def with_bulb(prop: Prop, light: Light, height: float) -> Prop:
    """A lamp model with a glowing ball in its middle, at this height."""
    radius = float(np.clip(0.05 * min(prop.size), 0.008, 0.05))
    bulb = ball((0, height, 0), radius, BLACK, emitter=light.emitter(4 * np.pi * radius**2))
    return Prop(prop.role, [*prop.shapes, bulb], prop.size, prop.top, prop.model)


def floor_lamps(stage: Stage, light: Light) -> bool:
    """One or two floor lamps: models, or the grammar's own."""
    added = False
    for _ in range(int(stage.style.rng.integers(1, 3))):
        prop = model_prop(stage, "lamp-floor", 2.5) if stage.style.chance(0.6) else None
        if prop:
            lamp = with_bulb(prop, light, 0.8 * prop.size[1])
        else:
            shapes = standing(stage.style, light, stage.room.size, (0.0, 0.0))
            low, high = bounds(shapes)
            lamp = Prop("lamp-floor", shapes, tuple(float(v) for v in high - low))
        added |= stand_anywhere(stage, lamp) is not None
    return added


def table_lamps(stage: Stage, light: Light) -> bool:
    """One or two models of table lamps, on what they can stand on."""
    added = 0
    for _ in range(int(stage.style.rng.integers(1, 3))):
        prop = model_prop(stage, "lamp-table", 0.9)
        if prop and stage.bases:
            base, spot = stage.style.pick(stage.bases)
            added += crowd(stage, base, [with_bulb(prop, light, 0.8 * prop.size[1])], spot)
    return added > 0


def shades(stage: Stage, light: Light) -> bool:
    """One to three shades of stained glass or printed paper, which shine, below the ceiling."""
    rng, (width, height, depth) = stage.style.rng, stage.room.size
    count, (low, high, tall) = int(rng.integers(1, 4)), rng.uniform([0.08, 0.04, 0.1], [0.35, 0.2, 0.4])
    pattern = stage.style.pick([*textures.PATTERNS, textures.picture])
    image = pattern(rng, stage.style.palette) + 0.02
    glow = textured(image, light.power / count / (np.pi * (low + high) * tall))
    outside = meshes.lampshade(tall, low, high)
    inside = meshes.Mesh(outside.vertices * np.float32([0.98, 1, 0.98]), outside.faces[:, ::-1], outside.uv)
    mesh = meshes.join([outside, inside])  # lamps shine on the side of their normal only
    y = min(height - tall - 0.1, rng.uniform(1.6, 2.4))
    for x in (np.arange(count) + 0.5) / count - 0.5:
        at = np.array([x * width, y, rng.uniform(-0.3, 0.3) * depth])
        cord = rod((at[0], y + tall, at[2]), (at[0], height, at[2]), 0.004, BLACK)
        stage.room.shapes.extend([body(mesh, BLACK, at, emitter=glow), cord])
        stage.room.sights.append(at)
    return True


def ceiling_lamps(stage: Stage, light: Light) -> bool:
    """A row of up to three models of one ceiling lamp."""
    # which
    prop = model_prop(stage, "lamp-ceiling", 2.0)
    width, height, depth = stage.room.size
    if prop is None or prop.size[1] > height - 1.5:
        return False
    count = int(stage.style.rng.integers(1, 4))
    lamp, z = with_bulb(prop, Light(light.color, light.power / count), -0.03), stage.style.rng.uniform(-0.3, 0.3)

    # where
    added = False
    for x in (np.arange(count) + 0.5) / count - 0.5:
        at = (x * width, height - prop.size[1], z * depth)
        half = np.array(prop.size) / 2
        if stage.is_free(np.array(at) - half * [1, 0.2, 1], np.array(at) + half * [1, 2, 1]):
            add(stage, lamp, at, 0.0, sight=stage.style.chance(0.3))
            added = True
    return added


def strings(stage: Stage, light: Light) -> bool:
    """A string of 20 to 60 tiny bulbs that sags between two places below the ceiling; some of many colors."""
    # the string
    rng, (width, height, depth) = stage.style.rng, stage.room.size
    count, sag = int(rng.integers(20, 61)), rng.uniform(0.1, 0.25) * height
    ends = rng.uniform(-0.47, 0.47, (2, 3)) * (width, 0, depth) + [0, 0.98 * clear_height(stage), 0]
    t = np.linspace(0, 1, count)[:, None]
    points = ends[0] + t * (ends[1] - ends[0]) - [0, sag, 0] * (4 * t * (1 - t))
    points[:, 1] -= rng.uniform(0, 0.05, count)
    stage.room.shapes.append(body(meshes.tube(points, 0.003, 5), BLACK))

    # bulbs: each of a few colors has its own light
    radius, mixed = float(rng.uniform(0.006, 0.02)), stage.style.chance(0.4)
    colors = [light_color(stage.style) if mixed else light.color for _ in range(4)]
    shared = [emitter(color, light.power / count / (2 * np.pi * radius**2)) for color in colors]
    stage.room.shapes.extend([ball(p, radius, BLACK, emitter=shared[i % 4]) for i, p in enumerate(points)])
    return True


def candle(stage: Stage, light: Light) -> Prop:
    """A candle with a flame."""
    rng, height, radius = stage.style.rng, stage.style.rng.uniform(0.05, 0.25), stage.style.rng.uniform(0.01, 0.035)
    wax = stage.style.coated(rgb(rng.uniform([0.6, 0.5, 0.4], [0.9, 0.9, 0.85])))
    flame = meshes.blob(rng, (0.006, 0.018, 0.006), 0.0)
    glow = emitter(np.array([1.0, 0.5, 0.15]), light.power / (4 * np.pi * 0.01**2))
    shapes = [disc(0, height, radius, wax), body(flame, BLACK, (0, height + 0.022, 0), emitter=glow)]
    return Prop("candle", shapes, (2 * radius, height + 0.04, 2 * radius))


def candles(stage: Stage, light: Light) -> bool:
    """Three to twelve candles, on something or on the floor."""
    count = int(stage.style.rng.integers(3, 13))
    props = [candle(stage, Light(light.color, light.power / count)) for _ in range(count)]
    if stage.bases and stage.style.chance(0.7):
        base, spot = stage.style.pick(stage.bases)
        return crowd(stage, base, props, spot) > 0
    spots = [stand_anywhere(stage, prop) for prop in props]
    return any(spot is not None for spot in spots)


def screen(stage: Stage, light: Light) -> bool:
    """A picture that shines, in a dark frame on a wall, as screens, signs and light boxes do."""
    style, rng = stage.style, stage.style.rng
    pattern = style.pick([textures.picture, textures.stripes, textures.checks, textures.clouds, textures.speckles])
    w, h = rng.uniform([0.4, 0.3], [1.8, 1.1]) * min(1.0, stage.room.size[1] / 2.6)
    glow = textured(pattern(rng, style.palette) ** 1.5 + 0.01, light.power / (w * h) ** 0.5)
    shapes = [body(sheet(w, h), BLACK, (0, h / 2, 0.021), emitter=glow)]
    shapes.append(box((-w / 2 - 0.02, -0.02, -0.02), (w / 2 + 0.02, h + 0.02, 0.02), style.coated(style.color())))

    prop = Prop("wall", shapes, (w + 0.04, h + 0.02, 0.04))
    return any(hang(stage, prop) for _ in range(4))


def neon(stage: Stage, light: Light) -> bool:
    """A bent tube of colored light, which floats below the ceiling or in front of a wall."""
    rng, (width, height, depth) = stage.style.rng, stage.room.size
    points = rng.uniform(-0.5, 0.5, (int(rng.integers(3, 7)), 3)) * rng.uniform(0.4, 1.5)
    points[:, 2] *= 0.2
    path = catmull_rom(points, np.linspace(0, len(points) - 1, 60))
    radius, length = float(rng.uniform(0.006, 0.02)), float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())
    at = rng.uniform([-0.35, 0.75, -0.35], [0.35, 0.8, 0.35]) * (width, height, depth)
    path[:, 1] = np.clip(path[:, 1], 1.0 - at[1], height - at[1] - 0.05)
    tint = np.array(light.color) ** 2 + 0.02
    glow = emitter(tint, light.power / (2 * np.pi * radius * length))
    stage.room.shapes.append(body(meshes.tube(path, radius), BLACK, at, emitter=glow))
    return True


def soft(stage: Stage, light: Light) -> bool:
    """A luminous ceiling, or a large panel of light below it."""
    width, height, depth = stage.room.size
    w, d = stage.style.rng.uniform(0.5, 0.95, 2) * (width, depth) / 2
    low, high = (-w, height - 0.02, -d), (w, height - 0.004, d)
    stage.room.shapes.append(box(low, high, BLACK, emitter=light.emitter(4 * w * d)))
    return True


def lattice_light(stage: Stage, light: Light) -> bool:
    """A lamp below the ceiling behind slats, a lattice or leaves: fine shadows everywhere."""
    # a small bright ball
    style, rng, (width, _, depth) = stage.style, stage.style.rng, stage.room.size
    x, z, drop = rng.uniform(-0.3, 0.3) * width, rng.uniform(-0.3, 0.3) * depth, rng.uniform(0.3, 0.6)
    y, radius = clear_height(stage) - 0.1, float(rng.uniform(0.02, 0.06))
    shapes: list[Shape] = [ball((x, y, z), radius, BLACK, emitter=light.emitter(2 * np.pi * radius**2))]

    # what is below it
    screen_of, half = style.solid(), rng.uniform(0.3, 0.7)
    kind = style.pick(["slats", "lattice", "leaves"])
    if kind == "leaves":
        shapes.append(body(meshes.leaves(rng, int(rng.integers(20, 60)), 0.8 * half), screen_of, (x, y - drop, z)))
    lines = np.arange(-half, half, rng.uniform(0.04, 0.12)) if kind != "leaves" else []
    thin = rng.uniform(0.005, 0.02)
    for line in lines:
        y0 = y - drop
        shapes.append(box((x + line, y0, z - half), (x + line + thin, y0 + 0.02, z + half), screen_of))
        if kind == "lattice":
            shapes.append(box((x - half, y0, z + line), (x + half, y0 + 0.02, z + line + thin), screen_of))
    stage.room.shapes.extend(shapes)
    return True


def spots(stage: Stage, light: Light) -> bool:
    """One to four spot lamps without size at the ceiling, aimed at sights of the room."""
    rng, (width, _, depth) = stage.style.rng, stage.room.size
    count, height = int(rng.integers(1, 5)), clear_height(stage)
    for _ in range(count):
        origin = rng.uniform(-0.4, 0.4, 3) * (width, 0, depth) + [0, height - 0.1, 0]
        target = stage.room.sights[rng.integers(len(stage.room.sights))] + rng.normal(0, 0.3, 3) * [1, 0, 1]
        cutoff = float(rng.uniform(12, 45))
        value = light.color / np.mean(light.color) * light.power / count * rng.uniform(0.5, 2)
        lamp = {"type": "spot", "to_world": aimed(origin, target), "intensity": rgb(value)}
        angles = {"cutoff_angle": cutoff, "beam_width": float(cutoff * rng.uniform(0.5, 0.95))}
        stage.room.lights.append(lamp | angles)
    return True


# Every kind of light in furnished rooms, and how often they have it.
LIGHTS = {classic: 4, floor_lamps: 2, table_lamps: 2, ceiling_lamps: 3, shades: 1.2, strings: 1.2, candles: 1}
LIGHTS |= {screen: 1.5, neon: 1, soft: 1.2, lattice_light: 1, spots: 1.5}

# Those that nothing can hide: models of lamps may have closed shades, and what floats may float inside something.
SURE = (classic, shades, soft, lattice_light)
