"""Pins what becomes of frames as other programs write them: right pictures, or a message that says what to do.

Roles of channels do not depend on the order of parts or on case.
"""

from itertools import permutations

import numpy as np
import OpenEXR
import pytest
from foreign_files import (
    WEIGHTS,
    H,
    W,
    denoise,
    layer,
    parts_of,
    quantities,
    usual,
    write_parts,
    write_raw,
    write_shot,
)
from support import make_scene, run_script, write_channels

from files import InputError
from frames.channels import MOTION_INPUTS, is_radiance
from frames.exr import read_header, read_pixels
from frames.exr_writing import check_writable, check_written, replace_channels
from frames.layers import DEFAULT, Choice, find_layout
from frames.plausible import believed
from frames.shots import find_shots, holds_shots


def planes_of(path, choice=DEFAULT) -> dict[str, np.ndarray]:
    """The planes of each quantity, as its layout says."""
    layout = believed(*read_pixels(path), find_layout(read_header(path), MOTION_INPUTS, choice))
    _, pixels = read_pixels(path)
    channels = {"color": layout.colors[0].source, **layout.surface}
    return {name: np.stack([pixels[c] for c in own]) for name, own in channels.items()}


# roles of channels


@pytest.mark.parametrize("order", permutations(("albedo", "normal", "beauty", "depth")))
def test_roles_do_not_depend_on_the_order_of_parts(order, tmp_path):
    parts = parts_of(0)
    path = write_parts(tmp_path / "a_1.exr", {name: parts[name] for name in order})
    found, wanted = planes_of(path), quantities(0)
    assert found.keys() == {"color", "depth", "normal", "albedo"}
    assert all(np.array_equal(planes, wanted[name]) for name, planes in found.items())


@pytest.mark.parametrize("case", [str.lower, str.upper, str.title])
def test_roles_do_not_depend_on_case(case, tmp_path):
    channels = layer("Ci", np.concatenate((quantities(0)["color"], np.ones((1, H, W), np.float32))), "RGBA")
    channels |= {n: p for n, p in usual(0).items() if len(n) > 1} | layer("diffuse", quantities(0)["color"] / 2)
    path = write_channels(tmp_path / "a_1.exr", {case(name): plane for name, plane in channels.items()})
    layout = find_layout(read_header(path), MOTION_INPUTS, Choice("Ci", ("diffuse",)))
    assert [c.lower() for c in layout.colors[1].source] == ["diffuse.r", "diffuse.g", "diffuse.b"]
    assert layout.alpha.lower() == "ci.a" and layout.motion[0][0][0].lower() == "motion.x"
    found = planes_of(path, Choice("ci"))
    assert all(np.array_equal(planes, quantities(0)[name]) for name, planes in found.items())


def test_a_part_can_be_chosen_by_its_name_wherever_it_is(tmp_path):
    found = quantities(0)
    parts = {"N": layer("", found["normal"]), "C": layer("", found["color"]), "depth": {"Z": found["depth"][0]}}
    path = write_parts(tmp_path / "a_1.exr", parts)
    for choice in (Choice(), Choice("C"), Choice("c")):
        assert np.array_equal(planes_of(path, choice)["color"], found["color"])
        assert np.array_equal(planes_of(path, choice)["normal"], found["normal"])
    with pytest.raises(InputError, match=r"no --layer Z; the file has: N, depth"):
        planes_of(path, Choice("Z"))


def test_parts_are_aligned_by_their_data_windows(tmp_path):
    parts = parts_of(0) | {"depth": {"Z": quantities(0)["depth"][0, 6:, 10:]}}
    parts["albedo"] = {name: np.pad(plane, 2, mode="edge") for name, plane in parts["albedo"].items()}
    windows = {"depth": (10, 6, W - 1, H - 1), "albedo": (-2, -2, W + 1, H + 1)}
    found = planes_of(write_parts(tmp_path / "a_1.exr", parts, windows))
    wanted = quantities(0)
    assert np.array_equal(found["depth"][:, 6:, 10:], wanted["depth"][:, 6:, 10:])
    assert (found["depth"][:, :6] == 0).all() and (found["depth"][..., :10] == 0).all()
    assert np.array_equal(found["albedo"], wanted["albedo"])
    apart = write_parts(tmp_path / "b_1.exr", parts_of(0), {"depth": (W, 0, 2 * W - 1, H - 1)})
    with pytest.raises(InputError, match=rf"data window of depth.Z, \({W}, 0, .*outside of the beauty's, \(0, 0"):
        read_pixels(apart)


def test_a_part_keeps_its_window_and_what_lies_outside(tmp_path):
    """A further color layer in a larger part: only what the beauty's window covers is written."""
    key = np.full((H + 4, W + 4), 0.5, np.float32)
    parts = parts_of(0) | {"key": dict.fromkeys("RGB", key)}
    path = write_parts(tmp_path / "a_1.exr", parts, {"key": (-2, -2, W + 1, H + 1)})
    new = np.full((H, W), 2.0, np.float32)
    replace_channels(path, tmp_path / "b_1.exr", {"key.R": new})
    check_written(tmp_path / "b_1.exr", {"key.R": new})
    written = {p.name(): p for p in OpenEXR.File(str(tmp_path / "b_1.exr"), separate_channels=True).parts}["key"]
    pixels = written.channels["R"].pixels
    assert pixels.shape == key.shape and (pixels[2:-2, 2:-2] == 2).all() and (pixels[:2] == 0.5).all()


def test_views_are_chosen_by_name(tmp_path):
    own = {name: plane for name, plane in usual(0).items() if not name.startswith("motion")}
    both = own | {f"right.{name}": np.roll(plane, -2, 1) for name, plane in own.items()}
    path = write_channels(tmp_path / "a_1.exr", both, multiView=["left", "right"])
    with pytest.raises(InputError, match=r"several views \(left, right\); choose one with --layer"):
        planes_of(path)
    left, right = (planes_of(path, Choice(view)) for view in ("left", "right"))
    for name, planes in left.items():
        assert np.array_equal(planes, quantities(0)[name])
        assert np.array_equal(right[name], np.roll(planes, -2, 2))


def test_colors_of_an_unknown_name_are_found_or_named(tmp_path):
    others = {name: plane for name, plane in usual(0).items() if len(name) > 1}
    path = write_channels(tmp_path / "a_1.exr", others | layer("Image", quantities(0)["color"]))
    assert np.array_equal(planes_of(path)["color"], quantities(0)["color"])
    two = others | layer("Left", quantities(0)["color"]) | layer("Right", quantities(1)["color"])
    with pytest.raises(InputError, match=r"these layers may: Left, Right; choose one with --layer Left"):
        planes_of(write_channels(tmp_path / "b_1.exr", two))


def test_of_several_albedos_one_is_chosen_or_none_is_used(tmp_path):
    channels = {name: plane for name, plane in usual(0).items() if not name.startswith("albedo")}
    channels |= layer("coat_albedo", quantities(0)["albedo"]) | layer("specular_albedo", quantities(1)["albedo"])
    path = write_channels(tmp_path / "a_1.exr", channels)
    layout = find_layout(read_header(path), MOTION_INPUTS)
    assert "albedo" not in layout.surface and "choose one with --use albedo=LAYER" in layout.notes[0]
    for name, number in (("coat_albedo", 0), ("SPECULAR_albedo", 1)):
        found = planes_of(path, Choice(use={"albedo": name}))
        assert np.array_equal(found["albedo"], quantities(number)["albedo"])
    assert not find_layout(read_header(path), MOTION_INPUTS, Choice(use={"albedo": "none"})).notes
    with pytest.raises(InputError, match=r"no albedo in --use albedo=base; the file has: coat_albedo"):
        planes_of(path, Choice(use={"albedo": "base"}))


def test_positions_are_neither_normals_nor_depth(tmp_path):
    y, x = np.mgrid[:H, :W].astype(np.float32)
    position = np.stack([x - W / 2, y - H / 2, x - y])
    without = {name: plane for name, plane in usual(0).items() if not name.startswith(("normal", "depth"))}
    for name in ("WorldPosition", "anything"):
        channels = without | {"depth.Z": quantities(0)["depth"][0]} | layer(name, position, "XYZ")
        with pytest.raises(
            InputError, match=rf"no channel for normal|{name}.X .Y .Z cannot be normal: its values reach"
        ):
            planes_of(write_channels(tmp_path / f"{name}_1.exr", channels))
    channels = without | layer("normal", quantities(0)["normal"]) | layer("P", position, "XYZ")
    with pytest.raises(InputError, match=r"P.Z cannot be depth: it has values of both signs.*--use depth=LAYER"):
        planes_of(write_channels(tmp_path / "c_1.exr", channels))
    bright = usual(0) | layer("albedo", 20 * quantities(0)["albedo"])
    path = write_channels(tmp_path / "d_1.exr", bright)
    layout = believed(*read_pixels(path), find_layout(read_header(path), MOTION_INPUTS))
    assert "albedo" not in layout.surface and "albedo lies between 0 and 1" in layout.notes[0]


@pytest.mark.parametrize("name", ["CryptoObject00", "cryptomatte", "ObjectID", "uv", "position", "albedo", "Depth"])
def test_what_is_no_radiance_is_never_filtered(name, tmp_path):
    assert not is_radiance(name) and is_radiance("key") and is_radiance("Combined_fill") and is_radiance("sun lamp")
    ids = np.random.default_rng(0).random((3, H, W)).astype(np.float32)
    path = write_channels(tmp_path / "a_1.exr", usual(0) | layer(name, ids) | layer("key", ids))
    layout = find_layout(read_header(path), MOTION_INPUTS, Choice(also=("*",)))
    assert [color.source[0] for color in layout.colors[1:]] == ["key.R"]
    with pytest.raises(InputError, match=rf"--also {name}: by its name, {name} holds no radiance"):
        find_layout(read_header(path), MOTION_INPUTS, Choice(also=(name,)))


def test_layers_of_ids_are_known_by_the_files_list(tmp_path):
    attributes = {"cryptomatte/8ac2f11/name": "Asset"}
    path = write_channels(tmp_path / "a_1.exr", usual(0) | layer("asset00", quantities(0)["color"]), **attributes)
    with pytest.raises(InputError, match=r"asset00 holds no radiance"):
        find_layout(read_header(path), MOTION_INPUTS, Choice(also=("asset*",)))


# names of files


def test_numbers_may_be_negative(tmp_path):
    folder = write_shot(tmp_path / "in", usual, "shot.{:05d}.exr", range(-2, 2))
    (shot,), notes = find_shots(folder)
    assert [path.name for path in shot.files] == [f"shot.{n:05d}.exr" for n in range(-2, 2)] and not notes
    (tmp_path / "b").mkdir()
    for number in (1, 2):  # here a minus separates
        (tmp_path / "b" / f"shot-{number}.exr").touch()
    assert [path.name for path in find_shots(tmp_path / "b")[0][0].files] == ["shot-1.exr", "shot-2.exr"]


@pytest.mark.parametrize("name", ["shot_{:04d}_.exr", "shot.{:04d}.denoise.exr", "shot_{:04d}_L.exr"])
def test_a_number_need_not_be_last_where_all_frames_agree(name, tmp_path):
    for number in (9, 10, 11):
        (tmp_path / name.format(number)).touch()
    (shot,), notes = find_shots(tmp_path)
    assert [path.name for path in shot.files] == [name.format(number) for number in (9, 10, 11)] and not notes
    (tmp_path / "shot_0001.exr").touch()
    (shot,), notes = find_shots(tmp_path)
    assert [path.name for path in shot.files] == ["shot_0001.exr"] and len(notes) == 3


def test_a_broken_link_is_named(tmp_path):
    (tmp_path / "a_1.exr").touch()
    (tmp_path / "a_2.exr").symlink_to("gone.exr")
    with pytest.raises(InputError, match=r"a_2.exr: a link to gone.exr, which is not there; restore"):
        find_shots(tmp_path)


def test_one_file_is_a_shot_and_an_output_folder_no_dataset(tmp_path):
    folder = write_shot(tmp_path / "in", usual, frames=(1, 2))
    assert denoise(folder / "shot_0001.exr", tmp_path / "one").shape == (1, 3, H, W)
    first = denoise(folder, folder / "test")
    assert holds_shots(folder) and np.array_equal(denoise(folder, folder / "test"), first)


# what cannot be read or written


def test_what_cannot_be_written_is_refused_before_the_first_frame(tmp_path):
    flat = {name: (plane, 1) for name, plane in usual(0).items()}
    half = {name: (np.zeros((H // 2, W // 2), np.float32), 2) for name in ("BY", "RY")}
    subsampled = write_raw(tmp_path / "a" / "s_1.exr", flat | half)
    mapped = write_raw(tmp_path / "b" / "s_1.exr", flat, mip_mapped=True)
    for path, words in ((subsampled, r"BY has a value for 2x2 pixels, which cannot"), (mapped, r"it is mip-mapped")):
        with pytest.raises(InputError, match=words):
            check_writable(read_header(path))
        with pytest.raises(InputError, match=words):
            denoise(path.parent, tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_an_output_path_that_is_a_file_is_named_first(tmp_path):
    (tmp_path / "file").touch()
    done = run_script("test.py", "none.ckpt", tmp_path, "--output_dir", tmp_path / "file" / "below", check=False)
    assert f"{tmp_path / 'file'} is a file; choose another folder" in done.stderr and done.stderr.count("\n") == 1


# values


def test_a_lamp_of_infinite_radiance_is_bright_and_results_are_never_negative(tmp_path):
    def channels(number):
        found = usual(number)
        for name in "RGB":
            found[name][20:30, 20:30] = np.inf
            found[name][40:50, 60:80] = -5
        return found

    images = denoise(write_shot(tmp_path / "in", channels), tmp_path / "out", "--direction", "forward")
    assert images[:, :, 24:26, 24:26].min() > 30_000 and images.min() >= 0
    assert images[:, :, 40:50, 60:80].max() < 5


def test_the_windows_of_a_dataset_stay(tmp_path):
    scene = make_scene(tmp_path / "A", frames=2, noisy=1, target=False)
    windows = {"dataWindow": [(-4, -2), (27, 21)], "displayWindow": [(0, 0), (23, 19)]}
    header = {name: tuple(np.array(corner, np.int32) for corner in box) for name, box in windows.items()}
    for path in scene.glob("*/*.exr"):
        _, pixels = read_pixels(path)
        write_channels(path, pixels, **header)
    run_script("test.py", WEIGHTS, scene, "--output_dir", tmp_path / "out", "--write", "exr")
    found = read_header(tmp_path / "out" / "A" / "frame-0001.exr")
    assert found.window == (-4, -2, 27, 21) and found.display == (0, 0, 23, 19)
