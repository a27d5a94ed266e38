"""Runs the demo and the benchmarks once, tiny, by their command lines."""

import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from itertools import pairwise

import pytest
from support import QUICK, ROOT, make_scene, run_script

TINY = "--frames 5 --width 32 --height 24 --noisy 1 --target_spp 2 --variant scalar_rgb --workers 1"


def test_the_demo_from_nothing_to_pictures_and_again(tmp_path):
    pytest.importorskip("mitsuba")
    shutil.copytree(
        ROOT, tmp_path / "clone", ignore=shutil.ignore_patterns(".*", "data-*", "runs*", "reconstructions*")
    )
    tmp_path /= "clone"
    training = "--max_epochs 1 --channels 8 10 --crop_size 16 --sequence_length 2 --num_workers 0 --samples_per_epoch 4"
    scene = f"--scene benchmarks/scenes/cornell/scene.xml --split test {TINY}"
    settings = [
        f"VENV={sys.prefix}",
        f"DEMO_SCENE={scene}",
        f"DEMO_ROOMS=--seed 7 {TINY}",
        f"DEMO_TRAINING={training} --log_dir runs-demo",
    ]
    command = ["make", "-o", f"{sys.prefix}/installed", "-o", "llvm", "demo", *settings]
    for _ in range(2):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=500)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "psnr" in done.stdout and "room-7-0000" in done.stdout and "tensorboard --logdir runs-demo" in done.stdout
    assert len(list((tmp_path / "data-demo" / "rooms" / "train").iterdir())) >= 2
    for name in ("strip.png", "animation.mp4"):
        for scene in ("first/cornell", "trained/room-7-0000", "released/room-7-0000"):
            assert (tmp_path / "reconstructions-demo" / scene / name).stat().st_size > 0
    assert [p.name for p in (tmp_path / "runs-demo").iterdir()] == ["version_0"], "the second time resumed the first"


def test_the_rendering_benchmark_prints_a_ratio():
    pytest.importorskip("mitsuba")
    done = run_script("-m", "benchmarks.rendering", "--procedural", "1", *TINY.split())
    result = json.loads(done.stdout.splitlines()[-1])
    bare, ours = result["rows"]
    assert ours["ratio"] == pytest.approx(ours["s per frame"] / bare["s per frame"])
    assert result["variant"] == "scalar_rgb"


def test_packing_keeps_what_rendering_needs_and_nothing_else(tmp_path):
    inside = ["mitsuba/plugins/path.so", "mitsuba/plugins/ptracer.so", "mitsuba/scalar_rgb.cpython-312.so"]
    inside += ["mitsuba/cuda_ad_spectral.cpython-312.so", "mitsuba/libmitsuba.so", "mitsuba/include/a.h"]
    with zipfile.ZipFile(tmp_path / "mitsuba-3-any.whl", "w") as wheel:
        for name in inside:
            wheel.writestr(name, name)
    with zipfile.ZipFile(tmp_path / "other-1-any.whl", "w") as wheel:
        wheel.writestr("other/include/kept.h", "x")
    run_script("-m", "benchmarks.pack_mitsuba", tmp_path, tmp_path / "out.tar.xz")
    with tarfile.open(tmp_path / "out.tar.xz") as archive:
        names = sorted(archive.getnames())
    kept = [
        "mitsuba/libmitsuba.so",
        "mitsuba/plugins/path.so",
        "mitsuba/scalar_rgb.cpython-312.so",
        "other/include/kept.h",
    ]
    assert names == [f"packed/{name}" for name in kept]


def test_the_reconstruction_benchmark_prints_ratios():
    rows = ["paper float32 plain", "default float32", "fast float32"]
    done = run_script(
        "-m", "benchmarks.reconstruction", "--sizes", "64x48", "--rounds", 1, "--repeat", 1, "--only", *rows
    )
    result = json.loads(done.stdout.splitlines()[-1])
    assert {row["64x48"] for row in result["rows"]} == set(rows)
    paper, _, fast = sorted(result["rows"], key=lambda row: -row["GFLOP"])
    # padded to 64x64; of what its decoders enlarge, four ninths of the products are computed
    widths = [32, 43, 57, 76, 101, 101]
    pairs = enumerate(pairwise(widths))
    spared = 5 / 9 * sum(2 * 9 * fine * coarse * (64 >> level) ** 2 for level, (fine, coarse) in pairs) / 1e9
    assert paper["GFLOP"] == pytest.approx(2.42 * 64 * 64 / 720 / 1280 * 100 - spared, rel=0.05)
    assert fast["ms"] > 0 and fast["MiB"] > 50 and fast["GFLOP"] > 0


def test_the_training_benchmark_prints_ratios(small_dataset):
    quick = [*QUICK, "--samples_per_epoch", 4, "--seconds", 0.5, "--steps", 1]
    done = run_script("-m", "benchmarks.training", small_dataset, *quick)
    rows = {row[""]: row for row in json.loads(done.stdout.splitlines()[-1])["rows"]}
    for name in ("loader", "step", "epoch"):
        assert rows[name]["ratio"] == pytest.approx(rows[name]["ours"] / rows[name]["plain"])


def test_the_ablations_change_what_they_name_and_are_trained_once(small_dataset, tmp_path):
    code = "from benchmarks.ablations import *\nfor change in CHANGES.values():\n    apply(change.values)\n"
    code += "    parse_options(['DATASET', '--network', 'default', *change.options])"
    run_script("-c", code)
    options = ["--output_dir", tmp_path, "--only", "baseline", "no history", "--steps", 1, "--sequence_length", 3]
    for _ in range(2):
        done = run_script("-m", "benchmarks.ablations", small_dataset, small_dataset, *options, "--crop_size", 16)
        rows = {row["network"]: row for row in json.loads(done.stdout.splitlines()[-1])["rows"]}
        assert list(rows) == ["baseline", "no history"] and rows["no history"]["psnr"] < rows["baseline"]["psnr"]
    assert len(list(tmp_path.glob("*/version_*"))) == 2


def test_the_quality_benchmark_compares_every_method_on_the_same_frames(tmp_path):
    pytest.importorskip("flip_evaluator", reason="pip install -r requirements.txt")
    make_scene(tmp_path / "test" / "A", frames=5, size=(64, 80))
    checkpoint = ROOT / "tests" / "data" / "golden" / "paper.safetensors"
    command = ["-m", "benchmarks.quality", tmp_path / "test", tmp_path / "out", "--checkpoint", f"old={checkpoint}"]
    wanted = ["noisy", "oidn high, 1 spp", "oidn high, 2 spp", "accumulation", "old"]
    done = run_script(*command, "--spp", 2, "--only", *wanted)
    rows = {row["method"]: row for row in json.loads(done.stdout.splitlines()[-1])["rows"]}
    assert list(rows) == wanted and rows["oidn high, 2 spp"]["psnr"] > rows["noisy"]["psnr"]
    found = json.loads((tmp_path / "out" / "quality.json").read_text())
    frames = found["scenes"]["old"]["A (frame-0000 to frame-0004)"]["frames"]
    assert len(frames) == 5 and {"psnr", "ssim", "relmse", "tpsnr", "flip", "luminance"} == set(frames[0])
    assert (tmp_path / "out" / "A.png").is_file() and (tmp_path / "out" / "A.mp4").is_file()
