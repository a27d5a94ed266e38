"""Pins camera paths through procedural rooms: the same for the same seed, smooth to extend, always moving."""

import hashlib

import numpy as np
import pytest
from made_rooms import made_room_and_generator

pytest.importorskip("mitsuba")

from rendering.cameras import as_json
from rendering.planning import back_and_forth, shot


def test_a_longer_shot_begins_as_a_shorter_one():
    def first_shot(frames):
        return shot(*made_room_and_generator(3, "train", 4), frames)

    assert first_shot(40)[:7] == first_shot(7)


def test_a_path_longer_than_was_checked_goes_back_and_forth_along_it():
    assert back_and_forth([1, 2, 3, 4], 9) == [1, 2, 3, 4, 3, 2, 1, 2, 3]
    assert back_and_forth([1, 2, 3, 4], 3) == [1, 2, 3] and back_and_forth([1], 1) == [1]


def test_shots_of_a_dozen_rooms_are_finite_and_move():
    cameras_moved = 0
    for number in range(12):
        path = shot(*made_room_and_generator(0, "train", number), 30)
        cameras_moved += path[0] != path[-1]
        assert all(np.isfinite([*c.origin, *c.target]).all() for c in path)
    assert cameras_moved >= 10


@pytest.mark.parametrize(
    ("room", "digest"), [((0, "train", 4), "8d38fe63291a0503"), ((5, "test", 1), "08fbb3c1a250b4d0")]
)
def test_a_seed_makes_the_shots_that_it_always_made(room, digest):
    """Twenty shots, with every move among them: sequences can be extended only while no camera changes."""
    made, rng = made_room_and_generator(*room)
    shots = [shot(made, rng, 30) for _ in range(20)]
    numbers = [[[*c["origin"], *c["target"], c["fov"]] for c in map(as_json, path)] for path in shots]
    text = str((np.round(numbers, 6) + 0.0).tolist()) + str(rng.bit_generator.state["state"])
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == digest
