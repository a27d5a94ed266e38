"""Pins the cache of decoded frames: equal to decoding, notices changed files, resumes, can be shared, clear errors."""

import itertools
import multiprocessing
import os
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from support import QUICK, make_scene, run_script, write_channels
from torch.utils.data import default_collate

from dataset import TrainingWindows, ValidationWindows
from files import InputError
from frames import cache as cache_module
from frames.augmentation import augment_batch
from frames.cache import BLOCK, TARGET, Entry, FrameCache, cache_entries, from_blocks, load_half, to_blocks
from frames.channels import ALBEDO_INPUTS, PLAIN_INPUTS
from frames.sequences import find_sequences, split_dataset
from train import main
from training.resolve import cache_folder


@pytest.fixture
def prepared(tmp_path):
    """A dataset with frames of 40x70 pixels, its entries, and its cache."""
    make_scene(tmp_path / "data" / "train" / "A", frames=5, size=(40, 70))
    make_scene(tmp_path / "data" / "val" / "B", frames=3, size=(24, 33))
    split = split_dataset(tmp_path / "data", 3, 16)
    return split, cache_entries(split), FrameCache(tmp_path / "data", tmp_path / "data" / ".cache")


def files(folder):
    return sorted(p for p in folder.rglob("*") if p.is_file())


def test_blocks_hold_every_crop():
    pixels = np.random.default_rng(0).random((70, 45, 4)).astype(np.float16)
    blocks = to_blocks(pixels)
    assert blocks.shape == (3, 2, BLOCK, BLOCK, 4)
    edges = [(0, 1), (0, 45), (31, 33), (32, 45), (3, 30)]
    for (top, bottom), (left, right) in itertools.product([*edges, (64, 70), (0, 70)], edges):
        box = slice(top, bottom), slice(left, right)
        assert np.array_equal(from_blocks(blocks, box, 3), pixels[box][..., :3])


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("inputs", [PLAIN_INPUTS, ALBEDO_INPUTS])
def test_samples_from_the_cache_equal_those_decoded_directly(prepared, inputs, workers):
    split, entries, cache = prepared
    cache.prepare(entries, workers)
    cache.find_files(entries)
    for kind, sequences, more, keys in (
        (TrainingWindows, split.training, {"crop_size": 16}, [(0, p, p % 3) for p in range(12)]),
        (ValidationWindows, split.validation, {}, [0]),
    ):
        fast, direct = (kind(sequences, inputs, length=3, **more, cache=c) for c in (cache, None))
        for key in keys:
            a, b = fast[key], direct[key]
            assert a.keys() == b.keys() and a["noisy"].dtype == torch.float16
            assert torch.equal(a["noisy"], b["noisy"]) and torch.equal(a["target"], b["target"])


def test_floats_are_rounded_to_half_and_fireflies_stay_finite(tmp_path):
    bright = np.full((4, 6), 1 / 3, np.float32)
    bright[0, :4] = np.nan, np.inf, -np.inf, 1e6
    names = ("R", "G", "B", "depth.Z", "normal.R", "normal.G", "normal.B")
    path = write_channels(tmp_path / "x.exr", dict.fromkeys(names, bright))
    (noisy, exponents), repairs = load_half(path, PLAIN_INPUTS)
    assert repairs.invalid == 21 and exponents == (0, 0) and (noisy[0, 3] == 65504).all()
    assert (noisy[0, 1, :3] == 65504).all() and not noisy[0, 1, 3:].any() and not noisy[0, ::2][:2].any()
    assert (noisy[1:] == np.float16(1 / 3)).all()
    (target, _), _ = load_half(path, TARGET)
    assert np.isnan(target[0, :3]).all() and np.isfinite(target[1:]).all()


def test_a_crop_reads_little_of_the_file(tmp_path):
    make_scene(tmp_path / "A", frames=1, size=(256, 512), noisy=1)
    entry = Entry(tmp_path / "A/frame-0000/noisy-0.exr", ALBEDO_INPUTS, (256, 512))
    blocks = to_blocks(load_half(entry.source, entry.names)[0].values)
    box = slice(100, 164), slice(200, 264)  # 64x64 pixels: 3x3 blocks of 8x16
    view = blocks[100 // BLOCK : -(-164 // BLOCK), 200 // BLOCK : -(-264 // BLOCK)]
    assert view.size / blocks.size == pytest.approx(9 / 128)
    assert all(row.flags.c_contiguous for row in view)  # one run of bytes for each row of blocks
    assert from_blocks(blocks, box, 10).shape == (64, 64, 10)


def test_cached_frames_are_not_decoded_again(prepared, monkeypatch):
    _, entries, cache = prepared
    cache.prepare(entries, 0)
    written = files(cache.folder)
    assert len(written) == len(entries) and not cache.missing(entries)
    assert all(p.stat().st_size == e.bytes for p, e in ((cache.path_of(e.source), e) for e in entries))
    monkeypatch.setattr(FrameCache, "write", None)
    cache.prepare(entries, 0)


def test_an_interrupted_preparation_continues(prepared, monkeypatch):
    _, entries, cache = prepared
    write, done = FrameCache.write, []

    def stopped(self, entry):
        if len(done) == 4:
            raise KeyboardInterrupt
        done.append(entry)
        return write(self, entry)

    monkeypatch.setattr(FrameCache, "write", stopped)
    with pytest.raises(KeyboardInterrupt):
        cache.prepare(entries, 0)
    assert len(files(cache.folder)) == 4
    monkeypatch.setattr(FrameCache, "write", write)
    assert len(cache.missing(entries)) == len(entries) - 4
    cache.prepare(entries, 0)
    assert not cache.missing(entries)


@pytest.mark.parametrize("change", ["size", "time", "format", "table"])
def test_a_changed_frame_or_format_is_decoded_again_and_the_old_is_gone(prepared, change, monkeypatch):
    split, entries, cache = prepared
    cache.prepare(entries, 0)
    count = len(files(cache.folder))
    source = entries[0].source
    if change in ("format", "table"):
        monkeypatch.setattr(cache_module, {"format": "CACHE_FORMAT", "table": "TABLE"}[change], 99)
        assert len(cache.missing(entries)) == len(entries)
    else:
        status, old = source.stat(), load_half(source, entries[0].names)[0].values
        make_scene(source.parent.parent, frames=7 if change == "size" else 5, size=(40, 70), albedo=change == "time")
        if change == "size":
            assert source.stat().st_size != status.st_size
            os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))
        else:
            os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
        split = split_dataset(cache.dataset, 3, 16)
        entries = cache_entries(split)
        assert source in {e.source for e in cache.missing(entries)}
    cache.prepare(entries, 0)
    cache.find_files(entries)
    frame = split.training[0].frames[0]
    box = slice(0, 40), slice(0, 70)
    assert np.array_equal(cache.read(frame.noisy[0], box, 7).values, load_half(frame.noisy[0], PLAIN_INPUTS)[0].values)
    kept = [p for p in files(cache.folder) if p.parent.parent.name in ("A", "B") and p.parent.name < "frame-0005"]
    assert len(kept) == count  # one file for each, the outdated ones removed
    if change == "size":
        assert not np.array_equal(cache.read(frame.noisy[0], box, 7).values, old[..., :7])


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_cached_files_are_not_kept_open(prepared):
    """Python's memory maps keep a file open each, and many systems allow 1024 or 256."""
    _, entries, cache = prepared
    cache.prepare(entries, 0)
    cache.find_files(entries)
    before = len(os.listdir("/proc/self/fd"))
    pixels = [cache.read(entry.source, (slice(0, 8), slice(0, 8)), 3) for entry in entries]
    assert len(os.listdir("/proc/self/fd")) == before and len(pixels) > 10


def test_a_cache_deleted_while_in_use_does_not_matter(prepared):
    split, entries, cache = prepared
    cache.prepare(entries, 0)
    cache.find_files(entries)
    shutil.rmtree(cache.folder)
    path = split.training[0].frames[0].noisy[0]
    box = slice(3, 40), slice(5, 70)
    assert np.array_equal(cache.read(path, box, 7).values, load_half(path, PLAIN_INPUTS)[0].values[box])


def test_a_file_that_is_not_whole_is_decoded_again(prepared):
    _, entries, cache = prepared
    cache.prepare(entries, 0)
    path = cache.path_of(entries[0].source)
    path.write_bytes(path.read_bytes()[:-2])
    assert cache.missing(entries) == [entries[0]]
    cache.prepare(entries, 0)
    assert not cache.missing(entries)


def test_two_trainings_that_start_at_once_share_one_cache(prepared):
    _, entries, cache = prepared
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=cache.prepare, args=(entries, 0)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(200)
    assert [p.exitcode for p in processes] == [0, 0]
    assert not cache.missing(entries) and len(files(cache.folder)) == len(entries)


def test_a_full_disk_is_an_error_before_anything_is_decoded(prepared, monkeypatch):
    _, entries, cache = prepared
    monkeypatch.setattr(cache_module.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 1000}))
    with pytest.raises(InputError, match=r"need 0.00 GB, 0.00 GB are free; choose another folder with --cache_dir"):
        cache.prepare(entries, 0)
    assert not files(cache.folder)


@pytest.mark.parametrize("workers", [0, 1])
def test_damaged_frames_are_named_before_training(small_dataset, tmp_path, workers, monkeypatch):
    path = small_dataset / "train/A/frame-0002/noisy-1.exr"
    path.write_bytes(path.read_bytes()[:-200])
    arguments = [small_dataset, *QUICK, "--log_dir", tmp_path / "runs", "--max_epochs", 1]
    monkeypatch.setattr(sys, "argv", ["train.py", *map(str, arguments)])
    monkeypatch.setattr("dataset.usable_cores", lambda: workers)
    with pytest.raises(SystemExit, match=r"^train.py: \S*frame-0002/noisy-1.exr: the pixels cannot be .*again$"):
        main()


def test_invalid_inputs_are_reported_when_they_are_decoded(tmp_path, capfd):
    make_scene(tmp_path / "A", frames=2)
    names = ("R", "G", "B", "depth.Z", "normal.R", "normal.G", "normal.B")
    bad = np.full((24, 32), np.nan, np.float32)
    path = write_channels(
        tmp_path / "A/frame-0001/noisy-1.exr", {n: bad if n == "G" else np.ones_like(bad) for n in names}
    )
    cache = FrameCache(tmp_path, tmp_path / "cache")
    entry = Entry(path, PLAIN_INPUTS, find_sequences(tmp_path, True)[0][0].size)
    cache.prepare([entry], 1)
    assert capfd.readouterr().err.count("frame-0001/noisy-1.exr: 768 NaN or Inf values, replaced by 0") == 1


def test_the_command_line_chooses_the_folder_of_the_cache(small_dataset, tmp_path):
    def run(name, *more):
        quick = ("--max_epochs", 1, "--samples_per_epoch", 4, *QUICK)
        run_script("train.py", small_dataset, *quick, "--log_dir", tmp_path / f"runs-{name}", *more)
        checkpoint = tmp_path / f"runs-{name}" / "version_0" / "checkpoints" / "last.ckpt"
        return torch.load(checkpoint, weights_only=True)["state_dict"]

    direct = run("none", "--cache_dir", "none")
    assert not (small_dataset / ".cache").exists()
    elsewhere = run("elsewhere", "--cache_dir", tmp_path / "frames")
    assert not (small_dataset / ".cache").exists() and len(files(tmp_path / "frames")) == 2 * (3 * 3 + 3 * 2)
    beside = run("beside")
    assert len(files(small_dataset / ".cache")) == 2 * (3 * 3 + 3 * 2)
    for other in (elsewhere, beside):
        assert all(torch.equal(direct[k], other[k]) for k in direct)


def test_datasets_of_one_name_do_not_share_a_folder(tmp_path):
    folders = {cache_folder(tmp_path / parent / "data", str(tmp_path)) for parent in "ab"}
    assert len(folders) == 2 and {f.parent for f in folders} == {tmp_path}


def test_batches_from_the_cache_are_finished_on_the_device(prepared):
    split, entries, cache = prepared
    cache.prepare(entries, 0)
    cache.find_files(entries)
    windows = TrainingWindows(split.training, PLAIN_INPUTS, length=3, crop_size=16, cache=cache)
    batch = augment_batch(default_collate([windows[0, 0, 0], windows[0, 1, 1]]), PLAIN_INPUTS)
    assert batch["noisy"].shape == (2, 3, 7, 16, 16) and batch["noisy"].dtype == torch.float32


def test_a_file_that_ends_the_process_is_named(prepared, monkeypatch):
    """A crash in OpenEXR ends the training with a message."""
    _, entries, cache = prepared
    fatal, write = entries[7].source, FrameCache.write

    def write_or_die(self, entry):
        if entry.source == fatal:
            os.kill(os.getpid(), signal.SIGSEGV)
        return write(self, entry)

    monkeypatch.setattr(FrameCache, "write", write_or_die)
    with pytest.raises(InputError, match=rf"^{fatal}: decoding it ended the process"):
        cache.prepare(entries, 2)
    monkeypatch.setattr(FrameCache, "write", write)
    cache.prepare(entries, 2)
    assert not cache.missing(entries)
