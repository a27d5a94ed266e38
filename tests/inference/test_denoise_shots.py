"""Pins folders of numbered frames: colors are replaced, all else stays bit by bit, layers add up, errors name the file.

tests/data/frames holds frames of Blender and Mitsuba, and the scripts that made them. They are compared with the
OpenEXR module itself.
"""

import runpy
import shutil
import sys

import numpy as np
import OpenEXR
import pytest
import torch
from support import ROOT, frame_channels, make_scene, run_script, write_channels

from files import InputError
from frames.channels import MOTION_INPUTS
from frames.exr import load_noisy
from frames.layers import DEFAULT
from inference.meaning import find_meaning
from inference.reconstruction_options import build_parser, refuse_dataset_options, refuse_frame_options
from inference.shot_frames import load_frames
from inference.shots import check_headers, denoise_shots, find_shots
from model import denoise
from networks.filtering import FilteringDenoiser
from networks.paper import PaperDenoiser

SAMPLES = ROOT / "tests" / "data" / "frames"
VIEW = "ViewLayer"


@pytest.fixture
def denoiser():
    torch.manual_seed(0)
    return FilteringDenoiser((8, 12, 16)).eval().requires_grad_(False)


def copy_frames(folder, pattern):
    folder.mkdir()
    for path in SAMPLES.glob(pattern):
        shutil.copy(path, folder)
    return folder


def run(denoiser, folder, output, *more):
    given = ["none.ckpt", folder, "--output_dir", output, "--precision", "float32", "--device", "cpu", *more]
    return denoise_shots(denoiser, build_parser().parse_args([str(argument) for argument in given]))


def read(path):
    """All channels of an EXR file by name, in all parts."""
    file = OpenEXR.File(str(path), separate_channels=True)
    return {(i, name): channel.pixels for i, part in enumerate(file.parts) for name, channel in part.channels.items()}


def headers(path):
    """The attributes of all parts, but for `type`, which Blender and Mitsuba leave out where there is one part."""
    file = OpenEXR.File(str(path), header_only=True)
    return [{k: str(v) for k, v in part.header.items() if k != "type"} for part in file.parts]


def changed(before, after):
    """The names of channels that differ. Everything else must be equal bit by bit, and no channel's type may change."""
    assert headers(before) == headers(after)
    old, new = read(before), read(after)
    assert old.keys() == new.keys()
    assert all(old[key].dtype == new[key].dtype and old[key].shape == new[key].shape for key in old)
    return {name for (i, name), pixels in old.items() if pixels.tobytes() != new[i, name].tobytes()}


def color(path, layer):
    return np.stack([read(path)[0, f"{layer}.{part}"] for part in "RGB"]).astype(np.float32)


def test_blender_frames_by_the_command_line(tmp_path):
    folder = copy_frames(tmp_path / "in", "blender*.exr")
    given = (ROOT / "weights" / "fast.safetensors", folder, "--output_dir", tmp_path / "out", "--also", "Combined_*")
    done = run_script("test.py", *given)
    assert "as previous,right,up,pixels" in done.stdout and "3 frames" in done.stdout
    assert "Noisy Image.R .G .B -> ViewLayer.Combined.R .G .B" in done.stdout
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [f"blender_000{n}.exr" for n in (1, 2, 3)]
    for path in folder.iterdir():
        written = tmp_path / "out" / path.name
        layers = [f"{VIEW}.{name}" for name in ("Combined", "Combined_key", "Combined_fill")]
        assert changed(path, written) == {f"{layer}.{part}" for layer in layers for part in "RGB"}
        beauty, key, fill = (color(written, layer) for layer in layers)
        rounding = 2.0**-11 * (beauty + key + fill) + 2.0**-24
        assert (np.abs(key + fill - beauty) <= rounding + 1e-4 * beauty).all()
        # nothing shines where nothing is
        empty = read(path)[0, f"{VIEW}.Combined.A"] == 0
        assert empty.any() and (beauty[:, empty] == 0).all()


def test_mitsuba_frames(denoiser, tmp_path, capsys):
    folder = copy_frames(tmp_path / "in", "mitsuba*.exr")
    assert run(denoiser, folder, tmp_path / "out", "--also", "image") == 3
    assert "motion: none; filtering networks estimate it" in capsys.readouterr().out
    for path in folder.iterdir():
        written = tmp_path / "out" / path.name
        assert changed(path, written) == {*"RGB", "image.R", "image.G", "image.B"}
        pixels = read(written)
        assert all(np.array_equal(pixels[0, part], pixels[0, f"image.{part}"]) for part in "RGB")  # as in the input


def test_networks_that_predict_colors_do_too(tmp_path):
    folder = copy_frames(tmp_path / "in", "blender*.exr")
    assert run(PaperDenoiser((8, 10), demodulate=True).eval(), folder, tmp_path / "out") == 3
    changes = changed(folder / "blender_0003.exr", tmp_path / "out" / "blender_0003.exr")
    assert changes == {f"{VIEW}.Combined.{part}" for part in "RGB"}


def test_frames_are_the_denoisers(denoiser, tmp_path):
    """The project's own frames, numbered in one folder, give what they give as a dataset."""
    scene, folder = make_scene(tmp_path / "A", noisy=1), tmp_path / "in"
    folder.mkdir()
    for number in range(6):
        shutil.copy(scene / f"frame-{number:04d}" / "noisy-0.exr", folder / f"a{number + 8}.exr")
    run(denoiser, folder, tmp_path / "out", "--direction", "forward", "--brightness", "off")
    frames = [torch.from_numpy(load_noisy(folder / f"a{n + 8}.exr", MOTION_INPUTS)[0]) for n in range(6)]
    for number, (_, image) in enumerate(denoise(denoiser, frames)):
        written = read(tmp_path / "out" / f"a{number + 8}.exr")
        for part, plane in zip("RGB", image.numpy(), strict=True):
            assert np.array_equal(written[0, part], plane.astype(np.float16))


def test_both_directions_are_alike(denoiser, tmp_path):
    """Frames numbered in reverse and mirrored give the same images, but for their brightness. They have no motion."""
    scene = make_scene(tmp_path / "A", noisy=1)
    for order, name in ((1, "one"), (-1, "other")):
        (tmp_path / name).mkdir()
        for number, frame in enumerate(sorted(scene.iterdir())[::order]):
            file = OpenEXR.File(str(frame / "noisy-0.exr"), separate_channels=True)
            for channel in file.channels().values():
                channel.pixels = channel.pixels[:, ::order].copy()
            file.write(str(tmp_path / name / f"a{number}.exr"))
        run(denoiser, tmp_path / name, tmp_path / f"{name}-out", "--normals", "world", "--brightness", "off")
    one = np.stack([read(tmp_path / f"one-out/a{number}.exr")[0, part] for number in range(6) for part in "RGB"])
    other = np.stack([read(tmp_path / f"other-out/a{5 - n}.exr")[0, part] for n in range(6) for part in "RGB"])
    assert np.allclose(one, other[..., ::-1], atol=2e-3)


def test_a_gap_starts_anew_and_two_shots_do_not_mix(denoiser, tmp_path, capsys):
    folder = copy_frames(tmp_path / "in", "mitsuba*.exr")
    run(denoiser, folder, tmp_path / "whole", "--direction", "forward")
    for number in range(3):
        (folder / f"mitsuba.0{number}.exr").rename(folder / f"b{number}.exr")
        shutil.copy(folder / f"b{number}.exr", folder / f"a{number if number < 2 else 5}.exr")
    run(denoiser, folder, tmp_path / "both", "--direction", "forward")
    assert "gap between a1.exr and a5.exr" in capsys.readouterr().err
    for number in range(3):
        assert not changed(tmp_path / "whole" / f"mitsuba.0{number}.exr", tmp_path / "both" / f"b{number}.exr")
    assert not changed(tmp_path / "whole" / "mitsuba.01.exr", tmp_path / "both" / "a1.exr")
    assert changed(tmp_path / "whole" / "mitsuba.02.exr", tmp_path / "both" / "a5.exr")


def test_parts_types_and_attributes_stay(denoiser, tmp_path):
    """A file of two parts: half, float and integer channels, a tiled part, a data window, attributes of its own."""
    (tmp_path / "in").mkdir()
    rng = np.random.default_rng(0)
    for number in (1, 2):
        size = (20, 31)
        window = {"dataWindow": (np.array([-3, 5], np.int32), np.array([27, 24], np.int32))}
        channels = {k: np.ascontiguousarray(v) for k, v in frame_channels(rng, size, 0.6, True).items()}
        channels |= {"G": channels["G"].astype(np.float32), "id": rng.integers(2**32, size=size, dtype=np.uint32)}
        channels["A"] = rng.random(size).astype(np.float16)
        channels["A"][0, 0] = np.nan
        first = {"type": OpenEXR.scanlineimage, "compression": OpenEXR.PIZ_COMPRESSION, "note": "take 3", **window}
        second = {
            "type": OpenEXR.tiledimage,
            "compression": OpenEXR.ZIPS_COMPRESSION,
            "tiles": OpenEXR.TileDescription(),
        }
        parts = [OpenEXR.Part(first, channels, name="rgba")]
        parts.append(OpenEXR.Part(second | window, {"Z": rng.random(size).astype(np.float32)}, name="deepness"))
        OpenEXR.File(parts).write(str(tmp_path / "in" / f"x{number}.exr"))
    run(denoiser, tmp_path / "in", tmp_path / "out")
    for name in ("x1.exr", "x2.exr"):
        assert changed(tmp_path / "in" / name, tmp_path / "out" / name) == {"R", "G", "B"}


def test_a_view_layer_is_chosen_and_the_others_stay(denoiser, tmp_path):
    rng = np.random.default_rng(0)
    for number in (1, 2):
        both = {}
        for view in ("Front", "Back"):
            for name, pixels in frame_channels(rng, (20, 31), 0.6, False).items():
                both[f"{view}.Combined.{name}" if name in "RGB" else f"{view}.{name}"] = pixels
        write_channels(tmp_path / "in" / f"x{number}.exr", both)
    with pytest.raises(InputError, match=r"x1.exr: several view layers \(Back, Front\)"):
        run(denoiser, tmp_path / "in", tmp_path / "out")
    run(denoiser, tmp_path / "in", tmp_path / "out", "--layer", "Front")
    for name in ("x1.exr", "x2.exr"):
        changes = changed(tmp_path / "in" / name, tmp_path / "out" / name)
        assert changes == {f"Front.Combined.{part}" for part in "RGB"}


def test_invalid_pixels_are_reported_and_layers_still_add_up(denoiser, tmp_path, capsys):
    rng = np.random.default_rng(0)
    for number in (1, 2):
        channels = frame_channels(rng, (24, 32), 0.6, True)
        for part in "RGB":
            share = rng.random((24, 32)).astype(np.float32)
            channels[f"key.{part}"] = share * channels[part]
            channels[f"fill.{part}"] = (1 - share) * channels[part]
        channels["key.G"][5, 6] = np.inf
        write_channels(tmp_path / "in" / f"x{number}.exr", channels)
    run(denoiser, tmp_path / "in", tmp_path / "out", "--also", "key", "fill")
    assert capsys.readouterr().err.count("1 NaN or Inf values") == 2
    pixels = read(tmp_path / "out" / "x2.exr")
    for part in "RGB":
        total = pixels[0, f"key.{part}"] + pixels[0, f"fill.{part}"]
        assert np.allclose(total, pixels[0, part].astype(np.float32), rtol=1e-3, atol=1e-5)


def test_camera_space_normals_of_blender_are_told_and_turned(tmp_path):
    """Without its world-space normals, Blender's `Denoising Normal` is left: turned, it differs by other axes only."""
    found = []
    for name, dropped in (("world", ".Denoising Normal."), ("camera", ".Normal.")):
        folder = copy_frames(tmp_path / name, "blender*.exr")
        for path in folder.iterdir():
            write_channels(path, {k: v for (_, k), v in read(path).items() if dropped not in k})
        (shot,), _ = find_shots(folder)
        layout = check_headers([shot], MOTION_INPUTS, DEFAULT)["blender_"]
        meaning, lines = find_meaning([shot], layout, "auto", "auto")
        found.append([frame.planes[4:7].flatten(1).T for frame in load_frames(shot, layout, MOTION_INPUTS, meaning)])
        assert meaning.camera_normals == (name == "camera")
    assert "camera space (the camera turns them by 2.5 degrees a frame)" in lines[-1]
    assert find_meaning([shot], layout, "auto", "world")[1][-1].endswith("world space, as --normals says")
    world, turned = found
    axes = torch.linalg.lstsq(turned[0], world[0]).solution  # of the first frame's camera
    assert (world[2] - turned[2] @ axes).norm(dim=1).quantile(0.9) < 0.01
    assert (axes.T @ axes - torch.eye(3)).abs().max() < 0.01


def test_errors_name_file_and_remedy_and_leave_nothing_half_written(denoiser, tmp_path):
    folder = copy_frames(tmp_path / "in", "mitsuba*.exr")
    with pytest.raises(InputError, match=r"in: holds the frames themselves; choose another folder"):
        run(denoiser, folder, tmp_path / "other" / ".." / "in")
    with pytest.raises(InputError, match=r"--also: this network predicts colors"):
        run(PaperDenoiser((8,)), folder, tmp_path / "out", "--also", "image")
    with pytest.raises(InputError, match=r"mitsuba.00.exr: no layer for --also rim; the file has: image"):
        run(denoiser, folder, tmp_path / "out", "--also", "rim")
    with pytest.raises(InputError, match=r"--motion up: the frames have no such motion; use auto or none"):
        run(denoiser, folder, tmp_path / "out", "--motion", "up")
    whole = (folder / "mitsuba.02.exr").read_bytes()
    (folder / "mitsuba.02.exr").write_bytes(whole[:-2000])
    with pytest.raises(InputError, match=r"mitsuba.02.exr: .*(truncated|readable)"):
        run(denoiser, folder, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*"))  # it was read before the first frame was done
    lacking = {k: v for (_, k), v in read(folder / "mitsuba.01.exr").items() if k != "dd.T"}
    write_channels(folder / "mitsuba.02.exr", lacking)
    with pytest.raises(InputError, match=r"mitsuba.02.exr: no dd.T, but mitsuba.00.exr has"):
        run(denoiser, folder, tmp_path / "out")
    write_channels(folder / "mitsuba.02.exr", {k: v[:, :-1] for (_, k), v in read(folder / "mitsuba.01.exr").items()})
    with pytest.raises(InputError, match=r"mitsuba.02.exr: data window .* but mitsuba.00.exr has"):
        run(denoiser, folder, tmp_path / "out")


def test_depth_of_both_signs_is_no_distance_and_negative_depth_is(denoiser, tmp_path):
    rng = np.random.default_rng(0)
    for number, name in enumerate(("positive", "negative", "mixed")):
        channels = frame_channels(np.random.default_rng(0), (24, 32), 0.6, True)
        depth = channels["depth.Z"]
        channels["depth.Z"] = (depth, -depth, np.where(rng.random(depth.shape) < 0.5, depth, -depth))[number]
        write_channels(tmp_path / name / "x1.exr", channels)
    run(denoiser, tmp_path / "positive", tmp_path / "a")
    run(denoiser, tmp_path / "negative", tmp_path / "b")
    assert changed(tmp_path / "a" / "x1.exr", tmp_path / "b" / "x1.exr") == {"depth.Z"}
    with pytest.raises(InputError, match=r"x1.exr: depth.Z cannot be depth: it has values of both signs"):
        run(denoiser, tmp_path / "mixed", tmp_path / "c")


def test_options_for_frames_are_refused_for_a_dataset(small_dataset):
    for given in (["--layer", "A"], ["--also", "A"], ["--motion", "up"], ["--normals", "camera"]):
        options = build_parser().parse_args(["none.ckpt", str(small_dataset), *given])
        with pytest.raises(InputError, match=rf"dataset: {given[0]} is for numbered EXR frames"):
            refuse_frame_options(options)
    refuse_frame_options(build_parser().parse_args(["none.ckpt", str(small_dataset)]))


def test_options_of_datasets_are_refused(tmp_path, monkeypatch):
    folder = copy_frames(tmp_path / "in", "mitsuba*.exr")
    cases = (["--write", "exr"], ["--write"], ["--score", "off"], ["--report"], ["--compare", "a=b"])
    for given in cases:
        options = build_parser().parse_args(["none.ckpt", str(folder), *given])
        with pytest.raises(InputError, match=rf"in: {given[0]} is for datasets, and here are numbered EXR frames"):
            refuse_dataset_options(options)
    refuse_dataset_options(build_parser().parse_args(["none.ckpt", str(folder)]))
    # the script does refuse, before it looks at the checkpoint
    for name in ("keep_freed_memory", "let_idle_threads_sleep"):  # they would change this process
        monkeypatch.setattr(f"machine.{name}", lambda: None)
    monkeypatch.setattr(sys, "argv", ["test.py", "none.ckpt", str(folder), "--score", "off"])
    with pytest.raises(SystemExit, match=r"test.py: .*in: --score is for datasets"):
        runpy.run_path(str(ROOT / "test.py"), run_name="__main__")
