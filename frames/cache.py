"""A cache of decoded frames on disk: every EXR file is decoded once, and a crop reads only its own part of a file.

A cached frame is a NumPy file of half floats in square blocks, (ceil(H / BLOCK), ceil(W / BLOCK), BLOCK, BLOCK, C). A
crop then reads one run of bytes per row of blocks instead of one per row of pixels. Files are memory-mapped: all
processes share what is in use through the system's page cache, and the rest is never in memory.

The file name holds the cache format, a checksum of the channel table, and the size and modification time of the EXR
file. A new format, a new alias or a changed frame gets a new name, so that nothing outdated is read; writing the new
file deletes the old one.
"""

import math
import shutil
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from files import InputError, whole_file
from frames.channels import HALF_MAX, MOTION_INPUTS, QUANTITIES, channel_count
from frames.exr import load_noisy, load_target, report_invalid
from frames.sequences import Split
from machine import leave_signals_to_the_main_process

CACHE_FORMAT = 2  # increase it whenever the bytes change their meaning
BLOCK = 32  # pixels
HEADER = 128  # bytes before the pixels in such a NumPy file
MAPPED_FILES = 1024  # per process; a mapping costs only address space
ELSEWHERE = "choose another folder with --cache_dir, or decode every crop from EXR with --cache_dir none"
TARGET = ("color",)  # the quantities read from targets
TABLE = f"{zlib.crc32(repr(QUANTITIES).encode()):08x}"  # changes with an alias, which may change what is read


@dataclass(frozen=True)
class Entry:
    """An EXR file of `size` (H, W), and the quantities of it to cache: TARGET for targets."""

    source: Path
    names: tuple[str, ...]
    size: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """The shape of the cached blocks."""
        rows, columns = (-(-extent // BLOCK) for extent in self.size)
        return rows, columns, BLOCK, BLOCK, channel_count(self.names)

    @property
    def bytes(self) -> int:
        """The size of the cached file."""
        return HEADER + 2 * int(np.prod(self.shape))


def cache_entries(split: Split) -> list[Entry]:
    """Every file that training and validation read, with all quantities that any network may read."""
    entries = {}
    for sequences, validating in ((split.training, False), (split.validation, True)):
        for sequence in sequences:
            for frame in sequence.frames:
                for path in frame.noisy[:1] if validating else frame.noisy:
                    entries[path] = Entry(path, MOTION_INPUTS, sequence.size)
                entries[frame.target] = Entry(frame.target, TARGET, sequence.size)
    return list(entries.values())


def load_half(source: Path, names: tuple[str, ...]) -> tuple[np.ndarray, int]:
    """Decodes an EXR file to (H, W, C) float16; returns it and the number of NaN and Inf that were replaced by 0.

    In targets nothing is replaced: invalid values become NaN, which the loss masks.
    """
    if names == TARGET:
        planes, invalid = load_target(source), 0  # (C, H, W)
        planes[~np.isfinite(planes)] = np.nan
    else:
        planes, invalid = load_noisy(source, names)
    return np.moveaxis(planes, 0, 2).clip(-HALF_MAX, HALF_MAX).astype(np.float16), invalid


def to_blocks(pixels: np.ndarray) -> np.ndarray:
    """(H, W, C) to (ceil(H / BLOCK), ceil(W / BLOCK), BLOCK, BLOCK, C), padded with zeros."""
    height, width, channels = pixels.shape
    pixels = np.pad(pixels, ((0, -height % BLOCK), (0, -width % BLOCK), (0, 0)))  # H and W: multiples of BLOCK
    blocks = pixels.reshape(-1, BLOCK, pixels.shape[1] // BLOCK, BLOCK, channels).swapaxes(1, 2)
    return np.ascontiguousarray(blocks)


def from_blocks(blocks: np.ndarray, box: tuple[slice, slice], channels: int) -> np.ndarray:
    """The pixels in `box` (rows, columns), (h, w, channels): the first `channels` channels.

    Both slices of `box` need a start and a stop, and must not be empty.
    """
    # the blocks that the box touches
    first = [s.start // BLOCK for s in box]
    found = blocks[first[0] : -(-box[0].stop // BLOCK), first[1] : -(-box[1].stop // BLOCK), :, :, :channels]
    # their pixels, cut to the box
    rows, columns = found.shape[:2]
    pixels = found.swapaxes(1, 2).reshape(rows * BLOCK, columns * BLOCK, channels)
    inside = (slice(s.start - f * BLOCK, s.stop - f * BLOCK) for s, f in zip(box, first, strict=True))
    return pixels[tuple(inside)]


@lru_cache(MAPPED_FILES)
def mapped(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The blocks of a cached file, memory-mapped: read when they are used.

    By PyTorch, because Python's own maps keep a file open each, and systems allow few: 256 to 1024.
    """
    values = math.prod(shape)
    numbers = torch.from_file(str(path), shared=False, size=HEADER // 2 + values, dtype=torch.float16)
    return numbers[HEADER // 2 :].view(shape).numpy()


class FrameCache:
    """The cache of the dataset at `dataset`, in `folder`. Call prepare(), then find_files(), then read().

    Several trainings can share a cache: files appear whole, and their names say what is in them.
    """

    def __init__(self, dataset: Path, folder: Path):
        self.dataset, self.folder = dataset, folder
        self.entries: dict[Path, tuple[Entry, Path]] = {}  # EXR file to its entry and cached file, from find_files

    def path_of(self, source: Path) -> Path:
        """The path of the cached file for the EXR file `source` in its present state."""
        status, relative = source.stat(), source.relative_to(self.dataset)
        key = f"{CACHE_FORMAT}-{TABLE}-{status.st_size}-{status.st_mtime_ns}"
        return self.folder / relative.parent / f"{relative.name}.{key}.npy"

    def missing(self, entries: Iterable[Entry]) -> list[Entry]:
        """The entries without an up-to-date cached file of the right size."""

        def cached(entry: Entry) -> bool:
            try:
                return self.path_of(entry.source).stat().st_size == entry.bytes
            except FileNotFoundError:
                return False

        return [entry for entry in entries if not cached(entry)]

    def prepare(self, entries: list[Entry], workers: int) -> None:
        """Decodes the missing entries in `workers` processes (0: in this one), and reports NaN and Inf.

        Raises InputError if the folder cannot be created or the disk is too full for all of them; OSError or
        InputError, naming the file, if one cannot be written or decoded.
        """
        missing = self.missing(entries)
        if not missing:
            return

        # check folder and disk
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{self.folder}: {error.strerror}; {ELSEWHERE}") from error
        needed, free = sum(entry.bytes for entry in missing), shutil.disk_usage(self.folder).free
        if needed > free:
            needed, free = f"{needed / 1e9:.2f} GB", f"{free / 1e9:.2f} GB"
            raise InputError(f"{self.folder}: the decoded frames need {needed}, {free} are free; {ELSEWHERE}")

        # decode
        processes = min(workers, len(missing))
        decoding = DataLoader(
            CacheWriter(self, missing),
            batch_size=None,
            num_workers=processes,
            worker_init_fn=leave_signals_to_the_main_process,
        )
        for source, invalid in tqdm(decoding, desc="decoding frames, once", unit="file", delay=1):
            report_invalid(source, invalid)

    def write(self, entry: Entry) -> int:
        """Decodes one EXR file into the cache; returns the number of NaN and Inf that were replaced by 0.

        Raises OSError if the file cannot be written, InputError if it cannot be decoded.
        """
        path = self.path_of(entry.source)
        pixels, invalid = load_half(entry.source, entry.names)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            outdated = [p for p in path.parent.glob(f"{entry.source.name}.*.npy") if p != path]
            with whole_file(path) as temporary, temporary.open("wb") as file:
                np.save(file, to_blocks(pixels))
        except OSError as error:
            raise OSError(f"{path}: not written ({error}); free some space, or {ELSEWHERE}") from error
        for old in outdated:
            old.unlink(missing_ok=True)
        return invalid

    def find_files(self, entries: Iterable[Entry]) -> None:
        """Stores the path of every entry's cached file, so that reading does not need to check the EXR files again."""
        self.entries = {entry.source: (entry, self.path_of(entry.source)) for entry in entries}

    def read(self, source: Path, box: tuple[slice, slice], channels: int) -> np.ndarray:
        """The pixels in `box` (rows, columns) of the frame decoded from `source`, (h, w, channels) float16.

        These are the first `channels` channels of the entry's quantities. If the cached file is gone, because someone
        deleted the cache while it was in use, the EXR file is decoded.
        """
        entry, path = self.entries[source]
        if not path.is_file():
            return load_half(source, entry.names)[0][box][..., :channels]
        return from_blocks(mapped(path, entry.shape), box, channels)


class CacheWriter(Dataset):
    """Item i writes entry i into the cache, and gives its file name and its number of invalid values.

    A Dataset, so that a DataLoader spreads the work over processes.
    """

    def __init__(self, cache: FrameCache, entries: list[Entry]):
        self.cache, self.entries = cache, entries

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> tuple[str, int]:
        return str(self.entries[index].source), self.cache.write(self.entries[index])
