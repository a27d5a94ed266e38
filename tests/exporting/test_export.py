"""Pins export.py: the file gives PyTorch's images at any size, whatever a frame lacks, or is not written; and that a
program without this project gets the images of test.py --direction forward from it."""

import inspect
import json
import shutil
import subprocess
import sys
from argparse import Namespace

import numpy as np
import pytest
import torch
from support import REAL_DATASET, ROOT, make_scene, needs_real_dataset, run_script

import export
from checkpoints import write_weights
from exporting import export_network as exporting
from exporting.check import denoise_by, largest_difference, made_up_frames
from exporting.export_network import run
from exporting.export_options import TOLERANCES
from exporting.formats import OPEN_SIZES, read_step
from exporting.step import NamedStep
from files import InputError
from frames.channels import MOTION_INPUTS, first_channel
from frames.exr import read_exr
from networks.filtering import FilteringDenoiser
from networks.paper import PaperDenoiser

onnxruntime = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")


def filtering(detail=None):
    """A small denoiser whose kernels, gates and gains differ from pixel to pixel."""
    torch.manual_seed(0)
    denoiser = FilteringDenoiser((8, 12), radius=1, detail=detail).eval().requires_grad_(False)
    for head in (*denoiser.heads, denoiser.finest):
        torch.nn.init.normal_(head.weight, std=0.2)
    for weight in denoiser.detail.parameters() if detail else ():
        weight.mul_(0.8)  # else images come near the largest half float
    return denoiser


def paper(demodulate=False):
    torch.manual_seed(0)
    return PaperDenoiser((8, 12), demodulate).eval().requires_grad_(False)


def options(output, precision="float"):
    return Namespace(output=output, precision=precision, frames=None)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A filtering denoiser with a detail stage, its released weights, and its ONNX file, made by the command line."""
    folder = tmp_path_factory.mktemp("exported")
    denoiser = filtering("small")
    weights = {f"denoiser.{name}": weight for name, weight in denoiser.state_dict().items()}
    checkpoint = {"hyper_parameters": {"denoiser": denoiser.options}, "state_dict": weights}
    write_weights(checkpoint, folder / "small.safetensors")
    denoiser.load_state_dict({name: weight.half().float() for name, weight in denoiser.state_dict().items()})
    done = run_script("export.py", folder / "small.safetensors", folder / "small.onnx")
    assert "differ from PyTorch's by at most" in done.stdout and "Warning" not in done.stderr
    return denoiser, folder / "small.safetensors", folder / "small.onnx"


@pytest.mark.parametrize("size", [(1, 1), (33, 31), (64, 128)])
def test_any_frame_size(exported, size):
    denoiser, _, path = exported
    assert largest_difference(NamedStep(denoiser), read_step(path), made_up_frames(MOTION_INPUTS, size)) <= 1e-3


def test_nan_and_inf_count_as_zero(exported):
    denoiser, _, path = exported
    clean = made_up_frames(MOTION_INPUTS, (32, 40))
    for frame in clean:
        frame[:4, 3, 5] = 0
    broken = [frame.clone() for frame in clean]
    for frame in broken:
        frame[:3, 3, 5], frame[3, 3, 5] = torch.tensor([np.nan, np.inf, -np.inf]), 1e10
    step, session = NamedStep(denoiser), read_step(path)
    for a, b in zip(denoise_by(step, session, clean), denoise_by(step, session, broken), strict=True):
        assert np.array_equal(a, b)


def test_the_check_sees_motion_the_second_look_and_a_state_of_another_size(exported):
    """That the comparison can fail: each change of what the file is given changes its images."""
    denoiser, _, path = exported
    step, session = NamedStep(denoiser), read_step(path)
    frames = made_up_frames(MOTION_INPUTS, (45, 70))
    first = first_channel(MOTION_INPUTS, "motion")

    def moved(inputs):
        return session(inputs | {"motion": inputs["motion"] * 0})

    def once(inputs):
        return session(inputs | {"second_look": np.array(False)})

    assert (frames[0][first] == 1.5).all() and (frames[1][first] > 1e4).all()
    for changed in (moved, once):
        assert largest_difference(step, changed, frames) > 1e-2
    with pytest.raises(Exception, match="ONNXRuntimeError"):
        state = {name: part.numpy() for name, part in step.first_state(45, 130).items()}
        inputs = {n: frames[0][None, :1].numpy() for n in step.input_names}
        session(inputs | {"second_look": np.array(False)} | state)


def test_what_a_program_has_to_know_is_in_the_file(exported):
    _, _, path = exported
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    texts = session.get_modelmeta().custom_metadata_map
    frame, state = json.loads(texts["frame"]), json.loads(texts["state"])
    names = [*MOTION_INPUTS, "second_look", *state]
    assert [i.name for i in session.get_inputs()] == names
    assert [o.name for o in session.get_outputs()] == ["image", *(f"next_{name}" for name in state)]
    for name, quantity in frame.items():
        assert session.get_inputs()[names.index(name)].shape == [1, len(quantity["channels"]), "height", "width"]
    assert frame["motion"]["channels"] == ["motion.X", "motion.Y"] and "x right, y down" in frame["motion"]["unit"]
    counts = {"previous": 3, "samples": 7, "brightness": 1, "surface": 7, "output": 3}
    for name, count in counts.items():
        assert state[name] == {"channels": count, "stride": 1, "multiple": 32, "type": "float32"}
    assert "second_look true" in texts["first_frame"] and texts["precision"] == "float"


@pytest.mark.parametrize("denoiser", [paper(), paper(demodulate=True)], ids=["radiance", "divided by albedo"])
def test_the_papers_network(denoiser, tmp_path):
    assert run(denoiser, options(tmp_path / "a.onnx")) <= TOLERANCES["float"]
    names = [i.name for i in onnx.load(tmp_path / "a.onnx").graph.input]
    assert names == [*denoiser.inputs, "hidden_0", "hidden_1", "scale"]


def test_half_precision(tmp_path):
    denoiser = filtering()
    assert 1e-6 < run(denoiser, options(tmp_path / "a.onnx", "half")) <= TOLERANCES["half"]
    types = {i.name: i.type.tensor_type.elem_type for i in onnx.load(tmp_path / "a.onnx").graph.input}
    assert types["hidden_0"] == onnx.TensorProto.FLOAT16 and types["samples"] == onnx.TensorProto.FLOAT


def test_torch_export(tmp_path):
    denoiser = paper(demodulate=True)
    if OPEN_SIZES not in inspect.signature(torch.export.export).parameters:
        with pytest.raises(InputError, match=r"is too old for .pt2; install a newer one, or write .onnx"):
            run(denoiser, options(tmp_path / "a.pt2"))
        pytest.skip("needs a newer PyTorch")
    assert run(denoiser, options(tmp_path / "a.pt2")) <= TOLERANCES["float"]
    extra = {"about": ""}
    torch.export.load(tmp_path / "a.pt2", extra_files=extra)
    assert json.loads(extra["about"])["precision"] == "float"


def test_a_file_that_differs_is_not_left(tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "largest_difference", lambda *_: float("nan"))
    with pytest.raises(
        InputError, match=r"a.onnx: not written: on made-up frames of 70x45, .*above the tolerance of 1e-03"
    ):
        run(paper(), options(tmp_path / "a.onnx"))
    assert not list(tmp_path.iterdir())


def test_errors_are_one_line(exported, tmp_path, monkeypatch):
    _, weights, _ = exported
    (tmp_path / "empty").mkdir()
    cases = [
        ((tmp_path / "none.ckpt", tmp_path / "a.onnx"), "none.ckpt: no such checkpoint"),
        ((weights, tmp_path / "a.pth"), "a.pth: the file's ending says what to write; use .onnx or .pt2"),
        ((weights, tmp_path / "a.onnx", "--frames", tmp_path / "empty"), "empty: no scenes in it"),
        ((weights, tmp_path / "a.onnx"), "pip install onnx onnxruntime"),
    ]
    monkeypatch.setitem(sys.modules, "onnx", None)  # as if it were not installed
    for arguments, message in cases:
        monkeypatch.setattr(sys, "argv", ["export.py", *map(str, arguments)])
        with pytest.raises(SystemExit, match=message):
            export.main()
        assert not list(tmp_path.glob("*a.*"))


def assert_same_as_test_py(weights, model, scene, folder):
    """Runs the example and test.py on a scene, and compares their EXR files frame by frame."""
    example = [sys.executable, "-I", ROOT / "examples/denoise_onnx.py", model, scene, folder / "onnx"]
    subprocess.run(example, check=True, cwd=folder, timeout=500)
    given = ["--output_dir", folder / "torch", "--precision", "float32", "--score", "off", "--write", "exr"]
    run_script(
        "test.py", weights, scene, "--direction", "forward", "--brightness", "off", "--silhouettes", "off", *given
    )
    frames = sorted(path.name for path in scene.iterdir())
    assert sorted(path.stem for path in (folder / "onnx").iterdir()) == frames
    for name in frames:
        found, expected = (
            read_exr(folder / kind / f"{name}.exr", ("color",))["color"] for kind in ("onnx", f"torch/{scene.name}")
        )
        assert np.allclose(found, expected, rtol=1e-3, atol=1e-5 * expected.max())


def test_the_example_gives_what_test_py_gives(exported, tmp_path):
    _, weights, model = exported
    scene = make_scene(tmp_path / "A", frames=3, noisy=1, start=9998)  # whose names are in another order as text
    assert_same_as_test_py(weights, model, scene, tmp_path)


@needs_real_dataset
def test_the_example_on_real_frames(exported, tmp_path):
    _, weights, model = exported
    for number in range(3):
        name = f"dining-room/frame-{number:04d}"
        shutil.copytree(REAL_DATASET / "test" / name, tmp_path / name)
    assert_same_as_test_py(weights, model, tmp_path / "dining-room", tmp_path)


def test_the_example_needs_nothing_of_this_project():
    source = (ROOT / "examples/denoise_onnx.py").read_text().splitlines()
    imports = {line.split()[1] for line in source if line.startswith(("import ", "from "))}
    assert imports == {"json", "re", "sys", "pathlib", "numpy", "onnxruntime", "OpenEXR"}
