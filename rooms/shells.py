"""What encloses furnished scenes: rooms with windows, columns and partitions, grounds under a sky, and studios."""

import numpy as np

from rooms import meshes
from rooms.floor import wall_frames
from rooms.lamps import sheet
from rooms.lighting import emitter, light_color
from rooms.materials import BLACK, rgb
from rooms.placing import Prop, Stage, add, bounds, item_prop, placed_box, stand_anywhere
from rooms.plain import partition
from rooms.primitives import body, box, disc, moved
from rooms.skies import add_map, add_sky, add_view
from rooms.walls import bare_walls, floor_and_ceiling, surface, wall


def interior(stage: Stage, daylight: bool, folder: str | None) -> None:
    """Floor, ceiling, and walls with what hangs on them; with daylight, windows in one to three walls.

    folder: of environment maps.
    Raises InputError where there are none in it.
    """
    # floor and ceiling
    room, style, rng = stage.room, stage.style, stage.style.rng
    width, height, depth = room.size
    covering = surface(style)
    ceiling = style.matt(style.pale()) if style.chance(0.8) else surface(style)(width, depth)
    room.shapes.extend(floor_and_ceiling(room.size, surface(style)(width, depth), ceiling))

    # walls; what hangs on them keeps furniture off
    sunny = set(rng.choice(4, int(rng.integers(1, 4)), replace=False)) if daylight else set()
    for index, frame in enumerate(wall_frames(room.size)):
        length, foot, turn = frame
        own = surface(style) if style.chance(0.25) else covering
        parts = wall(style, length, height, own, window=index in sunny)
        placed = moved(parts, foot, turn)
        room.shapes.extend(placed)
        stage.walls.append((frame, parts))
        for part, there in zip(parts, placed, strict=True):
            if bounds([part])[1][2] > 0.03:
                stage.boxes.append(bounds([there]))

    # outside
    if daylight:
        add_view(room, style, wall_frames(room.size)[min(sunny)][2], folder)
    structure(stage)


def structure(stage: Stage) -> None:
    """Beams or a coffered ceiling, columns, and walls across: each in some rooms."""
    # under the ceiling
    room, style, rng = stage.room, stage.style, stage.style.rng
    width, height, depth = room.size
    kind = style.pick({"flat": 4, "beams": 1, "coffers": 0.7, "border": 1})
    bsdf, low, w, d = style.solid(), height - rng.uniform(0.08, 0.25), width / 2, depth / 2
    shapes = []
    if kind in ("beams", "coffers"):
        across = np.arange(0.4 - w, w, rng.uniform(0.5, 1.5))
        shapes += [box((x - 0.06, low, -d), (x + 0.06, height, d), bsdf) for x in across]
    if kind == "coffers":
        along = np.arange(0.4 - d, d, rng.uniform(0.5, 1.5))
        shapes += [box((-w, low + 0.01, z - 0.06), (w, height, z + 0.06), bsdf) for z in along]
    if kind == "border":
        edge = rng.uniform(0.1, 0.6)
        for length, foot, turn in wall_frames(room.size):
            shapes += moved([box((-length / 2, low, 0), (length / 2, height, edge), bsdf)], foot, turn)
    room.shapes.extend(shapes)
    stage.boxes.extend(bounds([shape]) for shape in shapes)

    # on the floor
    if style.chance(0.2):
        size, bsdf = rng.uniform(0.12, 0.5), style.solid()
        for _ in range(int(rng.integers(1, 5))):
            cube = box((-size / 2, 0, -size / 2), (size / 2, height, size / 2), bsdf)
            column = disc(0, height, size / 2, bsdf) if style.chance(0.5) else cube
            x, z = rng.uniform(-0.4, 0.4, 2) * (width, depth)
            fixed(stage, Prop("column", [column], (size, height, size)), (x, 0, z), 0.0)
    if style.chance(0.25) and min(width, depth) > 4:
        length, side = rng.uniform(0.25, 0.55) * depth, style.pick([-1, 1])
        part = box((-0.06, 0, -length / 2), (0.06, height, length / 2), surface(style)(length, height))
        fixed(stage, Prop("column", [part], (0.12, height, length)), (side * width / 4, 0, -depth / 2 + length / 2), 0)


def fixed(stage: Stage, prop: Prop, at, turn: float) -> None:
    """Puts a part of the building into the room: it neither moves nor is looked at."""
    low, high = placed_box(prop, at, turn)
    stage.room.claim(at[0], at[2], (high[0] - low[0], high[2] - low[2]))
    add(stage, prop, at, turn, sight=False)
    stage.actors.pop()


def open_ground(stage: Stage, folder: str | None) -> None:
    """A wide ground under a sky; folder: of environment maps. Raises InputError where there are none in it."""
    style, rng = stage.style, stage.style.rng
    reach = rng.uniform(12, 45)
    covering = style.texture() if style.chance(0.5) else None  # often patterned, up to the horizon
    bsdf = surface(style)(2 * reach, 2 * reach)
    if covering:
        times = 2 * reach / float(10 ** rng.uniform(-0.2, 0.9))
        bsdf = style.matt(covering | {"repeat": (times, times)})
    stage.room.shapes.append(box((-reach, -0.2, -reach), (reach, 0, reach), bsdf))
    level = style.brightness * 10 ** rng.uniform(-0.3, 0.3)
    if not (folder and style.chance(0.5) and add_map(stage.room, style, folder, level)):
        add_sky(stage.room, style)
    for _ in range(int(rng.integers(0, 3))):
        stand_anywhere(stage, item_prop(partition(style), "column"))


def studio(stage: Stage, folder: str | None) -> None:
    """A backdrop that rises from the floor in a curve, or a bare box, under large soft lamps.

    folder: of environment maps, which then light some of them. Raises InputError where there are none in it.
    """
    # backdrop or box
    style, rng = stage.style, stage.style.rng
    width, height, depth = stage.room.size
    pale = style.matt(style.pale()) if style.chance(0.75) else style.matt(style.color())
    is_box = style.chance(0.4)
    if is_box:
        box_of(stage, pale)
    else:
        angle = np.linspace(0, np.pi / 2, 16)
        bend = 0.4 * min(height, depth / 2)
        y = np.concatenate([[0], bend * (1 - np.cos(angle)), [1.5 * height]])
        z = np.concatenate([[1.5 * depth], -depth / 2 + bend - bend * np.sin(angle), [-depth / 2]])
        x = np.linspace(-2, 2, 24) * width
        points = np.stack(np.broadcast_arrays(x[None], y[:, None], z[:, None]), -1)
        stage.room.shapes.append(body(meshes.lattice(points[::-1]), pale))

    # soft lamps: above, and beside an open set
    power = style.brightness * 10 ** rng.uniform(0.0, 0.9)
    for index in range(int(rng.integers(1, 2 if is_box else 4))):
        a, b = rng.uniform(0.25, 0.7, 2) * (width, depth)
        lamp = body(sheet(a, b), BLACK, emitter=emitter(light_color(style), power / (1 + index)))
        if is_box or index == 0:
            matrix = np.array([[1, 0, 0, 0], [0, 0, -1, height - 0.01], [0, 1, 0, 0], [0, 0, 0, 1.0]])
            stage.room.shapes.append(lamp | {"to_world": matrix})
        else:
            side = (-1) ** index * np.pi / 2
            at = (np.sin(side) * width, rng.uniform(0.6, 1) * height, rng.uniform(-0.3, 0.5) * depth)
            stage.room.shapes.extend(moved([lamp], at, -side))

    # around it
    if is_box or not (folder and style.chance(0.4) and add_map(stage.room, style, folder, 0.3 * style.brightness)):
        stage.room.lights.append({"type": "constant", "radiance": rgb([0.1 * style.brightness] * 3)})


def box_of(stage: Stage, pale: dict) -> None:
    """A bare box of plain walls, open at one side or closed."""
    style, size = stage.style, stage.room.size
    floor = pale if style.chance(0.5) else surface(style)(size[0], size[2])
    count = int(style.rng.integers(3, 5))
    walls = [pale if style.chance(0.6) else style.matt(style.color()) for _ in range(count)]
    stage.room.shapes.extend([*floor_and_ceiling(size, floor, pale, margin=0), *bare_walls(size, walls)])
