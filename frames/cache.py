"""A cache of decoded frames on disk: every EXR file is decoded once, and a crop reads only its own part of a file.

A cached frame is a NumPy file of half floats in square blocks, (ceil(H / BLOCK), ceil(W / BLOCK), BLOCK, BLOCK, C). A
crop then reads one run of bytes per row of blocks instead of one per row of pixels. Two more half floats follow: the
exponents e of the powers of two by which radiance and depth were divided to fit half floats. Files are memory-mapped:
all processes share what is in use through the system's page cache, and the rest is never in memory.

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
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from files import InputError, atomic_file
from frames.channels import HALF_MAX, MOTION_INPUTS, QUANTITIES, channel_count, channels_of
from frames.exr import load_noisy, load_target
from frames.repairs import Repairs, report_repairs
from frames.sequences import Split
from machine import leave_signals_to_the_main_process

CACHE_FORMAT = 3  # increase it whenever the bytes change their meaning
BLOCK = 32  # pixels
HEADER = 128  # bytes before the pixels in such a NumPy file
UNCHANGED = 6  # values are stored as they are if the logarithm to base 2 of their median is at most this
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
        return HEADER + 2 * (math.prod(self.shape) + 2)


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


class Pixels(NamedTuple):
    """(h, w, C) float16, whose color and depth, where there is one, were divided by 2 to the power of `exponents`."""

    values: np.ndarray
    exponents: tuple[int, int] = (0, 0)


def load_half(source: Path, names: tuple[str, ...]) -> tuple[Pixels, Repairs]:
    """Decodes an EXR file; returns its pixels, (H, W, C), and what was repaired. Invalid values of targets are NaN."""
    planes, repairs = load_target(source) if names == TARGET else load_noisy(source, names)  # (C, H, W)
    exponents = []
    for name in ("color", "depth"):
        part = planes[channels_of(names, name)] if name in names else planes[:0]
        exponents.append(exponent_of(part))
        part *= 2.0 ** -exponents[-1]
    half = np.clip(np.moveaxis(planes, 0, 2), -HALF_MAX, HALF_MAX).astype(np.float16)
    return Pixels(half, tuple(exponents)), repairs


def exponent_of(planes: np.ndarray) -> int:
    """The exponent e for which values divided by 2^e have a median, above 0, of about 1; 0 if it is near 1 anyway."""
    above = planes[planes > 0]
    exponent = round(math.log2(np.median(above))) if above.size else 0
    return exponent if abs(exponent) > UNCHANGED else 0


def in_units_of(pixels: Pixels, names: tuple[str, ...], exponents: tuple[int, int]) -> np.ndarray:
    """The values of quantities `names`, (h, w, C), converted to other exponents."""
    if pixels.exponents == exponents:
        return pixels.values
    values = pixels.values.astype(np.float32)
    for name, own, wanted in zip(("color", "depth"), pixels.exponents, exponents, strict=True):
        if name in names:
            values[..., channels_of(names, name)] *= 2.0 ** (own - wanted)
    return np.clip(values, -HALF_MAX, HALF_MAX).astype(np.float16)


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
def mapped(path: Path, shape: tuple[int, ...]) -> tuple[np.ndarray, tuple[int, int]]:
    """The blocks of a cached file, memory-mapped: read when they are used; and its exponents.

    By PyTorch, because Python's own maps keep a file open each, and systems allow few: 256 to 1024.
    """
    first, count = HEADER // 2, HEADER // 2 + math.prod(shape) + 2
    if str(path).isprintable():
        numbers = torch.from_file(str(path), shared=False, size=count, dtype=torch.float16).numpy()
    else:  # PyTorch takes no name that is not UTF-8
        numbers = np.memmap(path, np.float16, "r", shape=(count,))
    return numbers[first:-2].reshape(shape), tuple(int(exponent) for exponent in numbers[-2:])


class FrameCache:
    """The cache of the dataset at `dataset`, in `folder`. Call prepare(), then find_files(), then read().

    Several trainings can share a cache: writes are atomic, and their names say what is in them.
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
        """Decodes the missing entries in `workers` processes (0: in this one), and reports what it changes in them.

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

        # decode; after a worker's death, what is left one by one, to find the file at fault
        if not self.decode(missing, min(workers, len(missing))):
            for entry in self.missing(missing):
                if not self.decode([entry], 1):
                    raise InputError(
                        f"{entry.source}: decoding it ended the process, by a fault in OpenEXR or for want of memory; "
                        "render or copy it again"
                    )

    def decode(self, entries: list[Entry], workers: int) -> bool:
        """Decodes entries in `workers` processes (0: in this one); False if one of them died."""
        decoding = DataLoader(
            CacheWriter(self, entries),
            batch_size=None,
            num_workers=workers,
            worker_init_fn=leave_signals_to_the_main_process,
        )
        try:
            for source, repairs in tqdm(decoding, desc="decoding frames, once", unit="file", delay=1):
                report_repairs(source, repairs)
        except RuntimeError as error:
            if "exited unexpectedly" in str(error) or "is killed by signal" in str(error):
                return False
            raise
        return True

    def write(self, entry: Entry) -> Repairs:
        """Decodes one EXR file into the cache; returns what was changed in its values.

        Raises OSError if the file cannot be written, InputError if it cannot be decoded.
        """
        path = self.path_of(entry.source)
        (pixels, exponents), repairs = load_half(entry.source, entry.names)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(f"{path.parent}: {error.strerror}; {ELSEWHERE}") from error
        outdated = [p for p in path.parent.glob(f"{entry.source.name}.*.npy") if p != path]
        with atomic_file(path, f"free some space, or {ELSEWHERE}") as temporary, temporary.open("wb") as file:
            np.save(file, to_blocks(pixels))
            file.write(np.float16(exponents).tobytes())
        for old in outdated:
            old.unlink(missing_ok=True)
        return repairs

    def find_files(self, entries: Iterable[Entry]) -> None:
        """Stores the path of every entry's cached file, so that reading does not need to check the EXR files again."""
        self.entries = {entry.source: (entry, self.path_of(entry.source)) for entry in entries}

    def read(self, source: Path, box: tuple[slice, slice], channels: int) -> Pixels:
        """The pixels in `box` (rows, columns) of the frame decoded from `source`, (h, w, channels).

        These are the first `channels` channels of the entry's quantities. If the cached file is gone, because someone
        deleted the cache while it was in use, the EXR file is decoded.
        """
        entry, path = self.entries[source]
        if not path.is_file():
            (values, exponents), _ = load_half(source, entry.names)
            return Pixels(values[box][..., :channels], exponents)
        blocks, exponents = mapped(path, entry.shape)
        return Pixels(from_blocks(blocks, box, channels), exponents)


class CacheWriter(Dataset):
    """Item i writes entry i into the cache, and gives its file name and what was changed in it.

    A Dataset, so that a DataLoader spreads the work over processes.
    """

    def __init__(self, cache: FrameCache, entries: list[Entry]):
        self.cache, self.entries = cache, entries

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> tuple[str, Repairs]:
        return str(self.entries[index].source), self.cache.write(self.entries[index])
