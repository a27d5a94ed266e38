"""Procedural scenes with artists' models: a grammar of furnished interiors, and one of open ground and studios.

    furnished -> shell, daylight or not, things along the walls, tables with seats, people, what stands on top, lamps
    close-up  -> a shell as small as a corner of a table, small things as large as furniture
    outdoors  -> ground under a sky, or a studio under large soft lamps; vehicles, people, animals, plants

The shells are in shells.py, light in lamps.py and skies.py, where things are put in placing.py, what moves in
actors.py. A third of all things are the grammar's own (furniture.py). The floor is y = 0, its middle is the origin.
"""

import numpy as np

from rooms.actors import MOST_MOVING, animate
from rooms.floor import Room, wall_frames
from rooms.furniture import STANDING, ornament
from rooms.lamps import add_lights
from rooms.materials import Style
from rooms.models import find_models
from rooms.placing import (
    Prop,
    Spot,
    Stage,
    add,
    bounds,
    crowd,
    hang,
    item_prop,
    model_prop,
    stand,
    stand_against,
    stand_anywhere,
)
from rooms.plain import block, sphere, tree
from rooms.primitives import box
from rooms.shells import interior, open_ground, studio
from rooms.stock import Stock

OWN = 0.33  # share of the grammar's own things
# How often models of each role are taken: along walls, in the open, outdoors, in studios, on top of other things.
ALONG = {"storage": 5, "appliance": 3, "sofa": 2.5, "bed": 1, "plant": 1.5, "seat": 1, "other": 0.5, "stairs": 0.2}
ALONG |= {"door": 0.5}
OPEN = {"table": 4, "sofa": 1.5, "seat": 2, "person": 2.5, "plant": 1.5, "animal": 0.7, "other": 0.5, "vehicle": 0.2}
OUTSIDE = {"vehicle": 3, "person": 3, "outdoor": 3, "animal": 1.5, "plant": 2, "seat": 1, "table": 0.7, "other": 0.7}
STUDIO = {"seat": 2, "sofa": 1, "table": 1, "plant": 1, "person": 1.5, "vehicle": 1, "animal": 1, "storage": 1}
TOPS = {"small": 6, "lamp-table": 0.6, "plant": 0.6}
LARGEST = {"vehicle": 7.0, "outdoor": 7.0}  # meters; of other roles ROOMY
ROOMY = 3.2


def make_furnished(rng: np.random.Generator, stock: Stock, split: str) -> Room:
    """A furnished interior, or in a third of all cases a close-up; the same for a generator in the same state.

    Raises InputError where the stock's folders cannot be used.
    """
    style = Style(rng)
    close = style.chance(0.33)
    lowest, highest = ([2.2, 2.0, 2.2], [4.0, 3.0, 4.0]) if close else ([3.0, 2.4, 3.0], [10.0, 4.5, 10.0])
    stage = make_stage(style, rng.uniform(lowest, highest), stock, split)
    daylight = style.chance(0.6)
    interior(stage, daylight, stock.environments)
    if close:
        fill_close_up(stage)
    else:
        furnish(stage)
    add_lights(stage, *((0, 2) if daylight else (1, 3)))
    set_in_motion(stage, stock.moving)
    return stage.room


def make_outdoors(rng: np.random.Generator, stock: Stock, split: str) -> Room:
    """Open ground or a studio, with large lights; the same for a generator in the same state.

    Raises InputError where the stock's folders cannot be used.
    """
    style = Style(rng)
    if style.chance(0.6):
        # open ground
        stage = make_stage(style, rng.uniform([6, 4, 6], [15, 5, 15]), stock, split)
        open_ground(stage, stock.environments)
        for _ in range(int(rng.integers(14, 36))):
            prop = own_block(style) if style.chance(OWN) else any_model(stage, OUTSIDE)
            if prop:
                stand_anywhere(stage, prop)
    else:
        # studio
        stage = make_stage(style, rng.uniform([3.5, 2.6, 3.5], [7, 4, 7]), stock, split)
        studio(stage, stock.environments)
        for _ in range(int(rng.integers(4, 11))):
            prop = own_block(style) if style.chance(0.2) else any_model(stage, STUDIO)
            spot = stand_anywhere(stage, prop, 0.3) if prop else None
            if spot and style.chance(0.7):
                crowd(stage, prop, small_things(stage, int(rng.integers(1, 8))), spot)
    set_in_motion(stage, stock.moving)
    return stage.room


def make_stage(style: Style, size: np.ndarray, stock: Stock, split: str) -> Stage:
    """An empty room of this size (W, H, D), and the models for it."""
    width, height, depth = (float(s) for s in size)
    return Stage(Room((width, height, depth)), style, find_models(stock.assets, stock.licenses), split)


def any_model(stage: Stage, roles: dict[str, float]) -> Prop | None:
    """A model of one of these roles; the values say how often each is taken. None where the split has none."""
    role = stage.style.pick(roles)
    prop = model_prop(stage, role, LARGEST.get(role, ROOMY))
    return seated(stage.style, prop) if prop and role == "person" else prop


def seated(style: Style, person: Prop) -> Prop:
    """A person; one that sits as on a chair gets something to sit on. A name says whether they sit, a size on what."""
    (width, height, depth), name = person.size, f"{person.model.path} {person.model.name}".lower()
    if "sit" not in name or height < 1.1:
        return person
    w, seat, back = 0.4 * width, 0.34 * height, -depth / 2
    stool = box((-w, 0, back), (w, seat, back + 0.5 * depth), style.cloth if style.chance(0.5) else style.solid())
    return Prop("person", [*person.shapes, stool], person.size, None, person.model)


def own_item(style: Style) -> Prop:
    """A piece of the grammar's own furniture."""
    make = style.pick(STANDING)
    roles = {"table": "table", "plant": "plant", "chair": "seat", "sofa": "sofa"}
    return item_prop(make(style), roles.get(make.__name__, "storage"))


def own_block(style: Style) -> Prop:
    """A block, a sphere or a tree, or a piece of the grammar's own furniture."""
    make = style.pick({block: 2, sphere: 2, tree: 1, None: 2})
    if make is None:
        return own_item(style)
    return item_prop(make(style), {"tree": "plant", "sphere": "small"}.get(make.__name__, "other"))


def own_ornament(style: Style, size: float) -> Prop:
    """A small thing of the grammar's own, about `size` meters tall."""
    shapes = ornament(style, size)
    low, high = bounds(shapes)
    width, depth = 2 * np.maximum(-low, high)[[0, 2]]
    return Prop("small", shapes, (float(width), float(high[1]), float(depth)))


def small_things(stage: Stage, count: int, scale: float = 1.0, largest: float = 0.6) -> list[Prop]:
    """At most `count` things for the tops of others, scaled by `scale`.

    largest: size of models among them, in meters, before scaling.
    """
    style, props = stage.style, []
    for _ in range(count):
        role = style.pick(TOPS)
        if style.chance(OWN):
            props.append(own_ornament(style, scale * style.rng.uniform(0.06, 0.3)))
        elif prop := model_prop(stage, role, largest, scale):
            props.append(prop)
    return props


def furnish(stage: Stage) -> None:
    """Rugs, things along the walls, tables with seats in the open, people, and what hangs and stands on top."""
    # along the walls
    style, rng, (width, _, depth) = stage.style, stage.style.rng, stage.room.size
    fullness = rng.uniform(0.5, 1.2)
    for frame in wall_frames(stage.room.size):
        for _ in range(round(fullness * frame[0] / 1.1)):
            prop = own_item(style) if style.chance(OWN) else any_model(stage, ALONG)
            if prop:
                stand_against(stage, prop, frame)

    # in the open
    for _ in range(1 + round(fullness * width * depth / 7)):
        prop = own_item(style) if style.chance(OWN) else any_model(stage, OPEN)
        spot = stand_anywhere(stage, prop, 0.2) if prop else None
        if spot and prop.role == "table":
            add_seats(stage, prop, spot)
    add_rugs(stage)

    # on top of others, and on the walls
    for prop, spot in stage.bases:
        if style.chance(0.8):
            crowd(stage, prop, small_things(stage, int(rng.integers(1, 9))), spot)
    for _ in range(int(rng.integers(0, 7))):
        prop = model_prop(stage, "wall", 1.6)
        if prop:
            hang(stage, prop)


def add_seats(stage: Stage, table: Prop, spot: Spot) -> None:
    """Up to six seats of one model around a table, which face it."""
    rng, seat = stage.style.rng, model_prop(stage, "seat", 1.4)
    if seat is None:
        return
    for side in range(4):
        out, along = table.size[2 if side % 2 == 0 else 0] / 2, table.size[0 if side % 2 == 0 else 2]
        turn = spot.turn + side * np.pi / 2
        for offset in [-0.25, 0.25] if along > 1.5 else [0.0]:
            if rng.random() < 0.7:
                away, beside = out + seat.size[2] * rng.uniform(0.2, 0.6), offset * along
                x = spot.x + away * np.sin(turn) + beside * np.cos(turn)
                z = spot.z + away * np.cos(turn) - beside * np.sin(turn)
                stand(stage, seat, float(x), float(z), float(turn + np.pi + rng.normal(0, 0.15)))


def add_rugs(stage: Stage) -> None:
    """Up to two rugs, models or the grammar's own, under whatever stands there."""
    style, rng, (width, _, depth) = stage.style, stage.style.rng, stage.room.size
    for level in range(int(rng.integers(0, 3))):
        prop = model_prop(stage, "rug", 3.5) if style.chance(0.5) else None
        if prop:
            x, z = rng.uniform(-0.25, 0.25, 2) * (width, depth)
            add(stage, prop, (float(x), 0.002 * level, float(z)), rng.uniform(0, 2 * np.pi), sight=False)
            stage.boxes.pop()  # others stand on it
            stage.actors.pop()
        else:
            (w, d), (x, z) = rng.uniform(0.15, 0.35, 2) * (width, depth), rng.uniform(-0.1, 0.1, 2) * (width, depth)
            low, high = (x - w, 0, z - d), (x + w, 0.008 + 0.002 * level, z + d)
            stage.room.shapes.append(box(low, high, style.rug()))


def fill_close_up(stage: Stage) -> None:
    """Many small things, as large as furniture: the room is the corner of a table top."""
    rng = stage.style.rng
    scale = float(rng.uniform(3.5, 7))
    for prop in small_things(stage, int(rng.integers(18, 45)), scale, rng.uniform(1.0, 1.8) / scale):
        stand_anywhere(stage, prop, 0.05)


def set_in_motion(stage: Stage, share: float) -> None:
    """Makes things move by themselves in this share of scenes: things, or lights, or both."""
    style, rng = stage.style, stage.style.rng
    if not style.chance(share):
        return
    kind = style.pick({"things": 7, "both": 2, "lights": 1})
    things = 0 if kind == "lights" else int(rng.integers(1, MOST_MOVING + 1))
    animate(stage, things, 0 if kind == "things" else int(rng.integers(1, 4)))
