"""Pins that bad input ends in the right result or in one clear error that names the file.

Damaged EXR files are read in a process that may die (exr_mutants.py); the others in this one. Every case is seeded.
"""

import json
import random
import subprocess
import sys
from pathlib import Path

import exr_mutants
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import ROOT, make_scene, write_channels

from checking.checking_options import build_parser as check_parser
from checkpoints import load_checkpoint, load_denoiser, write_weights
from exporting.export_options import parse_options as parse_export
from files import InputError
from frames.channels import MOTION_INPUTS
from frames.exr import load_noisy, load_target
from frames.sequences import find_sequences
from inference.reconstruction_options import build_parser as parser_of_test
from rendering import rendering_options as render_options
from rendering.cameras import Camera, read_key_frames
from rendering.jobs import read_record
from training.training_options import build_parser as train_parser
from training.training_options import read_saved_options

GOLDEN = ROOT / "tests" / "data" / "golden" / "paper.safetensors"
CHUNK = 500  # cases for one process


def quietly(count: int) -> settings:
    """As many seeded examples, however long they take."""
    return settings(
        max_examples=count, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )


def is_clear(error: BaseException, path: Path) -> bool:
    """Whether an error is one of the project's, on one line that names the file."""
    return isinstance(error, InputError | OSError) and str(path) in str(error) and "\n" not in str(error)


def read_damaged(folder: Path, first: int, count: int) -> dict[int, str]:
    """The outcomes of exr_mutants.py, by case; a new process goes on after one that has died."""
    outcomes, last = {}, first + count
    while first < last:
        command = [sys.executable, exr_mutants.__file__, str(folder), str(first), str(last - first)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        cases = [json.loads(line) for line in done.stdout.splitlines()]
        assert cases, f"nothing was tried: exit {done.returncode}"
        outcomes |= {case["case"]: case.get("outcome", f"died: {done.returncode}") for case in cases}
        first = cases[-1]["case"] + 1
    return outcomes


def test_damaged_exr_files(cases, record, tmp_path):
    count, outcomes = cases(150, 12_000), {}
    for first in range(0, count, CHUNK):
        outcomes |= read_damaged(tmp_path, first, min(CHUNK, count - first))
    bad = {case: outcome for case, outcome in outcomes.items() if outcome not in ("right", "error")}
    assert not bad and len(outcomes) == count
    assert {"right", "error"} == set(outcomes.values())
    record("damaged EXR files", count, faults=count, survived=count - len(bad), losses=len(bad))


ODD = (0.0, 1.0, -1.0, np.nan, np.inf, -np.inf, 1e-45, 1e30, -1e30, 3e38, 65504.0, 65536.0, 1e9, 1e-6)
VALUES = st.lists(st.sampled_from(ODD) | st.floats(width=32), min_size=12, max_size=12)


def test_odd_values(cases, record, tmp_path):
    """Inputs are finite and fit into half floats; of targets, what is not finite is NaN and nothing else changes."""
    names = ("R", "G", "B", "depth.Z", "normal.R", "normal.G", "normal.B", "motion.X", "motion.Y")
    count = cases(60, 2_000)

    @quietly(count)
    @given(VALUES, st.integers(0, len(names)), st.sampled_from((np.float16, np.float32)))
    def tried(values, odd, kind):
        with np.errstate(all="ignore"):
            plane = np.array(values, np.float32).reshape(3, 4).astype(kind)
        channels = {name: plane if index >= odd else np.ones((3, 4), kind) for index, name in enumerate(names)}
        path = write_channels(tmp_path / "odd.exr", channels)
        planes, repairs = load_noisy(path, MOTION_INPUTS)
        assert np.isfinite(planes).all()
        assert np.array_equal(planes.astype(np.float16).astype(np.float32).shape, planes.shape)
        stored = np.stack([channels[name] for name in names[:3]]).astype(np.float32)
        assert repairs.invalid >= np.count_nonzero(~np.isfinite(stored))
        target, _ = load_target(path)
        finite = np.isfinite(stored)
        assert np.array_equal(target[finite], stored[finite].clip(0)) and np.isnan(target[~finite]).all()

    tried()
    record("odd values", count, faults=count, survived=count)


@pytest.mark.skipif(sys.platform == "win32", reason="names of bytes")
def test_odd_names(cases, record, tmp_path):
    """Frames under any names: scenes that are found hold whole frames of other numbers each."""
    part = st.binary(min_size=1, max_size=40) | st.sampled_from((b"frame-0", b"frame-00", b"frame-1", b"frame-2\n"))
    part |= st.text(max_size=30).map(lambda text: f"frame-{text}".encode(errors="replace"))
    part |= st.sampled_from(("frame-٣".encode(), b"frame-" + b"0" * 249, b"target.exr", b"\xff.exr"))
    names = part.map(lambda name: name.replace(b"/", b"-").replace(b"\0", b"0")).filter(
        lambda name: name.strip(b".") and len(name) <= 255
    )
    count, tries = cases(25, 1_000), iter(range(10**9))

    @quietly(count)
    @given(st.lists(names, min_size=1, max_size=5, unique=True))
    def tried(found):
        scene = tmp_path / str(next(tries)) / "A"
        for name in found:
            folder = Path(str(scene)) / name.decode(errors="surrogateescape")
            make_scene(folder.parent / "one", frames=1, size=(4, 4), noisy=1)
            (scene / "one" / "frame-0000").rename(folder)
        (scene / "loop").symlink_to(scene)
        try:
            sequences, _ = find_sequences(scene.parent, True)
        except (InputError, OSError) as error:
            assert str(scene.parent) in str(error)
            return
        numbers = [frame.number for sequence in sequences for frame in sequence.frames]
        assert len(set(numbers)) == len(numbers)

    tried()
    record("odd names", count, faults=count, survived=count)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
VECTOR = st.lists(st.floats() | st.integers(), min_size=2, max_size=4) | JSON
KEY_FRAME = st.fixed_dictionaries(
    {"origin": VECTOR, "target": VECTOR, "fov": st.floats() | JSON}, optional={"up": VECTOR}
)
CAMERA_FILE = st.lists(KEY_FRAME, max_size=3) | st.fixed_dictionaries({"keyframes": st.lists(KEY_FRAME) | JSON}) | JSON
RECORD = st.fixed_dictionaries({"cameras": JSON}, optional={"scene": JSON, "frames": JSON}) | JSON


@pytest.mark.parametrize("name", ["camera.json", "sequence.json"])
def test_odd_json(name, cases, record, tmp_path):
    count, path = cases(100, 2_000), tmp_path / name

    def check() -> None:
        try:
            if name == "camera.json":
                cameras = read_key_frames(path)
                assert all(isinstance(c, Camera) and np.isfinite([*c.origin, *c.axes().flat]).all() for c in cameras)
            else:
                assert isinstance(read_record(tmp_path)["cameras"], list)
        except InputError as error:
            assert is_clear(error, path)

    @quietly(count)
    @given(CAMERA_FILE if name == "camera.json" else RECORD)
    def tried(content):
        path.write_text(json.dumps(content))
        check()

    @quietly(count // 2)
    @given(st.binary(max_size=30) | st.just(b"[" * 100_000) | st.just(b'{"cameras": [' * 50_000))
    def tried_bytes(content):
        path.write_bytes(content)
        check()

    tried()
    tried_bytes()
    record(f"odd {name}", count + count // 2, faults=count + count // 2, survived=count + count // 2)


def odd_bytes(content: bytes, rng: random.Random) -> bytes:
    """The file with a few bytes changed, mostly at its begin, and perhaps cut short."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 2, 8, 64))):
        data[rng.randrange(min(len(data), rng.choice((8, 600, len(data)))))] = rng.randrange(256)
    return bytes(data[: rng.randrange(len(data))] if rng.random() < 0.2 else data)


@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors"])
def test_damaged_checkpoints(suffix, cases, record, tmp_path):
    whole, damaged = tmp_path / f"whole{suffix}", tmp_path / f"damaged{suffix}"
    if suffix == ".ckpt":
        torch.save(load_checkpoint(GOLDEN), whole)
    else:
        write_weights(load_checkpoint(GOLDEN), whole)
    content, count = whole.read_bytes(), cases(60, 1_500)
    for case in range(count):
        damaged.write_bytes(odd_bytes(content, random.Random(case)))
        for read in (load_denoiser, read_saved_options):
            try:
                read(damaged)
            except Exception as error:
                assert is_clear(error, damaged), f"case {case}"
    record(f"damaged {suffix} files", count, faults=count, survived=count)


@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors"])
def test_odd_options_of_checkpoints(suffix, cases, record, tmp_path):
    from safetensors.torch import save_file

    path, count = tmp_path / f"odd{suffix}", cases(40, 1_500)
    whole = load_checkpoint(GOLDEN)
    weights = {name: weight for name, weight in whole["state_dict"].items() if name.startswith("denoiser.")}
    numbers = st.lists(st.integers(-2, 9) | st.sampled_from((10**6, 10**12)), max_size=4) | JSON
    parts = {"channels": numbers} | {
        name: JSON for name in ("network", "radius", "finest_radius", "detail", "demodulate")
    }
    changed = st.fixed_dictionaries({}, optional=parts).map(whole["hyper_parameters"]["denoiser"].__or__) | JSON

    @quietly(count)
    @given(changed, st.sampled_from(("whole", "other", "none")))
    def tried(options, kept):
        tensors = {"whole": weights, "other": {"denoiser.x": torch.ones(2)}, "none": {}}[kept]
        if suffix == ".ckpt":
            torch.save({"hyper_parameters": {"denoiser": options}, "state_dict": tensors}, path)
        else:
            plain = {name.removeprefix("denoiser."): w.contiguous() for name, w in tensors.items()}
            save_file(plain, path, {"denoiser": json.dumps(options)})
        for read in (load_denoiser, read_saved_options):
            try:
                read(path)
            except Exception as error:
                assert is_clear(error, path)

    tried()
    record(f"odd options in {suffix} files", count, faults=count, survived=count)


PARSERS = {
    "train": lambda words: train_parser().parse_args(words),
    "test": lambda words: parser_of_test().parse_args(words),
    "check": lambda words: check_parser().parse_args(words),
    "render": render_options.parse,
    "export": parse_export,
}


@pytest.mark.parametrize("script", PARSERS)
def test_odd_command_lines(script, cases, record, capsys):
    """A command line is understood, or refused with exit code 2 or one of the project's errors."""
    flags = ("--seed", "--channels", "--frames", "--speed", "--start", "--name", "--scene", "--procedural", "--compare")
    flags += ("--max_depth", "--tile", "--write", "--precision", "--sequence_length", "--sheet", "--width", "--device")
    values = ("0", "-1", "1", "²", "٣", "nan", "inf", "-inf", "1e400", "9" * 5000, "", " ", "=", "a=", "../x", "x.onnx")
    word = st.sampled_from(flags + values) | st.text(max_size=8)
    count = cases(50, 1_000)

    @quietly(count)
    @given(st.lists(word, max_size=8))
    def tried(words):
        try:
            PARSERS[script](words)
        except InputError as error:
            assert str(error)
        except SystemExit as stop:
            assert stop.code == 2 or {"-h", "--help", "--version"} & set(words)

    tried()
    capsys.readouterr()
    record(f"odd command lines of {script}.py", count, faults=count, survived=count)
