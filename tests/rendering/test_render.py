"""Pins what render.py renders: the dataset format, units and conventions, motion, misses, every option.

Tiny pictures, in the scalar variant; in the LLVM variant too where it works.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
from small_scene import EVERYTHING, KEYS, NAME, SCENE, SMALL, command, job, mi, pixels, render, settings
from support import REAL_DATASET, ROOT, needs_real_dataset, run_script

from frames.exr import read_exr
from frames.sequences import find_sequences
from rendering import renderer, variants
from rendering.cameras import Camera, along, read_key_frames
from rendering.jobs import FileSource, Job
from rendering.render_dataset import run
from rendering.renderer import render_frame
from rendering.rendering_options import parse
from rendering.scene import load_scene
from rendering.tracing import make_sensor


def test_a_scene_by_the_command_line_is_a_dataset(scene, tmp_path):
    done = run_script(*command(scene, tmp_path / "data", "--split", "train", "--denoise_target"))
    sequence = tmp_path / "data" / "train" / NAME
    assert "scalar_rgb" in done.stdout and "llvm" in done.stdout, "says how to get faster"
    names = {f"frame-{i:04d}/{f}" for i in range(3) for f in ("noisy-0.exr", "noisy-1.exr", "target.exr")}
    assert set(pixels(sequence)) == names | {"sequence.json"}
    with OpenEXR.File(str(sequence / "frame-0001" / "noisy-0.exr"), separate_channels=True) as file:
        assert file.header()["compression"] == OpenEXR.ZIP_COMPRESSION
        channels = {name: c.pixels for name, c in file.channels().items()}
    wanted = "B G R albedo.B albedo.G albedo.R depth.Z motion.X motion.Y normal.B normal.G normal.R"
    assert sorted(channels) == wanted.split()
    assert all(p.dtype == np.float16 and p.shape == (16, 24) for p in channels.values())
    record = json.loads((sequence / "sequence.json").read_text())
    assert record["mitsuba"] == mi.__version__ and record["variant"] == "scalar_rgb" and record["seed"] == 0
    assert [c["origin"][0] for c in record["cameras"]] == pytest.approx([0, 0.1, 0.2])
    found, notes = find_sequences(tmp_path / "data" / "train", need_target=True)
    assert not notes and len(found) == 1 and found[0].albedo and found[0].size == (16, 24)


@pytest.mark.parametrize("name", ["cornell", "outdoor"])
def test_scenes_of_the_benchmarks_render(name, tmp_path, no_child_processes):
    scene = ROOT / f"benchmarks/scenes/{name}/scene.xml"
    small = ("--width", 24, "--height", 16, "--frames", 1, "--noisy", 1, "--target_spp", 4, "--variant", "scalar_rgb")
    arguments = (tmp_path, "--scene", scene, "--split", "test", "--workers", 1, *small)
    run(parse([str(argument) for argument in arguments]))
    frame = tmp_path / "test" / name / "frame-0000"
    target, albedo = (read_exr(frame / f, (n,))[n] for f, n in (("target.exr", "color"), ("noisy-0.exr", "albedo")))
    assert target.mean() > 0.05 and albedo.max() > 0.5 and (albedo.max(0) == 0).any(), "light, and what has no albedo"


def test_every_option_is_in_the_record(scene, tmp_path, no_child_processes):
    asked = {"width": 20, "height": 12, "spp": 2, "target_spp": 3, "aux_spp": 5, "noisy": 1, "max_depth": 3, "seed": 9}
    arguments = [a for name, value in asked.items() for a in (f"--{name}", value)]
    arguments += ["--split", "val", "--name", "garden", "--frames", 2, "--speed", 0.5, "--start", 1, "--denoise_target"]
    render(scene, tmp_path / "data", *arguments)
    record = json.loads((tmp_path / "data" / "val" / "garden" / "sequence.json").read_text())
    assert asked.items() <= record.items() and record["denoise_target"] is True and record["frames"] == 2
    assert [c["origin"][0] for c in record["cameras"]] == pytest.approx([0.1, 0.15])


def test_units_and_conventions(scene, tmp_path):
    render_frame(job(scene, tmp_path / "s", aux_spp=64, target_spp=64))
    noisy, other, target = (
        read_exr(tmp_path / "s" / "frame-0001" / f"{n}.exr", EVERYTHING) for n in ("noisy-0", "noisy-1", "target")
    )
    for name in EVERYTHING[1:]:
        assert np.array_equal(noisy[name], other[name]) and np.array_equal(noisy[name], target[name])
    assert not np.array_equal(noisy["color"], other["color"])
    missed = target["depth"][0] == 0
    assert 0.02 < missed.mean() < 0.6 and missed[0].all(), "the sky is above"
    assert (target["normal"][:, missed] == 0).all() and (target["albedo"][:, missed] == 0).all()
    assert np.allclose(target["color"][:, missed], [[0.3], [0.3], [0.4]], atol=0.02)
    floor = target["normal"][1] > 0.999
    assert floor.mean() > 0.3
    camera = Camera(**KEYS[1])
    rays = camera.directions((16, 24))
    distance = -camera.origin[1] / rays[..., 1] * np.linalg.norm(rays, axis=-1)
    assert np.allclose(target["depth"][0][floor], distance[floor], rtol=0.1), "distance along the ray"
    error = [np.abs(image["color"] - target["color"])[:, ~missed].mean() for image in (noisy, target)]
    assert error[0] > 5 * error[1]


def changed(scene, tmp_path, name, frame=1, **changes) -> dict:
    """The target and first noisy rendering of a frame with other settings."""
    folder = tmp_path / name
    render_frame(job(scene, folder, frame, **changes))
    found = {f: read_exr(folder / f"frame-{frame:04d}" / f"{f}.exr", EVERYTHING) for f in ("target", "noisy-0")}
    return found | {"files": sorted(p.name for p in (folder / f"frame-{frame:04d}").iterdir())}


def test_every_setting_reaches_the_renderer(scene, tmp_path):
    plain = changed(scene, tmp_path, f"plain/{NAME}")
    sized = changed(scene, tmp_path, f"size/{NAME}", width=10, height=6)
    assert sized["target"]["color"].shape == (3, 6, 10)
    three = changed(scene, tmp_path, f"noisy/{NAME}", noisy=3)["files"]
    assert three == ["noisy-0.exr", "noisy-1.exr", "noisy-2.exr", "target.exr"]
    seeded = changed(scene, tmp_path, f"seed/{NAME}", seed=1)
    assert not np.array_equal(seeded["target"]["color"], plain["target"]["color"])
    clean = changed(scene, tmp_path, f"clean/{NAME}", target_spp=512)["target"]["color"]

    def error(found, file="noisy-0"):
        return np.abs(found[file]["color"] - clean).mean()

    assert error(changed(scene, tmp_path, f"spp/{NAME}", spp=64)) < 0.4 * error(plain)
    assert error(changed(scene, tmp_path, f"target/{NAME}", target_spp=128), "target") < 0.6 * error(plain, "target")
    assert error(changed(scene, tmp_path, f"denoise/{NAME}", denoise_target=True), "target") < error(plain, "target")
    direct = changed(scene, tmp_path, f"depth/{NAME}", max_depth=2, target_spp=512)["target"]["color"]
    assert direct.mean() < 0.99 * clean.mean(), "no indirect light"
    fine = changed(scene, tmp_path, f"aux/{NAME}", aux_spp=256)["target"]
    assert np.unique(fine["albedo"].round(4)).size > 1.3 * np.unique(plain["target"]["albedo"].round(4)).size


def test_passes_add_up_to_the_samples_asked_for(scene, tmp_path, monkeypatch):
    calls = []
    inner = mi.render
    monkeypatch.setattr(renderer, "PASS_SAMPLES", 24 * 16 * 4)
    monkeypatch.setattr(mi, "render", lambda *a, **k: calls.append((k["spp"], k["seed"])) or inner(*a, **k))
    changed(scene, tmp_path, f"passes/{NAME}", target_spp=10)
    assert [spp for spp, _ in calls][-5:-2] == [4, 4, 2], "the target, then two noisy renderings"
    assert len({seed for _, seed in calls}) == len(calls)


def test_noise_of_the_scalar_variant_does_not_repeat(scene):
    """mi.render's own seed alone repeats after 2^32 / (H W) seeds."""
    mi.set_variant("scalar_rgb")
    loaded, integrator, _ = load_scene(FileSource(str(scene)), "scalar_rgb", None)

    def noise(seed, of_sampler):
        sensor = make_sensor(Camera((0, 1.5, 4), (0, 0.5, 0)), (16, 16), loaded, of_sampler)
        return np.array(mi.render(loaded, sensor=sensor, integrator=integrator, spp=1, seed=seed))

    assert np.array_equal(noise(1, 0), noise(1 + 2**24, 0))  # so it is with Mitsuba 3.9
    assert not np.array_equal(noise(1, 1), noise(1 + 2**24, 1 + 2**24))
    assert np.array_equal(noise(1, 1), noise(1, 1))


def test_a_scene_without_an_integrator_gets_a_path_tracer(scene, tmp_path):
    a, b = SCENE.index("<integrator"), SCENE.index("</integrator>") + len("</integrator>")
    scene.write_text(SCENE[:a] + SCENE[b:])
    assert changed(scene, tmp_path, f"bare/{NAME}")["target"]["color"].mean() > 0.1


def bilinear(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A picture (C, H, W) at pixel positions x, y; pixel centers are at halves."""
    x, y = np.clip(x - 0.5, 0, image.shape[2] - 1.001), np.clip(y - 0.5, 0, image.shape[1] - 1.001)
    x0, y0 = x.astype(int), y.astype(int)
    u, v = x - x0, y - y0
    top = image[:, y0, x0] * (1 - u) + image[:, y0, x0 + 1] * u
    return top * (1 - v) + (image[:, y0 + 1, x0] * (1 - u) + image[:, y0 + 1, x0 + 1] * u) * v


def test_motion_warps_the_frame_before_onto_this_one(scene, tmp_path):
    """For a camera that moves and turns, to within 1/255 more than a shift by half a pixel."""
    before = Camera((0.0, 1.6, 3.4), (0.0, 0.5, 0.0), fov=60.0)
    now = Camera((0.25, 1.7, 3.2), (0.3, 0.45, 0.1), fov=60.0)
    base = job(scene, tmp_path / "s", width=96, height=64, target_spp=256, noisy=1, aux_spp=16)
    for frame, camera, earlier in ((0, before, None), (1, now, before)):
        render_frame(replace(base, frame=frame, camera=camera, before=earlier))
    first, second = (read_exr(tmp_path / "s" / f"frame-000{i}" / "target.exr", EVERYTHING) for i in (0, 1))
    assert (first["motion"] == 0).all() and np.abs(second["motion"]).mean() > 3
    y, x = np.mgrid[:64, :96] + 0.5
    x0, y0 = x + second["motion"][0], y + second["motion"][1]
    surface = np.concatenate([first["normal"], first["depth"]])
    here = np.concatenate([second["normal"], second["depth"]])
    seen = (x0 > 1) & (x0 < 95) & (y0 > 1) & (y0 < 63) & (second["depth"][0] > 0)
    seen &= np.abs(bilinear(surface, x0, y0) - here)[:3].max(0) < 0.05
    seen &= np.abs(bilinear(surface, x0, y0)[3] - here[3]) < 0.4
    assert seen.mean() > 0.4

    def error(moved):
        return np.abs(np.clip(moved, 0, 1) - np.clip(second["color"], 0, 1))[:, seen].mean()

    half_pixel = max(error(bilinear(second["color"], x + 0.5, y)), error(bilinear(second["color"], x, y + 0.5)))
    warped, unwarped = error(bilinear(first["color"], x0, y0)), error(first["color"])
    assert warped < half_pixel + 1 / 255 and warped < 0.3 * unwarped


@needs_real_dataset
def test_the_same_conventions_as_a_published_dataset(tmp_path):
    """The same camera path, 256x144: depth, normal, albedo and motion agree up to noise and half floats."""
    folder = REAL_DATASET.parent / "scenes" / "dining-room"
    path = along(read_key_frames(folder / "camera.json"), 2, 0.25, start=8)
    source = FileSource(str(folder / "scene.xml"))
    small = settings(width=256, height=144, aux_spp=16, target_spp=8, noisy=1)
    (tmp_path / "s").mkdir()
    render_frame(Job(str(tmp_path / "s"), source, 1, path[1], path[0], small))
    ours = read_exr(tmp_path / "s" / "frame-0001" / "target.exr", EVERYTHING)
    theirs = read_exr(REAL_DATASET / "test" / "dining-room" / "frame-0001" / "target.exr", EVERYTHING)
    for name, limit in {"depth": 0.03, "normal": 0.01, "albedo": 0.01, "motion": 0.01}.items():
        assert np.abs(ours[name] - theirs[name]).mean() < limit, name
    assert ours["color"].mean() == pytest.approx(theirs["color"].mean(), rel=0.1)


def test_without_a_camera_file_the_path_is_about_the_scenes_own_camera(scene, tmp_path, no_child_processes):
    run(parse([str(argument) for argument in (tmp_path / "data", "--scene", scene, "--name", "loop", *SMALL)]))
    record = json.loads((tmp_path / "data" / "train" / "loop" / "sequence.json").read_text())
    origins = np.array([c["origin"] for c in record["cameras"]])
    assert np.allclose(origins[0], [0, 2, 4], atol=1e-4) and 0 < np.linalg.norm(origins[1] - origins[0]) < 0.2
    assert record["cameras"][0]["fov"] == pytest.approx(60)


def test_procedural_rooms_by_the_command_line(tmp_path):
    arguments = ["--procedural", "2", "--split", "test", "--seed", "3", *SMALL, "--frames", "2"]
    run_script("render.py", tmp_path / "a", *arguments)
    folders = sorted(p.name for p in (tmp_path / "a" / "test").iterdir())
    assert folders == ["room-3-0000", "room-3-0001"]
    for file in (tmp_path / "a").rglob("*.exr"):
        assert all(np.isfinite(values).all() for values in read_exr(file, EVERYTHING).values()), file
    target = read_exr(tmp_path / "a" / "test" / folders[0] / "frame-0001" / "target.exr", EVERYTHING)
    assert target["depth"].max() > 0.5 and target["color"].mean() > 0 and np.abs(target["motion"]).max() > 0


def test_plain_scenes_are_a_dataset(tmp_path, no_child_processes):
    arguments = (tmp_path, "--kind", "plain", "--procedural", "2", "--seed", "3", *SMALL, "--frames", "2")
    run(parse([str(argument) for argument in arguments]))
    folders = sorted(p.name for p in (tmp_path / "train").iterdir())
    assert folders == ["plain-3-0000", "plain-3-0001"]
    for folder in folders:
        target = read_exr(tmp_path / "train" / folder / "frame-0001" / "target.exr", EVERYTHING)
        assert np.isfinite(target["color"]).all() and target["color"].mean() > 0 and target["depth"].max() > 0.5


@pytest.mark.skipif(variants.probe("llvm_ad_rgb") is not None, reason="Mitsuba finds no LLVM that works here")
def test_llvm_renders_what_scalar_does(scene, tmp_path):
    frames = {}
    for variant in ("scalar_rgb", "llvm_ad_rgb"):
        render_frame(job(scene, tmp_path / variant, variant=variant, target_spp=512, aux_spp=512))
        frames[variant] = read_exr(tmp_path / variant / "frame-0001" / "target.exr", EVERYTHING)
    scalar, llvm = frames.values()
    limits = {"color": 0.02, "depth": 0.05, "normal": 0.02, "albedo": 0.01, "motion": 0.05}
    for name, limit in limits.items():
        assert np.abs(scalar[name] - llvm[name]).mean() < limit, name


# Prints how many threads a denoising leaves behind, once those that are ending have ended.
DENOISING = """
import os
import time
import numpy as np
from rendering.renderer import denoise
planes = np.ones((3, 64, 64), np.float32)
before = len(os.listdir("/proc/self/task"))
denoise(planes, {"albedo": planes, "normal": planes})
deadline = time.monotonic() + 5
while (left := len(os.listdir("/proc/self/task")) - before) > 1 and time.monotonic() < deadline:
    time.sleep(0.1)
print(left)
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in Linux's /proc")
def test_a_worker_denoises_in_one_thread(monkeypatch):
    """By default, Open Image Denoise takes all cores in every worker."""
    pytest.importorskip("pyoidn")
    monkeypatch.delenv(renderer.DENOISER_THREADS, raising=False)  # runs within this process set it for their workers
    assert int(run_script("-c", DENOISING).stdout) <= 1
