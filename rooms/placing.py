"""Puts things into procedural scenes: on floors, along walls, on walls, and on top of other things.

A Prop is a thing, an artist's model or one of the grammar's own; a Stage is a room with what is known about it while it
fills: which boxes of its space are taken, and which of its things might move by themselves (Actor).
"""

from dataclasses import dataclass, field

import numpy as np

from rooms.floor import TRIES, Room
from rooms.loading import load_thing
from rooms.materials import Style
from rooms.models import Model, choose
from rooms.primitives import Item, Shape, moved
from rooms.tops import Top, flat_top, model_top

CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
LOADING_TRIES = 6  # models tried for one thing: some files are broken
MOST_MODELS = 30  # different ones in a scene: each takes a part of a second to load, and megabytes
WORTH_SEEING = 0.3  # meters, of what hangs on a wall: nobody makes pictures of switches
SLACK = 0.01  # meters that neighbors may overlap
REPEATED = 0.3  # share of things of a model that is in the scene already, if one of the role is: rooms have sets


@dataclass(frozen=True)
class Prop:
    """A thing on y = 0 around the origin, facing +z. size: (W, H, D); top: where small things may stand on it."""

    role: str
    shapes: list[Shape]
    size: tuple[float, float, float]
    top: Top | None = None
    model: Model | None = None


@dataclass(frozen=True)
class Actor:
    """Something in a room that may move: its shapes are room.shapes[first:last]; turn: which way it faces, radians."""

    role: str
    first: int
    last: int
    turn: float


@dataclass(frozen=True)
class Spot:
    """Where a prop stands on the floor, and the actor that it is; turn: radians."""

    x: float
    z: float
    turn: float
    actor: Actor


Frame = tuple[float, np.ndarray, float]  # of a wall: see rooms.floor.wall_frames


@dataclass(frozen=True)
class Stage:
    """A room while it fills, and what fills it.

    boxes: (low, high) corners of what is in it. walls: frames, and the shapes of each wall in its own space, where it
    is in the xy plane and faces +z (see rooms.walls). bases: what small things may be put on, and where it stands.
    """

    room: Room
    style: Style
    models: tuple[Model, ...]
    split: str
    actors: list[Actor] = field(default_factory=list)
    boxes: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    walls: list[tuple[Frame, list[Shape]]] = field(default_factory=list)
    bases: list[tuple[Prop, Spot]] = field(default_factory=list)

    def is_free(self, low: np.ndarray, high: np.ndarray) -> bool:
        """Whether the box between two corners (3,) is inside the room, and nothing is in it."""
        width, height, depth = self.room.size
        most = np.array([width / 2, height, depth / 2]) + SLACK
        inside = (high <= most).all() and (low >= [-most[0], -SLACK, -most[2]]).all()
        return bool(inside) and not any(((low < b - SLACK) & (high > a + SLACK)).all() for a, b in self.boxes)


def bounds(shapes: list[Shape]) -> tuple[np.ndarray, np.ndarray]:
    """The corners (3,), low and high, of the box around some shapes in their space."""
    lows, highs = [], []
    for shape in shapes:
        matrix = shape["to_world"]
        if shape["type"] == "sphere":
            points = matrix[:3, 3] + CORNERS * np.linalg.norm(matrix[:3, :3], axis=1)
        else:
            points = shape["mesh"].vertices if "mesh" in shape else CORNERS
            points = points @ matrix[:3, :3].T + matrix[:3, 3]
        lows.append(points.min(0))
        highs.append(points.max(0))
    return np.min(lows, 0), np.max(highs, 0)


def scaled(shapes: list[Shape], factor: float) -> list[Shape]:
    """The shapes, larger by a factor, around the origin."""
    matrix = np.diag([factor, factor, factor, 1.0])
    return [shape | {"to_world": matrix @ shape["to_world"]} for shape in shapes]


def item_prop(item: Item, role: str) -> Prop:
    """One of the grammar's own things."""
    _, high = bounds(item.shapes)
    top = flat_top(item.top, (0.9 * item.size[0], 0.85 * item.size[1])) if item.top else None
    return Prop(role, item.shapes, (item.size[0], float(high[1]), item.size[1]), top)


def model_prop(stage: Stage, role: str, largest: float = 9.0, scale: float = 1.0) -> Prop | None:
    """A model of this role, as large as its artist made it or slightly larger or smaller, or times `scale`.

    largest: the most that it may measure, in meters, before `scale`. None where no model of the split is that, or where
    the scene has MOST_MODELS already.
    """
    # the models that fit; rather those that the scene has already
    rng, models = stage.style.rng, choose(stage.models, stage.split, role)
    models = [model for model in models if model.size is None or max(model.size) <= 1.01 * largest]
    if len(stage.room.sources) >= MOST_MODELS:
        return None
    if rng.random() < REPEATED:
        models = [model for model in models if model.path in stage.room.sources] or models

    # one of them that can be loaded
    for _ in range(LOADING_TRIES if models else 0):
        model = models[rng.integers(len(models))]
        factor = scale * rng.uniform(0.9, 1.15)
        thing = load_thing(model)
        if thing is None or max(thing.size) > 1.01 * largest:
            continue
        size = tuple(float(factor * s) for s in thing.size)
        top = model_top(model) if role in ("table", "storage", "appliance") else None
        return Prop(role, scaled(thing.shapes, factor), size, top and top.scaled(factor), model)
    return None


def add(stage: Stage, prop: Prop, at, turn: float, sight: bool = True) -> Actor:
    """Puts a prop into the room at a point (3,) of its foot, turned by `turn` radians, whatever is there."""
    # shapes, and where they come from
    room, first = stage.room, len(stage.room.shapes)
    room.shapes.extend(moved(prop.shapes, at, turn))
    if prop.model:
        room.sources[prop.model.path] = source(prop.model)
        room.models.update(dict.fromkeys(range(first, len(room.shapes)), prop.model.path))

    # what may move, what may be looked at, what is taken
    actor = Actor(prop.role, first, len(room.shapes), turn)
    stage.actors.append(actor)
    if sight:
        height = prop.size[1] * stage.style.rng.uniform(0.3, 0.9)
        room.sights.append(np.array([at[0], min(at[1] + height, room.size[1] - 0.2), at[2]]))
    stage.boxes.append(placed_box(prop, at, turn))
    return actor


def source(model: Model) -> str:
    """The absolute path of a model's file."""
    return f"{model.folder.rstrip('/')}/{model.path}"


def placed_box(prop: Prop, at, turn: float) -> tuple[np.ndarray, np.ndarray]:
    """The corners (3,), low and high, of the box around a prop at a point (3,) and turned."""
    cos, sin = abs(np.cos(turn)), abs(np.sin(turn))
    (w, h, d), at = prop.size, np.asarray(at, float)
    half = np.array([cos * w + sin * d, 0, sin * w + cos * d]) / 2
    return at - half, at + half + [0, h, 0]


def stand(stage: Stage, prop: Prop, x: float, z: float, turn: float) -> Spot | None:
    """Stands a prop on the floor, if its place is free; None if it is not."""
    low, high = placed_box(prop, (x, 0, z), turn)
    if not stage.is_free(low, high) or not stage.room.claim(x, z, (high[0] - low[0], high[2] - low[2])):
        return None
    spot = Spot(x, z, turn, add(stage, prop, (x, 0, z), turn))
    if prop.top:
        stage.bases.append((prop, spot))
    return spot


def stand_anywhere(stage: Stage, prop: Prop, margin: float = 0.1) -> Spot | None:
    """Stands a prop at a random free place, at a random angle; None where there is none."""
    rng, (width, _, depth) = stage.style.rng, stage.room.size
    for _ in range(TRIES):
        turn = rng.uniform(0, 2 * np.pi)
        _, high = placed_box(prop, (0, 0, 0), turn)
        reach = np.array([width / 2 - high[0], depth / 2 - high[2]]) - margin
        if reach.min() > 0:
            x, z = rng.uniform(-reach, reach)
            spot = stand(stage, prop, float(x), float(z), turn)
            if spot:
                return spot
    return None


def stand_against(stage: Stage, prop: Prop, frame: Frame) -> Spot | None:
    """Stands a prop with its back to a wall; None where there is no place."""
    length, foot, turn = frame
    for _ in range(TRIES // 4):
        along = stage.style.rng.uniform(-1, 1) * max(0.0, length / 2 - prop.size[0] / 2 - 0.02)
        x, z = beside(foot, turn, along, prop.size[2] / 2 + 0.03)
        spot = stand(stage, prop, x, z, turn)
        if spot:
            return spot
    return None


def beside(foot: np.ndarray, turn: float, along: float, out: float) -> tuple[float, float]:
    """The (x, z) of a point `along` meters beside the middle of a wall, and `out` meters in front of it."""
    x = foot[0] + np.cos(turn) * along + np.sin(turn) * out
    return float(x), float(foot[2] - np.sin(turn) * along + np.cos(turn) * out)


def hang(stage: Stage, prop: Prop) -> bool:
    """Hangs a prop on a wall at eye height, where there is neither an opening nor anything else; returns whether."""
    if not stage.walls:
        return False
    rng, (w, h, d) = stage.style.rng, prop.size
    (length, foot, turn), parts = stage.walls[stage.style.rng.integers(len(stage.walls))]
    solid = [(low, high) for low, high in (bounds([part]) for part in parts) if high[2] < 1e-3]
    for _ in range(TRIES // 4):
        # a place on the wall
        along = rng.uniform(-1, 1) * max(0.0, length / 2 - w / 2 - 0.1)
        y = float(np.clip(rng.uniform(1.4, 1.75) - h / 2, 0.3, max(0.3, stage.room.size[1] - h - 0.05)))
        xs, ys = along + w * np.array([-0.5, 0, 0.5]), y + h * np.array([0, 0.5, 1])
        backed = all(any(a[0] <= x <= b[0] and a[1] <= v <= b[1] for a, b in solid) for x in xs for v in ys)

        # in the room
        x, z = beside(foot, turn, along, d / 2 + 0.004)
        if backed and stage.is_free(*placed_box(prop, (x, y, z), turn)):
            add(stage, prop, (x, y, z), turn, sight=max(w, h) > WORTH_SEEING)
            return True
    return False


def crowd(stage: Stage, base: Prop, props: list[Prop], spot: Spot) -> int:
    """Puts small props on top of a base that stands at `spot`, as many as fit; returns how many.

    The base then stays where it is.
    """
    rng, used, count = stage.style.rng, [], 0
    if base.top is None:
        return 0
    hanging = [(low, high) for low, high in stage.boxes if low[1] > 0.1]
    for prop in props:
        # a flat place that no other has
        radius = float(np.hypot(prop.size[0], prop.size[2])) / 2
        places = base.top.places(min(radius, 0.15), [(u, w, 0.9 * (r + radius)) for u, w, r in used])
        if len(places) == 0:
            continue
        u, y, w = places[rng.integers(len(places))]
        used.append((u, w, radius))

        # there, in the room
        cos, sin = np.cos(spot.turn), np.sin(spot.turn)
        place = (spot.x + cos * u + sin * w, y, spot.z - sin * u + cos * w)
        angle = rng.uniform(0, 2 * np.pi)
        low, high = placed_box(prop, place, angle)
        blocked = any(((low < b - SLACK) & (high > a + SLACK)).all() for a, b in hanging)
        if high[1] < stage.room.size[1] and not blocked:
            add(stage, prop, place, angle, sight=rng.random() < 0.5)
            count += 1
            if spot.actor in stage.actors:
                stage.actors.remove(spot.actor)
    return count
