"""The brightness of a sequence's images, corrected by its samples.

Samples are right in the mean, the network is not. Where it is uncertain it is too dark, because the loss is smallest
at the median of what a pixel may be. It also draws together what it cannot tell apart: bright things come out too dark
and dark things too bright. One frame is not enough to measure this, because a few bright samples decide its mean.

Shapes: C input channels, L colors, mostly 1, H rows, W columns.
"""

import math
from typing import NamedTuple

import torch

from frames.radiance import luminance

GAIN_LIMIT = 1.15
GAIN_SPREAD = 0.03  # standard deviation of the logarithms of the gains that we expect, before any sample
CONTRAST_LIMIT = 0.1
CONTRAST_SPREAD = 0.1  # standard deviation of the contrasts that we expect, before any sample
RATIO_ERROR = 0.03  # relative; what a bin's ratio is off by even with infinitely many samples
STOPS = (-5, 3)  # of luminance, around the pivot, that bins cover


class Curve(NamedTuple):
    """What the images of a sequence are multiplied by: gain * (luminance / pivot) ** contrast."""

    gain: float = 1.0
    contrast: float = 0.0
    pivot: float = 1.0

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """(3 L, H, W) linear radiance, brightened by the luminance of its first color; alike beyond STOPS."""
        return image * self.gain * relative_luminance(image, self.pivot).pow(self.contrast)


class Brightness:
    """Compares the images of a sequence with its samples, in bins of equal luminance.

    A pixel's bin is that of the same place in the image before. Its own image would do harm: that is bright where the
    samples are bright by chance.
    """

    def __init__(self) -> None:
        self.pivot, self.before = 0.0, None  # before: (H W,) bins
        self.sums = torch.zeros(4, STOPS[1] - STOPS[0], dtype=torch.double)

    def add(self, frame: torch.Tensor, image: torch.Tensor) -> None:
        """A (C, H, W) frame and the (3 L, H, W) image that the network made of it, in the order of the sequence."""
        images = luminance(image[:3])  # (H, W)
        if self.before is None:
            self.pivot = float(images.double().mean())
        stops = relative_luminance(image.nan_to_num(), self.pivot or 1.0).log2()
        if self.before is not None and 0 < self.pivot < math.inf:
            samples = luminance(frame[:3])
            for row, values in enumerate((samples, images, images * stops, (samples - images).square())):
                self.sums[row] += torch.bincount(self.before, values.flatten().double(), self.sums.shape[1])
        self.before = (stops - STOPS[0]).long().clamp(max=self.sums.shape[1] - 1).flatten()

    @property
    def curve(self) -> Curve:
        """What makes the images as bright as the samples, but within limits, since those are noisy."""
        samples, images = self.sums[:2]
        used = (samples > 0) & (images > 0)
        if not used.any() or not self.sums.isfinite().all():
            return Curve()
        samples, images, stops, squares = self.sums[:, used]
        # a line through the ratios of the bins, each as far from it as its noise lets it be; level without evidence
        ratio, position = (samples / images).log(), stops / images * math.log(2)
        weight = images / images.sum() / (squares / images.square() + RATIO_ERROR**2)
        position, ratio = (x - (weight * x).sum() / weight.sum() for x in (position, ratio))
        contrast = (weight * position * ratio).sum() / ((weight * position.square()).sum() + CONTRAST_SPREAD**-2)
        contrast = min(max(float(contrast), 0.0), CONTRAST_LIMIT)
        # the less the sum of the samples is to be trusted, the less gain: one firefly makes a ratio, and its error
        gain = float((samples.sum() / (images * (contrast * stops / images * math.log(2)).exp()).sum()).log())
        gain *= GAIN_SPREAD**2 / (GAIN_SPREAD**2 + float(squares.sum() / images.sum().square()))
        limit = math.log(GAIN_LIMIT)
        return Curve(math.exp(min(max(gain, -limit), limit)), contrast, self.pivot)

    def corrected(self, frame: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """Adds a frame and its image, and returns the image with the curve of all so far."""
        self.add(frame, image)
        return self.curve(image)


def relative_luminance(image: torch.Tensor, pivot: float) -> torch.Tensor:
    """The luminance of the first color of (3 L, H, W), over the pivot, within STOPS: (H, W)."""
    return (luminance(image[:3]) / pivot).clamp(2.0 ** STOPS[0], 2.0 ** STOPS[1])
