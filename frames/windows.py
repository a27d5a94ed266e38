"""Reads windows of frames: the same pixels of successive frames, as half floats.

Shapes: T frames, C input channels, h rows and w columns of a window.
"""

from pathlib import Path

import numpy as np
import torch

from frames.cache import TARGET, FrameCache, Pixels, in_units_of, load_half
from frames.channels import channel_count
from frames.repairs import report_repairs
from frames.sequences import Frame, Sequence


def averaged(renderings: tuple[Path, ...], first: int, count: int) -> list[Path]:
    """`count` of the renderings, from number `first` on, round and round, each at most once."""
    return [renderings[(first + k) % len(renderings)] for k in range(min(count, len(renderings)))]


def other_renderings(renderings: tuple[Path, ...], chosen: int, count: int) -> list[Path]:
    """The first `count` of the renderings without number `chosen`."""
    return [path for index, path in enumerate(renderings) if index != chosen][:count]


def mean_of(renderings: list[np.ndarray]) -> np.ndarray:
    """The mean of (h, w, C) renderings, auxiliary buffers included, since those may have noise, too."""
    return renderings[0] if len(renderings) == 1 else np.mean(renderings, 0, dtype=np.float32).astype(np.float16)


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

        choice: which noisy rendering of each frame. average: the mean of so many renderings, from that one on. All are
        converted to the exponents of the first. Raises InputError if a file cannot be decoded.
        """
        stored = [
            [self._stored(path, self.inputs, box) for path in averaged(frame.noisy, chosen, average)]
            for frame, chosen in zip(frames, choice, strict=True)
        ]
        units = stored[0][0].exponents
        noisy = [mean_of([in_units_of(pixels, self.inputs, units) for pixels in found]) for found in stored]
        target = [in_units_of(self._stored(frame.target, TARGET, box), TARGET, units) for frame in frames]
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
            units = self._stored(frame.noisy[choice], TARGET, box).exponents
            colors = [in_units_of(self._stored(path, TARGET, box), TARGET, units) for path in [frame.target, *others]]
            target, *means = np.float32(colors)  # (h, w, 3) each
            mean = np.mean(means, 0)
            target = np.where(np.isfinite(target), target, mean)
            samples = max(samples, len(others))
            mean = target + (len(others) / samples) ** 0.5 * (mean - target)
            start[..., :3], start[..., 3:6] = mean, mean + closeness * (target - mean)
            start[..., 6] = samples
        return torch.from_numpy(start)

    def _stored(self, path: Path, names: tuple[str, ...], box: tuple[slice, slice]) -> Pixels:
        """The pixels of a file as they are stored."""
        if self.cache:
            return self.cache.read(path, box, channel_count(names))
        (values, exponents), repairs = load_half(path, names)
        if repairs and not self.reported[self.number[path]]:
            self.reported[self.number[path]] = True
            report_repairs(path, repairs)
        return Pixels(values[box], exponents)
