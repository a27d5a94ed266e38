"""Pins render.py with a folder of models: reproducible, recorded, broken files left out, one scene unlike the next."""

import json

import numpy as np
import pytest
from model_folder import BROKEN, write_models
from small_scene import pixels
from support import run_script

from files import InputError
from frames.exr import read_exr
from frames.sequences import find_sequences
from rendering.render_dataset import drawn, run, settings_for, sources
from rendering.rendering_options import DRAWN, parse

FILM = ["--width", "16-24", "--height", "12-16", "--spp", "1-4", "--speed_range", "1-4", "--lens", "0,2"]
FILM += ["--unit", "m,cm", "--pixel_filter", "box,blackman-harris,splat-tent", "--guides", "clean,own"]
FILM += ["--shutter", "0,0.5"]
SMALL = ["--frames", 2, "--noisy", 2, "--target_spp", 2, "--variant", "scalar_rgb", "--max_depth", 2, "--seed", 6]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return write_models(tmp_path_factory.mktemp("models"))


def command(models, dataset, *more) -> list:
    """A command line of render.py for scenes of small pictures that are furnished with cubes."""
    stock = ["--assets", models, "--environments", models / "skies", "--moving", 1]
    return [
        str(a) for a in ("render.py", dataset, "--procedural", 2, "--kind", "plain,room", *stock, *SMALL, *FILM, *more)
    ]


@pytest.fixture(scope="module")
def made(models, tmp_path_factory):
    """A dataset of two scenes, and what render.py said on stderr."""
    dataset = tmp_path_factory.mktemp("made")
    return dataset, run_script(*command(models, dataset, "--workers", 1)).stderr


def test_scenes_with_models_are_a_dataset_that_names_what_is_in_it(made):
    dataset, said = made
    named = [line for line in said.splitlines() if "left out" in line]
    assert all(any(name in line for name in BROKEN) for line in named) and named

    found, _ = find_sequences(dataset / "train", need_target=True)
    assert len(found) == 2 and all(len(sequence.frames) == 2 for sequence in found)
    moved = []
    for folder in (dataset / "train").iterdir():
        record = json.loads((folder / "sequence.json").read_text())
        used = [name for name in record["content"] if name.endswith(".obj")]
        assert used and not BROKEN & set(used) and set(record["visible"]) <= set(used)
        assert 1 <= record["spp"] <= 4 and 1 <= record["speed_range"] <= 4
        frame = read_exr(folder / "frame-0001" / "noisy-0.exr", ("color", "depth", "normal", "albedo", "motion"))
        assert all(np.isfinite(plane).all() for plane in frame.values())
        moved.append(frame["motion"].any())
    assert any(moved), "not all start from rest"


def test_another_process_renders_the_same_pixels(made, models, tmp_path):
    run_script(*command(models, tmp_path, "--part", "2/2", "--workers", 2))
    (scene,) = (tmp_path / "train").iterdir()
    assert pixels(scene) == pixels(made[0] / "train" / scene.name)


def test_the_census_counts_what_the_files_hold_and_names_creators(made, models):
    train = made[0] / "train"
    output = run_script("-m", "rendering.census", train).stdout
    records = [json.loads(path.read_text()) for path in train.glob("*/sequence.json")]
    used = {name for record in records for name in record["content"] if name.endswith(".obj")}
    assert "scenes: 2, of 4 frames in all" in output and f"models: {len(used)} in the scenes" in output
    assert "moves by itself: 2 (100%)" in output
    names = run_script("-m", "rendering.census", train, "--credits", models).stdout
    assert "## license unknown" in names and "creator unknown: " in names
    empty = run_script("-m", "rendering.census", models, check=False)
    assert empty.returncode == 1 and "no finished scene" in empty.stderr and "Traceback" not in empty.stderr


def test_a_finished_dataset_stays_as_it_is_and_a_license_that_no_model_has_is_named(made, models, no_child_processes):
    before = pixels(made[0])
    run(parse(command(models, made[0], "--workers", 1)[1:]))
    done = run_script(*command(models, made[0], "--licenses", "CC0-1.0"), check=False)
    assert done.returncode == 1 and "CC0-1.0" in done.stderr and "Traceback" not in done.stderr
    assert pixels(made[0]) == before


def options_of(*more, count=400):
    return parse(["data", "--procedural", str(count), *map(str, more)])


def test_each_option_is_drawn_by_itself_for_each_scene():
    """Another range of one option changes nothing else, and a scene is the same whichever part it is in."""
    one, two = options_of(*FILM, "--seed", 3), options_of(*FILM[:4], "--spp", "8", *FILM[6:], "--seed", 3)
    for name in DRAWN.keys() - {"spp"}:
        assert [drawn(one, name, n) for n in range(20)] == [drawn(two, name, n) for n in range(20)]
    assert {drawn(two, "spp", n) for n in range(20)} == {8} and len({drawn(one, "spp", n) for n in range(60)}) == 4


def test_a_filter_that_splats_leaves_shutter_and_lens_closed():
    one = options_of("--pixel_filter", "box,splat-tent", "--shutter", "0.5", "--lens", "2")
    settings = [settings_for(one, "scalar_rgb", n) for n in range(30)]
    assert {(s.pixel_filter, s.shutter, s.lens) for s in settings} == {("box", 0.5, 2.0), ("splat-tent", 0.0, 0.0)}


def test_parts_share_the_scenes_out():
    whole = sources(options_of("--kind", "room,plain", count=7))
    parts = (sources(options_of("--kind", "room,plain", "--part", f"{k}/3", count=7)) for k in (1, 2, 3))
    assert sorted((scene for part in parts for scene in part), key=str) == sorted(whole, key=str) and len(whole) == 7


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--moving", "0.5"], "--moving goes with --assets"),
        (["--environments", "skies"], "--environments goes with --assets"),
        (["--assets", "nowhere"], "--assets nowhere: no such folder"),
        (["--shutter", "0.5-2"], "--shutter: expected at most 1, a whole frame"),
        (["--part", "3/2"], "--part 3/2: expected K/N"),
        (["--pixel_filter", "cubic"], "'cubic' is none of box"),
        (["--speed_range", "0"], "--speed_range 0: expected 0.001 or more"),
        (["--kind", "castle"], "'castle' is none of room, plain"),
    ],
)
def test_options_that_cannot_be_used_are_named(more, message):
    with pytest.raises(InputError, match=message.replace("'", "'")):
        options_of(*more)


def test_a_scene_file_takes_filters_but_no_models(tmp_path):
    (tmp_path / "scene.xml").write_text("<scene/>")
    for option, value in (("--speed_range", "1"), ("--part", "1/2")):
        with pytest.raises(InputError, match=f"{option} goes with --procedural"):
            parse(["data", "--scene", str(tmp_path / "scene.xml"), option, value])
    made = parse(["data", "--scene", str(tmp_path / "scene.xml"), "--guides", "own", "--lens", "2"])
    assert settings_for(made, "scalar_rgb").guides == "own" and settings_for(made, "scalar_rgb").lens == 2
