"""Pins how render.py runs: the same files whoever renders them, also after a kill; other parameters are refused; errors
are one clear line.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from render_runs import start, wait_for
from small_scene import NAME, SCENE, command, job, pixels, render, settings, write_scene
from support import run_script

from files import InputError
from rendering import render_dataset, renderer, variants
from rendering.cameras import Camera
from rendering.jobs import FileSource, Plan, RoomSource, open_sequence, remove_leftovers
from rendering.renderer import render_frame
from rendering.rendering_options import parse


def test_frames_do_not_depend_on_order_or_process(scene, tmp_path):
    for frame in (2, 0, 1):
        render_frame(job(scene, tmp_path / "backwards" / NAME, frame))
    run_script(*command(scene, tmp_path / "data"))
    backwards = pixels(tmp_path / "backwards" / NAME)
    forwards = pixels(tmp_path / "data" / "train" / NAME)
    assert backwards == {name: content for name, content in forwards.items() if name != "sequence.json"}


def test_seeds_are_apart_and_only_theirs(tmp_path):
    base = job(Path("x"), tmp_path / "d" / NAME)
    renderings = [(name, part) for name in ("noisy-0", "noisy-1", "target") for part in (0, 1)]
    seeds = {replace(base, frame=f).seed(*r) for f in range(50) for r in renderings}
    assert len(seeds) == 300 and all(0 <= s < 2**32 for s in seeds)
    assert base.seed("target") == job(Path("y"), tmp_path / "elsewhere" / NAME, spp=7).seed("target")
    assert base.seed("target") != job(Path("x"), tmp_path / "d" / "other").seed("target")
    assert base.seed("target") != replace(base, settings=settings(seed=1)).seed("target")


LONG = ("--frames", "12", "--target_spp", "384")  # a run that lasts long enough to be stopped


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The files of a long run that nobody stops."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    run_script(*command(write_scene(folder / NAME), folder / "data", *LONG))
    return pixels(folder / "data")


def without_paths(files: dict[str, bytes]) -> dict:
    """The files, of sequence.json all but where the scene is."""
    return {n: (json.loads(c) | {"source": 0} if n.endswith(".json") else c) for n, c in files.items()}


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT])
def test_stopped_and_started_again_it_continues(scene, tmp_path, uninterrupted, blow):
    process = start(command(scene, tmp_path / "data", *LONG))
    wait_for(f"train/{NAME}/frame-0001", tmp_path / "data", process)
    os.killpg(process.pid, blow)
    said = process.communicate()[0].decode()
    assert process.returncode == (130 if blow == signal.SIGINT else -9)
    assert blow == signal.SIGKILL or ("interrupted" in said and "Traceback" not in said)
    leftover = tmp_path / "data" / "train" / NAME / ".frame-0003-gone-1"
    leftover.mkdir()
    os.utime(leftover, (0, 0))
    shutil.copy(*((tmp_path / "data" / "train" / NAME / "frame-0000" / n) for n in ("target.exr", "mark")))
    run_script(*command(scene, tmp_path / "data", *LONG))
    assert (tmp_path / "data" / "train" / NAME / "frame-0000" / "mark").is_file(), "rendered again though it was done"
    (tmp_path / "data" / "train" / NAME / "frame-0000" / "mark").unlink()
    assert without_paths(pixels(tmp_path / "data")) == without_paths(uninterrupted)
    assert not list((tmp_path / "data" / "train" / NAME).glob(".*"))


def test_other_parameters_are_refused_and_named(scene, tmp_path, no_child_processes):
    render(scene, tmp_path / "data")
    before = pixels(tmp_path / "data")
    refused = run_script(*command(scene, tmp_path / "data", "--seed", "5", "--spp", "2", "--speed", "0.5"), check=False)
    assert refused.returncode == 1 and "Traceback" not in refused.stderr
    for said in ("seed 0 there, 5 asked for", "spp 1 there, 2 asked for", "the camera path", str(tmp_path / "data")):
        assert said in refused.stderr
    with pytest.raises(InputError, match="frames 3 there, 2 asked for"):
        render(scene, tmp_path / "data", "--frames", "2")
    assert pixels(tmp_path / "data") == before
    render(scene, tmp_path / "data", "--frames", "4")
    after = pixels(tmp_path / "data")
    assert len(after) == len(before) + 3
    assert all(after[name] == content for name, content in before.items() if name != f"train/{NAME}/sequence.json")


def test_sources_are_recorded_as_they_always_were(tmp_path):
    """So that datasets of older versions can be continued."""
    file = FileSource("/a/scene.xml", "/a/camera.json", 0.5, 2.0)
    assert file.as_list() == ["file", "/a/scene.xml", "/a/camera.json", 0.5, 2.0]
    assert RoomSource(5, "test", 3).as_list() == ["room", 5, "test", 3]
    assert RoomSource(5, "test", 3, "plain").as_list() == ["plain", 5, "test", 3]
    plan = Plan({"the room": "ab"}, "cd", [Camera((0, 0, 0), (0, 0, -1))])
    open_sequence(tmp_path / "room-5-0003", RoomSource(5, "test", 3), plan, settings())
    record = json.loads((tmp_path / "room-5-0003" / "sequence.json").read_text())
    names = "scene source width height spp target_spp aux_spp noisy max_depth denoise_target seed variant mitsuba"
    assert list(record) == [*names.split(), "content", "planning", "frames", "cameras"]
    assert record["source"] == ["room", 5, "test", 3]


def test_a_deleted_file_is_made_again(scene, tmp_path, no_child_processes):
    render(scene, tmp_path / "data")
    before = pixels(tmp_path / "data")
    (tmp_path / "data" / "train" / NAME / "frame-0002" / "noisy-1.exr").unlink()
    render(scene, tmp_path / "data")
    assert pixels(tmp_path / "data") == before


def test_temporary_folders_go_when_their_process_is_gone(tmp_path):
    host = socket.gethostname()
    dead = subprocess.Popen(["true"])
    dead.wait()
    kept = [f".frame-0000-{host}-{os.getpid()}", ".frame-0001-other-machine-1"]
    gone = [f".frame-0002-{host}-{dead.pid}", ".frame-0003-other-machine-2", ".frame-0004-odd"]
    for name in kept + gone:
        (tmp_path / name).mkdir()
    os.utime(tmp_path / gone[1], (0, 0))  # of long ago
    os.utime(tmp_path / gone[2], (0, 0))
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_frames_that_went_to_another_disk_are_missed(scene, tmp_path, monkeypatch):
    def elsewhere(work, jobs, client, minutes):
        return [1 for _ in jobs]  # as workers do whose dataset is another disk

    monkeypatch.setattr(render_dataset, "run_jobs", elsewhere)
    with pytest.raises(InputError, match=r"frames that workers rendered are not there \(3, such as 0\)"):
        render_dataset.run(parse([str(a) for a in command(scene, tmp_path / "data")[1:]]))


def test_a_folder_that_is_deleted_meanwhile_is_named(scene, tmp_path, monkeypatch):
    made = job(scene, tmp_path / "s")
    shutil.rmtree(tmp_path / "s")
    with pytest.raises(InputError, match=r"s is not there; if it was not deleted, let all machines see the dataset"):
        render_frame(made)
    made = job(scene, tmp_path / "s")
    inner = renderer.render_auxiliary
    monkeypatch.setattr(renderer, "render_auxiliary", lambda frame: shutil.rmtree(tmp_path / "s") or inner(frame))
    with pytest.raises(InputError, match=r"s is not there"):
        render_frame(made)
    assert not (tmp_path / "s").exists(), "frames without sequence.json could not be continued"


def test_frames_of_unknown_origin_are_left_alone(scene, tmp_path):
    stranger = tmp_path / "data" / "train" / NAME / "frame-0000"
    stranger.mkdir(parents=True)
    refused = run_script(*command(scene, tmp_path / "data"), check=False)
    assert refused.returncode == 1 and "no sequence.json" in refused.stderr and not list(stranger.iterdir())


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
        (["--procedural", "1", "--speed", "2"], "--speed goes with --scene"),
        (["--scene", "x.xml", "--kind", "plain"], "--kind goes with --procedural"),
        (["--procedural", "1", "--start", "0"], "--start goes with --scene"),
        (["--scene", "scene.xml", "--start", "1"], "--start goes with --camera"),
        (["--procedural", "1", "--scheduler", "tcp://x:1", "--workers", "2"], "--workers is for this machine"),
    ],
)
def test_wrong_options_are_named(arguments, said, tmp_path):
    with pytest.raises(InputError) as error:
        parse([str(tmp_path), *arguments])
    assert said in str(error.value)


# Runs render.py where these modules cannot be imported.
WITHOUT_MODULES = """
import runpy, sys
sys.modules |= {"mitsuba": None, "torch": None, "pytorch_lightning": None}
sys.argv = ["render.py", *sys.argv[1:]]
runpy.run_path("render.py", run_name="__main__")
"""


def test_help_and_options_need_no_mitsuba_and_a_missing_mitsuba_is_one_line(tmp_path):
    assert "--procedural" in run_script("-c", WITHOUT_MODULES, "--help").stdout
    for more, said in ((["--spp", 0], "--spp 0: expected 1 or more"), ([], "pip install mitsuba")):
        done = run_script("-c", WITHOUT_MODULES, tmp_path, "--procedural", 1, *more, check=False)
        assert done.returncode == 1 and said in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_a_scene_with_an_error_is_named_and_leaves_nothing(scene, tmp_path):
    scene.write_text(SCENE.replace('type="path"', 'type="no_such_integrator"'))
    done = run_script(*command(scene, tmp_path / "data"), check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert str(scene) in done.stderr and "no_such_integrator" in done.stderr
    assert not (tmp_path / "data").exists()


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

    monkeypatch.setattr(renderer, "write_exr", full)
    with pytest.raises(OSError, match="No space"):
        render_frame(job(scene, tmp_path / "s"))
    assert len(written) == 3 and not list((tmp_path / "s").iterdir())


def test_frames_of_a_variant_that_does_not_work_here_are_not_continued(
    scene, tmp_path, monkeypatch, no_child_processes
):
    render(scene, tmp_path / "data")
    monkeypatch.setattr(variants, "choose_variant", lambda wanted: (_ for _ in ()).throw(InputError(f"no {wanted}")))
    options = parse([str(a) for a in command(scene, tmp_path / "data", "--variant", "auto")[1:]])
    with pytest.raises(InputError, match="the frames already there need scalar_rgb, but no scalar_rgb"):
        render_dataset.run(options)


def test_another_version_of_mitsuba_on_a_worker_is_refused(scene, tmp_path):
    with pytest.raises(InputError, match=r"but 0\.1\.2 where the run began"):
        render_frame(job(scene, tmp_path / "s", mitsuba="0.1.2"))


def test_variants_are_probed_in_a_child(monkeypatch):
    assert variants.probe("scalar_rgb") is None
    assert variants.choose_variant("scalar_rgb") == "scalar_rgb"
    monkeypatch.setattr(variants, "PROBE", "import os, sys\nsys.argv[1] == 'scalar_rgb' or os.abort()\nprint(True)")
    assert variants.choose_variant("auto") == "scalar_rgb", "an abort of the child is an answer, not the end"
    with pytest.raises(InputError, match="llvm_ad_rgb does not work here"):
        variants.choose_variant("llvm_ad_rgb")


def test_two_local_processes_make_the_same_files(scene, tmp_path, no_child_processes):
    render(scene, tmp_path / "one")
    run_script(*command(scene, tmp_path / "two", "--workers", "2"))
    assert pixels(tmp_path / "two") == pixels(tmp_path / "one")
