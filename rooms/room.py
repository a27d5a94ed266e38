"""Procedural interiors: a small grammar of rooms, from a seed to a scene.

    room      -> shell (floor, ceiling, four walls), daylight or not, furniture, lamps
    wall      -> covering, windows (frame, glazing bars, blinds or curtains) or a doorway, pictures, radiator, pipes
    furniture -> things along the walls, things in the open with chairs around them, ornaments on top

The words of this grammar are in walls.py, furniture.py and lighting.py, their shapes in primitives.py and meshes.py,
their surfaces in materials.py and textures.py. Cameras are rendering/planning.py's business. The floor is y = 0, its
middle is the origin.
"""

import numpy as np

from rooms.floor import Room, wall_frames
from rooms.furniture import STANDING, chair, ornament
from rooms.lighting import add_lamps
from rooms.materials import Style, rgb
from rooms.primitives import Item, box, moved
from rooms.skies import add_daylight
from rooms.walls import floor_and_ceiling, surface, wall

MAX_DEPTH = 9  # path length, unless --max_depth says otherwise
THING = "thing-"  # and its number among shapes and lights: the names in a scene dictionary
SPLITS = ("train", "val", "test")


def generator(seed: int, split: str, number: int) -> np.random.Generator:
    """The random generator of a room; it differs between splits, so that no test room is ever trained on."""
    return np.random.default_rng([seed, SPLITS.index(split), number])


def make_room(rng: np.random.Generator) -> Room:
    """A room; the same for a generator in the same state."""
    style = Style(rng)
    room = Room((rng.uniform(3.0, 11.0), rng.uniform(2.4, 4.5), rng.uniform(3.0, 11.0)))
    daylight = style.chance(0.6)
    add_shell(room, style, daylight)
    add_furniture(room, style)
    add_lamps(room, style, daylight)
    return room


def scene_dictionary(room: Room) -> dict:
    """The room as a scene dictionary (see rooms/__init__.py), without a camera."""
    things = {f"{THING}{i}": thing for i, thing in enumerate(room.shapes + room.lights)}
    return {"type": "scene", "integrator": {"type": "path", "max_depth": MAX_DEPTH}, **things}


def add_shell(room: Room, style: Style, daylight: bool) -> None:
    """Floor, ceiling and walls with what hangs on them; with daylight, windows in one or two walls."""
    # floor and ceiling
    width, height, depth = room.size
    floor, walls = surface(style), surface(style)
    ceiling = style.matt(rgb([style.rng.uniform(0.3, 0.9)] * 3))
    room.shapes.extend(floor_and_ceiling(room.size, floor(width, depth), ceiling))

    # beams
    if style.chance(0.2):
        for x in np.arange(-width / 2 + 0.5, width / 2, style.rng.uniform(0.5, 1.2)):
            low, high = (x - 0.06, height - 0.16, -depth / 2 - 0.2), (x + 0.06, height, depth / 2 + 0.2)
            room.shapes.append(box(low, high, style.timber))

    # walls
    sunny = set(style.rng.choice(4, int(style.rng.integers(1, 3)), replace=False)) if daylight else set()
    for index, (length, foot, turn) in enumerate(wall_frames(room.size)):
        covering = surface(style) if style.chance(0.25) else walls
        parts = wall(style, length, height, covering, window=index in sunny)
        room.shapes.extend(moved(parts, foot, turn))
    if daylight:
        add_daylight(room, style, wall_frames(room.size)[min(sunny)][2], style.color)


def add_furniture(room: Room, style: Style) -> None:
    """A rug, things along the walls, and things in the open with chairs around them."""
    # rug
    rng, (width, _, depth) = style.rng, room.size
    if style.chance(0.4):
        w, d = rng.uniform(0.2, 0.4) * width, rng.uniform(0.2, 0.4) * depth
        room.shapes.append(box((-w, 0, -d), (w, 0.012, d), style.rug()))

    # along the walls
    for length, foot, turn in wall_frames(room.size):
        for _ in range(int(rng.integers(0, 1 + int(length / 1.3)))):
            item = style.pick(STANDING)(style)
            along = rng.uniform(-1, 1) * max(0.0, length / 2 - item.size[0] / 2)
            put_against_wall(room, style, item, foot, turn, along)

    # in the open
    for _ in range(int(rng.integers(1, 2 + int(width * depth / 9)))):
        item, turn = style.pick(STANDING)(style), rng.uniform(0, 2 * np.pi)
        reach = float(np.hypot(*item.size))
        spot = room.claim_anywhere(style, (reach, reach), 0.3)
        if spot:
            put(room, style, item, (spot[0], 0, spot[1]), turn)
            if item.top:
                add_chairs(room, style, item, spot, turn)


def add_chairs(room: Room, style: Style, item: Item, spot: tuple[float, float], turn: float) -> None:
    """Up to four chairs around an item that stands at `spot` (x, z), turned by `turn` radians, and face it."""
    for angle in np.arange(int(style.rng.integers(0, 5))) * np.pi / 2 + turn:
        seat, away = chair(style), max(item.size) / 2 + 0.2
        x, z = spot[0] + away * np.sin(angle), spot[1] + away * np.cos(angle)
        if max(abs(x) + 0.3 - room.size[0] / 2, abs(z) + 0.3 - room.size[2] / 2) < 0:
            put(room, style, seat, (x, 0, z), angle + np.pi + style.rng.normal(0, 0.2))
            room.claim(x, z, seat.size)


def put_against_wall(room: Room, style: Style, item: Item, foot: np.ndarray, turn: float, along: float) -> None:
    """Puts an item with its back to a wall (foot and turn: see wall_frames), if the floor there is free.

    along: meters from the middle of the wall.
    """
    out = item.size[1] / 2 + 0.03
    x, z = foot[0] + np.cos(turn) * along + np.sin(turn) * out, foot[2] - np.sin(turn) * along + np.cos(turn) * out
    size = item.size if abs(np.cos(turn)) > 0.5 else item.size[::-1]
    outside = max(abs(x) + size[0] / 2 - room.size[0] / 2, abs(z) + size[1] / 2 - room.size[2] / 2)
    if outside < 0.01 and room.claim(x, z, size):
        put(room, style, item, (x, 0, z), turn)


def put(room: Room, style: Style, item: Item, at: tuple[float, float, float], turn: float) -> None:
    """Adds an item to the room, with ornaments on top, and the item to what cameras may look at."""
    ornaments = []
    if item.top:
        w, d = 0.42 * item.size[0], 0.36 * item.size[1]
        for _ in range(int(style.rng.integers(0, 5 + int(25 * w * d)))):
            offset = (style.rng.uniform(-w, w), item.top, style.rng.uniform(-d, d))
            ornaments += moved(ornament(style, style.rng.uniform(0.06, 0.3)), offset, style.rng.uniform(0, 6))
    room.shapes.extend(moved(item.shapes + ornaments, at, turn))
    room.sights.append(np.array([at[0], style.rng.uniform(0.4, 1.3), at[2]]))
