"""Renders one frame: noisy renderings, target, depth, normal, albedo and motion.

Letters: H rows, W columns, C channels, g samples across a pixel, P passes of one sample per pixel. Mitsuba's pictures
are (H, W, C), EXR files (C, H, W).
"""

import math
import os
import socket
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import mitsuba as mi
import numpy as np

from files import InputError, whole_folder
from frames.exr_writing import write_exr
from rendering.animation import Animation
from rendering.cameras import motion
from rendering.exposures import (
    FILTERS,
    NOISY_EXPOSURES,
    Exposure,
    camera_at,
    camera_before,
    exposures,
    shuffled,
    through_lens,
)
from rendering.jobs import UNITS, FileSource, Job, Source
from rendering.scene import load_scene
from rendering.tracing import Tracer

PASS_SAMPLES = 2**23  # at most, in one call of Mitsuba, which keeps some hundred bytes for each
DENOISER_THREADS = "OIDN_NUM_THREADS"  # environment variable; by default, every process would take all cores
MOTION_GRID = 4  # motion is averaged over at most 4x4 samples of each pixel


@dataclass(frozen=True)
class Frame:
    """A job with its scene in Mitsuba."""

    job: Job
    tracer: Tracer
    animation: Animation

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.job.settings.height, self.job.settings.width

    @property
    def splat(self) -> dict | None:
        """Mitsuba's filter for noisy renderings, where the pixel filter is one that splats, else None."""
        return FILTERS[self.job.settings.pixel_filter].splat


def load_frame(job: Job) -> Frame:
    """A job with its scene, loaded unless it is that of the job before. Raises InputError where it cannot be loaded."""
    what = job.source, job.settings.variant, job.settings.max_depth
    load_scene(*what)  # sets the variant
    return Frame(job, *_tracer(*what))


@lru_cache(maxsize=1)
def _tracer(source: Source, variant: str, max_depth: int | None) -> tuple[Tracer, Animation]:
    scene, integrator, animation = load_scene(source, variant, max_depth)
    return Tracer(scene, integrator), animation


def render(
    frame: Frame, what: str, spp: int, rendering: str, exposure: Exposure, grid: int = 1, splat: dict | None = None
) -> np.ndarray:
    """(gH, gW, C) float32 with `spp` samples per pixel, in passes of at most PASS_SAMPLES.

    what, splat: see Tracer.
    rendering: see Job.seed.
    grid: how many times as large as the frame, g.
    """
    size, job = (frame.size[0] * grid, frame.size[1] * grid), frame.job
    camera, offset = through_lens(camera_at(job, exposure.time), exposure, size[1])
    offset = offset[0] + exposure.offset[0] * grid, offset[1] + exposure.offset[1] * grid
    frame.animation.show(job.frame + exposure.time, job.frame)
    most = max(1, PASS_SAMPLES // math.prod(size))
    total, done, part = 0.0, 0, 0
    while done < spp:
        count = min(most, spp - done)
        total = total + count * frame.tracer(what, count, camera, size, job.seed(rendering, part), offset, splat)
        done, part = done + count, part + 1
    return (total / spp).astype(np.float32)


def parts_of(frame: Frame, rendering: str, spp: int) -> list[tuple[str, Exposure, int]]:
    """The exposures of a picture of `spp` samples per pixel: for each, its name for Job.seed, and its share of them."""
    found = exposures(frame.job, rendering, spp)
    names = [rendering] if len(found) == 1 else [f"{rendering}@{n}" for n in range(len(found))]
    shares = [spp // len(found) + (n < spp % len(found)) for n in range(len(found))]
    return list(zip(names, found, shares, strict=True))


def render_color(frame: Frame, rendering: str, spp: int) -> np.ndarray:
    """(3, H, W) linear radiance."""
    parts = parts_of(frame, rendering, spp)
    images = [n * render(frame, "color", n, name, exposure)[..., :3] for name, exposure, n in parts]
    return (sum(images) / spp).transpose(2, 0, 1)


def render_auxiliary(frame: Frame) -> np.ndarray:
    """depth, normal, albedo and motion, (9, H, W), averaged over aux_spp samples per pixel."""
    spp = frame.job.settings.aux_spp
    parts = parts_of(frame, "aux", spp)
    return sum(n * surfaces(frame, name, exposure, n) for name, exposure, n in parts) / spp


def surfaces(frame: Frame, rendering: str, exposure: Exposure, spp: int) -> np.ndarray:
    """depth, normal, albedo and motion, (9, H, W), of `spp` samples per pixel of one exposure.

    Motion comes from the first g x g samples, one in each cell of a grid over the pixel: positions must be projected
    before they are averaged, so these samples are rendered as a picture g times as large.
    """
    # first samples, with positions
    size = frame.size
    grid = min(MOTION_GRID, math.isqrt(spp), max(1, math.isqrt(PASS_SAMPLES // math.prod(size))))
    first = render(frame, "points", 1, rendering, exposure, grid)  # (gH, gW, 12)
    moved = picture_motion(frame, first, exposure) / grid  # (gH, gW, 2)

    # mean over each pixel
    cells = np.concatenate([first[..., :7], moved], -1).reshape(size[0], grid, size[1], grid, 9)
    values = cells.mean((1, 3)).transpose(2, 0, 1)  # (9, H, W)

    # the rest of the samples
    if rest := spp - grid**2:
        others = render(frame, "surfaces", rest, f"{rendering}-rest", exposure)
        values[:7] = (grid**2 * values[:7] + rest * others.transpose(2, 0, 1)) / spp
    return values


def picture_motion(frame: Frame, seen: np.ndarray, exposure: Exposure) -> np.ndarray:
    """(H, W, 2) pixels of a picture of single samples to where their points were in the previous frame.

    seen: (H, W, 12), what Tracer calls points. 0 in the first frame.
    """
    job = frame.job
    if job.before is None:
        return np.zeros((*seen.shape[:2], 2), np.float32)
    hit, position, shape, face = seen[..., 0] > 0, seen[..., 7:10], seen[..., 10], seen[..., 11]
    cameras = camera_at(job, exposure.time), camera_before(job, exposure.time)
    if not frame.animation.movers:
        return motion(position, hit, *cameras)
    previous = frame.animation.before(np.where(hit, shape, 0), face, position, job.frame + exposure.time)
    return motion(position, hit, *cameras, previous)


def render_noisy(frame: Frame, auxiliary: np.ndarray) -> list[np.ndarray]:
    """Color, depth, normal, albedo and motion of each noisy rendering, (12, H, W).

    auxiliary: the clean ones, (9, H, W). With own guides, those of a file come from the camera samples of its color.
    """
    # one call each, where all samples of a pixel are alike
    settings, job = frame.job.settings, frame.job
    needed, names = settings.noisy * settings.spp, [f"noisy-{k}" for k in range(settings.noisy)]
    exposed = exposures(job, "noisy", max(NOISY_EXPOSURES, needed), frame.splat)
    if settings.guides == "clean" and len(exposed) == 1:
        images = (render(frame, "color", settings.spp, name, exposed[0], splat=frame.splat) for name in names)
        colors = (image[..., :3].transpose(2, 0, 1) for image in images)
        return [np.concatenate([color, auxiliary]) for color in colors]

    # else passes of one sample per pixel; each pixel takes those that differ in an order of its own
    used = [exposed[n % len(exposed)] for n in range(max(needed, len(exposed)))]
    passes = [one_sample(frame, f"noisy@{n}", exposure) for n, exposure in enumerate(used)]
    passes = np.stack(passes)  # (P, H, W, 3 or 12)
    if len(exposed) > 1:
        passes = shuffled(passes, np.random.default_rng(job.seed("noisy", -2)))

    # shared out among the files
    files = passes[:needed].reshape(settings.noisy, settings.spp, *passes.shape[1:]).mean(1).transpose(0, 3, 1, 2)
    return [file if len(file) > 3 else np.concatenate([file, auxiliary]) for file in files]


def one_sample(frame: Frame, rendering: str, exposure: Exposure) -> np.ndarray:
    """A pass of one sample per pixel: (H, W, 3), or with own guides (H, W, 12)."""
    if frame.job.settings.guides == "clean":
        return render(frame, "color", 1, rendering, exposure, splat=frame.splat)[..., :3]
    seen = render(frame, "color and points", 1, rendering, exposure, splat=frame.splat)  # (H, W, 15)
    points = seen[..., 3:]
    if frame.splat:  # single points on surfaces, which a filter would mix
        points = render(frame, "points", 1, f"{rendering}-points", exposure)
    return np.concatenate([seen[..., :10], picture_motion(frame, points, exposure)], -1)


def channels(values: np.ndarray, unit: float) -> dict[str, np.ndarray]:
    """Color, depth, normal, albedo and motion, (12, H, W), by the names of EXR channels; unit: of depth, per meter."""
    color, depth, normal, albedo, moved = np.split(values, [3, 4, 7, 10])
    return {"color": color, "depth": depth * unit, "normal": normal, "albedo": np.clip(albedo, 0, 1), "motion": moved}


def denoise(color: np.ndarray, auxiliary: dict[str, np.ndarray]) -> np.ndarray:
    """(3, H, W) radiance through Open Image Denoise, with albedo and normal as its clean auxiliary images."""
    os.environ.setdefault(DENOISER_THREADS, "1")  # read when it starts; a worker of a cluster has one core
    import pyoidn

    planes = (color, auxiliary["albedo"], auxiliary["normal"])
    image, albedo, normal = (np.ascontiguousarray(p.transpose(1, 2, 0), np.float32) for p in planes)  # (H, W, 3)
    clean = pyoidn.denoise(image, albedo=albedo, normal=normal, hdr=True, quality="high", clean_aux=True)
    return clean.transpose(2, 0, 1)


def render_frame(job: Job) -> int:
    """Renders one frame into its folder, as an atomic write; returns the number of paths traced.

    Raises InputError where the scene cannot be loaded, Mitsuba's version is not the run's or the sequence's folder is
    not there, OSError where the frame cannot be written.
    """
    # the same disk and Mitsuba as where the run began
    host, settings = socket.gethostname(), job.settings
    gone = InputError(
        f"{host}: {job.folder} is not there; if it was not deleted, let all machines see the dataset under one path"
    )
    if not Path(job.folder).is_dir():
        raise gone
    if mi.__version__ != settings.mitsuba:
        raise InputError(
            f"{host}: Mitsuba {mi.__version__}, but {settings.mitsuba} where the run began; "
            f"pip install mitsuba=={settings.mitsuba} there"
        )

    # scene; a scene file has a unit of its own
    frame = load_frame(job)
    unit = 1.0 if isinstance(job.source, FileSource) else UNITS[settings.unit]

    # target, with clean guides
    auxiliary = render_auxiliary(frame)
    target = channels(np.concatenate([render_color(frame, "target", settings.target_spp), auxiliary]), unit)
    target |= {"color": denoise(target["color"], target)} if settings.denoise_target else {}

    # all files at once
    try:
        with whole_folder(job.frame_folder) as folder:
            for k, noisy in enumerate(render_noisy(frame, auxiliary)):
                write_exr(folder / f"noisy-{k}.exr", channels(noisy, unit))
            write_exr(folder / "target.exr", target)
    except FileNotFoundError as error:
        raise gone from error
    return settings.samples
