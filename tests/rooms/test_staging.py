"""Pins scenes with artists' models: the same for the same seed, models of their split only, light, and what moves."""

import numpy as np
import pytest
from model_folder import BROKEN, write_models

from files import InputError
from rendering.content import words
from rooms.floor import Room, wall_frames
from rooms.kinds import STOCKED
from rooms.lamps import LIGHTS, add_light
from rooms.materials import Style
from rooms.models import find_models, split_of
from rooms.placing import Stage, bounds, model_prop, stand_anywhere
from rooms.primitives import box
from rooms.room import generator, scene_dictionary
from rooms.skies import find_maps, mean_luminance, read_map, shrunk
from rooms.stock import Stock
from rooms.tops import height_map


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A dozen cubes of each of NAMES, one of them broken; and two environment maps, one of them broken."""
    return write_models(tmp_path_factory.mktemp("models"))


def stock(folder, moving=0.0):
    return Stock(str(folder), str(folder / "skies"), (), moving)


def make(folder, number, kind="room", split="train", moving=0.0):
    return STOCKED[kind](generator(3, split, number), stock(folder, moving), split)


def shines(room):
    return room.lights or any("emitter" in shape for shape in room.shapes)


@pytest.mark.parametrize("kind", ["room", "plain"])
def test_the_same_seed_makes_the_same_scene_and_any_other_another(folder, kind):
    texts = [words(scene_dictionary(make(folder, number, kind, moving=1.0))) for number in (0, 0, 1)]
    assert texts[0] == texts[1] and texts[0] != texts[2]


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_scenes_have_light_and_models_of_their_split_that_stand_in_the_room(folder, split):
    models = {model.path: model for model in find_models(str(folder))}
    for number, kind in ((1, "room"), (0, "plain"), (1, "plain")):
        room = make(folder, number, kind, split)
        used = [name for name in room.sources if not name.endswith(".exr")]
        assert used and all(split_of(models[name]) == split for name in used)
        assert shines(room) and len(room.sights) > 1
        assert not any("moves" in shape for shape in room.shapes)
        for x0, z0, x1, z1 in room.taken:
            assert max(-x0, x1) <= room.size[0] / 2 + 0.02 and max(-z0, z1) <= room.size[2] / 2 + 0.02


def test_scenes_name_the_files_that_they_are_made_of(folder):
    for number in range(4):
        room = make(folder, number, "plain")
        for name, path in room.sources.items():
            assert path == str(folder / "skies" / name if name.endswith(".exr") else folder / name)
        assert not BROKEN & set(room.sources)


def test_in_moving_scenes_something_moves_or_a_light_changes(folder):
    movements, flickers = set(), 0
    for number in range(10):
        room = make(folder, number, "plain", moving=1.0)
        moving = [shape for shape in room.shapes if "moves" in shape]
        emitters = [shape["emitter"] for shape in room.shapes if "emitter" in shape] + room.lights
        flickers += any("flicker" in emitter for emitter in emitters)
        assert moving or any("flicker" in emitter for emitter in emitters)
        movements |= {type(shape["moves"]).__name__ for shape in moving}
        assert all(shape["type"] in ("ply", "cube") and "face_normals" not in shape for shape in moving)
        assert 0 < len({repr(shape["moves"]) for shape in moving}) <= 4 or not moving

        # the boxes around moving things stay in the room
        for shape in moving:
            points = np.stack(bounds([shape]))
            for time in (-1.0, 3.0, 8.5, 17.0):
                there = shape["moves"].at(points, np.full((2, 3), [0, 1.0, 0]), time)[0]
                assert np.abs(there[:, [0, 2]]).max() < 0.5 * max(room.size) + 1.5 and there.min() > -1.5 * max(
                    room.size
                )
    assert len(movements) > 3 and flickers


def empty(folder, seed=0):
    return Stage(Room((6.0, 3.0, 5.0)), Style(np.random.default_rng(seed)), find_models(str(folder)), "train")


@pytest.mark.parametrize("kind", LIGHTS)
def test_every_kind_of_light_can_be_added_to_a_room(folder, kind):
    for seed in range(6):  # some places are too small for some lamps
        stage = empty(folder, seed)
        stand_anywhere(stage, model_prop(stage, "table"))
        wall = box((-3, 0, -0.2), (3, 3, 0), stage.style.paint)
        stage.walls.append((wall_frames(stage.room.size)[0], [wall]))
        before = len(stage.room.lights), sum("emitter" in shape for shape in stage.room.shapes)
        if add_light(stage, kind):
            break
    after = len(stage.room.lights), sum("emitter" in shape for shape in stage.room.shapes)
    assert sum(after) > sum(before) and LIGHTS[kind] > 0


def test_things_on_a_table_stand_on_its_top(folder):
    prop = model_prop(empty(folder), "table")
    places = prop.top.places(0.1, [(0.0, 0.0, 0.2)])
    assert np.allclose(places[:, 1], prop.size[1], atol=1e-3)
    assert np.hypot(places[:, 0], places[:, 2]).min() > 0.2
    assert np.abs(places[:, 0]).max() < prop.size[0] / 2 - 0.08
    assert len(height_map(prop.shapes, prop.size).places(5.0, [])) == 0


def test_broken_maps_are_named_and_left_out_and_a_folder_without_any_is_an_error(folder, tmp_path, capsys):
    assert [path.name for path in find_maps(str(folder / "skies"))] == ["broken.exr", "even.exr"]
    read_map.cache_clear()
    assert read_map(folder / "skies" / "broken.exr") is None
    assert "broken.exr" in capsys.readouterr().err
    assert mean_luminance(read_map(folder / "skies" / "even.exr")) == pytest.approx(0.5)
    with pytest.raises(InputError, match="no environment map"):
        find_maps(str(tmp_path))


def test_a_large_map_shrinks_to_the_mean_of_its_pixels():
    image = np.random.default_rng(0).random((512, 1024, 3)).astype(np.float32)
    small = shrunk(image)
    assert small.shape == (256, 512, 3) and small.mean() == pytest.approx(image.mean(), rel=1e-5)
    assert np.allclose(small[3, 5], image[6:8, 10:12].mean((0, 1)))
    assert shrunk(image[:300, :700]).shape == (256, 512, 3) and shrunk(image[:8, :16]).shape == (8, 16, 3)
