"""Pins how scenes are loaded: skies where they belong, lamps in the same order and so with the same noise each time."""

import numpy as np
from small_scene import mi
from support import REAL_DATASET, needs_real_dataset, run_script

from frames.exr_writing import write_exr
from rendering import scene as scene_module
from rendering import variants
from rendering.cameras import Camera, along, read_key_frames
from rendering.jobs import FileSource
from rendering.scene import load_dictionary, load_scene
from rendering.tracing import make_sensor
from rooms import textures


def test_a_sky_of_ours_is_where_mitsuba_looks_for_it():
    sky = textures.sky(np.random.default_rng(0), (1.0, 0.5))
    mi.set_variant("scalar_rgb")
    scene = {"type": "scene", "integrator": {"type": "path"}, "sky": {"type": "envmap", "image": sky}}
    made = load_dictionary(scene)
    toward = (np.sin(1.0) * np.cos(0.5), np.sin(0.5), -np.cos(1.0) * np.cos(0.5))
    sensor = make_sensor(Camera((0, 0, 0), toward, fov=30.0), (21, 21), made, 0)
    seen = np.array(mi.render(made, sensor=sensor, spp=16)).sum(-1)
    row, column = np.unravel_index(seen.argmax(), seen.shape)
    assert abs(row - 10) <= 2 and abs(column - 10) <= 2 and seen.max() > 100


@needs_real_dataset
def test_a_scene_with_many_lamps_has_the_same_noise_each_time_it_is_loaded():
    folder = REAL_DATASET.parent / "scenes" / "staircase2"
    camera = along(read_key_frames(folder / "camera.json"), 1, 1.0)[0]
    pictures = []
    for _ in range(4):
        scene_module._load.cache_clear()
        scene, integrator, _ = load_scene(FileSource(str(folder / "scene.xml")), "scalar_rgb", None)
        sensor = make_sensor(camera, (12, 16), scene, 0)
        pictures.append(np.array(mi.render(scene, sensor=sensor, integrator=integrator, spp=1, seed=3)))
    assert all(np.array_equal(picture, pictures[0]) for picture in pictures)


# Prints a digest of a picture of five mesh lamps of different colors over a floor.
MESH_LAMPS = """
import hashlib, drjit, mitsuba as mi, numpy as np
mi.set_variant("scalar_rgb")
drjit.set_thread_count(1)
from rendering.cameras import Camera
from rendering.scene import load_dictionary
from rendering.tracing import make_sensor
from rooms.lighting import emitter
from rooms.materials import BLACK
from rooms.primitives import box, rod
grey = {"type": "diffuse", "reflectance": {"type": "rgb", "value": [0.5] * 3}}
scene = {"type": "scene", "integrator": {"type": "path"}, "floor": box((-3, -1, -3), (3, 0, 3), grey)}
for i in range(5):
    light = emitter(np.eye(3)[i % 3] + 0.1, 5.0 + i)
    scene[f"lamp-{i}"] = rod((i - 2, 2, -1), (i - 2, 2, 1), 0.05, BLACK, emitter=light)
made = load_dictionary(scene)
sensor = make_sensor(Camera((0, 1.5, 4), (0, 0.5, 0)), (8, 12), made, 0)
print(hashlib.sha256(np.array(mi.render(made, sensor=sensor, spp=2, seed=1)).tobytes()).hexdigest())
"""


def test_mesh_lamps_have_the_same_noise_in_every_process():
    """Merging meshes would order the lamps by chance, differently at each load."""
    digests = {run_script("-c", MESH_LAMPS).stdout for _ in range(3)}  # by chance the same once in 14,400 times
    assert len(digests) == 1


SKY = """
import sys
from rendering.jobs import FileSource
from rendering.scene import load_scene
for variant in ("scalar_rgb", sys.argv[2]):
    load_scene(FileSource(sys.argv[1]), variant, None)
print("loaded")
"""


def test_a_scene_with_a_sky_in_an_exr_file_loads(tmp_path):
    """With one thread, Mitsuba waits for ever for its own EXR reader."""
    write_exr(tmp_path / "sky.exr", {"color": np.ones((3, 64, 128), np.float32)})
    sky = '<emitter type="envmap"><string name="filename" value="sky.exr"/></emitter>'
    (tmp_path / "scene.xml").write_text(f'<scene version="3.0.0">{sky}<shape type="sphere"/></scene>')
    variant = "llvm_ad_rgb" if variants.probe("llvm_ad_rgb") is None else "scalar_rgb"
    done = run_script("-c", SKY, tmp_path / "scene.xml", variant, timeout=120)
    assert done.stdout == "loaded\n"
