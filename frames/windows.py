"""Reads windows of frames: the same pixels of successive frames, as half floats.

Shapes: T frames, C input channels, h rows and w columns of a window.
"""

from pathlib import Path

import numpy as np
import torch

from frames.cache import TARGET, FrameCache, load_half
from frames.channels import channel_count
from frames.repairs import report_repairs
from frames.sequences import Frame, Sequence


def averaged(renderings: tuple[Path, ...], first: int, count: int) -> list[Path]:
    """`count` of the renderings, from number `first` on, round and round, each at most once."""
    return [renderings[(first + k) % len(renderings)] for k in range(min(count, len(renderings)))]


def other_renderings(renderings: tuple[Path, ...], chosen: int, count: int) -> list[Path]:
    """The first `count` of the renderings without number `chosen`."""
    return [path for index, path in enumerate(renderings) if index != chosen][:count]


class WindowReader:
    """Reads windows of frames from `cache`, or without one by decoding the files each time.

    Without a cache, what is changed in their values is reported once per file, by the first worker that finds them.
    """

    def __init__(self, sequences: list[Sequence], inputs: tuple[str, ...], cache: FrameCache | None = None):
        self.inputs, self.cache = inputs, cache
        self.number = {p: i for i, p in enumerate(p for s in sequences for f in s.frames for p in f.files)}
        self.reported = torch.zeros(len(self.number), dtype=torch.bool).share_memory_()  # by any worker

    def read(
        self, frames: list[Frame], choice: list[int], box: tuple[slice, slice], average: int = 1
    ) -> dict[str, torch.Tensor]:
        """The pixels in `box` (rows, columns) of T frames: {"noisy": (T, h, w, C), "target": (T, h, w, 3)} float16.

        choice: which noisy rendering of each frame. average: mean radiance of so many renderings, from that one on.
        Raises InputError if a file cannot be decoded.
        """
        noisy = [self._average(f.noisy, k, average, box) for f, k in zip(frames, choice, strict=True)]
        target = [self._pixels(f.target, TARGET, box) for f in frames]
        noisy, target = np.stack(noisy), np.stack(target)  # (T, h, w, C), (T, h, w, 3)
        return {"noisy": torch.from_numpy(noisy), "target": torch.from_numpy(target)}

    def read_start(
        self, frame: Frame, choice: int, box: tuple[slice, slice], count: int, samples: float, closeness: float
    ) -> torch.Tensor:
        """A history that a window starts with, (h, w, 7) float16: mean radiance, previous image, number of samples.

        The mean of `count` renderings other than `choice`, moved towards the target until it is as noisy as the mean of
        `samples` of them; the previous image is closer still, by `closeness`. All zeros if there is no other rendering.
        """
        start = np.zeros((box[0].stop - box[0].start, box[1].stop - box[1].start, 7), np.float16)
        others = other_renderings(frame.noisy, choice, count)
        if others:
            target = self._pixels(frame.target, TARGET, box).astype(np.float32)  # (h, w, 3)
            mean = np.mean([self._pixels(path, ("color",), box) for path in others], 0, dtype=np.float32)
            target = np.where(np.isfinite(target), target, mean)
            samples = max(samples, len(others))
            mean = target + (len(others) / samples) ** 0.5 * (mean - target)
            start[..., :3], start[..., 3:6] = mean, mean + closeness * (target - mean)
            start[..., 6] = samples
        return torch.from_numpy(start)

    def _average(self, renderings: tuple[Path, ...], first: int, count: int, box: tuple[slice, slice]) -> np.ndarray:
        """One rendering's pixels, (h, w, C), its radiance averaged with that of the following ones, `count` in all."""
        chosen, *further = averaged(renderings, first, count)
        pixels = self._pixels(chosen, self.inputs, box)
        if further:
            colors = [self._pixels(path, ("color",), box) for path in further]
            pixels = pixels.copy()
            pixels[..., :3] = np.mean([pixels[..., :3], *colors], 0, dtype=np.float32)
        return pixels

    def _pixels(self, path: Path, names: tuple[str, ...], box: tuple[slice, slice]) -> np.ndarray:
        if self.cache:
            return self.cache.read(path, box, channel_count(names))
        pixels, repairs = load_half(path, names)
        if repairs and not self.reported[self.number[path]]:
            self.reported[self.number[path]] = True
            report_repairs(path, repairs)
        return pixels[box]
