"""Pins test.py's output folder: videos of scenes with two sizes, and results of this run apart from those of others."""

import json
import shutil

import av
import numpy as np
from support import ROOT, make_scene

from checkpoints import load_denoiser
from inference import datasets
from inference.reconstruction_options import build_parser

CHECKPOINT = ROOT / "weights" / "fast.safetensors"


def reconstruct(path, output, *more):
    """Runs test.py's work in this process; returns what metrics.json holds."""
    given = [CHECKPOINT, path, "--output_dir", output, "--precision", "float32", "--direction", "forward", *more]
    options = build_parser().parse_args([str(argument) for argument in given])
    return datasets.run(load_denoiser(options.checkpoint), options)


def test_sequences_of_two_sizes_are_not_distorted(tmp_path):
    make_scene(tmp_path / "A", frames=2, size=(16, 24), noisy=1)
    make_scene(tmp_path / "A", frames=2, size=(32, 40), noisy=1, start=5)
    reconstruct(tmp_path / "A", tmp_path / "out")
    with av.open(str(tmp_path / "out" / "A" / "animation.mp4")) as container:
        frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]
    assert [frame.shape for frame in frames] == [(32, 3 * 40 + 2 * 4, 3)] * 4
    for left in (0, 44, 88):  # noisy, reconstruction, target: each small one in the middle of black
        small, large = (frame[:, left : left + 40] for frame in (frames[0], frames[2]))
        middle = small[8:24, 8:32]
        assert middle.mean() > 40 and large[2:, 2:-2].mean() > 40
        assert small.sum() - middle.sum() < 0.05 * middle.sum()
        assert max(np.abs(small[:6]).max(), np.abs(small[26:]).max()) < 20


def test_results_of_earlier_runs_are_named_and_stay(tmp_path, capsys):
    for name in "ABC":
        make_scene(tmp_path / "scenes" / name, frames=3, size=(12, 12), noisy=1)
    out = tmp_path / "out"
    reconstruct(tmp_path / "scenes", out, "--report")
    (out / "thoughts").mkdir()
    (out / "thoughts" / "notes.txt").write_text("mine")
    reconstruct(tmp_path / "scenes", out, "--report")
    assert "earlier" not in capsys.readouterr().err  # all is replaced

    # fewer scenes, frames and kinds of files
    before = {path for path in out.rglob("*") if path.is_file()}
    shutil.rmtree(tmp_path / "scenes" / "B" / "frame-0002")
    metrics = reconstruct(tmp_path / "scenes" / "B", out, "--write", "exr", "png")
    line = f"{out}: has results of an earlier run, which stay: A, B/animation.mp4 and 2 more, C, report\n"
    assert line in capsys.readouterr().err
    assert before == {path for path in out.rglob("*") if path.is_file()}
    assert list(metrics["scenes"]) == ["B"] and metrics == json.loads((out / "metrics.json").read_text())


def test_the_report_holds_this_run_only(tmp_path):
    for name in "AB":
        make_scene(tmp_path / "scenes" / name, frames=2, size=(12, 12), noisy=1)
    reconstruct(tmp_path / "scenes", tmp_path / "out", "--report")
    metrics = reconstruct(tmp_path / "scenes" / "B", tmp_path / "out", "--report")
    assert list(metrics["scenes"]) == list(metrics["frames"]) == ["B"]
    data = tmp_path / "out" / "report" / "data"
    assert [folder.name for folder in data.iterdir() if folder.is_dir()] == ["0"]
    assert '"name": "A"' not in (data / "report.js").read_text()
