"""Pins the surfaces of models: textures are found and linear, names and numbers give the material."""

import numpy as np
import pytest
from model_files import CUBE, image_of, write_cube, write_picture
from PIL import Image

from rooms import pictures
from rooms.loading import load_thing
from rooms.models import Model

pytestmark = pytest.mark.usefixtures("fresh_caches")


@pytest.mark.parametrize(
    ("reference", "stored"),
    [
        ("wood.png", "wood.png"),
        ("Wood.PNG", "wood.png"),
        ("textures\\wood.png", "textures/wood.png"),
        ("C:\\Users\\me\\Desktop\\wood.png", "wood.png"),
        ("/home/me/wood.png", "textures/wood.png"),
        ("../shared/wood.png", "../shared/wood.png"),
        ("my fine wood.png", "my fine wood.png"),
        ("-s 2 2 2 wood.png", "wood.png"),
    ],
)
def test_textures_are_found_however_they_are_written(tmp_path, reference, stored):
    model = write_cube(tmp_path / "models" / "cube", mtl=f"Kd 0 0 0\nmap_Kd {reference}\n")
    write_picture(tmp_path / "models" / "cube" / stored)
    thing = load_thing(Model(str(tmp_path / "models"), "cube/cube.obj", "", "other", size=model.size))
    assert image_of(thing).shape == (4, 4, 3)


def test_texture_values_are_linear_reflectance(tmp_path):
    write_picture(tmp_path / "t.png", (255, 128, 0), size=(2048, 1024))
    image = image_of(load_thing(write_cube(tmp_path, mtl="map_Kd t.png\n")))
    assert image.shape == (256, 512, 3) and image.dtype == np.float32
    assert image[7, 5] == pytest.approx([0.9, 0.2158605, 0.01])  # 128 of 255 in sRGB; the ends are clamped


def test_textures_stand_upright(tmp_path):
    picture = Image.new("RGB", (2, 2), (255, 255, 255))
    picture.putpixel((0, 0), (0, 0, 0))  # upper left
    picture.save(tmp_path / "t.png")
    text = "mtllib cube.mtl\nusemtl skin of cube\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"
    text += "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nf 1/1 2/2 3/3 4/4\n"
    thing = load_thing(write_cube(tmp_path, mtl="map_Kd t.png\n", text=text))
    mesh, image = thing.shapes[0]["mesh"], image_of(thing)
    upper_left = mesh.uv[(mesh.vertices[:, 0] < 0) & (mesh.vertices[:, 1] > 0.5)]
    assert upper_left == pytest.approx(np.array([[0, 0]])) and image[0, 0].max() < 0.02 < image[1].min()


@pytest.mark.parametrize("reference", ["missing.png", "broken.png", "../../outside.png", ""])
def test_a_texture_that_cannot_be_used_leaves_the_color(tmp_path, reference):
    write_picture(tmp_path / "outside.png")
    folder = tmp_path / "models"
    model = write_cube(folder, mtl=f"Kd 0.5 0.5 0.5\nmap_Kd {reference}\n")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\njunk")
    reflectance = load_thing(model).shapes[0]["bsdf"]["bsdf"]["reflectance"]
    assert reflectance == {"type": "rgb", "value": pytest.approx([0.2140411] * 3)}


def test_links_out_of_the_folder_are_not_followed(tmp_path):
    write_picture(tmp_path / "outside.png")
    model = write_cube(tmp_path / "models", mtl="map_Kd t.png\n")
    (tmp_path / "models" / "t.png").symlink_to(tmp_path / "outside.png")
    assert image_of(load_thing(model)) is None


def test_holes_in_a_texture_become_a_mask(tmp_path):
    write_picture(tmp_path / "t.png", (9, 99, 9, 64), "RGBA")
    bsdf = load_thing(write_cube(tmp_path, mtl="map_Kd t.png\n")).shapes[0]["bsdf"]
    assert bsdf["type"] == "mask" and bsdf["bsdf"]["type"] == "twosided"
    assert bsdf["opacity"]["image"] == pytest.approx(np.full((4, 4, 3), 64 / 255))


@pytest.mark.parametrize(
    ("name", "mtl", "kind"),
    [
        ("cube", "Kd 0.5 0.5 0.5\nKs 0 0 0", "diffuse"),
        ("cube", "Kd 0.5 0.5 0.5\nKs 0.5 0.5 0.5\nNs 90", "roughplastic"),
        ("cube", "Kd 0 0 0\nKs 0.9 0.9 0.9\nNs 90", "roughconductor"),
        ("handle_Chrome", "Kd 0.1 0.1 0.1", "roughconductor"),
        ("white metal", "Kd 0.9 0.9 0.9", "roughplastic"),
        ("Mirror.001", "Kd 0 0 0", "conductor"),
        ("glass", "Kd 0.8 0.8 0.8\nd 0.01", "thindielectric"),
        ("cube", "Kd 0.8 0.8 0.8\nKs 1 1 1\nNs 90\nd 0.3", "thindielectric"),
        ("curtain", "Kd 0.8 0.8 0.8\nd 0.5", "mask"),
        ("cube", "Kd 0.8 0.8 0.8\nTr 0.2", "mask"),
        ("cube", "Kd 0.8 0.8 0.8\nTr 1", "diffuse"),
        ("cube", "Kd oops\nd nan\nNs\nKs x", "diffuse"),
    ],
)
def test_names_and_numbers_give_the_material(tmp_path, name, mtl, kind):
    write_cube(tmp_path, text=CUBE.replace("skin of cube", name))
    (tmp_path / "cube.mtl").write_text(f"newmtl {name}\n{mtl}\n")
    bsdf = load_thing(Model(str(tmp_path), "cube.obj", "", "other")).shapes[0]["bsdf"]
    assert (bsdf["bsdf"] if bsdf["type"] == "twosided" else bsdf)["type"] == kind


def test_plain_colors_that_reflect_alike_become_one_shape(tmp_path):
    lines = CUBE.replace("usemtl skin of cube\n", "").splitlines(keepends=True)
    faces = [line for line in lines if line.startswith("f ")]
    text = "".join(line for line in lines if line not in faces)
    text += "".join(f"usemtl m{number}\n{face}" for number, face in enumerate(faces))
    write_cube(tmp_path, text=text)
    (tmp_path / "cube.mtl").write_text("".join(f"newmtl m{n}\nKd 0.{n + 3} 0.5 0.5\n" for n in range(6)))
    (shape,) = load_thing(Model(str(tmp_path), "cube.obj", "", "other")).shapes
    image, uv = shape["bsdf"]["bsdf"]["reflectance"]["image"], shape["mesh"].uv
    assert image.shape == (1, 6, 3)
    reds = {round(float(image[0, int(u * 6), 0]), 4) for u in uv[:, 0]}
    assert reds == {round(float(pictures.linear(0.1 * n)), 4) for n in range(3, 9)}
