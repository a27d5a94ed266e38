"""Decoded frames, kept beside the dataset: every EXR file is decoded once, and a crop touches only its own pages.

A cached frame is a NumPy file of half floats in square blocks, (ceil(H / BLOCK), ceil(W / BLOCK), BLOCK, BLOCK, C): a
crop is then a few runs of bytes, one per row of blocks, where rows of pixels would be one each. Files are mapped, not
read, so that what is in use stays in the system's page cache, for all processes, and the rest is never in memory.

Its name holds the layout's number, and size and modification time of the EXR file: another layout or a changed frame
is another name, so that nothing is misread, and whoever decodes it removes what the name was before.
"""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from files import InputError, whole_file
from frames.channels import channel_count
from frames.exr import load_noisy, load_target, report_invalid
from machine import ignore_interrupt

LAYOUT = 1  # another number for any change of what the bytes mean
BLOCK = 32  # pixels
HEADER = 128  # bytes in front of the pixels of such a NumPy file
MAPPED_FILES = 1024  # per process; a map costs address space only
ELSEWHERE = "name another folder with --cache_dir, or decode every crop anew with --cache_dir none"
TARGET = ("color",)  # what is read of targets
HALF_MAX = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Entry:
    """An EXR file of (H, W) pixels, and the quantities to keep of it; TARGET of a target."""

    source: Path
    names: tuple[str, ...]
    size: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """Of its blocks."""
        rows, columns = (-(-extent // BLOCK) for extent in self.size)
        return rows, columns, BLOCK, BLOCK, channel_count(self.names)

    @property
    def bytes(self) -> int:
        """Of the cached file."""
        return HEADER + 2 * int(np.prod(self.shape))


def load_half(source: Path, names: tuple[str, ...]) -> tuple[np.ndarray, int]:
    """An EXR file as (H, W, C) float16, and how many NaN and Inf became 0. A target's stay, as NaN."""
    if names == TARGET:
        planes, invalid = load_target(source), 0
        planes[~np.isfinite(planes)] = np.nan
    else:
        planes, invalid = load_noisy(source, names)
    return np.moveaxis(planes, 0, 2).clip(-HALF_MAX, HALF_MAX).astype(np.float16), invalid


def to_blocks(pixels: np.ndarray) -> np.ndarray:
    """(H, W, C) to (ceil(H / BLOCK), ceil(W / BLOCK), BLOCK, BLOCK, C), zeros where the last blocks are not full."""
    height, width, channels = pixels.shape
    pixels = np.pad(pixels, ((0, -height % BLOCK), (0, -width % BLOCK), (0, 0)))
    blocks = pixels.reshape(-1, BLOCK, pixels.shape[1] // BLOCK, BLOCK, channels).swapaxes(1, 2)
    return np.ascontiguousarray(blocks)


def from_blocks(blocks: np.ndarray, box: tuple[slice, slice], channels: int) -> np.ndarray:
    """The pixels in `box` (rows, columns; neither open nor empty), (h, w, channels), their first channels alone."""
    first = [s.start // BLOCK for s in box]
    found = blocks[first[0] : -(-box[0].stop // BLOCK), first[1] : -(-box[1].stop // BLOCK), :, :, :channels]
    rows, columns = found.shape[:2]
    pixels = found.swapaxes(1, 2).reshape(rows * BLOCK, columns * BLOCK, channels)
    inside = (slice(s.start - f * BLOCK, s.stop - f * BLOCK) for s, f in zip(box, first, strict=True))
    return pixels[tuple(inside)]


@lru_cache(MAPPED_FILES)
def mapped(path: Path) -> np.ndarray:
    """The blocks of a cached file, read when they are used."""
    return np.load(path, mmap_mode="r")


class FrameCache:
    """The decoded frames of the dataset at `dataset`, below `folder`. locate() comes before read().

    Several trainings may share it: files appear whole, under names that say what is in them.
    """

    def __init__(self, dataset: Path, folder: Path):
        self.dataset, self.folder = dataset, folder
        self.places: dict[Path, Path] = {}

    def place(self, source: Path) -> Path:
        """Where the file `source` belongs as it is now."""
        status, relative = source.stat(), source.relative_to(self.dataset)
        key = f"{LAYOUT}-{status.st_size}-{status.st_mtime_ns}"
        return self.folder / relative.parent / f"{relative.name}.{key}.npy"

    def missing(self, entries: Iterable[Entry]) -> list[Entry]:
        """Those whose file is not there as it is now, or not whole."""

        def whole(entry: Entry) -> bool:
            try:
                return self.place(entry.source).stat().st_size == entry.bytes
            except FileNotFoundError:
                return False

        return [entry for entry in entries if not whole(entry)]

    def prepare(self, entries: list[Entry], workers: int) -> None:
        """Decodes those that are missing in `workers` processes, 0 for this one; tells of NaN and Inf.

        Raises InputError where the folder cannot be written to or the disk has no room for all, OSError or InputError
        naming the file that could not be written or decoded.
        """
        missing = self.missing(entries)
        if not missing:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{self.folder}: {error.strerror}; {ELSEWHERE}") from error
        needed, free = sum(entry.bytes for entry in missing), shutil.disk_usage(self.folder).free
        if needed > free:
            room = f"the decoded frames need {needed / 1e9:.2f} GB, {free / 1e9:.2f} GB are free"
            raise InputError(f"{self.folder}: {room}; {ELSEWHERE}")
        processes = min(workers, len(missing))
        decoding = DataLoader(
            Decoding(self, missing), batch_size=None, num_workers=processes, worker_init_fn=ignore_interrupt
        )
        for source, invalid in tqdm(decoding, desc="decoding frames, once", unit="file", delay=1):
            report_invalid(source, invalid)

    def write(self, entry: Entry) -> int:
        """Decodes one file into its place; returns how many NaN and Inf became 0."""
        place = self.place(entry.source)
        pixels, invalid = load_half(entry.source, entry.names)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            outdated = [p for p in place.parent.glob(f"{entry.source.name}.*.npy") if p != place]
            with whole_file(place) as temporary, temporary.open("wb") as file:
                np.save(file, to_blocks(pixels))
        except OSError as error:
            raise OSError(f"{place}: not written ({error}); free some space, or {ELSEWHERE}") from error
        for path in outdated:
            path.unlink(missing_ok=True)
        return invalid

    def locate(self, entries: Iterable[Entry]) -> None:
        """Notes where every file lies, so that reading need not look at the EXR files again."""
        self.places = {entry.source: self.place(entry.source) for entry in entries}

    def read(self, source: Path, box: tuple[slice, slice], channels: int) -> np.ndarray:
        """The pixels in `box` of the frame decoded from `source`: (h, w, channels) float16, its first channels."""
        return from_blocks(mapped(self.places[source]), box, channels)


class Decoding(Dataset):
    """Writes an entry into the cache for each index, and says of which file, and how many values were invalid."""

    def __init__(self, cache: FrameCache, entries: list[Entry]):
        self.cache, self.entries = cache, entries

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> tuple[str, int]:
        return str(self.entries[index].source), self.cache.write(self.entries[index])
