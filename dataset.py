"""Windows of frames as training samples, and their loaders.

Shapes: B samples, T frames, C input channels (in the order of `inputs`), H rows, W columns. A sample is {"noisy":
(T, H, W, C), "target": (T, H, W, 3)} in half floats, as the cache stores them, plus what draw_transform drew, its `key`
(3,), and with the augmentation "history" a `start` (H, W, 7), see WindowReader.read_start. The rest is done to whole
batches on the device, by augment_batch. Target pixels may be NaN: the loss masks them.

Randomness: every training sample has its own generator, seeded with (seed, epoch, position in the epoch). So samples
differ between workers and ranks but do not depend on their number, and a resumed run continues exactly as if it had
not been interrupted.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset, DistributedSampler, Sampler

from frames.augmentation import (
    DIRECT_AUGMENTATIONS,
    REVERSE_PROBABILITY,
    REVERSE_WITH_MOTION,
    augment_batch,
    change_motion,
    draw_average,
    draw_dropped,
    draw_history,
    draw_noisy,
    draw_order,
    draw_transform,
)
from frames.cache import FrameCache, cache_entries
from frames.channels import QUANTITIES, first_channel
from frames.normalization import normalized_batch
from frames.sequences import Frame, Sequence, Split
from frames.windows import WindowReader, averaged, other_renderings
from machine import leave_signals_to_the_main_process, usable_cores


class Drawn(NamedTuple):
    """What is random about a training sample."""

    frames: list[Frame]  # as they are shown, which may be in reverse, or one of them again and again
    order: list[int]  # their places in the window
    choice: list[int]  # which noisy rendering of each
    box: tuple[slice, slice]
    transform: dict
    average: int
    dropped: list[str]
    earlier: tuple[int, float, float]


class TrainingWindows(Dataset):
    """Random square crops of every window of `length` consecutive frames, augmented. EpochSampler makes the keys.

    crop_size: in pixels. augment: names of AUGMENTATIONS. cache: see WindowReader.
    """

    def __init__(
        self,
        sequences: list[Sequence],
        inputs: tuple[str, ...],
        *,
        length: int,
        crop_size: int,
        seed: int = 0,
        augment: tuple[str, ...] = DIRECT_AUGMENTATIONS,
        cache: FrameCache | None = None,
    ):
        self.sequences, self.length, self.crop_size = sequences, length, crop_size
        self.seed, self.augment = seed, tuple(augment)
        self.reader = WindowReader(sequences, inputs, cache)
        self.windows = [(s, start) for s in sequences for start in range(len(s.frames) - length + 1)]
        # a window of a larger scene is drawn more often, so that every pixel is drawn equally often
        crops = [self._crops(sequence) for sequence, _ in self.windows]
        self.draws = [i for i, count in enumerate(crops) for _ in range(count // math.gcd(*crops))]

    def __len__(self) -> int:
        """How many draws show every pixel equally often."""
        return len(self.draws)

    def _crops(self, sequence: Sequence) -> int:
        """How many crops cover a frame of this sequence, by area."""
        return -(-sequence.size[0] * sequence.size[1] // self.crop_size**2)

    def covering_samples(self) -> int:
        """How many samples show every noisy pixel of every window once, on average: the default length of an epoch."""
        crops = 0
        for sequence, start in self.windows:
            renderings = min(len(f.noisy) for f in sequence.frames[start : start + self.length])
            crops += renderings * self._crops(sequence)
        return crops

    def draw(self, key: tuple[int, int, int]) -> Drawn:
        """What is random about the sample of (epoch, position in the epoch, draw)."""
        epoch, position, draw = key
        sequence, start = self.windows[self.draws[draw]]
        frames = sequence.frames[start : start + self.length]
        # in an order that must not change: it decides what a seed gives
        rng = np.random.default_rng((self.seed, epoch, position))
        reverse = REVERSE_WITH_MOTION if "motion" in self.reader.inputs else REVERSE_PROBABILITY
        order = draw_order(rng, self.length, self.augment, reverse)
        choice = draw_noisy(rng, order, [len(f.noisy) for f in frames])
        top, left = (int(rng.integers(extent - self.crop_size + 1)) for extent in sequence.size)
        box = slice(top, top + self.crop_size), slice(left, left + self.crop_size)
        transform = draw_transform(rng, self.augment)
        average, dropped = draw_average(rng, self.augment), draw_dropped(rng, self.augment)
        earlier = draw_history(rng, self.augment, order)
        shown = [frames[i] for i in order]
        return Drawn(shown, order, choice, box, transform, average, dropped, earlier)

    def files(self, key: tuple[int, int, int]) -> list[Path]:
        """The files that the sample of (epoch, position in the epoch, draw) is read from."""
        drawn = self.draw(key)
        files = other_renderings(drawn.frames[0].noisy, drawn.choice[0], drawn.earlier[0])
        for frame, chosen in zip(drawn.frames, drawn.choice, strict=True):
            files += [*averaged(frame.noisy, chosen, drawn.average), frame.target]
        return sorted(set(files))

    def __getitem__(self, key: tuple[int, int, int]) -> dict[str, torch.Tensor]:
        """The sample of (epoch, position in the epoch, draw)."""
        drawn = self.draw(key)
        # read the crop; flips, turns and gains are left to the device
        sample = self.reader.read(drawn.frames, drawn.choice, drawn.box, drawn.average)
        if "motion" in self.reader.inputs:
            first = first_channel(self.reader.inputs, "motion")
            change_motion(sample["noisy"].numpy()[..., first : first + 2], drawn.order)
            if "history" in self.augment:
                sample["start"] = self.reader.read_start(drawn.frames[0], drawn.choice[0], drawn.box, *drawn.earlier)
                if drawn.earlier[0]:
                    sample["noisy"][0, ..., first : first + 2] = 0  # seen from the same camera
        for name in set(drawn.dropped) & set(self.reader.inputs):
            first = first_channel(self.reader.inputs, name)
            sample["noisy"][..., first : first + QUANTITIES[name].count] = QUANTITIES[name].missing
        return sample | drawn.transform | {"key": np.asarray(key)}


class ValidationWindows(Dataset):
    """Whole frames with their first noisy rendering, in windows of `length` frames that cover each sequence.

    The last window of a sequence may overlap the one before. cache: see WindowReader.
    """

    def __init__(
        self, sequences: list[Sequence], inputs: tuple[str, ...], *, length: int, cache: FrameCache | None = None
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
        """A sample as in training, plus its `scene` and whether it is that scene's `first` window."""
        sequence, start = self.windows[index]
        frames = sequence.frames[start : start + self.length]
        whole = slice(0, sequence.size[0]), slice(0, sequence.size[1])
        first = all(other.scene != sequence.scene for other, _ in self.windows[:index])
        return self.reader.read(frames, [0] * len(frames), whole) | {"scene": sequence.scene, "first": first}


class EpochSampler(Sampler):
    """Keys (epoch, position, window) of one rank's samples in an epoch.

    All ranks together get `samples` keys: shuffled passes over the windows, the last one cut short. `samples` is
    rounded up to whole batches on every rank. skip: how many keys the next epoch leaves out, for a run that resumes
    within an epoch.
    """

    def __init__(self, windows: int, samples: int, batch_size: int, seed: int, rank: int = 0, world_size: int = 1):
        step = batch_size * world_size
        self.windows, self.samples = windows, -(-samples // step) * step
        self.seed, self.rank, self.world_size = seed, rank, world_size
        self.epoch, self.skip = 0, 0

    def set_epoch(self, epoch: int) -> None:
        """Selects the epoch; Lightning calls this before each one."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.samples // self.world_size

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        # the windows of the whole epoch
        rng = np.random.default_rng((self.seed, self.epoch))
        passes = [rng.permutation(self.windows) for _ in range(-(-self.samples // self.windows))]
        order = np.concatenate(passes)[: self.samples]
        # this rank's share of them
        positions = range(self.rank, self.samples, self.world_size)[self.skip :]
        self.skip = 0
        epoch = self.epoch
        return ((epoch, position, int(order[position])) for position in positions)


class ResumableLoader(DataLoader):
    """A DataLoader whose position within the epoch is saved in checkpoints and restored from them, by Lightning."""

    batches_taken = 0

    def __iter__(self):
        self.batches_taken = self.sampler.skip // self.batch_size
        for batch in super().__iter__():
            self.batches_taken += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """How many batches of the current epoch have been returned."""
        return {"batches_taken": self.batches_taken}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Skips the batches that the saved run has already returned."""
        self.sampler.skip = state["batches_taken"] * self.batch_size


class SequenceData(pl.LightningDataModule):
    """The loaders of a split dataset.

    inputs: quantities of a noisy frame. length: frames per window. crop_size: pixels. batch_size: windows per rank.
    samples_per_epoch: over all ranks; None for TrainingWindows.covering_samples. cache: None decodes every crop anew.
    """

    def __init__(
        self,
        split: Split,
        inputs: tuple[str, ...],
        *,
        length: int,
        crop_size: int,
        batch_size: int,
        num_workers: int = 0,
        seed: int = 0,
        augment: tuple[str, ...] = DIRECT_AUGMENTATIONS,
        samples_per_epoch: int | None = None,
        cache: FrameCache | None = None,
    ):
        super().__init__()
        self.cache, self.entries, self.inputs = cache, cache_entries(split), inputs
        self.training = TrainingWindows(
            split.training, inputs, length=length, crop_size=crop_size, seed=seed, augment=augment, cache=cache
        )
        self.validation = ValidationWindows(split.validation, inputs, length=length, cache=cache)
        self.batch_size, self.num_workers, self.seed = batch_size, num_workers, seed
        self.samples_per_epoch = samples_per_epoch or self.training.covering_samples()

    def _ranks(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _workers(self) -> dict:
        return {
            "num_workers": self.num_workers,
            "persistent_workers": self.num_workers > 0,
            "worker_init_fn": leave_signals_to_the_main_process,
            "pin_memory": torch.cuda.is_available(),
        }

    def prepare_data(self) -> None:
        """Fills the cache; Lightning calls this in one process per machine while the others wait."""
        if self.cache:
            self.cache.prepare(self.entries, usable_cores())

    def setup(self, stage: str) -> None:
        """Finds the cached files; Lightning calls this in every process, after prepare_data."""
        if self.cache:
            self.cache.find_files(self.entries)

    def on_after_batch_transfer(self, batch: dict, _index: int) -> dict:
        """Augments a batch on the device: {"noisy": (B, T, C, H, W), "target": (B, T, 3, H, W)} float32."""
        return augment_batch(normalized_batch(batch, self.inputs), self.inputs)

    def train_dataloader(self) -> DataLoader:
        """This rank's share of the training batches: samples of TrainingWindows."""
        sampler = EpochSampler(len(self.training), self.samples_per_epoch, self.batch_size, self.seed, *self._ranks())
        return ResumableLoader(self.training, self.batch_size, sampler=sampler, **self._workers())

    def val_dataloader(self) -> DataLoader:
        """This rank's share of the validation windows, one per batch because scenes differ in size.

        Some windows are repeated if their number is not a multiple of the number of ranks.
        """
        rank, world_size = self._ranks()
        sampler = DistributedSampler(self.validation, world_size, rank, shuffle=False)
        return DataLoader(self.validation, batch_size=1, sampler=sampler, **self._workers())
