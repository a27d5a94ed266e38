"""The kinds of procedural scenes that `render.py --kind` offers, each as it is without and with artists' models."""

from copy import deepcopy
from functools import lru_cache

import numpy as np

from rooms.floor import Room
from rooms.plain import make_plain
from rooms.room import generator, make_room
from rooms.staging import make_furnished, make_outdoors
from rooms.stock import Stock

KINDS = {"room": make_room, "plain": make_plain}
STOCKED = {"room": make_furnished, "plain": make_outdoors}  # with a Stock


def build(seed: int, split: str, number: int, kind: str, stock: Stock | None) -> tuple[Room, np.random.Generator]:
    """A procedural scene, and the random generator in the state that it leaves; the same for the same arguments.

    Raises InputError where the stock's folders cannot be used.
    """
    room, rng = _build(seed, split, number, kind, stock)
    return room, deepcopy(rng)


@lru_cache(maxsize=2)  # planning, its record and the renderer ask for the same scene one after the other
def _build(seed: int, split: str, number: int, kind: str, stock: Stock | None) -> tuple[Room, np.random.Generator]:
    rng = generator(seed, split, number)
    return (KINDS[kind](rng) if stock is None else STOCKED[kind](rng, stock, split)), rng
