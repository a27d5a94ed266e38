"""Pins that files, names and headers of strangers execute nothing, and nothing leaves the output folder."""

import ast
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
import torch
from support import ROOT, make_scene, run_script, write_channels

import export
from benchmarks.methods import network
from checkpoints import load_checkpoint, load_denoiser
from files import InputError
from frames.exr import load_target, read_header
from frames.exr_writing import replace_channels
from inference.datasets import run
from inference.reconstruction_options import build_parser
from rendering.rendering_options import parse
from training.fit import train
from training.training_options import parse_options

GOLDEN = ROOT / "tests" / "data" / "golden" / "paper.safetensors"
HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "$(touch x)",
    "`touch x`; touch x",
    "-rf",
    "..x",
    "a\nb",
    "\x1b[31m",
    "é" * 100,
)
LOADERS = {"pickle", "cloudpickle", "dill", "shelve", "marshal", "joblib", "yaml"}


def project_files() -> list[Path]:
    """All Python files but the tests."""
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split() if not name.startswith("tests/")]


def calls(tree: ast.Module) -> list[tuple[str, ast.Call]]:
    """Every call of a module, by its name as written."""
    return [(ast.unparse(node.func), node) for node in ast.walk(tree) if isinstance(node, ast.Call)]


def test_nothing_that_executes_what_it_reads():
    """No pickle, no YAML, no eval, no shell; torch.load with weights_only, Lightning too."""
    found = []
    for path in project_files():
        tree = ast.parse(path.read_text())
        imported = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
        imported |= {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        found += [f"{path}: imports {name}" for name in imported if name.partition(".")[0] in LOADERS]
        for name, call in calls(tree):
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
            safe = {
                "torch.load": given.get("weights_only") == "True",
                "trainer.fit": given.get("weights_only", "").startswith("True"),
                "np.load": given.get("allow_pickle", "False") == "False",
            }.get(name, name not in ("eval", "exec", "os.system", "os.popen", "torch.hub.load"))
            safe = safe and given.get("shell", "False") == "False" and not name.endswith("load_from_checkpoint")
            found += [] if safe else [f"{path}:{call.lineno}: {name}"]
    assert not found


class Touch:
    """Pickled, it makes a file when it is loaded."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def crafted(kind: str, folder: Path) -> Path:
    """A checkpoint that makes folder/touched if it is loaded without care."""
    path, harm = folder / "crafted.ckpt", Touch(folder / "touched")
    whole = load_checkpoint(GOLDEN)
    if kind == "in the options":
        torch.save(whole | {"hyper_parameters": harm}, path)
    elif kind == "beside the weights":
        torch.save(whole | {"extra": harm}, path)
    elif kind == "plain pickle":
        path.write_bytes(pickle.dumps(whole | {"extra": harm}))
    elif kind == "old format":
        torch.save(whole | {"extra": harm}, path, _use_new_zipfile_serialization=False)
    else:
        path = path.with_suffix(".safetensors")
        path.write_bytes(pickle.dumps(harm))
    return path


KINDS = ("in the options", "beside the weights", "plain pickle", "old format", "as released weights")


@pytest.mark.parametrize("kind", KINDS)
def test_a_crafted_checkpoint_executes_nothing(kind, small_dataset, tmp_path, monkeypatch, capsys, record):
    path = crafted(kind, tmp_path)

    def exported() -> None:
        monkeypatch.setattr(sys, "argv", ["export.py", str(path), str(tmp_path / "model.onnx")])
        export.main()

    loaders = [
        lambda: parse_options([str(small_dataset), "--checkpoint", str(path)]),  # train.py
        lambda: load_denoiser(path),  # test.py
        lambda: network(path),  # benchmarks
        exported,
    ]
    for load in loaders:
        with pytest.raises((SystemExit, InputError)) as stop:
            load()
        said = f"{stop.value}{capsys.readouterr().err}"
        assert str(path) in said and "Traceback" not in said
    assert {p.name for p in tmp_path.iterdir()} == {"dataset", path.name}
    record(f"crafted checkpoint, {kind}", len(loaders), len(loaders), len(loaders))


def test_a_crafted_checkpoint_ends_a_script_in_one_line(small_dataset, tmp_path):
    path = crafted("in the options", tmp_path)
    done = run_script("test.py", path, small_dataset, "--output_dir", tmp_path / "out", check=False)
    assert done.returncode == 1 and done.stderr.startswith(f"test.py: {path}: not a readable checkpoint")
    assert done.stderr.count("\n") == 1 and not (tmp_path / "touched").exists() and not (tmp_path / "out").exists()


@pytest.mark.parametrize("damage", ["none", "empty", "cut", "no optimizer", "other shape"])
def test_a_checkpoint_that_cannot_be_resumed_says_so(damage, small_dataset, tmp_path, capsys):
    path, whole = tmp_path / "last.ckpt", load_checkpoint(GOLDEN)
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "cut":
        torch.save(whole, path)
        path.write_bytes(path.read_bytes()[:-5000])
    elif damage == "no optimizer":
        torch.save(whole, path)
    elif damage == "other shape":
        whole["hyper_parameters"]["denoiser"]["channels"] = [5, 6]
        torch.save(whole, path)
    with pytest.raises((SystemExit, InputError, OSError)) as stop:
        if damage == "other shape":
            load_denoiser(path)
        train(parse_options([str(small_dataset), "--checkpoint", str(path), "--log_dir", str(tmp_path / "runs")]), [])
    said = f"{stop.value}{capsys.readouterr().err}"
    assert str(path) in said and "Traceback" not in said and not (tmp_path / "runs").exists()


def test_hostile_names_stay_in_the_output_folder(tmp_path, monkeypatch, record):
    """Scenes and shots under names that a shell, a terminal or a page would act upon."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for name in HOSTILE:
        make_scene(tmp_path / "data" / "test" / name, frames=1, size=(16, 16), noisy=1)
    (tmp_path / "data" / "test" / "linked").symlink_to(tmp_path / "data" / "test" / HOSTILE[0])
    before = {path for path in tmp_path.rglob("*") if tmp_path / "out" not in path.parents}
    options = ["x", tmp_path / "data", "--output_dir", tmp_path / "out", "--device", "cpu", "--report"]
    run(load_denoiser(GOLDEN), build_parser().parse_args([str(word) for word in options]))
    scenes = {path.name for path in (tmp_path / "out").iterdir() if path.is_dir()}
    assert scenes == {*HOSTILE, "linked", "report"}
    after = {path for path in tmp_path.rglob("*") if tmp_path / "out" not in path.parents}
    assert after - before == {tmp_path / "out"}

    # names reach the page as data only
    page, data = tmp_path / "out" / "report", (tmp_path / "out" / "report" / "data" / "report.js").read_text()
    assert "onerror" not in (page / "index.html").read_text()
    shown = json.loads(data.partition("const scenes = ")[2].partition(";\n")[0])
    assert {scene["name"] for scene in shown} == {*HOSTILE, "linked"}
    record("hostile names", len(HOSTILE) + 1, len(HOSTILE) + 1, len(HOSTILE) + 1)


@pytest.mark.parametrize("name", ["../x", "/tmp/x", "..", ".x", "a/b", "x/"])
def test_a_sequence_is_rendered_into_the_dataset_only(name, tmp_path):
    (tmp_path / "scene.xml").write_text("<scene/>")
    with pytest.raises(InputError, match="expected a plain folder name"):
        parse([str(tmp_path / "data"), "--scene", str(tmp_path / "scene.xml"), "--name", name])


def test_text_that_is_not_utf8_is_read_and_kept(tmp_path):
    path = write_channels(tmp_path / "a.exr", {c: np.ones((3, 4), np.float16) for c in "RGB"}, owner="Jose")
    path.write_bytes(path.read_bytes().replace(b"Jose", b"Jos\xe9"))
    assert read_header(path).channels == ("B", "G", "R")
    assert load_target(path)[0].min() == 1
    replace_channels(path, tmp_path / "b.exr", {"R": np.zeros((3, 4))})
    copy = OpenEXR.File(str(tmp_path / "b.exr"))
    assert copy.header()["owner"] == "José" and load_target(tmp_path / "b.exr")[0][0].max() == 0


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names of bytes")
def test_files_whose_names_are_not_utf8_are_read_and_written(tmp_path):
    names = [os.fsdecode(b"\xff\n1.exr"), "n" * 250 + "1.exr"]
    for name in names:
        path = write_channels(tmp_path / "a.exr", {c: np.ones((3, 4), np.float16) for c in "RGB"})
        path = path.rename(tmp_path / name)
        (tmp_path / "out").mkdir(exist_ok=True)
        replace_channels(path, tmp_path / "out" / name, {"R": np.zeros((3, 4))})
        assert load_target(tmp_path / "out" / name)[0][0].max() == 0
