"""Pins the report's files: the pictures' bits, the numbers, other methods, and what happens without targets or FLIP."""

import json
import re
import shutil
import zlib
from base64 import b64decode

import numpy as np
import pytest
from support import ROOT, make_scene, run_script, write_channels

from checkpoints import load_denoiser
from frames.exr import load_noisy, load_target, read_exr
from inference import datasets
from inference import report as report_files
from inference.reconstruction_options import build_parser
from scoring import flip

CHECKPOINT = ROOT / "tests" / "data" / "golden" / "paper.safetensors"
needs_flip = pytest.mark.skipif(not flip.INSTALLED, reason="flip-evaluator is not installed")


def report(path, output, *more):
    """Runs test.py's work with --report in this process; returns what metrics.json holds."""
    given = [CHECKPOINT, path, "--output_dir", output, "--precision", "float32", "--report", *more]
    options = build_parser().parse_args([str(argument) for argument in given])
    return datasets.run(load_denoiser(options.checkpoint), options)


def read_picture(script, shape):
    """The half floats that a picture's script hands to the page."""
    key, content = re.fullmatch(r'receive\("(.*?)", "(.*?)"\);\n', script.read_text()).groups()
    assert script.name == key.rpartition("/")[2] + ".js"
    upper, lower = np.frombuffer(zlib.decompress(b64decode(content)), np.uint8).reshape(2, *shape).astype(np.uint16)
    return (upper << 8 | lower).view(np.float16)


def page_data(folder):
    """The metrics and the scenes in a report's data."""
    lines = (folder / "report" / "data" / "report.js").read_text().splitlines()
    return [
        json.loads(line.removeprefix(f"const {name} = ")[:-1])
        for name, line in zip(("metrics", "scenes", "METRICS"), lines, strict=True)
    ][:2]


def targets_as_results(scene, folder):
    """The targets of a scene, as if a method had found them."""
    for frame in sorted(scene.iterdir()):
        (folder / scene.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(frame / "target.exr", folder / scene.name / f"{frame.name}.exr")
    return folder


@needs_flip
def test_pictures_are_the_files_and_numbers_are_those_of_the_metrics(tmp_path):
    scene = make_scene(tmp_path / "test" / "A", frames=3, size=(7, 9))
    perfect = targets_as_results(scene, tmp_path / "perfect")
    metrics = report(tmp_path, tmp_path / "out", "--compare", f"perfect={perfect}")

    pictures = tmp_path / "out" / "report" / "data" / "0"
    assert len(list(pictures.iterdir())) == 3 * (4 + 3)
    frame = scene / "frame-0001"
    written = read_exr(tmp_path / "out" / "A" / "frame-0001.exr", ("color",))["color"]
    for place, expected in enumerate((load_noisy(frame / "noisy-0.exr", ("color",))[0], written)):
        assert np.array_equal(read_picture(pictures / f"1-{place}.js", (3, 7, 9)), expected.astype(np.float16))
    for place in (2, 3):  # the perfect method, and the target
        assert np.array_equal(read_picture(pictures / f"1-{place}.js", (3, 7, 9)), load_target(frame / "target.exr")[0])
    assert not read_picture(pictures / "1-flip-2.js", (1, 7, 9)).any()

    assert metrics["scenes"]["A"]["perfect"]["psnr"] == 100 and metrics["scenes"]["A"]["perfect"]["flip"] == 0
    errors = read_picture(pictures / "1-flip-1.js", (1, 7, 9))
    assert metrics["frames"]["A"]["denoised"][0][1]["flip"] == pytest.approx(errors.mean(dtype=float), rel=1e-3)
    found, (page,) = page_data(tmp_path / "out")
    assert found == metrics == json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert page["methods"] == ["noisy", "denoised", "perfect"] and [f["number"] for f in page["frames"]] == [0, 1, 2]


def test_the_report_leaves_the_other_numbers_as_they_are(tmp_path):
    make_scene(tmp_path / "A", frames=6, size=(16, 16))
    with_report = report(tmp_path / "A", tmp_path / "out")
    given = [str(a) for a in (CHECKPOINT, tmp_path / "A", "--output_dir", tmp_path / "plain", "--precision", "float32")]
    plain = datasets.run(load_denoiser(CHECKPOINT), build_parser().parse_args(given))
    for kind, values in plain["after_warm_up"]["mean"].items():
        assert values == {name: with_report["after_warm_up"]["mean"][kind][name] for name in values}
    assert "flip" not in plain["mean"]["denoised"] and "frames" not in plain
    assert not (tmp_path / "plain" / "report").exists()


def test_names_are_data_and_never_part_of_the_page(tmp_path):
    """Where there is a browser, test_report_page.py pins that the page shows them as text."""
    hostile = "<img src=x onerror=alert(1)> \"'`${1}`\u2028\n;&"
    make_scene(tmp_path / "test" / hostile, frames=1, size=(8, 8), noisy=1)
    report(tmp_path, tmp_path / "out")
    folder = tmp_path / "out" / "report"
    assert page_data(tmp_path / "out")[1][0]["name"] == hostile
    own = {path.relative_to(report_files.PAGE) for path in report_files.PAGE.rglob("*") if path.is_file()}
    written = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    assert all(path.parts[0] == "data" for path in written - own)
    assert all((folder / path).read_bytes() == (report_files.PAGE / path).read_bytes() for path in own)
    scripts = [path.read_text() for path in report_files.PAGE.glob("*.*")]
    assert not any(word in text for text in scripts for word in ("innerHTML", "insertAdjacentHTML", "document.write"))


def test_frames_without_targets_and_without_flip(tmp_path, monkeypatch, capsys):
    for name in ("A", "B"):
        make_scene(tmp_path / "test" / name, frames=4, size=(8, 8), target=name == "A")
    shutil.rmtree(tmp_path / "test" / "A" / "frame-0001")
    (tmp_path / "test" / "A" / "frame-0002" / "target.exr").unlink()
    monkeypatch.setattr(flip, "INSTALLED", False)
    metrics = report(tmp_path, tmp_path / "out")
    assert "pip install flip-evaluator" in capsys.readouterr().err and "flip" not in metrics["mean"]["noisy"]
    _, (some, none) = page_data(tmp_path / "out")
    assert [f["target"] for f in some["frames"]] == [True, False, True]
    assert [(f["sequence"], f["index"], f["name"]) for f in some["frames"]][1:] == [
        (1, 0, "frame-0002"),
        (1, 1, "frame-0003"),
    ]
    assert not any(f["target"] for f in none["frames"])
    names = sorted(p.name for p in (tmp_path / "out" / "report" / "data" / "0").iterdir())
    assert names == ["0-0.js", "0-1.js", "0-2.js", "1-0.js", "1-1.js", "2-0.js", "2-1.js", "2-2.js"]


def test_invalid_values_of_targets_and_other_methods(tmp_path, capsys):
    scene = make_scene(tmp_path / "A", frames=1, size=(8, 8))
    other = targets_as_results(scene, tmp_path / "other")
    bad = np.full((8, 8), 0.5, np.float16)
    bad[2, 3] = np.nan
    for path in (other / "A" / "frame-0000.exr", scene / "frame-0000" / "target.exr"):
        write_channels(path, dict.fromkeys("RGB", bad))
    metrics = report(scene, tmp_path / "out", "--compare", f"other={other}")
    assert capsys.readouterr().err.count("3 NaN or Inf values") == 1
    assert metrics["mean"]["other"]["psnr"] == 100 and metrics["mean"]["other"].get("flip", 0) == 0


def test_a_report_replaces_a_report_and_nothing_else(tmp_path):
    make_scene(tmp_path / "A", frames=2, size=(8, 8), noisy=1)
    report(tmp_path / "A", tmp_path / "out")
    shutil.rmtree(tmp_path / "A" / "frame-0001")
    report(tmp_path / "A", tmp_path / "out")
    assert not list((tmp_path / "out" / "report" / "data" / "0").glob("1-*"))
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["A", "metrics.json", "report"]
    own = tmp_path / "mine" / "report" / "thesis.txt"
    own.parent.mkdir(parents=True)
    own.write_text("years of work")
    with pytest.raises(ValueError, match=r"report: not a report of test.py; move it away"):
        report(tmp_path / "A", tmp_path / "mine")
    assert own.read_text() == "years of work" and not (tmp_path / "mine" / "A").exists()


def test_a_full_disk_leaves_the_earlier_report(tmp_path, monkeypatch):
    make_scene(tmp_path / "A", frames=1, size=(8, 8), noisy=1)
    report(tmp_path / "A", tmp_path / "out")
    before = page_data(tmp_path / "out")

    def full(path, *_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("inference.report.Path.write_text", full)
    monkeypatch.setattr(datasets, "save_metrics", lambda *_: None)  # it writes text too
    with pytest.raises(OSError, match=r"0/0-0.js: not written \(.*No space left on device\); free some space"):
        report(tmp_path / "A", tmp_path / "out")
    monkeypatch.undo()
    assert page_data(tmp_path / "out") == before
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["A", "metrics.json", "report"]


def test_errors_come_before_the_work_and_name_their_culprit(tmp_path):
    scene = make_scene(tmp_path / "A", frames=2, size=(8, 8), noisy=1)
    other = targets_as_results(scene, tmp_path / "other")
    (other / "A" / "frame-0001.exr").unlink()
    small = targets_as_results(make_scene(tmp_path / "small" / "A", frames=2, size=(4, 8)), tmp_path / "smaller")
    broken = targets_as_results(scene, tmp_path / "broken")
    (broken / "A" / "frame-0000.exr").write_bytes(b"no picture")
    cases = [
        ([f"oidn={other}"], r"frame-0001.exr: no such file; --compare oidn=DIR needs DIR/<Scene>/frame-0000.exr"),
        ([f"oidn={small}"], r"frame-0000.exr: 8x4, but the scene is 8x8; render oidn at that size"),
        ([f"oidn={broken}"], r"frame-0000.exr: not a readable EXR file"),
        ([f"a={broken}", f"a={other}"], r"a name is given twice \(a, a\)"),
    ]
    for folders, message in cases:
        with pytest.raises(ValueError, match=message):
            report(scene, tmp_path / "out", *(word for folder in folders for word in ("--compare", folder)))
    with pytest.raises(ValueError, match="add exr to --write png"):
        report(scene, tmp_path / "out", "--write", "png")
    with pytest.raises(ValueError, match="Report: --report writes to a folder of this name; rename the scene"):
        report(make_scene(tmp_path / "Report", frames=1, size=(8, 8)), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    for argument, message in (("target=x", "a picture named target already"), ("x", "expected NAME=DIR")):
        done = run_script("test.py", CHECKPOINT, scene, "--compare", argument, check=False)
        assert done.returncode == 2 and message in done.stderr
    done = run_script("test.py", CHECKPOINT, scene, "--compare", f"oidn={other}", check=False, cwd=tmp_path)
    assert done.returncode == 1 and done.stderr == "test.py: --compare is for the report; add --report\n"
