"""Pins render.py: files as the dataset format says, the same whoever renders them, resumed after a kill, refused when
the parameters differ; motion and misses; every option reaches the renderer. Tiny pictures, scalar variant."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
from conftest import REAL_DATASET, ROOT, needs_real_dataset, run_script

mi = pytest.importorskip("mitsuba")

import render  # noqa: E402
import variants  # noqa: E402
from cameras import Camera, along, read_key_frames  # noqa: E402
from images import InputError, read_exr  # noqa: E402
from jobs import Job, Settings  # noqa: E402
from sequences import find_sequences  # noqa: E402

EVERYTHING = ("color", "depth", "normal", "albedo", "motion")

# A floor with a picture on it, a ball and a lamp below an open sky: diffuse, with misses and indirect light.
SCENE = """<scene version="3.0.0">
  <integrator type="path"><integer name="max_depth" value="4"/></integrator>
  <sensor type="perspective"><float name="fov" value="60"/>
    <transform name="to_world"><lookat origin="0, 2, 4" target="0, 0.5, 0" up="0, 1, 0"/></transform>
  </sensor>
  <emitter type="constant"><rgb name="radiance" value="0.3, 0.3, 0.4"/></emitter>
  <shape type="rectangle">
    <transform name="to_world"><rotate x="1" angle="-90"/><scale value="4"/></transform>
    <bsdf type="diffuse"><texture name="reflectance" type="checkerboard">
      <rgb name="color0" value="0.7, 0.3, 0.2"/><rgb name="color1" value="0.2, 0.5, 0.6"/>
      <transform name="to_uv"><scale value="3"/></transform></texture></bsdf>
  </shape>
  <shape type="sphere"><float name="radius" value="0.7"/><point name="center" x="0" y="0.7" z="0"/>
    <bsdf type="diffuse"><rgb name="reflectance" value="0.9, 0.1, 0.1"/></bsdf></shape>
  <shape type="sphere"><float name="radius" value="0.3"/><point name="center" x="1.5" y="3" z="1"/>
    <emitter type="area"><rgb name="radiance" value="9, 9, 8"/></emitter></shape>
</scene>
"""
KEYS = [{"origin": [0.1 * i, 1.6, 3.4], "target": [0.05 * i, 0.5, 0], "up": [0, 1, 0], "fov": 60} for i in range(4)]
SMALL = ["--width", 24, "--height", 16, "--target_spp", 4, "--noisy", 2, "--frames", 3]
SMALL += ["--variant", "scalar_rgb", "--workers", 1]


@pytest.fixture
def scene(tmp_path) -> Path:
    """A scene file, its camera file beside it."""
    folder = tmp_path / "yard"
    folder.mkdir()
    (folder / "camera.json").write_text(json.dumps({"keyframes": KEYS}))
    (folder / "scene.xml").write_text(SCENE)
    return folder / "scene.xml"


def command(scene: Path, dataset: Path, *more) -> list:
    """A command line of render.py for that scene."""
    return ["render.py", dataset, "--scene", scene, "--camera", scene.with_name("camera.json"), *SMALL, *more]


def settings(**changes) -> Settings:
    small = Settings(24, 16, 1, 4, 4, 2, None, False, 0, "scalar_rgb", mi.__version__)
    return replace(small, **changes)


def job(scene: Path, folder: Path, frame: int = 1, **changes) -> Job:
    cameras = [Camera(**key) for key in KEYS]
    source = ("file", str(scene), None, 1.0, 0.0)
    return Job(str(folder), source, frame, cameras[frame], cameras[frame - 1] if frame else None, settings(**changes))


def pixels(folder: Path) -> dict[str, bytes]:
    """Every file of a dataset but its own temporary ones: path and content."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_scene_by_the_command_line_is_a_dataset(scene, tmp_path):
    done = run_script(*command(scene, tmp_path / "data", "--split", "train", "--denoise_target"))
    sequence = tmp_path / "data" / "train" / "yard"
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


def test_every_option_is_in_the_record(scene, tmp_path):
    asked = {"width": 20, "height": 12, "spp": 2, "target_spp": 3, "aux_spp": 5, "noisy": 1, "max_depth": 3, "seed": 9}
    arguments = [a for name, value in asked.items() for a in (f"--{name}", value)]
    arguments += ["--split", "val", "--name", "garden", "--frames", 2, "--speed", 0.5, "--start", 1, "--denoise_target"]
    run_script(*command(scene, tmp_path / "data", *arguments))
    record = json.loads((tmp_path / "data" / "val" / "garden" / "sequence.json").read_text())
    assert asked.items() <= record.items() and record["denoise_target"] is True and record["frames"] == 2
    assert [c["origin"][0] for c in record["cameras"]] == pytest.approx([0.1, 0.15])


def test_units_and_conventions(scene, tmp_path):
    render.render_frame(job(scene, tmp_path / "s", aux_spp=64, target_spp=64))
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


def test_frames_do_not_depend_on_order_or_process(scene, tmp_path):
    for frame in (2, 0, 1):
        render.render_frame(job(scene, tmp_path / "backwards" / "yard", frame))
    run_script(*command(scene, tmp_path / "data"))
    backwards = pixels(tmp_path / "backwards" / "yard")
    forwards = pixels(tmp_path / "data" / "train" / "yard")
    assert backwards == {name: content for name, content in forwards.items() if name != "sequence.json"}


def test_seeds_are_apart_and_only_theirs():
    base = job(Path("x"), Path("d/yard"))
    renderings = [(name, part) for name in ("noisy-0", "noisy-1", "target") for part in (0, 1)]
    seeds = {replace(base, frame=f).seed(*r) for f in range(50) for r in renderings}
    assert len(seeds) == 300 and all(0 <= s < 2**32 for s in seeds)
    assert base.seed("target") == job(Path("y"), Path("elsewhere/yard"), spp=7).seed("target")
    assert base.seed("target") != job(Path("x"), Path("d/other")).seed("target")
    assert base.seed("target") != replace(base, settings=settings(seed=1)).seed("target")


def start(arguments: list) -> subprocess.Popen:
    """A script in the background, in a process group of its own."""
    arguments = [sys.executable, ROOT / arguments[0], *arguments[1:]]
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "start_new_session": True}
    return subprocess.Popen([str(a) for a in arguments], **quiet)


def wait_for(pattern: str, folder: Path, process: subprocess.Popen) -> None:
    """Until a file of that pattern is there; fails if the process ends first."""
    while not list(folder.glob(pattern)):
        assert process.poll() is None, process.stdout.read().decode()
        time.sleep(0.02)


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT])
def test_stopped_and_started_again_it_continues(scene, tmp_path, blow):
    more = ("--frames", "6", "--target_spp", "64")
    run_script(*command(scene, tmp_path / "whole", *more))
    process = start(command(scene, tmp_path / "data", *more))
    wait_for("train/yard/frame-0001", tmp_path / "data", process)
    os.killpg(process.pid, blow)
    said = process.communicate()[0].decode()
    assert process.returncode == (130 if blow == signal.SIGINT else -9)
    assert blow == signal.SIGKILL or ("interrupted" in said and "Traceback" not in said)
    (tmp_path / "data" / "train" / "yard" / ".frame-0003-gone-1").mkdir()
    shutil.copy(*((tmp_path / "data" / "train" / "yard" / "frame-0000" / n) for n in ("target.exr", "mark")))
    run_script(*command(scene, tmp_path / "data", *more))
    assert (tmp_path / "data" / "train" / "yard" / "frame-0000" / "mark").is_file(), "rendered again though it was done"
    (tmp_path / "data" / "train" / "yard" / "frame-0000" / "mark").unlink()
    assert pixels(tmp_path / "data") == pixels(tmp_path / "whole")
    assert not list((tmp_path / "data" / "train" / "yard").glob(".*"))


def test_other_parameters_are_refused_and_named(scene, tmp_path):
    run_script(*command(scene, tmp_path / "data"))
    before = pixels(tmp_path / "data")
    refused = run_script(*command(scene, tmp_path / "data", "--seed", "5", "--spp", "2", "--speed", "0.5"), check=False)
    assert refused.returncode == 1 and "Traceback" not in refused.stderr
    for said in ("seed 0 there, 5 asked for", "spp 1 there, 2 asked for", "the camera path", str(tmp_path / "data")):
        assert said in refused.stderr
    fewer = run_script(*command(scene, tmp_path / "data", "--frames", "2"), check=False)
    assert fewer.returncode == 1 and "frames 3 there, 2 asked for" in fewer.stderr
    assert pixels(tmp_path / "data") == before
    run_script(*command(scene, tmp_path / "data", "--frames", "4"))
    after = pixels(tmp_path / "data")
    assert len(after) == len(before) + 3
    assert all(after[name] == content for name, content in before.items() if name != "train/yard/sequence.json")


def test_a_deleted_file_is_made_again(scene, tmp_path):
    run_script(*command(scene, tmp_path / "data"))
    before = pixels(tmp_path / "data")
    (tmp_path / "data" / "train" / "yard" / "frame-0002" / "noisy-1.exr").unlink()
    run_script(*command(scene, tmp_path / "data"))
    assert pixels(tmp_path / "data") == before


def test_frames_of_unknown_origin_are_left_alone(scene, tmp_path):
    stranger = tmp_path / "data" / "train" / "yard" / "frame-0000"
    stranger.mkdir(parents=True)
    refused = run_script(*command(scene, tmp_path / "data"), check=False)
    assert refused.returncode == 1 and "no sequence.json" in refused.stderr and not list(stranger.iterdir())


def changed(scene, tmp_path, name, frame=1, **changes) -> dict:
    """The target and first noisy rendering of a frame with other settings."""
    folder = tmp_path / name
    render.render_frame(job(scene, folder, frame, **changes))
    found = {f: read_exr(folder / f"frame-{frame:04d}" / f"{f}.exr", EVERYTHING) for f in ("target", "noisy-0")}
    return found | {"files": sorted(p.name for p in (folder / f"frame-{frame:04d}").iterdir())}


def test_every_setting_reaches_the_renderer(scene, tmp_path):
    plain = changed(scene, tmp_path, "plain/yard")
    sized = changed(scene, tmp_path, "size/yard", width=10, height=6)
    assert sized["target"]["color"].shape == (3, 6, 10)
    three = changed(scene, tmp_path, "noisy/yard", noisy=3)["files"]
    assert three == ["noisy-0.exr", "noisy-1.exr", "noisy-2.exr", "target.exr"]
    seeded = changed(scene, tmp_path, "seed/yard", seed=1)
    assert not np.array_equal(seeded["target"]["color"], plain["target"]["color"])
    clean = changed(scene, tmp_path, "clean/yard", target_spp=512)["target"]["color"]

    def error(found, file="noisy-0"):
        return np.abs(found[file]["color"] - clean).mean()

    assert error(changed(scene, tmp_path, "spp/yard", spp=64)) < 0.4 * error(plain)
    assert error(changed(scene, tmp_path, "target/yard", target_spp=128), "target") < 0.6 * error(plain, "target")
    assert error(changed(scene, tmp_path, "denoise/yard", denoise_target=True), "target") < error(plain, "target")
    direct = changed(scene, tmp_path, "depth/yard", max_depth=2, target_spp=512)["target"]["color"]
    assert direct.mean() < 0.99 * clean.mean(), "no indirect light"
    fine = changed(scene, tmp_path, "aux/yard", aux_spp=256)["target"]
    assert np.unique(fine["albedo"].round(4)).size > 1.3 * np.unique(plain["target"]["albedo"].round(4)).size


def test_passes_add_up_to_the_samples_asked_for(scene, tmp_path, monkeypatch):
    calls = []
    inner = mi.render
    monkeypatch.setattr(render, "PASS_SAMPLES", 24 * 16 * 4)
    monkeypatch.setattr(render.mi, "render", lambda *a, **k: calls.append((k["spp"], k["seed"])) or inner(*a, **k))
    changed(scene, tmp_path, "passes/yard", target_spp=10)
    assert [spp for spp, _ in calls][-3:] == [4, 4, 2]
    assert len({seed for _, seed in calls}) == len(calls)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--procedural", "0"], "--procedural 0: expected 1 or more"),
        (["--procedural", "1", "--spp", "0"], "--spp 0: expected 1 or more"),
        (["--procedural", "1", "--speed", "-1"], "--speed -1.0: expected a number above 0"),
        (["--procedural", "1", "--start", "nan"], "--start nan: expected 0 or more"),
        (["--procedural", "1", "--camera", "c.json"], "--camera goes with --scene"),
        (["--procedural", "1", "--seed", "-3"], "--seed -3: expected 0 or more"),
        (["--scene", "nowhere.xml"], "nowhere.xml: no such file"),
    ],
)
def test_wrong_options_are_named(arguments, said, tmp_path):
    with pytest.raises(InputError) as error:
        render.parse([str(tmp_path), *arguments])
    assert said in str(error.value)


def test_a_scene_with_an_error_is_named(scene, tmp_path):
    scene.write_text(SCENE.replace('type="path"', 'type="no_such_integrator"'))
    with pytest.raises(InputError) as error:
        render.render_frame(job(scene, tmp_path / "s"))
    assert str(scene) in str(error.value) and "no_such_integrator" in str(error.value)
    assert not (tmp_path / "s").exists()


def test_a_scene_without_an_integrator_gets_a_path_tracer(scene, tmp_path):
    a, b = SCENE.index("<integrator"), SCENE.index("</integrator>") + len("</integrator>")
    scene.write_text(SCENE[:a] + SCENE[b:])
    assert changed(scene, tmp_path, "bare/yard")["target"]["color"].mean() > 0.1


def test_an_unwritable_folder_and_a_bad_camera_file_are_one_line(scene, tmp_path):
    (tmp_path / "data").write_text("a file where the folder should be")
    done = run_script(*command(scene, tmp_path / "data"), check=False)
    assert done.returncode == 1 and str(tmp_path / "data") in done.stderr and "Traceback" not in done.stderr
    scene.with_name("camera.json").write_text("[]")
    done = run_script(*command(scene, tmp_path / "other"), check=False)
    assert done.returncode == 1 and "no key frames" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "other").exists()


def test_a_frame_that_cannot_be_written_leaves_nothing(scene, tmp_path, monkeypatch):
    written = []

    def full(path, quantities):
        written.append(path)
        path.write_bytes(b"half")
        if path.name == "target.exr":
            raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(render, "write_exr", full)
    with pytest.raises(OSError, match="No space"):
        render.render_frame(job(scene, tmp_path / "s"))
    assert len(written) == 3 and not list((tmp_path / "s").iterdir())


def test_frames_of_a_variant_that_does_not_work_here_are_not_continued(scene, tmp_path, monkeypatch):
    run_script(*command(scene, tmp_path / "data"))
    monkeypatch.setattr(render, "choose_variant", lambda wanted: (_ for _ in ()).throw(InputError(f"no {wanted}")))
    options = render.parse([str(a) for a in command(scene, tmp_path / "data", "--variant", "auto")[1:]])
    with pytest.raises(InputError, match="the frames that are there need that variant, but no scalar_rgb"):
        render.run(options)


def test_another_version_of_mitsuba_on_a_worker_is_refused(scene, tmp_path):
    with pytest.raises(InputError, match=r"0\.1\.2 where the run began"):
        render.render_frame(job(scene, tmp_path / "s", mitsuba="0.1.2"))


def test_variants_are_probed_in_a_child(monkeypatch):
    assert variants.probe("scalar_rgb") is None
    assert variants.choose_variant("scalar_rgb") == "scalar_rgb"
    monkeypatch.setattr(variants, "PROBE", "import os, sys\nsys.argv[1] == 'scalar_rgb' or os.abort()\nprint(True)")
    assert variants.choose_variant("auto") == "scalar_rgb", "an abort of the child is an answer, not the end"
    with pytest.raises(InputError, match="llvm_ad_rgb does not work here"):
        variants.choose_variant("llvm_ad_rgb")


def bilinear(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(C, H, W) looked up at pixel positions, centres at halves."""
    x, y = np.clip(x - 0.5, 0, image.shape[2] - 1.001), np.clip(y - 0.5, 0, image.shape[1] - 1.001)
    x0, y0 = x.astype(int), y.astype(int)
    u, v = x - x0, y - y0
    top = image[:, y0, x0] * (1 - u) + image[:, y0, x0 + 1] * u
    return top * (1 - v) + (image[:, y0 + 1, x0] * (1 - u) + image[:, y0 + 1, x0 + 1] * u) * v


def test_motion_warps_the_frame_before_onto_this_one(scene, tmp_path):
    """Within 1/255 beyond what shifting the picture by half a pixel makes, for a camera that moves and turns."""
    before = Camera((0.0, 1.6, 3.4), (0.0, 0.5, 0.0), fov=60.0)
    now = Camera((0.25, 1.7, 3.2), (0.3, 0.45, 0.1), fov=60.0)
    base = job(scene, tmp_path / "s", width=96, height=64, target_spp=256, noisy=1, aux_spp=16)
    for frame, camera, earlier in ((0, before, None), (1, now, before)):
        render.render_frame(replace(base, frame=frame, camera=camera, before=earlier))
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
    """The same camera path, 256x144: depth, normal, albedo and motion to within noise and half floats."""
    folder = REAL_DATASET.parent / "scenes" / "dining-room"
    path = along(read_key_frames(folder / "camera.json"), 2, 0.25, start=8)
    source = ("file", str(folder / "scene.xml"), None, 1.0, 0.0)
    small = settings(width=256, height=144, aux_spp=16, target_spp=8, noisy=1)
    render.render_frame(Job(str(tmp_path / "s"), source, 1, path[1], path[0], small))
    ours = read_exr(tmp_path / "s" / "frame-0001" / "target.exr", EVERYTHING)
    theirs = read_exr(REAL_DATASET / "test" / "dining-room" / "frame-0001" / "target.exr", EVERYTHING)
    for name, limit in {"depth": 0.03, "normal": 0.01, "albedo": 0.01, "motion": 0.01}.items():
        assert np.abs(ours[name] - theirs[name]).mean() < limit, name
    assert ours["color"].mean() == pytest.approx(theirs["color"].mean(), rel=0.1)


def test_a_sky_of_ours_is_where_mitsuba_looks_for_it(tmp_path):
    sky = render.rooms.textures.sky(np.random.default_rng(0), (1.0, 0.5))
    mi.set_variant("scalar_rgb")
    scene = {"type": "scene", "integrator": {"type": "path"}, "sky": {"type": "envmap", "image": sky}}
    made = mi.load_dict(render.to_mitsuba(scene, str(tmp_path), {}))
    towards = (np.sin(1.0) * np.cos(0.5), np.sin(0.5), -np.cos(1.0) * np.cos(0.5))
    sensor = render.make_sensor(Camera((0, 0, 0), towards, fov=30.0), (21, 21), made)
    seen = np.array(mi.render(made, sensor=sensor, spp=16)).sum(-1)
    row, column = np.unravel_index(seen.argmax(), seen.shape)
    assert abs(row - 10) <= 2 and abs(column - 10) <= 2 and seen.max() > 100


def test_without_a_camera_file_the_path_is_about_the_scenes_own_camera(scene, tmp_path):
    run_script("render.py", tmp_path / "data", "--scene", scene, "--name", "loop", *SMALL)
    record = json.loads((tmp_path / "data" / "train" / "loop" / "sequence.json").read_text())
    origins = np.array([c["origin"] for c in record["cameras"]])
    assert np.allclose(origins[0], [0, 2, 4], atol=1e-4) and 0 < np.linalg.norm(origins[1] - origins[0]) < 0.2
    assert record["cameras"][0]["fov"] == pytest.approx(60)


def test_made_up_rooms_by_the_command_line(tmp_path):
    arguments = ["--procedural", "2", "--split", "test", "--seed", "3", *SMALL, "--frames", "2"]
    run_script("render.py", tmp_path / "a", *arguments)
    folders = sorted(p.name for p in (tmp_path / "a" / "test").iterdir())
    assert folders == ["room-3-0000", "room-3-0001"]
    target = read_exr(tmp_path / "a" / "test" / folders[0] / "frame-0001" / "target.exr", EVERYTHING)
    assert target["depth"].max() > 0.5 and target["color"].mean() > 0 and np.abs(target["motion"]).max() > 0


def test_a_cluster_that_loses_a_worker_makes_the_same_files(scene, tmp_path):
    """A scheduler and two workers by dask's command line, elsewhere, without this project's modules on their path."""
    pytest.importorskip("distributed")
    more = ("--frames", "8", "--target_spp", "64")
    run_script(*command(scene, tmp_path / "one", *more))
    address = tmp_path / "scheduler.json"
    dask = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--scheduler-file", address, "--port", 0]
    dask_worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", address, "--nthreads", 1]
    commands = [[*dask, "--dashboard-address", ":0"]] + [[*dask_worker, "--no-dashboard", "--no-nanny"]] * 2
    cluster = []
    try:
        for arguments in commands:
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path}
            cluster.append(subprocess.Popen([str(a) for a in arguments], **quiet))
        while not address.is_file():
            time.sleep(0.05)
        url = json.loads(address.read_text())["address"]
        process = start(command(scene, tmp_path / "many", *more, "--scheduler", url))
        wait_for(f"train/yard/.frame-*-{cluster[1].pid}", tmp_path / "many", process)
        cluster[1].kill()
        said = process.communicate(timeout=300)[0].decode()
    finally:
        for part in cluster:
            part.kill()
    assert process.returncode == 0, said
    assert pixels(tmp_path / "many") == pixels(tmp_path / "one")


def test_two_local_processes_make_the_same_files(scene, tmp_path):
    run_script(*command(scene, tmp_path / "one"))
    run_script(*command(scene, tmp_path / "two", "--workers", "2"))
    assert pixels(tmp_path / "two") == pixels(tmp_path / "one")


def test_no_cluster_at_that_address_is_one_line(scene, tmp_path):
    done = run_script(*command(scene, tmp_path / "x", "--scheduler", "nonsense://here"), check=False)
    assert done.returncode == 1 and "no dask scheduler answers" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.skipif(variants.probe("llvm_ad_rgb") is not None, reason="Mitsuba finds no LLVM that works here")
def test_llvm_renders_what_scalar_does(scene, tmp_path):
    frames = {}
    for variant in ("scalar_rgb", "llvm_ad_rgb"):
        render.render_frame(job(scene, tmp_path / variant, variant=variant, target_spp=512, aux_spp=512))
        frames[variant] = read_exr(tmp_path / variant / "frame-0001" / "target.exr", EVERYTHING)
    scalar, llvm = frames.values()
    limits = {"color": 0.02, "depth": 0.05, "normal": 0.02, "albedo": 0.01, "motion": 0.05}
    for name, limit in limits.items():
        assert np.abs(scalar[name] - llvm[name]).mean() < limit, name
