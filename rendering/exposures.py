"""When and where the samples of a picture are taken: pixel filters, lenses, and the time while the shutter is open.

An exposure is one pass over the picture. All its samples share a subpixel offset, a time and a point on the lens.
Renderers use pixel filters in two ways. Some draw each pixel's samples from the filter: the
noise of neighboring pixels is independent, edges are blurred. Passes with offsets drawn from the filter do that, if
each pixel takes the passes in an order of its own. Others splat a sample over the pixels around it: the noise of
neighboring pixels is correlated. Mitsuba's own filters do that. Both show the same picture in the end, so targets are
always made in the first way: Open Image Denoise cannot remove correlated noise.
"""

import math
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from rendering.cameras import Camera, between
from rendering.jobs import Job

# Exposures of a picture, if it has as many samples: where they differ by filter and time, or by lens as well.
EXPOSURES, LENS_EXPOSURES = 16, 64
NOISY_EXPOSURES = 8  # for all noisy renderings of a frame together, at least; those with few samples leave some unused
BOX_VARIANCE = 1 / 12  # of the places of samples in their pixel, along x and along y, in pixels^2


@dataclass(frozen=True)
class PixelFilter:
    """deviation: the filter's standard deviation along x and y, in pixels; None for the pixel's own square.

    splat: Mitsuba's filter that noisy renderings splat with, None where their samples are drawn from the filter.
    """

    deviation: float | None = None
    splat: dict | None = None

    @property
    def jitter(self) -> float:
        """The standard deviation of the offsets, which with the places in a pixel gives that of the filter."""
        return 0.0 if self.deviation is None else (self.deviation**2 - BOX_VARIANCE) ** 0.5


# Cycles' default, Blackman-Harris of 1.5 pixels, is three pixels wide in all; 0.1385 is that window's own deviation.
FILTERS = {
    "box": PixelFilter(),
    "blackman-harris": PixelFilter(3 * 0.1385),
    "gaussian": PixelFilter(0.5),
    "splat-gaussian": PixelFilter(0.5, {"type": "gaussian", "stddev": 0.5}),
    "splat-tent": PixelFilter(6**-0.5, {"type": "tent", "radius": 1.0}),
}


@dataclass(frozen=True)
class Exposure:
    """What the samples of one pass share.

    offset: from their pixel, (x right, y down) in pixels; time: in frames, from the frame's own; lens: where they pass
    the lens, (x right, y down) in radii of it.
    """

    offset: tuple[float, float] = (0.0, 0.0)
    time: float = 0.0
    lens: tuple[float, float] = (0.0, 0.0)


def exposures(job: Job, rendering: str, count: int, splat: dict | None = None) -> list[Exposure]:
    """As many exposures as `count` samples need, at most `count`, evenly spread over filter, shutter and lens.

    A single one where they would not differ.

    rendering: see Job.seed; each has its own.
    splat: the filter that Mitsuba will apply, if any, so that none is drawn from.
    Their order is random in time and place.
    """
    settings = job.settings
    jitter = 0.0 if splat else FILTERS[settings.pixel_filter].jitter
    if jitter == 0 and settings.shutter == 0 and job.camera.aperture == 0:
        return [Exposure()]
    count = min(count, LENS_EXPOSURES if job.camera.aperture else EXPOSURES)

    # a lattice of five dimensions (Roberts 2018: the root of x^6 = x + 1), shifted at random, in random order
    rng = np.random.default_rng(job.seed(rendering, -1))
    steps = 1.1347241384015194 ** -np.arange(1.0, 6.0)
    points = (rng.random(5) + steps * np.arange(count)[:, None]) % 1  # (count, 5)
    points = rng.permutation(np.clip(points, 1e-4, 1 - 1e-4))

    # from the unit cube to filter, shutter and lens
    normal = NormalDist(0, jitter).inv_cdf if jitter else lambda _: 0.0
    found = []
    for x, y, time, angle, area in points.tolist():
        lens = math.sqrt(area) * math.cos(2 * math.pi * angle), math.sqrt(area) * math.sin(2 * math.pi * angle)
        found.append(Exposure((normal(x), normal(y)), settings.shutter * (time - 0.5), lens))
    return found


def camera_at(job: Job, time: float) -> Camera:
    """The frame's camera at a time between the neighboring frames'; at the ends it moves on as it did."""
    if time < 0 and job.before is not None:
        return between(job.camera, job.before, -time)
    if job.after is not None:
        return between(job.camera, job.after, time)
    return job.camera if job.before is None else between(job.before, job.camera, 1 + time)


def camera_before(job: Job, time: float) -> Camera:
    """The previous frame's camera at the same time of its shutter."""
    return between(job.before, job.camera, time)


def through_lens(camera: Camera, exposure: Exposure, width: int) -> tuple[Camera, tuple[float, float]]:
    """The pinhole at the exposure's point of the lens, and the offset of its samples, in pixels of a picture this wide.

    The offset keeps the plane in focus where the middle of the lens sees it.
    """
    if camera.aperture == 0:
        return camera, (0.0, 0.0)
    x, y = camera.aperture * exposure.lens[0], camera.aperture * exposure.lens[1]
    right, down, _ = camera.axes()
    shift = x * right + y * down
    origin, target = (tuple(np.add(point, shift).tolist()) for point in (camera.origin, camera.target))
    focal = width / 2 / math.tan(math.radians(camera.fov) / 2)  # pixels
    moved = replace(camera, origin=origin, target=target, aperture=0.0)
    return moved, (-x * focal / camera.focus, -y * focal / camera.focus)


def shuffled(passes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Passes (P, H, W, C) in an order of its own for each pixel: each result is a picture of one sample per pixel."""
    order = rng.random(passes.shape[:3]).argsort(0)
    return np.take_along_axis(passes, order[..., None], 0)
