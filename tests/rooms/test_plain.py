"""Pins plain scenes: the same for the same seed, lit, with things that stand apart, lamps like ceilings."""

import numpy as np
import pytest

from rendering.rendering_options import KIND_NAMES
from rooms.kinds import KINDS, STOCKED
from rooms.materials import Style
from rooms.plain import bare_box, make_plain, outdoors
from rooms.room import generator, scene_dictionary


def make(number, seed=0, split="train"):
    return make_plain(generator(seed, split, number))


def test_the_same_seed_makes_the_same_scene_and_any_other_another():
    def words(room):
        return str([shape["to_world"].round(6).tolist() for shape in room.shapes])

    assert words(make(0)) == words(make(0))
    assert len({words(room) for room in (make(0), make(1), make(0, seed=1), make(0, split="test"))}) == 4


def test_the_command_line_offers_every_kind():
    assert tuple(KINDS) == tuple(STOCKED) == KIND_NAMES


@pytest.mark.parametrize("number", range(12))
def test_there_is_light_and_things_stand_apart(number):
    room = make(number)
    things = scene_dictionary(room).values()
    lights = [t["type"] for t in things if isinstance(t, dict) and t["type"] in ("constant", "envmap", "directional")]
    lamps = [shape for shape in room.shapes if "emitter" in shape]
    assert len(lamps) == 1 or lights, "a lamp in a box, a sky outdoors"
    assert len(lamps) == 0 or len(lights) <= 1, "outside an open box there is some light"
    assert len(room.sights) > 1
    for index, (x0, z0, x1, z1) in enumerate(room.taken):
        for a0, b0, a1, b1 in room.taken[:index]:
            assert x0 >= a1 or a0 >= x1 or z0 >= b1 or b0 >= z1


def test_the_sun_shines_down():
    suns = []
    for seed in range(12):
        room = outdoors(Style(np.random.default_rng(seed)))
        suns += [light["direction"] for light in room.lights if light["type"] == "directional"]
    assert len(suns) > 4 and all(y < 0 and np.hypot(np.hypot(x, y), z) == pytest.approx(1) for x, y, z in suns)


def test_the_lamp_of_a_box_reflects_as_its_ceiling_does_and_hangs_just_below():
    for seed in range(6):
        room = bare_box(Style(np.random.default_rng(seed)))
        (lamp,) = (shape for shape in room.shapes if "emitter" in shape)
        ceiling = room.shapes[1]
        assert lamp["bsdf"] is ceiling["bsdf"]
        top = lamp["to_world"][1, 3] + lamp["to_world"][1, 1]
        assert 0 < room.size[1] - top < 0.01
