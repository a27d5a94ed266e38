"""Pins things that move by themselves: exact motion vectors, against the reprojection of what is seen, and lights."""

from dataclasses import replace

import numpy as np
import pytest
from small_scene import job, mi

from rendering import variants
from rendering.animation import Animation, barycentric
from rendering.cameras import Camera
from rendering.renderer import Frame, render_auxiliary, render_color
from rendering.scene import load_dictionary
from rendering.tracing import Tracer
from rooms.meshes import blob
from rooms.moving import Flicker, Sway, Turn, Twist, Walk
from rooms.primitives import body, box

SIZE = {"width": 96, "height": 64}
MATT = {"type": "diffuse", "reflectance": {"type": "rgb", "value": [0.5, 0.5, 0.5]}}


def texture(rng: np.random.Generator) -> dict:
    """Soft blotches, which can be compared after they have moved by parts of a pixel."""
    coarse = rng.uniform(0.1, 0.9, (8, 8, 3))
    image = np.kron(coarse, np.ones((16, 16, 1)))
    for axis in (0, 1):
        image = sum(np.roll(image, shift, axis) for shift in range(-8, 9)) / 17
    bitmap = {"type": "bitmap", "image": image.astype(np.float32), "repeat": (1, 1)}
    return {"type": "twosided", "bsdf": {"type": "diffuse", "reflectance": bitmap}}


def frames(tmp_path, movement, variant: str, flicker: Flicker | None = None) -> list[Frame]:
    """Frames 0 and 1 of a ball of a mesh that moves before a wall, the camera moving as well."""
    rng = np.random.default_rng(0)
    mi.set_variant(variant)
    ball = body(blob(rng, (0.7, 0.7, 0.7), 0.05), texture(rng), (0, 1, 0)) | {"moves": movement}
    wall = box((-4, -1, -2), (4, 4, -1.8), texture(rng))
    light = {"type": "constant", "radiance": {"type": "rgb", "value": [1.0, 1.0, 1.0]}}
    dictionary = {"type": "scene", "integrator": {"type": "path"}, "ball": ball, "wall": wall, "light": light}
    scene = load_dictionary(dictionary)
    animation = Animation(scene, {"ball": movement}, {"light": flicker} if flicker else {})
    tracer = Tracer(scene, scene.integrator())
    cameras = [Camera((0.05 * i, 1.2, 4), (0.02 * i, 1, 0), fov=45.0) for i in range(2)]
    base = job(tmp_path / "none.xml", tmp_path / "s", aux_spp=64, target_spp=64, variant=variant, **SIZE)
    jobs = [replace(base, frame=i, camera=cameras[i], before=cameras[0] if i else None) for i in range(2)]
    return [Frame(made, tracer, animation) for made in jobs]


def warped(image: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """The previous frame's (C, H, W) image, bilinearly fetched along motion (2, H, W)."""
    height, width = image.shape[1:]
    y, x = np.mgrid[:height, :width]
    x, y = np.clip(x + motion[0], 0, width - 1.001), np.clip(y + motion[1], 0, height - 1.001)
    left, top = x.astype(int), y.astype(int)
    u, v = x - left, y - top
    upper = image[:, top, left] * (1 - u) + image[:, top, left + 1] * u
    return upper * (1 - v) + (image[:, top + 1, left] * (1 - u) + image[:, top + 1, left + 1] * u) * v


MOVEMENTS = {
    "walk": Walk((0.8, 0.0, 0.6), 0.15, 2.0, 2.0),
    "turn": Turn((0.0, 1.0, 0.0), (0.6, 0.8, 0.0), 8.0),
    "sway": Sway(0.3, 1.4, (0.3, 0.0, 0.2), 6.0, 0.3),
    "twist": Twist((0.0, 0.3, 0.0), 1.4, 40.0, 6.0, 0.3),
}


@pytest.mark.parametrize("variant", ["scalar_rgb", "llvm_ad_rgb"])
@pytest.mark.parametrize("name", MOVEMENTS)
def test_albedo_fetched_along_the_motion_is_the_same_albedo(tmp_path, name, variant):
    if variant != "scalar_rgb" and variants.probe(variant):
        pytest.skip(f"{variant} does not work here")
    first, second = (render_auxiliary(f) for f in frames(tmp_path, MOVEMENTS[name], variant))
    albedo, motion, depth = second[4:7], second[7:], second[0]

    # the inside of the ball, which is nearer than the wall, and was so in the previous frame
    near = (depth < 4.2) & (warped(first[:1], motion)[0] < 4.2) & (warped(first[:1], 1.5 * motion)[0] < 4.2)
    assert near.mean() > 0.03
    error = np.abs(warped(first[4:7], motion) - albedo)[:, near].mean()
    still = np.abs(warped(first[4:7], 0 * motion) - albedo)[:, near].mean()
    assert error < 0.25 * still, "the motion explains what changed"


def test_a_light_that_flickers_changes_the_picture_by_its_factor(tmp_path):
    flicker = Flicker(0.7, 5.0, 0.4)
    pair = frames(tmp_path, MOVEMENTS["walk"], "scalar_rgb", flicker)
    before, after = (render_color(frame, "target", 16).mean() for frame in pair)
    assert after / before == pytest.approx(flicker.factor(1) / flicker.factor(0), rel=0.02)


def test_lamps_that_share_a_picture_flicker_together():
    """In Mitsuba, only the first of them has parameters of its own."""
    rng = np.random.default_rng(0)
    mi.set_variant("scalar_rgb")
    glow = {"type": "area", "radiance": texture(rng)["bsdf"]["reflectance"]}
    screens = {f"screen{i}": body(blob(rng, (1, 1, 1), 0), MATT, (3 * i, 0, 0), emitter=glow) for i in range(2)}
    scene = load_dictionary({"type": "scene", "integrator": {"type": "path"}, **screens})
    animation = Animation(scene, {}, {f"screen{i}.emitter": Flicker(1.0, 4.0, 0.0) for i in range(2)})
    tracer, camera = Tracer(scene, scene.integrator()), Camera((1.5, 0, 9), (1.5, 0, 0), fov=50.0)
    seen = []
    for frame in (3, 1):  # full power, and none
        animation.show(float(frame), frame)
        picture = tracer("color", 4, camera, (16, 32), 0)
        seen.append([picture[:, :16].mean(), picture[:, 16:].mean()])
    assert min(seen[0]) > 0.01 and max(seen[1]) < 2e-3 * min(seen[0])


def test_barycentric_coordinates_bring_points_back():
    rng = np.random.default_rng(0)
    triangles, weights = rng.normal(size=(50, 3, 3)), rng.dirichlet((1, 1, 1), 50)
    points = np.einsum("kc,kcd->kd", weights, triangles)
    assert np.allclose(barycentric(triangles, points), weights, atol=1e-6)
