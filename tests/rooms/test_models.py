"""Pins artists' models: which are found, what for, in which split; and their triangles, sizes, textures, materials."""

import json
import zipfile
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image
from support import ROOT

from files import InputError
from rooms import loading, pictures
from rooms.loading import load_thing
from rooms.meshes import vertex_normals
from rooms.models import Model, choose, find_models, split_of
from rooms.roles import ROLES, role_of
from rooms.sweethome import read_properties, unpack

CUBE = """mtllib cube.mtl
v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nv 0 0 1\nv 1 0 1\nv 1 1 1\nv 0 1 1
vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1
usemtl skin of cube
f 1/1 4/4 3/3 2/2\nf 5/1 6/2 7/3 8/4\nf 1/1 2/2 6/3 5/4\nf 4/1 8/2 7/3 3/4\nf 1/1 5/2 8/3 4/4\nf 2/1 3/2 7/3 6/4
"""


@pytest.fixture(autouse=True)
def fresh():
    """No test sees the files of another."""
    for cached in (find_models, load_thing, loading.report_once, pictures.files_below):
        cached.cache_clear()


def write_cube(folder, name="cube", mtl="Kd 0.5 0.5 0.5\n", text=CUBE):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.obj").write_text(text.replace("cube.mtl", f"{name}.mtl"))
    (folder / f"{name}.mtl").write_text("newmtl skin of cube\n" + mtl)
    return Model(str(folder), f"{name}.obj", name, "other", size=(1.0, 1.0, 1.0))


def write_picture(path, color=(255, 128, 0), mode="RGB", size=(4, 4)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(path)


def write_catalogue(folder, *rows):
    columns = rows[0].keys()
    lines = ["\t".join(columns), *("\t".join(row.values()) for row in rows)]
    (folder / "catalogue.tsv").write_text("\n".join(lines) + "\n", "utf-8")


def image_of(thing):
    """The texture of a thing of one matt shape; None without one."""
    return thing.shapes[0]["bsdf"]["bsdf"]["reflectance"].get("image")


# catalogue


def test_without_a_catalogue_every_model_file_counts_and_names_say_what_it_is(tmp_path):
    write_cube(tmp_path / "Chairs", "model_12")
    write_cube(tmp_path, "coffeeTable2")
    write_cube(tmp_path / ".hidden", "sofa")
    models = find_models(str(tmp_path))
    assert [(model.path, model.role) for model in models] == [
        ("Chairs/model_12.obj", "seat"),
        ("coffeeTable2.obj", "table"),
    ]
    assert models[0].size is None and models[0].license == ""


def test_a_catalogue_says_what_it_is_how_large_and_whose(tmp_path, capsys):
    write_cube(tmp_path, "a")
    write_cube(tmp_path, "b")
    row = {"obj": "b.obj", "name": "Lamp", "licence": "CC0-1.0", "creator": "Somebody", "width_cm": "40"}
    row |= {"depth_cm": "30", "height_cm": "150", "elevation_cm": "5", "model_rotation": "0 0 1 0 1 0 -1 0 0"}
    missing = dict.fromkeys(row, "") | {"obj": "missing.obj"}
    write_catalogue(tmp_path, row, missing, missing | {"obj": "a.obj", "height_cm": "?", "model_rotation": "1 2"})
    a, b = find_models(str(tmp_path))
    assert a == Model(str(tmp_path), "a.obj", "a", "other")
    assert (b.role, b.creator, b.license, b.size, b.elevation) == (
        "lamp-floor", "Somebody", "CC0-1.0", (0.4, 1.5, 0.3), 0.05
    )  # fmt: skip
    assert b.rotation == (0, 0, 1, 0, 1, 0, -1, 0, 0)
    assert "missing.obj" in capsys.readouterr().err


def test_licenses_choose_and_those_that_exist_are_named(tmp_path):
    for name in "abc":
        write_cube(tmp_path, name)
    write_catalogue(tmp_path, *({"obj": f"{n}.obj", "licence": t} for n, t in zip("abc", ("X", "Y", ""), strict=True)))
    assert [model.path for model in find_models(str(tmp_path), ("X", "Y"))] == ["a.obj", "b.obj"]
    with pytest.raises(InputError, match=r"Z.*\(none\), X, Y"):
        find_models(str(tmp_path), ("Z",))


def test_unusable_folders_and_catalogues_are_told(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        find_models(str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no model"):
        find_models(str(tmp_path / "empty"))
    write_catalogue(tmp_path, {"file": "a.obj", "name": "a"})
    with pytest.raises(InputError, match=r"`obj`.*file, name"):
        find_models(str(tmp_path))


def test_a_catalogue_never_leads_out_of_the_folder(tmp_path, capsys):
    write_cube(tmp_path / "outside", "secret")
    write_cube(tmp_path / "inside", "a")
    (tmp_path / "inside" / "link.obj").symlink_to(tmp_path / "outside" / "secret.obj")
    paths = ("../outside/secret.obj", str(tmp_path / "outside" / "secret.obj"), "link.obj", "a.obj")
    write_catalogue(tmp_path / "inside", *({"obj": path, "name": ""} for path in paths))
    assert [model.path for model in find_models(str(tmp_path / "inside"))] == ["a.obj"]
    assert capsys.readouterr().err.count("outside the folder") == 3
    assert load_thing(Model(str(tmp_path / "inside"), "../outside/secret.obj", "", "other")) is None


@pytest.mark.parametrize(
    ("names", "role"),
    [
        (("Piano bench",), "seat"),
        (("Table lamp",), "lamp-table"),
        (("Chair with cushion",), "seat"),
        (("TV stand",), "storage"),
        (("model7", "office_chairs", "Kitchen"), "seat"),
        (("xyz",), "other"),
    ],
)
def test_the_last_and_longest_words_tell_the_role_and_the_first_name_that_knows(names, role):
    assert role_of(*names) == role


def test_roles_have_heights():
    assert all(0 < role.low < role.high for role in ROLES.values())


def test_the_splits_on_record_are_those_of_the_code():
    """What released weights were trained on stays out of validation and tests."""
    splits = json.loads((ROOT / "benchmarks" / "splits.json").read_text())
    for split, content in splits.items():
        assert content["models"] and all(split_of(Model("f", path, "", "seat")) == split for path in content["models"])


def test_splits_are_disjoint_stable_and_of_the_path_alone():
    models = [Model("f", f"{number}.obj", "", "seat") for number in range(1000)]
    parts = {split: choose(models, split, "seat") for split in ("train", "val", "test")}
    assert sum(map(len, parts.values())) == 1000
    assert 760 < len(parts["train"]) < 840 and 70 < len(parts["val"]) < 130
    assert [split_of(model) for model in models[:8]] == [
        split_of(Model("elsewhere", model.path, "other name", "table", size=(1, 1, 1))) for model in models[:8]
    ]
    assert "".join(split_of(model)[1] for model in models[:16]) == "rrrerrrrrarerarr"  # trAin, vAl, tEst
    assert choose(models, "train", "table") == []


# triangles


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


# textures and materials


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
def test_names_and_numbers_tell_the_material(tmp_path, name, mtl, kind):
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


def write_gltf(folder, uri, picture="t.png"):
    """A square of 1 m, with its data in a file of its own."""
    points = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], "<f4")
    uv = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], "<f4")
    data = points.tobytes() + uv.tobytes() + np.array([0, 1, 2, 0, 2, 3], "<u2").tobytes()
    (folder / "data.bin").write_bytes(data)
    views = [{"buffer": 0, "byteOffset": o, "byteLength": n} for o, n in ((0, 48), (48, 32), (80, 12))]
    kinds = [(5126, 4, "VEC3"), (5126, 4, "VEC2"), (5123, 6, "SCALAR")]
    accessors = [{"bufferView": i, "componentType": c, "count": n, "type": t} for i, (c, n, t) in enumerate(kinds)]
    material = {"name": "seat", "pbrMetallicRoughness": {"baseColorTexture": {"index": 0}, "metallicFactor": 0}}
    mesh = {"primitives": [{"attributes": {"POSITION": 0, "TEXCOORD_0": 1}, "indices": 2, "material": 0}]}
    content = {"asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}], "meshes": [mesh]}
    content |= {"nodes": [{"mesh": 0, "scale": [2, 1, 1]}], "buffers": [{"uri": uri, "byteLength": len(data)}]}
    content |= {"bufferViews": views, "accessors": accessors, "materials": [material]}
    content |= {"textures": [{"source": 0}], "images": [{"uri": picture}]}
    (folder / "chair.gltf").write_text(json.dumps(content))
    return Model(str(folder), "chair.gltf", "", "seat")


def test_gltf_is_in_metres_with_its_texture_upright(tmp_path):
    picture = Image.new("RGB", (2, 2), (255, 255, 255))
    picture.putpixel((0, 0), (0, 0, 0))  # upper left
    picture.save(tmp_path / "t.png")
    thing = load_thing(write_gltf(tmp_path, "data.bin"))
    mesh = thing.shapes[0]["mesh"]
    assert thing.size == pytest.approx((2, 1, 0))
    upper_left = mesh.uv[(mesh.vertices[:, 0] < 0) & (mesh.vertices[:, 1] > 0.5)]
    assert upper_left == pytest.approx(np.array([[0, 0]])) and image_of(thing)[0, 0].max() < 0.02


def test_gltf_reads_no_file_outside_the_folder(tmp_path, capsys):
    folder = tmp_path / "models"
    folder.mkdir()
    model = write_gltf(folder, "../secret.bin")
    (folder / "data.bin").rename(tmp_path / "secret.bin")
    assert load_thing(model) is None and "secret.bin" in capsys.readouterr().err


def test_ply_has_the_mean_color_of_its_vertices(tmp_path):
    header = "ply\nformat ascii 1.0\nelement vertex 3\n" + "".join(f"property float {c}\n" for c in "xyz")
    header += "".join(f"property uchar {c}\n" for c in ("red", "green", "blue"))
    header += "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
    (tmp_path / "vase.ply").write_text(header + "0 0 0 128 128 128\n1 0 0 128 128 128\n0 1 0 128 128 128\n3 0 1 2\n")
    thing = load_thing(find_models(str(tmp_path))[0])
    assert thing.shapes[0]["bsdf"]["bsdf"]["reflectance"]["value"] == pytest.approx([0.2158605] * 3)
    assert thing.size[1] == pytest.approx(0.01 * 2.54)  # an inch, since vases of 1 m are rare


# Sweet Home's libraries


def test_a_library_of_sweet_home_becomes_rows_of_a_catalogue(tmp_path):
    text = "id=x\nlicense=CC0-1.0\nname#1=Caf\\u00e9 chair\nmodel#1=/chair/chair.obj\nwidth#1=50\ndepth#1=60\n"
    text += "height#1 = 70\ndoorOrWindow#1=false\nmodelRotation#1=1 0 0 \\\n  0 1 0 0 0 1\ncreator#1=Somebody\n# end\n"
    library = tmp_path / "set.sh3f"
    with zipfile.ZipFile(library, "w") as archive:
        archive.writestr("PluginFurnitureCatalog.properties", text)
        archive.writestr("chair/chair.obj", CUBE)
        archive.writestr("../outside.obj", CUBE)
    (row,) = unpack(library, tmp_path / "models")
    write_catalogue(tmp_path / "models", row)
    (model,) = find_models(str(tmp_path / "models"), ("CC0-1.0",))
    assert (model.name, model.path, model.role, model.creator) == (
        "Café chair",
        "set/chair/chair.obj",
        "seat",
        "Somebody",
    )
    assert load_thing(model).size == pytest.approx((0.5, 0.7, 0.6))
    assert not (tmp_path / "outside.obj").exists() and not (tmp_path / "models" / "outside.obj").exists()


def test_properties_may_be_in_latin_1():
    assert read_properties("name#1=Canapé\tbleu".encode("latin-1")) == {"name#1": "Canapé bleu"}


def test_any_other_file_is_no_library(tmp_path):
    (tmp_path / "a.sh3f").write_bytes(b"junk")
    with pytest.raises(InputError, match="no library of Sweet Home 3D"):
        unpack(tmp_path / "a.sh3f", tmp_path)
