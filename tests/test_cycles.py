"""Pins benchmarks/cycles: which files are rendered, the dataset, the reference's error, and a tiny rendering."""

import json
import subprocess

import numpy as np
import pytest
import torch
from support import ROOT, run_script, write_channels

from benchmarks.cycles.dataset import find_rendered, flip_motion, main, reference_psnr
from benchmarks.cycles.jobs import half_path, jobs_of, missing, noisy_path
from frames.channels import MOTION_INPUTS
from frames.exr import load_target, read_exr, read_pixels

BPY = ROOT / ".venv-bpy" / "bin" / "python"
PASSES = {"Combined": "RGBA", "Depth": "Z", "Normal": "XYZ", "Denoising Albedo": "RGB", "Vector": "XYZW"}
SIZE = (12, 16)


def write_cycles(path, seed, channels=PASSES):
    """A frame of noise with the channels of Cycles, in float."""
    rng = np.random.default_rng(seed)
    names = [f"ViewLayer.{layer}.{part}" for layer, parts in channels.items() for part in parts]
    return write_channels(path, {name: rng.uniform(0.1, 1, SIZE).astype(np.float32) for name in names})


@pytest.fixture
def rendered(tmp_path):
    """Two frames of a shot, in 4 samples a pixel and two halves; the second frame of 16 is missing."""
    for frame in (1, 2):
        write_cycles(noisy_path(tmp_path / "out", "focus", 4, frame), frame)
        for half in (0, 1):
            write_cycles(half_path(tmp_path / "out", "focus", half, frame), 10 * frame + half)
    write_cycles(noisy_path(tmp_path / "out", "focus", 16, 1), 3)
    return tmp_path / "out"


def test_every_folder_has_a_seed_and_done_files_are_not_rendered_again(tmp_path):
    jobs = jobs_of(tmp_path, "fog", [4, 16], 512, 3)
    assert len(jobs) == 3 * 4 and len({job.path for job in jobs}) == len(jobs)
    assert len({(job.path.parent, job.seed) for job in jobs}) == len({job.seed for job in jobs}) == 4
    assert sum(job.spp for job in jobs) == 3 * (4 + 16 + 512)
    write_cycles(jobs[1].path, 0)
    (tmp_path / "fog" / "spp-4" / ".other-1-0003.exr").touch()  # a file that is being written
    assert missing(jobs) == [jobs[0], *jobs[2:]]
    with pytest.raises(ValueError, match="even"):
        jobs_of(tmp_path, "fog", [4], 511, 3)


def test_only_whole_shots_become_scenes(rendered):
    (shot,), notes = find_rendered(rendered)
    assert (shot.shot, shot.frames, shot.spp) == ("focus", (1, 2), (4,))
    assert len(notes) == 1 and "spp-16" in notes[0]
    half_path(rendered, "focus", 1, 1).unlink()
    assert find_rendered(rendered)[0] == []


def test_the_dataset_has_the_projects_layout_and_is_accepted(rendered, tmp_path, monkeypatch, capsys, server):
    monkeypatch.setattr("sys.argv", ["dataset", str(rendered), str(tmp_path / "data")])
    main()
    (row,) = json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]
    assert row["shot"] == "focus" and row["frames"] == 2 and row["reference (dB)"] > 10
    scene = tmp_path / "data" / "val" / "cycles-focus-4spp"
    assert sorted(p.name for p in scene.iterdir()) == ["frame-0000", "frame-0001"]
    assert sorted(p.name for p in (scene / "frame-0001").iterdir()) == ["noisy-0.exr", "target.exr"]

    # the target is the mean of the halves
    halves = [load_target(half_path(rendered, "focus", half, 2))[0] for half in (0, 1)]
    target = load_target(scene / "frame-0001" / "target.exr")[0]
    assert np.allclose(target, (halves[0] + halves[1]) / 2, rtol=1e-3)

    # all quantities are found, and test.py scores it
    noisy = read_exr(scene / "frame-0001" / "noisy-0.exr", MOTION_INPUTS)
    assert set(noisy) == set(MOTION_INPUTS)
    weights = ROOT / "weights" / "fast.safetensors"
    arguments = (weights, tmp_path / "data" / "val", "--output_dir", tmp_path / "results")
    test = server.start(tmp_path / "log", "test.py", *arguments)
    assert test.wait() == 0, test.text()
    assert "cycles-focus-4spp" in test.text()


def test_motion_that_pointed_up_points_down_and_nothing_else_changes(tmp_path):
    source = write_cycles(tmp_path / "0001.exr", 0)
    flip_motion(source, tmp_path / "new" / "noisy-0.exr")
    (_, before), (_, after) = read_pixels(source), read_pixels(tmp_path / "new" / "noisy-0.exr")
    assert before.keys() == after.keys()
    for name, plane in before.items():
        assert np.array_equal(after[name], -plane if name.endswith("Vector.Y") else plane), name
    write_cycles(source, 0, {"Combined": "RGB"})
    with pytest.raises(ValueError, match="no Vector pass"):
        flip_motion(source, tmp_path / "noisy-0.exr")


def test_the_references_error_is_that_of_the_mean_of_its_halves():
    generator = torch.Generator().manual_seed(0)
    truth = torch.full((3, 64, 64), 0.5)
    halves = [tuple(truth + 0.02 * torch.randn(truth.shape, generator=generator) for _ in range(2)) for _ in range(4)]
    # an error that is known, through the slope of the sRGB curve at 0.5
    slope = 1.055 / 2.4 * 0.5 ** (1 / 2.4 - 1)
    expected = -10 * np.log10((slope * 0.02) ** 2 / 2)
    assert reference_psnr(halves, 1.0) == pytest.approx(expected, abs=0.1)


@pytest.mark.skipif(not BPY.is_file(), reason="Blender is not here: make bpy")
def test_a_tiny_rendering_from_blender_to_a_dataset(tmp_path):
    options = ["--shots", "focus", "--spp", "1", "--reference_spp", "2", "--frames", "2", "--size", "32", "18"]
    command = [BPY, "-m", "benchmarks.cycles.render", tmp_path / "out", *options, "--threads", "1"]
    for left in (6, 0):  # the second time, everything is there
        done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True, timeout=500)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"{left} of 6 files to render" in done.stdout
    assert len(list((tmp_path / "out").rglob("*.exr"))) == 6
    run_script("-m", "benchmarks.cycles.dataset", tmp_path / "out", tmp_path / "data")
    noisy = tmp_path / "data" / "val" / "cycles-focus-1spp" / "frame-0001" / "noisy-0.exr"
    found = read_exr(noisy, MOTION_INPUTS)
    assert found["color"].shape == (3, 18, 32) and (found["depth"] > 0).any() and np.abs(found["motion"]).max() > 0.01
