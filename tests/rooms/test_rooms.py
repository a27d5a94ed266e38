"""Pins procedural rooms: the same for the same seed, varied, within physical ranges, and whole meshes."""

import hashlib

import numpy as np
import pytest
from made_rooms import made_room, made_room_and_generator

from rooms import meshes, textures
from rooms.materials import make_palette
from rooms.room import generator, make_room, scene_dictionary


def described(value):
    """A scene dictionary with arrays and meshes as bytes, so that two can be compared."""
    if isinstance(value, dict):
        return {key: described(item) for key, item in value.items()}
    if isinstance(value, meshes.Mesh):
        return value.vertices.tobytes(), value.faces.tobytes()
    return value.tobytes() if isinstance(value, np.ndarray) else value


def leaves(value):
    """Every dictionary in a scene dictionary."""
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from leaves(item)


def test_the_same_seed_makes_the_same_room_and_any_other_another():
    first = described(scene_dictionary(made_room()))
    assert described(scene_dictionary(make_room(generator(0, "train", 0)))) == first
    for other in (made_room(seed=1), made_room(number=1), made_room(split="test"), made_room(split="val")):
        assert described(scene_dictionary(other)) != first


def summary(value) -> str:
    """A scene dictionary in words and rounded numbers, which do not depend on the processor."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {summary(item)}" for key, item in value.items()) + "}"
    if isinstance(value, meshes.Mesh):
        return f"{len(value.vertices)} {len(value.faces)} {np.abs(value.vertices).mean():.3f}"
    if isinstance(value, np.ndarray) and value.size > 16:
        return f"{value.shape} {value.mean():.3f}"
    if isinstance(value, np.ndarray | list | tuple):
        return " ".join(summary(item) for item in np.ravel(value).tolist())
    return f"{round(value, 6) + 0.0:.6f}" if isinstance(value, float) else str(value)


# (seed, split, number) and a digest of the room; in these there is every kind of lamp.
DIGESTS = {
    (0, "train", 0): "819066a2103bcef5",
    (0, "train", 4): "a575fa5e31d369ad",
    (5, "test", 1): "66677ece5de1f2f3",
    (24, "val", 1): "e97d22dc0e094dc4",
}


@pytest.mark.parametrize("room", DIGESTS)
def test_a_seed_makes_the_room_that_it_always_made(room):
    """Old datasets can be extended, and compared with new ones, only while no random number changes its place."""
    made, rng = made_room_and_generator(*room)
    text = summary(scene_dictionary(made)) + str(rng.bit_generator.state["state"])
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == DIGESTS[room]


def test_a_dozen_rooms_have_every_kind_of_light_and_surface():
    kinds = set()
    for number in range(12):
        found = [d["type"] for d in leaves(scene_dictionary(made_room(number=number))) if "type" in d]
        kinds |= set(found)
        assert {"area", "envmap"} & set(found), "a room without any light"
    wanted = {"diffuse", "plastic", "roughplastic", "roughconductor", "conductor", "dielectric", "bitmap", "envmap"}
    assert wanted | {"area", "ply", "cube", "sphere", "principledthin"} <= kinds


def test_reflectances_are_physical():
    for number in range(2):
        found = list(leaves(scene_dictionary(made_room(number=number))))
        lights = [id(d["radiance"]) for d in found if d.get("type") == "area"]
        for one in found:
            if one.get("type") == "bitmap":
                assert one["image"].min() >= 0 and one["image"].max() <= 1 and one["image"].dtype == np.float32
            if one.get("type") == "rgb" and id(one) not in lights:
                assert min(one["value"]) >= 0 and max(one["value"]) <= 1


def test_things_stand_inside_and_apart():
    for number in range(4):
        room = made_room(number=number)
        width, _, depth = room.size
        for index, (x0, z0, x1, z1) in enumerate(room.taken):
            assert max(-x0, x1) < width / 2 + 0.6 and max(-z0, z1) < depth / 2 + 0.6
            for a0, b0, a1, b1 in room.taken[:index]:
                assert x0 >= a1 or a0 >= x1 or z0 >= b1 or b0 >= z1


@pytest.mark.parametrize("pattern", [*textures.PATTERNS, textures.picture])
def test_textures_are_images_of_reflectance_with_contrast(pattern):
    images = [pattern(np.random.default_rng(seed), make_palette(np.random.default_rng(seed))) for seed in range(4)]
    for image in images:
        assert image.shape == (textures.SIZE, textures.SIZE, 3) and image.dtype == np.float32
        assert np.isfinite(image).all() and image.min() >= 0 and image.max() <= 1
    assert max(image.std() for image in images) > 0.02
    assert not np.array_equal(images[0], images[1])


def test_noise_has_no_seam():
    noise = textures.fractal_noise(np.random.default_rng(0), 4, 3)
    inside = np.abs(np.diff(noise, axis=0)).max()
    assert np.abs(noise[0] - noise[-1]).max() <= 1.5 * inside


def volume(mesh):
    """Of a closed mesh, positive if its faces are counter-clockwise from outside."""
    a, b, c = (mesh.vertices[mesh.faces[:, i]].astype(float) for i in range(3))
    return (np.cross(a, b) * c).sum() / 6


def test_the_volume_of_a_turned_cylinder_and_of_an_ellipsoid():
    profile = np.array([[1e-4, 0], [0.5, 0], [0.5, 2.0], [1e-4, 2.0]])
    assert volume(meshes.revolve(profile, 200)) == pytest.approx(np.pi * 0.25 * 2, rel=0.01)
    ellipsoid = meshes.blob(np.random.default_rng(0), (1.0, 2.0, 3.0), 0.0)
    assert volume(ellipsoid) == pytest.approx(4 / 3 * np.pi * 6, rel=0.02)


def test_meshes_are_whole():
    rng = np.random.default_rng(1)
    whole = [meshes.vase(rng, 1.0, 0.3), meshes.vase(rng, 1.0, 0.3, 0.02), meshes.lampshade(0.3, 0.2, 0.1)]
    whole += [meshes.knot(rng, 0.5), meshes.curtain(rng, 1.0, 2.0), meshes.leaves(rng, 9, 0.5)]
    for mesh in whole:
        assert np.isfinite(mesh.vertices).all() and mesh.faces.max() == len(mesh.vertices) - 1
        assert mesh.uv.min() >= 0 and mesh.uv.max() <= 1 and len(mesh.uv) == len(mesh.vertices)
        assert np.allclose(np.linalg.norm(meshes.vertex_normals(mesh), axis=1), 1, atol=1e-5)


def test_shading_normals_of_a_ball_point_away_from_its_middle():
    ball = meshes.blob(np.random.default_rng(0), (2.0, 2.0, 2.0), 0.0)
    inner = np.abs(ball.vertices[:, 1]) < 1.9
    assert np.allclose(meshes.vertex_normals(ball)[inner], ball.vertices[inner] / 2, atol=0.15)


def test_a_sky_has_its_sun_where_it_was_asked_for():
    image = textures.sky(np.random.default_rng(0), (np.pi / 2, np.pi / 4))
    row, column = np.unravel_index(image.sum(-1).argmax(), image.shape[:2])
    assert column == pytest.approx(textures.SIZE / 4, abs=2) and row == pytest.approx(textures.SIZE / 8, abs=2)
    assert textures.sky(np.random.default_rng(0), None).max() < 20
