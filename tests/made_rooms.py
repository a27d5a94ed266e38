"""Procedural rooms that several tests look at, each made once in a process; no test may change them."""

from copy import deepcopy
from functools import cache

import numpy as np

from rooms.floor import Room
from rooms.room import generator, make_room


def made_room(seed: int = 0, split: str = "train", number: int = 0) -> Room:
    """A room of make_room; see rooms.room.generator."""
    return _made(seed, split, number)[0]


def made_room_and_generator(seed: int, split: str, number: int) -> tuple[Room, np.random.Generator]:
    """The room, and its generator in the state after the room."""
    room, rng = _made(seed, split, number)
    return room, deepcopy(rng)


@cache
def _made(seed: int, split: str, number: int) -> tuple[Room, np.random.Generator]:
    rng = generator(seed, split, number)
    return make_room(rng), rng
