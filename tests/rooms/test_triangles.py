"""Pins the triangles of models: edges, sizes and units, and that broken files are left out."""

from itertools import pairwise

import numpy as np
import pytest
from model_files import CUBE, write_cube

from rooms import loading
from rooms.loading import load_thing
from rooms.meshes import vertex_normals
from rooms.models import Model, find_models

pytestmark = pytest.mark.usefixtures("fresh_caches")


def test_edges_stay_sharp_and_curves_smooth(tmp_path):
    (shape,) = load_thing(write_cube(tmp_path)).shapes
    assert len(shape["mesh"].vertices) == 24 and len(shape["mesh"].faces) == 12
    assert np.allclose(np.abs(vertex_normals(shape["mesh"])).max(1), 1)  # along an axis

    # a prism of 24 sides, whose file repeats every point
    angle = np.linspace(0, 2 * np.pi, 25)
    sides = "".join(
        f"v {np.cos(a)} 0 {-np.sin(a)}\nv {np.cos(b)} 0 {-np.sin(b)}\nv {np.cos(b)} 1 {-np.sin(b)}\n"
        f"v {np.cos(a)} 1 {-np.sin(a)}\nf -4 -3 -2 -1\n"
        for a, b in pairwise(angle)
    )
    (shape,) = load_thing(write_cube(tmp_path, "prism", text=sides)).shapes
    assert len(shape["mesh"].vertices) == 48
    assert shape["bsdf"]["type"] == "twosided"  # without a material


def test_size_and_place_are_those_of_the_catalogue(tmp_path):
    model = write_cube(tmp_path)
    quarter = (0.0, 0.0, 1.0, 0.0, 1.0, 0.0, -1.0, 0.0, 0.0)
    thing = load_thing(Model(model.folder, model.path, "", "seat", size=(0.5, 2.0, 0.25), rotation=quarter))
    vertices = thing.shapes[0]["mesh"].vertices
    assert thing.size == pytest.approx((0.5, 2.0, 0.25))
    assert vertices.min(0) == pytest.approx([-0.25, 0, -0.125]) and vertices.max(0) == pytest.approx([0.25, 2, 0.125])


@pytest.mark.parametrize(("high", "expected"), [(0.9, 0.9), (90, 0.9), (900, 0.9), (28, 0.7112), (7e6, 0.6245)])
def test_without_a_size_the_unit_is_one_in_which_the_height_suits_the_role(tmp_path, high, expected):
    text = CUBE.replace("mtllib", "#")
    for line in [line for line in CUBE.splitlines() if line.startswith("v ")]:
        text = text.replace(f"{line}\n", "v " + " ".join(str(float(c) * high) for c in line.split()[1:]) + "\n", 1)
    write_cube(tmp_path, "chair", text=text)
    (model,) = find_models(str(tmp_path))
    assert load_thing(model).size == pytest.approx((expected,) * 3, rel=1e-3)


def test_faces_without_area_and_repeated_ones_are_dropped(tmp_path):
    text = CUBE + "f 1/1 1/1 2/2\nf 1/1 2/2 1/1\nf 5/1 8/4 7/3 6/2\n"
    assert len(load_thing(write_cube(tmp_path, text=text)).shapes[0]["mesh"].faces) == 12


def test_the_same_file_gives_the_same_arrays(tmp_path):
    model = write_cube(tmp_path)
    first = load_thing(model).shapes[0]["mesh"]
    load_thing.cache_clear()
    again = load_thing(model).shapes[0]["mesh"]
    assert first.vertices.tobytes() == again.vertices.tobytes() and first.faces.tobytes() == again.faces.tobytes()


BROKEN = {
    "no faces": "v 0 0 0\n",
    "a vertex": "v 0 0 0\nv 1 0 0\nf 1 2 9\n",
    "could not convert": "v a b c\nv 0 0 0\nv 1 1 1\nf 1 2 3\n",
    "not finite": "v nan 0 0\nv 0 1 0\nv 0 0 1\nf 1 2 3\n",
    "no area": "v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n",
    "invalid literal": "v 0 0 0\nv 1 0 0\nv 2 1 0\nf x y z\n",
}


@pytest.mark.parametrize("reason", BROKEN)
def test_broken_files_are_left_out_and_named_once(tmp_path, capsys, reason):
    model = write_cube(tmp_path, "broken", text=BROKEN[reason])
    for _ in range(2):
        assert load_thing(model) is None
        load_thing.cache_clear()
    message = capsys.readouterr().err
    assert message.count("broken.obj") == 1 and reason in message


@pytest.mark.parametrize("name", ["a.glb", "a.gltf", "a.ply", "missing.obj"])
def test_any_broken_format_is_left_out(tmp_path, capsys, name):
    if name != "missing.obj":
        (tmp_path / name).write_bytes(b"glTF\x02\0\0\0\xff\xff\xff\xffjunk")
    assert load_thing(Model(str(tmp_path), name, "", "other")) is None
    assert name in capsys.readouterr().err


def test_too_many_faces_are_left_out(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(loading, "MOST_FACES", 11)
    assert load_thing(write_cube(tmp_path)) is None
    assert "12 faces" in capsys.readouterr().err
