"""Pins glTF and PLY files: unit, textures, colors of vertices, and no file outside the folder."""

import json

import numpy as np
import pytest
from model_files import image_of
from PIL import Image

from rooms.loading import load_thing
from rooms.models import Model, find_models

pytestmark = pytest.mark.usefixtures("fresh_caches")


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
