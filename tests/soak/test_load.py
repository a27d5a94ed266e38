"""Pins that memory and open files do not grow with a dataset's frames, samples that are read, frames reconstructed."""

import tracemalloc
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from types import SimpleNamespace

import pytest
from support import ROOT, make_scene

from benchmarks.steadiness import open_files, resident
from checkpoints import load_denoiser
from dataset import SequenceData
from frames.augmentation import AUGMENTATIONS
from frames.cache import FrameCache
from frames.channels import MOTION_INPUTS
from frames.sequences import Frame, Sequence, Split, find_test_sequences, split_dataset
from inference.datasets import reconstruct_scene
from inference.reconstruction_options import build_parser

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux's /proc")

FRAME_BYTES = 8000  # of the index, for a frame with four noisy renderings: paths, windows, what is cached


def listing(scenes: int, frames: int) -> Split:
    """A dataset of which only the listing exists: four noisy renderings a frame."""
    sequences = []
    for scene in range(scenes):
        folders = [Path(f"/data/train/Scene-{scene:04d}/frame-{number:04d}") for number in range(frames)]
        found = [Frame(f, tuple(f / f"noisy-{k}.exr" for k in range(4)), f / "target.exr") for f in folders]
        sequences.append(Sequence(f"Scene-{scene:04d}", tuple(found), (144, 256), True))
    return Split(sequences, sequences[:1], [])


def loaders(split: Split, cache: FrameCache | None = None, crop_size: int = 128) -> SequenceData:
    return SequenceData(
        split, MOTION_INPUTS, length=3, crop_size=crop_size, batch_size=2, augment=AUGMENTATIONS, cache=cache
    )


def test_a_dataset_costs_its_index_only(cases, record):
    """Bytes a frame, whatever a frame's size, and the same for many as for few."""
    scenes = cases(4, 200)
    tracemalloc.start()
    try:
        data = loaders(listing(scenes, 500), FrameCache(Path("/data"), Path("/data/.cache")))
        order = list(data.train_dataloader().sampler)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(order) == data.samples_per_epoch
    assert taken < FRAME_BYTES * scenes * 500
    record(f"bytes of index a frame: {taken // (scenes * 500)}", scenes * 500)


def test_reading_samples_keeps_neither_memory_nor_files(tmp_path, cases, record):
    make_scene(tmp_path / "data" / "train" / "A", frames=12)
    split = split_dataset(tmp_path / "data", 3, 16, ())
    data = loaders(split, FrameCache(tmp_path / "data", tmp_path / "cache"), crop_size=16)
    data.cache.prepare(data.entries, 0)
    data.setup("fit")
    count = cases(200, 20000)

    def read(positions: range) -> None:
        for position in positions:
            data.training[0, position, position % len(data.training)]

    read(range(100))  # every file is mapped, every module loaded
    files = open_files()
    tracemalloc.start()
    try:
        read(range(100, 100 + count // 10))
        before, _ = tracemalloc.get_traced_memory()
        read(range(100, 100 + count))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 100_000
    assert open_files() == files
    record("samples read from the cache", count)


def test_reconstructing_keeps_neither_memory_nor_files(tmp_path, cases, record):
    """All that test.py does with a scene: reading, network, EXR, PNG, video, scores."""
    (sequence,), _ = find_test_sequences(make_scene(tmp_path / "C"), ())
    count = cases(60, 10000)
    sequence = replace(sequence, frames=tuple(islice(cycle(sequence.frames), count)))
    weights = ROOT / "weights" / "fast.safetensors"
    options = build_parser().parse_args([str(weights), str(tmp_path), "--output_dir", str(tmp_path / "out")])
    seen = []
    progress = SimpleNamespace(update=lambda: seen.append((open_files(), resident())))
    reconstruct_scene(load_denoiser(weights), [sequence], options, progress)
    forward = seen[-count:]  # after the targets, and the sequence in reverse
    early, late = forward[count // 4 : count // 2], forward[-count // 4 :]
    # threads read ahead and write behind, so that the count goes up and down by a few; a leak would raise its minimum
    assert min(files for files, _ in late) <= max(files for files, _ in early)
    # what remains of a frame is its metrics
    assert late[-1][1] - early[-1][1] < 20 + 3e-3 * count / 2
    record("frames reconstructed by way of files", count)
