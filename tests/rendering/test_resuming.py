"""Pins what a run continues: the same content wherever it lies, never an edited scene or another room, and at no cost.

Runs within this process, in the scalar variant.
"""

import json
import os
import shutil
from pathlib import Path

import pytest
from small_scene import KEYS, NAME, SCENE, SMALL, pixels, render, settings

from files import InputError
from rendering import content, planning
from rendering import scene as scene_module
from rendering.cameras import Camera
from rendering.jobs import RoomSource, read_record
from rendering.render_dataset import run
from rendering.rendering_options import parse
from rooms import room

pytestmark = pytest.mark.usefixtures("no_child_processes")

ONE = ("--frames", 1, "--noisy", 1)


def with_parts(scene: Path) -> Path:
    """The scene, with an include, a mesh in the include, a spectrum and a picture in files of their own."""
    folder = scene.parent
    mesh = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
    mesh += "element face 1\nproperty list uchar int vertex_index\nend_header\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"
    (folder / "triangle.ply").write_text(mesh)
    (folder / "grey.spd").write_text("400 0.5\n700 0.5\n")
    bsdf = '<bsdf type="diffuse"><spectrum name="reflectance" filename="grey.spd"/></bsdf>'
    shape = f'<shape type="ply"><string name="filename" value="$part.ply"/>{bsdf}</shape>'
    (folder / "more.xml").write_text(f'<scene version="3.0.0">{shape}</scene>')
    parts = '<default name="part" value="triangle"/><include filename="more.xml"/></scene>'
    scene.write_text(SCENE.replace("</scene>", parts))
    return scene


def test_all_that_a_scene_refers_to_is_its_content(scene):
    assert set(content.scene_files(with_parts(scene))) == {"scene.xml", "more.xml", "triangle.ply", "grey.spd"}


def test_an_edited_file_of_the_scene_is_refused_and_named(scene, tmp_path):
    render(with_parts(scene), tmp_path / "data", *ONE)
    before = pixels(tmp_path / "data")
    for name in ("scene.xml", "more.xml", "triangle.ply", "grey.spd"):
        file = scene.with_name(name)
        was = file.read_text()
        file.write_text(was + "\n")
        with pytest.raises(InputError, match=f"{name} has changed since"):
            render(scene, tmp_path / "data", "--frames", 2, "--noisy", 1)
        file.write_text(was)
    assert pixels(tmp_path / "data") == before
    render(scene, tmp_path / "data", "--frames", 2, "--noisy", 1)


def test_a_moved_scene_is_continued(scene, tmp_path):
    render(with_parts(scene), tmp_path / "data", *ONE)
    shutil.move(scene.parent, tmp_path / "moved")
    moved = tmp_path / "moved" / "scene.xml"
    render(moved, tmp_path / "data", "--name", NAME, "--frames", 2, "--noisy", 1)
    folder = tmp_path / "data" / "train" / NAME
    assert json.loads((folder / "sequence.json").read_text())["source"][1] == str(moved)
    assert (folder / "frame-0001" / "target.exr").is_file()


def test_another_camera_path_is_refused_and_the_same_in_other_words_is_not(scene, tmp_path):
    camera = scene.with_name("camera.json")
    render(scene, tmp_path / "data", *ONE)
    camera.write_text(json.dumps(KEYS, indent=2))
    render(scene, tmp_path / "data", *ONE)
    camera.write_text(json.dumps([KEYS[1], *KEYS]))
    with pytest.raises(InputError, match="the camera path"):
        render(scene, tmp_path / "data", *ONE)


def test_a_dataset_without_content_is_continued_and_gets_it(scene, tmp_path):
    render(scene, tmp_path / "data", *ONE)
    file = tmp_path / "data" / "train" / NAME / "sequence.json"
    record = json.loads(file.read_text())
    file.write_text(json.dumps({name: value for name, value in record.items() if name not in ("content", "planning")}))
    render(scene, tmp_path / "data", *ONE)
    assert json.loads(file.read_text()) == record


def test_a_finished_room_costs_nothing_and_never_becomes_another(tmp_path, monkeypatch):
    def again(*more):
        run(parse([str(a) for a in (tmp_path, "--procedural", 1, *SMALL, *ONE, *more)]))

    monkeypatch.setattr(planning, "plan_room", lambda source, frames: [Camera((0, 1, 0), (0, 1, 1))] * frames)
    again()
    before = pixels(tmp_path)

    # the same code
    with monkeypatch.context() as patch:
        for module, name in ((planning, "plan_room"), (content, "scene_dictionary"), (scene_module, "load_dictionary")):
            patch.setattr(module, name, lambda *_: pytest.fail("made again"))
        again()
    assert pixels(tmp_path) == before

    # other code that makes the same room
    monkeypatch.setattr(content, "code_digest", lambda: "other code")
    again()
    record = read_record(tmp_path / "train" / "room-0-0000")
    assert record["planning"] == content.planning_key(RoomSource(0, "train", 0), settings(width=24, height=16))

    # another grammar
    monkeypatch.setattr(content, "code_digest", lambda: "a grammar with deeper light")
    monkeypatch.setattr(room, "MAX_DEPTH", 10)
    with pytest.raises(InputError, match="the room of this seed has changed since"):
        again()


@pytest.mark.parametrize(
    "edit", [{"variant": None}, {"cameras": [1]}, {"cameras": [{"origin": 1}]}, {"content": [3]}, {"source": 7}]
)
def test_a_damaged_record_is_one_clear_error(scene, tmp_path, edit):
    render(scene, tmp_path / "data", *ONE)
    file = tmp_path / "data" / "train" / NAME / "sequence.json"
    record = json.loads(file.read_text()) | edit
    file.write_text(json.dumps({name: value for name, value in record.items() if value is not None}))
    with pytest.raises(InputError, match=r"sequence.json: damaged .*; delete"):
        render(scene, tmp_path / "data", *ONE)


def test_a_camera_of_parallel_rays_is_named(scene, tmp_path):
    scene.write_text(SCENE.replace('"perspective"><float name="fov" value="60"/>', '"orthographic">'))
    with pytest.raises(InputError, match="no pinhole but OrthographicCamera; give --camera"):
        run(parse([str(a) for a in (tmp_path / "data", "--scene", scene, *SMALL)]))


def test_a_scene_at_the_root_of_the_disk_has_its_files_name(monkeypatch, tmp_path):
    monkeypatch.setattr(Path, "is_file", lambda path: True)
    assert parse([str(tmp_path), "--scene", os.path.join(os.sep, "scene.xml")]).name == "scene"
    assert parse([str(tmp_path), "--scene", str(tmp_path / "hall" / "scene.xml")]).name == "hall"
