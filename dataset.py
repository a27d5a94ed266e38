"""Windows of frames as training samples, and the loaders around them.

Shapes: T frames, C input channels (in the order of `inputs`), H rows, W columns. A sample is {"noisy": (T, H, W, C),
"target": (T, H, W, 3)}, half floats as they lie in the cache, and what augmentation.py drew for it; everything else is
done to whole batches on the device, by augment_batch. Target pixels may be NaN (the loss masks them).

Randomness: every training sample draws from a generator seeded with (seed, epoch, position in the epoch). So streams
differ between workers and ranks, do not depend on how many there are, and a resumed run repeats an uninterrupted one.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset, DistributedSampler, Sampler

from frames.augmentation import AUGMENTATIONS, augment_batch, draw_noisy, draw_order, draw_transform
from frames.cache import TARGET, Entry, FrameCache, load_half
from frames.channels import ALBEDO_INPUTS, PLAIN_INPUTS, channel_count
from frames.exr import report_invalid
from frames.sequences import Frame, Sequence, Split
from machine import ignore_interrupt, usable_cores


class WindowReader:
    """Reads windows of frames, from `cache` or, without one, by decoding the files each time.

    Without a cache it tells once per file of NaN and Inf, whichever worker finds them first.
    """

    def __init__(self, sequences: list[Sequence], inputs: tuple[str, ...], cache: FrameCache | None = None):
        self.inputs, self.cache = inputs, cache
        self.number = {p: i for i, p in enumerate(p for s in sequences for f in s.frames for p in f.noisy)}
        self.told = torch.zeros(len(self.number), dtype=torch.bool).share_memory_()

    def read(self, frames: list[Frame], choice: list[int], box: tuple[slice, slice]) -> dict[str, torch.Tensor]:
        """The pixels in `box` (rows, columns) of each frame's chosen noisy rendering, (T, h, w, C), and target."""
        noisy = np.stack([self._pixels(f.noisy[k], self.inputs, box) for f, k in zip(frames, choice, strict=True)])
        target = np.stack([self._pixels(f.target, TARGET, box) for f in frames])
        return {"noisy": torch.from_numpy(noisy), "target": torch.from_numpy(target)}

    def _pixels(self, path: Path, names: tuple[str, ...], box: tuple[slice, slice]) -> np.ndarray:
        if self.cache:
            return self.cache.read(path, box, channel_count(names))
        pixels, invalid = load_half(path, names)
        if invalid and not self.told[self.number[path]]:
            self.told[self.number[path]] = True
            report_invalid(path, invalid)
        return pixels[box]


class TrainingWindows(Dataset):
    """Random square crops of every window of `length` consecutive frames, augmented. Keys come from EpochSampler."""

    def __init__(
        self,
        sequences: list[Sequence],
        inputs: tuple[str, ...],
        length: int,
        crop_size: int,
        seed: int = 0,
        augment: tuple[str, ...] = AUGMENTATIONS,
        cache: FrameCache | None = None,
    ):
        self.sequences, self.length, self.crop_size = sequences, length, crop_size
        self.seed, self.augment = seed, tuple(augment)
        self.reader = WindowReader(sequences, inputs, cache)
        self.windows = [(s, start) for s in sequences for start in range(len(s.frames) - length + 1)]

    def __len__(self) -> int:
        return len(self.windows)

    def cover(self) -> int:
        """How many samples show every noisy pixel of every window once, on average: an epoch's length by default."""
        crops = 0
        for sequence, start in self.windows:
            renderings = min(len(f.noisy) for f in sequence.frames[start : start + self.length])
            crops += renderings * -(-sequence.size[0] * sequence.size[1] // self.crop_size**2)
        return crops

    def __getitem__(self, key: tuple[int, int, int]) -> dict[str, torch.Tensor]:
        """The sample of (epoch, position in the epoch, window)."""
        epoch, position, window = key
        rng = np.random.default_rng((self.seed, epoch, position))
        sequence, start = self.windows[window]
        frames = sequence.frames[start : start + self.length]
        order = draw_order(rng, self.length, self.augment)
        choice = draw_noisy(rng, order, [len(f.noisy) for f in frames])
        top, left = (int(rng.integers(extent - self.crop_size + 1)) for extent in sequence.size)
        box = slice(top, top + self.crop_size), slice(left, left + self.crop_size)
        drawn = draw_transform(rng, self.augment)
        return self.reader.read([frames[i] for i in order], choice, box) | drawn


class ValidationWindows(Dataset):
    """Whole frames, first noisy rendering, in windows of `length` that cover each sequence (the last may overlap)."""

    def __init__(
        self, sequences: list[Sequence], inputs: tuple[str, ...], length: int, cache: FrameCache | None = None
    ):
        self.length = length
        self.reader = WindowReader(sequences, inputs, cache)
        self.windows = []
        for sequence in sequences:
            last = max(0, len(sequence.frames) - length)
            self.windows += [(sequence, start) for start in sorted({*range(0, last + 1, length), last})]

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> dict:
        """A sample as in training, with its `scene`, and whether it is that scene's `first` window."""
        sequence, start = self.windows[index]
        frames = sequence.frames[start : start + self.length]
        whole = slice(0, sequence.size[0]), slice(0, sequence.size[1])
        first = all(other.scene != sequence.scene for other, _ in self.windows[:index])
        return self.reader.read(frames, [0] * len(frames), whole) | {"scene": sequence.scene, "first": first}


class EpochSampler(Sampler):
    """Keys (epoch, position, window) of one rank: shuffled rounds through the windows, cut at `samples` keys in all.

    `samples` is rounded up to whole batches for every rank. `skip`: keys to leave out in the next epoch iterated, for
    a run resumed in the middle of one.
    """

    def __init__(self, windows: int, samples: int, batch_size: int, seed: int, rank: int = 0, world_size: int = 1):
        step = batch_size * world_size
        self.windows, self.samples = windows, -(-samples // step) * step
        self.seed, self.rank, self.world_size = seed, rank, world_size
        self.epoch, self.skip = 0, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.samples // self.world_size

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        rng = np.random.default_rng((self.seed, self.epoch))
        rounds = [rng.permutation(self.windows) for _ in range(-(-self.samples // self.windows))]
        order = np.concatenate(rounds)[: self.samples]
        positions = range(self.rank, self.samples, self.world_size)[self.skip :]
        self.skip = 0
        epoch = self.epoch
        return ((epoch, position, int(order[position])) for position in positions)


class ResumableLoader(DataLoader):
    """A DataLoader whose position in the epoch Lightning saves in the checkpoint and restores from it."""

    batches_taken = 0

    def __iter__(self):
        self.batches_taken = self.sampler.skip // self.batch_size
        for batch in super().__iter__():
            self.batches_taken += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """How many batches of the running epoch were handed out."""
        return {"batches_taken": self.batches_taken}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continues behind the batches that were handed out already."""
        self.sampler.skip = state["batches_taken"] * self.batch_size


def cache_entries(split: Split) -> list[Entry]:
    """Every file that training and validation read, with all that any network might want of it."""
    entries = {}
    for sequences, validating in ((split.training, False), (split.validation, True)):
        for sequence in sequences:
            names = ALBEDO_INPUTS if sequence.albedo else PLAIN_INPUTS
            for frame in sequence.frames:
                for path in frame.noisy[:1] if validating else frame.noisy:
                    entries[path] = Entry(path, names, sequence.size)
                entries[frame.target] = Entry(frame.target, TARGET, sequence.size)
    return list(entries.values())


class SequenceData(pl.LightningDataModule):
    """The loaders of a split dataset.

    samples_per_epoch: None for as many as TrainingWindows.cover says. cache: None to decode every crop anew.
    """

    def __init__(
        self,
        split: Split,
        inputs: tuple[str, ...],
        length: int,
        crop_size: int,
        batch_size: int,
        num_workers: int = 0,
        seed: int = 0,
        augment: tuple[str, ...] = AUGMENTATIONS,
        samples_per_epoch: int | None = None,
        cache: FrameCache | None = None,
    ):
        super().__init__()
        self.cache, self.entries, self.inputs = cache, cache_entries(split), inputs
        self.training = TrainingWindows(split.training, inputs, length, crop_size, seed, augment, cache)
        self.validation = ValidationWindows(split.validation, inputs, length, cache)
        self.batch_size, self.num_workers, self.seed = batch_size, num_workers, seed
        self.samples_per_epoch = samples_per_epoch or self.training.cover()

    def _ranks(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _workers(self) -> dict:
        return {
            "num_workers": self.num_workers,
            "persistent_workers": self.num_workers > 0,
            "worker_init_fn": ignore_interrupt,
            "pin_memory": torch.cuda.is_available(),
        }

    def prepare_data(self) -> None:
        """Fills the cache: Lightning calls this in one process of each machine while the others wait."""
        if self.cache:
            self.cache.prepare(self.entries, usable_cores())

    def setup(self, stage: str) -> None:
        """Called in every process, behind prepare_data."""
        if self.cache:
            self.cache.find_files(self.entries)

    def on_after_batch_transfer(self, batch: dict, _index: int) -> dict:
        """What is done to batches on the device: {"noisy": (B, T, C, H, W), "target": (B, T, 3, H, W)} float32."""
        return augment_batch(batch, self.inputs)

    def train_dataloader(self) -> DataLoader:
        """This rank's share of the batches, as TrainingWindows gives their samples."""
        sampler = EpochSampler(len(self.training), self.samples_per_epoch, self.batch_size, self.seed, *self._ranks())
        return ResumableLoader(self.training, self.batch_size, sampler=sampler, **self._workers())

    def val_dataloader(self) -> DataLoader:
        """Windows one at a time, since scenes differ in size; ranks share them (the last are repeated to come out)."""
        rank, world_size = self._ranks()
        sampler = DistributedSampler(self.validation, world_size, rank, shuffle=False)
        return DataLoader(self.validation, batch_size=1, sampler=sampler, **self._workers())
