"""Pins check.py: an error is what train.py or test.py stop at and nothing else is; what it finds; what it writes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from faults import (
    FAULTS,
    STOPPING,
    STOPPING_TRAINING,
    another_size,
    missing_channel,
    nan,
    no_noisy,
    not_an_exr,
    truncate,
    truncated_first,
    truncated_target,
)
from support import QUICK, ROOT, make_scene, run_script, write_channels
from torchvision.io import read_image

import check as script
from checking.check_path import check
from checking.checking_options import build_parser
from checking.problems import ERROR, KINDS, Problem, lines_of
from checking.report import text_of
from checking.sheet import save_sheet
from files import InputError
from frames.channels import QUANTITIES
from inference import datasets as inference_run
from inference.reconstruction_options import build_parser as inference_parser
from networks.filtering import FilteringDenoiser
from training.fit import train
from training.training_options import parse_options

SIZES = ["--sequence_length", "3", "--crop_size", "16"]  # as in QUICK


def checked(path, *more):
    return check(build_parser().parse_args([str(path), *SIZES, *more]))


def kinds(report, part=""):
    return {p.kind for p in report.problems if p.scene.startswith(part)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Two scenes for training, and two to reconstruct, without a fault."""
    root = tmp_path_factory.mktemp("whole")
    for scene in ("train/A", "train/B", "test/C", "test/D"):
        make_scene(root / scene)
    return root


def training_stops(root, log):
    arguments = [str(root), *QUICK, "--log_dir", str(log), "--fast_dev_run"]
    try:
        train(parse_options(arguments), arguments)
    except (InputError, OSError):
        return True
    return False


def reconstruction_stops(root, output):
    options = inference_parser().parse_args(["none.ckpt", str(root), "--output_dir", str(output), "--write"])
    try:
        inference_run.run(FilteringDenoiser((8, 8)).eval().requires_grad_(False), options)
    except (InputError, OSError):
        return True
    return False


@pytest.mark.parametrize("fault", [None, *FAULTS], ids=lambda fault: getattr(fault, "__name__", "no fault"))
def test_errors_are_what_training_and_reconstruction_stop_at(fault, whole, tmp_path, monkeypatch):
    monkeypatch.setattr("dataset.usable_cores", lambda: 0)  # decodes in this process
    root = shutil.copytree(whole, tmp_path / "data")
    if fault:
        fault(root / "train/A")
        fault(root / "test/C")
    report = checked(root)
    for part, kind in zip(("train", "test"), FAULTS.get(fault, ("", "")), strict=True):
        new = kinds(report, part) - kinds(checked(whole), part)
        assert kind in new if kind else not new
    assert ("train.py" in report.stopped) == (fault in STOPPING_TRAINING) == training_stops(root, tmp_path / "runs")
    assert ("test.py" in report.stopped) == (fault in STOPPING) == reconstruction_stops(root, tmp_path / "out")


def test_every_fault_of_a_broken_dataset_is_named_at_once(whole, tmp_path):
    root = shutil.copytree(whole, tmp_path / "data")
    for name, faults in {"A": (missing_channel,), "B": (nan, truncated_target, no_noisy)}.items():
        for fault in faults:
            fault(root / "train" / name)
    not_an_exr(root / "test/C")
    another_size(root / "test/D")
    text = text_of(checked(root)).splitlines()
    for kind, file in (
        ("error [channel]", "train/A/frame-0001/noisy-1.exr"),
        ("error [pixels]", "train/B/frame-0004/target.exr"),
        ("error [unreadable]", "test/C/frame-0001/noisy-1.exr"),
        ("error [size]", "test/D/frame-0001/noisy-1.exr"),
        ("warning [nan]", "train/B/frame-0001/noisy-0.exr"),
        ("warning [skipped-frame]", "train/B/frame-0002"),
    ):
        (line,) = [line for line in text if line.startswith(f"{kind} {root / file}")]
        assert "; expected: " in line and "; fix: " in line
    assert text[-1].endswith("train.py and test.py would stop")


def test_the_command_line_prints_writes_and_exits(whole, tmp_path):
    done = run_script("check.py", whole, *SIZES, "--json", tmp_path / "found.json", "--sheet", tmp_path / "sheet.png")
    assert "normal  normal.R normal.G normal.B" in done.stdout and "no errors" in done.stdout
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["errors"] == 0 and set(found["parts"]) == {"train", "test"}
    values = found["parts"]["train"]["files"][str(whole / "train/A/frame-0000/noisy-0.exr")]["values"]
    assert values["depth"]["low"] == 2 and values["depth"]["high"] == 5
    assert found["parts"]["test"]["scenes"]["C"]["size"] == [24, 32]
    sheet = read_image(str(tmp_path / "sheet.png"))
    assert sheet.shape[1] == 4 * (144 + 16) and sheet.float().std() > 20


def test_errors_make_the_exit_code_and_a_path_that_is_not_there_one_line(whole, tmp_path, monkeypatch, capsys):
    root = shutil.copytree(whole, tmp_path / "data")
    not_an_exr(root / "test/C")
    for path, message in ((root, "1 error, "), (tmp_path / "nowhere", "nowhere: no such folder")):
        monkeypatch.setattr("sys.argv", ["check.py", str(path), *SIZES])
        with pytest.raises(SystemExit) as stop:
            script.main()
        assert stop.value.code == 1 or message in stop.value.code
        assert message in f"{capsys.readouterr().out}{stop.value.code}"


def test_ctrl_c_ends_it_with_one_line(whole, monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("checking.check_path.inspect", interrupt)
    monkeypatch.setattr("sys.argv", ["check.py", str(whole)])
    with pytest.raises(SystemExit) as stop:
        script.main()
    assert stop.value.code == 130 and capsys.readouterr().err.strip() == "check.py: interrupted; nothing was written"


def test_quick_decodes_the_first_middle_and_last_frame_only(whole, tmp_path):
    root = shutil.copytree(whole, tmp_path / "data")
    truncated_first(root / "test/C")  # the second frame
    assert checked(root, "--quick").errors == 0 and checked(root).errors == 1
    truncate(root / "test/C/frame-0005/target.exr")
    assert checked(root, "--quick").errors == 1


def test_plain_frames_with_the_names_of_blender(tmp_path):
    planes = np.random.default_rng(0).random((24, 32)).astype(np.float32)
    names = [f"ViewLayer.Noisy Image.{c}" for c in "RGBA"] + [f"ViewLayer.Combined.{c}" for c in "RGBA"]
    names += ["ViewLayer.Denoising Depth.Z", *(f"ViewLayer.Denoising Normal.{c}" for c in "XYZ")]
    names += [f"ViewLayer.Vector.{c}" for c in "XYZW"]
    for number in (1, 2, 4, 5):
        write_channels(tmp_path / f"shot_{number:04d}.exr", dict.fromkeys(names, planes))
    write_channels(tmp_path / "other-7.exr", {name: planes for name in names if "Depth" not in name})
    write_channels(tmp_path / "still.exr", dict.fromkeys(names, planes))
    report = checked(tmp_path)
    (part,) = report.parts
    assert [len(s.frames) for s in part.sequences if s.scene == "shot"] == [2, 2]
    assert report.contents["frames"][-1].channels["color"] == tuple(f"ViewLayer.Noisy Image.{c}" for c in "RGB")
    assert {(p.kind, p.file.name) for p in report.problems if p.kind in ("gap", "name", "channel")} == {
        ("gap", tmp_path.name),
        ("name", "still.exr"),
        ("channel", "other-7.exr"),
    }
    (gap,) = [p.found for p in report.problems if p.kind == "gap"]
    assert gap == "gap between shot_0002.exr and shot_0004.exr"
    assert "Vector.X ViewLayer.Vector.Y" in text_of(report) and report.stopped == {"test.py"}


def test_a_plain_frame_without_a_layer_that_the_first_one_has_is_an_error(tmp_path):
    plane = np.ones((24, 32), np.float32)
    names = ["R", "G", "B", "Z", "N.X", "N.Y", "N.Z", "albedo.R", "albedo.G", "albedo.B"]
    for number in range(2):
        write_channels(tmp_path / f"{number}.exr", dict.fromkeys(names[: 10 - 3 * number], plane))
    assert [(p.kind, p.file.name) for p in checked(tmp_path).problems if p.level == ERROR] == [("mixed", "1.exr")]


def test_plain_frames_of_several_view_layers_are_an_error(tmp_path):
    names = [f"{view}.{name}" for view in ("A", "B") for name in ("Combined.R", "Combined.G", "Combined.B", "Depth.Z")]
    names += [f"{view}.Normal.{c}" for view in ("A", "B") for c in "XYZ"]
    write_channels(tmp_path / "1.exr", dict.fromkeys(names, np.ones((24, 32), np.float32)))
    assert {p.kind for p in checked(tmp_path).problems if p.level == ERROR} == {"ambiguous"}


def test_a_scene_of_a_dataset_can_be_checked_alone(whole):
    report = checked(whole / "train" / "A")
    assert [part.name for part in report.parts] == ["test"] and report.errors == 0


def test_a_thousand_alike_warnings_are_a_few_lines_and_errors_are_not_hidden():
    warnings = [Problem("nan", Path(f"{s}/{n}"), "1 NaN", f"train/{s}") for s in range(100) for n in range(10)]
    lines = lines_of([*warnings, Problem("unreadable", Path("x"), "no EXR")])
    assert len(lines) == 22 and "and 80 more" in lines[20] and "9 more like it in train/0)" in lines[0]
    assert lines[-1].startswith("error [unreadable] x: no EXR; expected: an OpenEXR file; fix: ")


def test_every_kind_of_problem_and_every_channel_name_is_in_the_documents():
    text = (ROOT / "docs/data.md").read_text()
    for quantity in QUANTITIES.values():
        assert all(f"`{name}`" in text for name in (*quantity.layers, *map(" ".join, map(str.split, quantity.bare))))
    rows = {line.split("`")[1] for line in text.splitlines() if line.startswith("| `")}
    assert set(KINDS) <= rows
    assert all(kind.level in (ERROR, "warning") and kind.expected and kind.fix for kind in KINDS.values())


def test_nothing_is_written_where_no_frame_can_be_read(whole, tmp_path):
    root = shutil.copytree(whole / "test/C", tmp_path / "C")
    for file in root.rglob("*.exr"):
        file.write_text("")
    with pytest.raises(InputError, match=r"sheet.png: not written"):
        save_sheet(tmp_path / "sheet.png", checked(root).scenes)
    assert not (tmp_path / "sheet.png").exists()
