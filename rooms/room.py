"""Made-up interiors: a small grammar of rooms, from a seed to a scene for Mitsuba 3 and cameras that move in it.

    room      -> shell (floor, ceiling, four walls with openings), daylight or not, lamps, furniture, shots
    wall      -> surface, windows (frame, glazing bars, blinds or curtains), doorway, pictures, radiator, pipes
    furniture -> things along the walls, things in the open with chairs about them; ornaments on every top
    shot      -> where the camera stands, what it looks at, one of MOVES, at a steady pace or stopping and going

Lengths are metres, y is up, the floor is y = 0 with its middle at the origin. See furniture.py and materials.py for the
words that this grammar puts together, and for the form of shapes.
"""

from dataclasses import dataclass

import numpy as np

from rendering.cameras import Camera
from rooms import textures
from rooms.furniture import STANDING, STANDING_WEIGHTS, Item, Shape, ball, box, chair, lamp, moved, ornament, rod
from rooms.materials import BLACK, Style, emitter, light_colour
from rooms.walls import surface, wall

MAX_DEPTH = 9  # path length of the made-up rooms, unless --max_depth says otherwise
SHOTS = 60  # candidates for a camera path; the first that keeps clear of everything is taken
SPLITS = ("train", "val", "test")
MOVES = ("pan", "dolly", "truck", "orbit", "crane")


@dataclass(frozen=True)
class Room:
    """Everything in a room. size: (W, H, D). taken: floor rectangles (x0, z0, x1, z1) where something stands."""

    size: tuple[float, float, float]
    shapes: list[Shape]
    lights: list[dict]
    taken: list[tuple[float, float, float, float]]
    sights: list[np.ndarray]

    def scene(self) -> dict:
        """The dictionary for Mitsuba, without camera; images and meshes are still ours (see materials.py)."""
        things = {f"thing-{i}": thing for i, thing in enumerate(self.shapes + self.lights)}
        return {"type": "scene", "integrator": {"type": "path", "max_depth": MAX_DEPTH}, **things}


def generator(seed: int, split: str, number: int) -> np.random.Generator:
    """The random generator of a room; rooms of different splits differ, so that no test room is ever trained on."""
    return np.random.default_rng([seed, SPLITS.index(split), number])


def make_room(rng: np.random.Generator) -> Room:
    """A room; the same for a generator in the same state."""
    style = Style(rng)
    size = (rng.uniform(3.0, 11.0), rng.uniform(2.4, 4.5), rng.uniform(3.0, 11.0))
    room = Room(size, [], [], [], [np.array([0, 0.9, 0])])
    daylight = style.chance(0.6)
    shell(room, style, daylight)
    furnish(room, style)
    lighting(room, style, daylight)
    return room


def wall_frames(size: tuple[float, float, float]) -> list[tuple[float, np.ndarray, float]]:
    """Each wall's length, the middle of its foot, and the turn that brings +z to its inward normal."""
    width, _, depth = size
    places = [(width, (0, 0, -depth / 2), 0.0), (depth, (-width / 2, 0, 0), np.pi / 2)]
    places += [(width, (0, 0, depth / 2), np.pi), (depth, (width / 2, 0, 0), -np.pi / 2)]
    return [(length, np.array(foot), turn) for length, foot, turn in places]


def shell(room: Room, style: Style, daylight: bool) -> None:
    """Floor, ceiling and walls; windows where there is daylight; what hangs on the walls."""
    width, height, depth = room.size
    w, d, t = width / 2 + 0.2, depth / 2 + 0.2, 0.2
    floor, walls = surface(style), surface(style)
    ceiling = style.matt({"type": "rgb", "value": [float(style.rng.uniform(0.3, 0.9))] * 3})
    room.shapes.append(box((-w, -t, -d), (w, 0, d), floor(width, depth)))
    room.shapes.append(box((-w, height, -d), (w, height + t, d), ceiling))
    if style.chance(0.2):
        beam = style.timber
        for x in np.arange(-width / 2 + 0.5, width / 2, style.rng.uniform(0.5, 1.2)):
            room.shapes.append(box((x - 0.06, height - 0.16, -d), (x + 0.06, height, d), beam))
    sunny = set(style.rng.choice(4, int(style.rng.integers(1, 3)), replace=False)) if daylight else set()
    for index, (length, foot, turn) in enumerate(wall_frames(room.size)):
        covering = surface(style) if style.chance(0.25) else walls
        parts = wall(style, length, height, covering, window=index in sunny)
        room.shapes.extend(moved(parts, foot, turn))
    if daylight:
        turn = wall_frames(room.size)[min(sunny)][2]
        sun = ((style.rng.uniform(-0.9, 0.9) - turn) % (2 * np.pi), style.rng.uniform(0.25, 0.95))
        sun = sun if style.chance(0.7) else None
        room.lights.append({"type": "envmap", "image": style.brightness * textures.sky(style.rng, sun)})
        room.shapes.append(box((-60, -3.2, -60), (60, -3, 60), style.matt(style.colour())))


def lighting(room: Room, style: Style, daylight: bool) -> None:
    """Lamps: by day mostly none, else one to three groups of one kind each.

    Much of the light is indirect, or reaches a place past shades and edges: as in real rooms, most paths find none.
    """
    rng, (width, height, depth) = style.rng, room.size
    groups = int(rng.integers(1, 3)) * int(style.chance(0.3)) if daylight else int(rng.integers(1, 4))
    for _ in range(groups):
        kind = style.pick(["panel", "spots", "lamp", "pendant", "tube", "cove"], [1.5, 2, 2, 2.5, 0.7, 2])
        colour = light_colour(style)
        power = style.brightness * 10 ** rng.uniform(-0.3, 0.9) * width * depth / 20  # radiance times square metre
        x, z = rng.uniform(-0.35, 0.35, 2) * (width, depth)
        spot = free_place(room, style, (0.35, 0.35), 0.1) if kind == "lamp" else None
        if kind == "lamp" and spot is None:
            kind = "pendant"  # it needs no floor, so that no room stays dark
        if kind == "panel":
            a, b = rng.uniform(0.2, 1.5, 2)
            light = emitter(colour, power / (a * b))
            low, high = (x - a / 2, height - 0.03, z - b / 2), (x + a / 2, height - 0.001, z + b / 2)
            room.shapes.append(box(low, high, BLACK, emitter=light))
        elif kind == "spots":
            radius, count = rng.uniform(0.015, 0.06), int(rng.integers(2, 7))
            light = emitter(colour, power / count / (2 * np.pi * radius**2))
            for at in np.linspace(-0.4, 0.4, count):
                room.shapes.append(ball((at * width, height - radius, z), radius, BLACK, emitter=light))
        elif kind == "lamp":
            room.shapes.extend(moved(lamp(style, colour, power, rng.uniform(1.1, 1.7)), (spot[0], 0, spot[1])))
        elif kind == "pendant":
            drop = height - rng.uniform(0.4, 1.0)
            hanging = lamp(style, colour, power, 0.2)[:2]
            room.shapes.extend(moved(hanging, (x, drop - 0.2, z)))
            room.shapes.append(rod((x, drop, z), (x, height, z), 0.006, BLACK))
        elif kind == "cove":
            cove(room, style, emitter(colour, 3 * power / (0.04 * width)))
        else:
            start, end = np.array([x - 0.6, height - 0.08, z]), np.array([x + 0.6, height - 0.08, z])
            light = emitter(colour, power / (np.pi * 0.04 * 1.2))
            room.shapes.append(rod(start, end, 0.02, BLACK) | {"emitter": light})


def cove(room: Room, style: Style, light: dict) -> None:
    """Indirect light: a strip behind a ledge below the ceiling, along one wall, unseen from below."""
    width, height, depth = room.size
    way, y = style.pick([-1, 1]), height - style.rng.uniform(0.2, 0.6)
    near, far = sorted((way * depth / 2, way * (depth / 2 - 0.25)))
    lip = way * (depth / 2 - 0.25)
    room.shapes.append(box((-width / 2, y - 0.02, near), (width / 2, y, far), style.paint))
    room.shapes.append(box((-width / 2, y, lip - 0.01), (width / 2, y + 0.1, lip + 0.01), style.paint))
    strip = sorted((way * (depth / 2 - 0.1), way * (depth / 2 - 0.14)))
    room.shapes.append(box((-width / 2, y + 0.01, strip[0]), (width / 2, y + 0.03, strip[1]), BLACK, emitter=light))


def free_place(room: Room, style: Style, size: tuple[float, float], margin: float) -> tuple[float, float] | None:
    """A floor place for something of this size, not overlapping what stands there; None after forty tries."""
    for _ in range(40):
        reach = [room.size[axis] / 2 - size[i] / 2 - margin for i, axis in enumerate((0, 2))]
        if min(reach) <= 0:
            return None
        x, z = (style.rng.uniform(-r, r) for r in reach)
        if claim(room, x, z, size):
            return x, z
    return None


def claim(room: Room, x: float, z: float, size: tuple[float, float]) -> bool:
    """Takes a rectangle of the floor, if none of it is taken."""
    x0, z0, x1, z1 = x - size[0] / 2, z - size[1] / 2, x + size[0] / 2, z + size[1] / 2
    if any(x0 < b[2] and x1 > b[0] and z0 < b[3] and z1 > b[1] for b in room.taken):
        return False
    room.taken.append((x0, z0, x1, z1))
    return True


def furnish(room: Room, style: Style) -> None:
    """Rug, things along the walls, things in the open, chairs about them, ornaments on top."""
    rng, (width, _, depth) = style.rng, room.size
    if style.chance(0.4):
        w, d = rng.uniform(0.2, 0.4) * width, rng.uniform(0.2, 0.4) * depth
        rug = style.texture(style.pick([textures.fabric, textures.stripes, textures.checks, textures.speckles]))
        room.shapes.append(box((-w, 0, -d), (w, 0.012, d), style.matt(rug)))
    for length, foot, turn in wall_frames(room.size):
        for _ in range(int(rng.integers(0, 1 + int(length / 1.3)))):
            item = style.pick(STANDING, STANDING_WEIGHTS)(style)
            along = rng.uniform(-1, 1) * max(0.0, length / 2 - item.size[0] / 2)
            place_against(room, style, item, foot, turn, along)
    for _ in range(int(rng.integers(1, 2 + int(width * depth / 9)))):
        item, turn = style.pick(STANDING, STANDING_WEIGHTS)(style), rng.uniform(0, 2 * np.pi)
        reach = float(np.hypot(*item.size))
        spot = free_place(room, style, (reach, reach), 0.3)
        if spot:
            put(room, style, item, (spot[0], 0, spot[1]), turn)
            for angle in np.arange(int(rng.integers(0, 5))) * np.pi / 2 + turn if item.top else ():
                seat = chair(style)
                away = max(item.size) / 2 + 0.2
                x, z = spot[0] + away * np.sin(angle), spot[1] + away * np.cos(angle)
                if max(abs(x) + 0.3 - width / 2, abs(z) + 0.3 - depth / 2) < 0:
                    put(room, style, seat, (x, 0, z), angle + np.pi + rng.normal(0, 0.2))
                    claim(room, x, z, seat.size)


def place_against(room: Room, style: Style, item: Item, foot: np.ndarray, turn: float, along: float) -> None:
    """Stands an item with its back to a wall, if there is place."""
    out = item.size[1] / 2 + 0.03
    x, z = foot[0] + np.cos(turn) * along + np.sin(turn) * out, foot[2] - np.sin(turn) * along + np.cos(turn) * out
    size = item.size if abs(np.cos(turn)) > 0.5 else item.size[::-1]
    outside = max(abs(x) + size[0] / 2 - room.size[0] / 2, abs(z) + size[1] / 2 - room.size[2] / 2)
    if outside < 0.01 and claim(room, x, z, size):
        put(room, style, item, (x, 0, z), turn)


def put(room: Room, style: Style, item: Item, at: tuple[float, float, float], turn: float) -> None:
    """Stands an item somewhere and puts ornaments on it."""
    extra = []
    if item.top:
        w, d = 0.42 * item.size[0], 0.36 * item.size[1]
        for _ in range(int(style.rng.integers(0, 5 + int(25 * w * d)))):
            place = (style.rng.uniform(-w, w), item.top, style.rng.uniform(-d, d))
            extra += moved(ornament(style, style.rng.uniform(0.06, 0.3)), place, style.rng.uniform(0, 6))
    room.shapes.extend(moved(item.shapes + extra, at, turn))
    room.sights.append(np.array([at[0], style.rng.uniform(0.4, 1.3), at[2]]))


def pace(rng: np.random.Generator, frames: int) -> np.ndarray:
    """How far along a path each frame is, (frames,), in steps of a steady walk: steady, or going and stopping."""
    if rng.random() < 0.6:
        return np.arange(frames, dtype=float)
    period, phase = rng.uniform(12, 40), rng.uniform(0, 1.57)  # going at first, for short sequences
    speed = np.clip(0.5 + 1.2 * np.sin(2 * np.pi * np.arange(frames) / period + phase), 0, 1)
    return np.concatenate([[0], np.cumsum(speed)[:-1]])


def shot(room: Room, rng: np.random.Generator, frames: int) -> list[Camera]:
    """A camera path; whether it keeps clear of everything is for the caller to check, with rays."""
    width, height, depth = room.size
    place = rng.uniform(-0.5, 0.5, 3) * (width - 0.6, 0, depth - 0.6) + [0, rng.uniform(0.7, min(2.0, height - 0.4)), 0]
    sight = room.sights[rng.integers(len(room.sights))] + rng.normal(0, 0.2, 3)
    sight = place + (sight - place) * max(1.0, 1.2 / max(np.linalg.norm(sight - place), 1e-3))
    move, fov = MOVES[rng.integers(len(MOVES))], float(rng.uniform(40, 80))
    way, reach = rng.choice([-1, 1]), rng.uniform(0.3, 1.2)
    step = pace(rng, frames) * rng.uniform(0.004, 0.03)  # metres, or, for pan and orbit, radians over 1.5
    swing = reach * np.sin(step / reach)  # to and fro, so that long sequences stay in the room
    ahead = (sight - place) / np.linalg.norm(sight - place)
    side = np.cross(ahead, [0, 1, 0])
    cameras = []
    for s in swing * way:
        eye, look = place, sight
        if move == "pan":
            look = place + np.cos(s / 1.5) * (sight - place) + np.sin(s / 1.5) * np.linalg.norm(sight - place) * side
        elif move == "dolly":
            eye = place + s * ahead
            look = eye + (sight - place)
        elif move == "truck":
            eye, look = place + s * side, sight + s * side
        elif move == "crane":
            eye = place + np.array([0, s * 0.6, 0])
        else:
            cos, sin, offset = np.cos(s / 1.5), np.sin(s / 1.5), place - sight
            turned = (cos * offset[0] + sin * offset[2], offset[1], cos * offset[2] - sin * offset[0])
            eye = sight + np.array(turned)
        cameras.append(Camera(tuple(map(float, eye)), tuple(map(float, look)), (0.0, 1.0, 0.0), fov))
    return cameras
