"""Windows of frames as training samples: decoding, cropping, augmentation, and the loaders around them.

Shapes: T frames, C input channels (in the order of `inputs`), H rows, W columns. A sample is {"noisy": (T, C, H, W),
"target": (T, 3, H, W)}, float32, as stored in the files; target pixels may be NaN (the loss masks them).

Randomness: every training sample draws from a generator seeded with (seed, epoch, position in the epoch). So streams
differ between workers and ranks, do not depend on how many there are, and a resumed run repeats an uninterrupted one.
"""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset, DistributedSampler, Sampler

from images import QUANTITIES, read_exr, replace_invalid
from sequences import Frame, Sequence, Split

AUGMENTATIONS = ("reverse", "stop", "flip", "rotate", "modulate")
STOP_PROBABILITY = 0.2
MODULATION = 2.0  # a colour channel is scaled by at most this, at least its inverse


def load_noisy(path: Path, inputs: tuple[str, ...]) -> tuple[np.ndarray, int]:
    """The quantities `inputs` of a noisy rendering as (C, H, W), and how many NaN and Inf in them became 0."""
    quantities = read_exr(path, inputs)
    invalid = replace_invalid(quantities)
    return np.concatenate([quantities[name] for name in inputs]), invalid


def load_target(path: Path) -> np.ndarray:
    """The (3, H, W) linear radiance of a target, NaN and Inf included."""
    return read_exr(path, ("color",))["color"]


def draw_order(rng: np.random.Generator, length: int, augment: tuple[str, ...]) -> list[int]:
    """Offsets of the frames to show: in order, perhaps reversed, perhaps stopping (repeating one) to the end."""
    order = list(range(length))
    if "reverse" in augment and rng.random() < 0.5:
        order.reverse()
    if "stop" in augment and rng.random() < STOP_PROBABILITY:
        stop = int(rng.integers(length - 1))
        order[stop:] = [order[stop]] * (length - stop)
    return order


def draw_noisy(rng: np.random.Generator, order: list[int], counts: list[int]) -> list[int]:
    """A noisy rendering for each frame shown, independently; a frame shown twice in a row gets another one.

    counts: how many renderings each frame of the window has.
    """
    drawn = []
    for shown, offset in enumerate(order):
        if shown and order[shown - 1] == offset and counts[offset] > 1:
            drawn.append(int(drawn[-1] + 1 + rng.integers(counts[offset] - 1)) % counts[offset])
        else:
            drawn.append(int(rng.integers(counts[offset])))
    return drawn


def transform(
    rng: np.random.Generator, noisy: np.ndarray, target: np.ndarray, inputs: tuple[str, ...], augment: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """One flip, one rotation and one colour modulation for all frames of a square (T, C, H, W) window and its target.

    World-space normals: rotating the picture is rolling the camera, which leaves them as they are. A flipped picture
    is a mirrored world seen by a mirrored camera; mirrored along the world's x axis, normals change the sign of x.
    """
    if "flip" in augment and rng.random() < 0.5:
        noisy, target = noisy[..., ::-1].copy(), target[..., ::-1]
        noisy[:, first_channel(inputs, "normal")] *= -1
    if "rotate" in augment:
        turns = int(rng.integers(4))
        noisy, target = np.rot90(noisy, turns, (2, 3)), np.rot90(target, turns, (2, 3))
    if "modulate" in augment:
        gains = MODULATION ** rng.uniform(-1, 1, (3, 1, 1)).astype(np.float32)
        color = first_channel(inputs, "color")
        noisy = noisy.copy()
        noisy[:, color : color + 3] *= gains
        target = target * gains
    return np.ascontiguousarray(noisy), np.ascontiguousarray(target)


def first_channel(inputs: tuple[str, ...], name: str) -> int:
    """Where quantity `name` begins among the stacked channels of `inputs`."""
    return sum(QUANTITIES[n].count for n in inputs[: inputs.index(name)])


class WindowReader:
    """Reads windows of frames; tells once per file of NaN and Inf, whichever worker finds them first."""

    def __init__(self, sequences: list[Sequence], inputs: tuple[str, ...]):
        self.inputs = inputs
        self.number = {p: i for i, p in enumerate(p for s in sequences for f in s.frames for p in f.noisy)}
        self.told = torch.zeros(len(self.number), dtype=torch.bool).share_memory_()

    def read(self, frames: list[Frame], choice: list[int], box: tuple[slice, slice]) -> tuple[np.ndarray, np.ndarray]:
        """The pixels in `box` of each frame's chosen noisy rendering, (T, C, H, W), and target, (T, 3, H, W)."""
        noisy, targets = [], []
        for frame, k in zip(frames, choice, strict=True):
            values, invalid = load_noisy(frame.noisy[k], self.inputs)
            if invalid:
                self._tell(frame.noisy[k], invalid)
            noisy.append(values[(slice(None), *box)])
            targets.append(load_target(frame.target)[(slice(None), *box)])
        return np.stack(noisy), np.stack(targets)

    def _tell(self, path: Path, invalid: int) -> None:
        if not self.told[self.number[path]]:
            self.told[self.number[path]] = True
            print(f"{path}: {invalid} NaN or Inf values, replaced by 0", file=sys.stderr)


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
    ):
        self.sequences, self.length, self.crop_size = sequences, length, crop_size
        self.seed, self.augment = seed, tuple(augment)
        self.reader = WindowReader(sequences, inputs)
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
        noisy, target = self.reader.read([frames[i] for i in order], choice, box)
        noisy, target = transform(rng, noisy, target, self.reader.inputs, self.augment)
        return {"noisy": torch.from_numpy(noisy), "target": torch.from_numpy(target)}


class ValidationWindows(Dataset):
    """Whole frames, first noisy rendering, in windows of `length` that cover each sequence (the last may overlap)."""

    def __init__(self, sequences: list[Sequence], inputs: tuple[str, ...], length: int):
        self.length = length
        self.reader = WindowReader(sequences, inputs)
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
        noisy, target = self.reader.read(frames, [0] * len(frames), (slice(None), slice(None)))
        first = all(other.scene != sequence.scene for other, _ in self.windows[:index])
        return {
            "noisy": torch.from_numpy(noisy),
            "target": torch.from_numpy(target),
            "scene": sequence.scene,
            "first": first,
        }


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


def ignore_interrupt(_worker: int) -> None:
    """Ctrl-C reaches every process of the terminal; the training process alone decides what it means."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class SequenceData(pl.LightningDataModule):
    """The loaders of a split dataset. samples_per_epoch: None for as many as TrainingWindows.cover says."""

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
    ):
        super().__init__()
        self.training = TrainingWindows(split.training, inputs, length, crop_size, seed, augment)
        self.validation = ValidationWindows(split.validation, inputs, length)
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

    def train_dataloader(self) -> DataLoader:
        """Batches {"noisy": (B, T, C, crop, crop), "target": (B, T, 3, crop, crop)}, this rank's share of them."""
        sampler = EpochSampler(len(self.training), self.samples_per_epoch, self.batch_size, self.seed, *self._ranks())
        return ResumableLoader(self.training, self.batch_size, sampler=sampler, **self._workers())

    def val_dataloader(self) -> DataLoader:
        """Windows one at a time, since scenes differ in size; ranks share them (the last are repeated to come out)."""
        rank, world_size = self._ranks()
        sampler = DistributedSampler(self.validation, world_size, rank, shuffle=False)
        return DataLoader(self.validation, batch_size=1, sampler=sampler, **self._workers())
