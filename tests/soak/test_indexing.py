"""Measures how long datasets take to index: 200 scenes of 500 frames in make soak, 2 small ones in make test."""

import shutil
import time
from pathlib import Path

from support import make_scene

from frames.sequences import split_dataset


def many_scenes(root: Path, scenes: int, frames: int) -> None:
    """Scenes whose files are links to a few small ones, since file systems allow some 65,000 links to a file."""
    make_scene(root / "one", frames=1, size=(16, 16), noisy=1)
    for scene in range(scenes):
        own = shutil.copytree(root / "one" / "frame-0000", root / "own" / str(scene))
        for number in range(frames):
            folder = root / "data" / "train" / f"scene-{scene:03d}" / f"frame-{number:04d}"
            folder.mkdir(parents=True)
            for file in own.iterdir():
                (folder / file.name).hardlink_to(file)


def test_large_datasets_are_indexed(cases, record, tmp_path):
    scenes, frames = cases(2, 200), cases(15, 500)
    many_scenes(tmp_path, scenes, frames)
    began, worked = time.perf_counter(), time.process_time()
    split = split_dataset(tmp_path / "data", 7, 16)
    took, worked = time.perf_counter() - began, time.process_time() - worked
    assert len(split.training) == scenes
    assert sum(len(s.frames) for s in (*split.training, *split.validation)) == scenes * frames
    files = 2 * scenes * frames
    record(f"files indexed, in {took:.1f} s ({worked:.1f} s of one core)", files)
