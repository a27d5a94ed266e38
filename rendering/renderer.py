"""Renders one frame: noisy renderings, target, depth, normal, albedo and motion.

Letters: H rows, W columns, C channels, g samples across a pixel. Mitsuba's pictures are (H, W, C), EXR files (C, H, W).
"""

import math
import os
import socket
from pathlib import Path

import mitsuba as mi
import numpy as np

from files import InputError, whole_folder
from frames.exr import write_exr
from rendering.cameras import Camera, motion
from rendering.jobs import Job
from rendering.scene import load_scene, scene_size

PASS_SAMPLES = 2**23  # at most, in one call of Mitsuba, which keeps some hundred bytes for each
AUXILIARY = "depth:depth,normal:sh_normal,albedo:albedo"  # for Mitsuba's aov integrator
DENOISER_THREADS = "OIDN_NUM_THREADS"  # environment variable; by default, every process would take all cores
MOTION_GRID = 4  # motion is averaged over at most 4x4 samples of each pixel


def make_sensor(camera: Camera, size: tuple[int, int], scene, seed: int):
    """Mitsuba's sensor for a (H, W) picture, with a box filter and float32 pixels.

    seed: of the sampler. A call of mi.render takes one as well, but in the scalar variant noise repeats after
    2^32 / (H W) of those.
    """
    reach = scene_size(scene)
    film = {"type": "hdrfilm", "width": size[1], "height": size[0], "rfilter": {"type": "box"}}
    film |= {"component_format": "float32", "pixel_format": "rgb", "banner": False}
    return mi.load_dict(
        {
            "type": "perspective",
            "fov": camera.fov,
            "fov_axis": "x",
            "near_clip": 1e-6 * reach,  # Mitsuba measures depth from here
            "far_clip": 1e3 * reach,
            "to_world": mi.ScalarTransform4f().look_at(
                origin=list(camera.origin), target=list(camera.target), up=list(camera.up)
            ),
            "film": film,
            "sampler": {"type": "independent", "seed": seed},
        }
    )


def render(scene, integrator, size: tuple[int, int], spp: int, job: Job, rendering: str) -> np.ndarray:
    """(H, W, C) float32 with `spp` samples per pixel, in passes of at most PASS_SAMPLES. rendering: see Job.seed."""
    most = max(1, PASS_SAMPLES // math.prod(size))
    total, done, part = 0.0, 0, 0
    while done < spp:
        count = min(most, spp - done)
        seed = job.seed(rendering, part)
        sensor = make_sensor(job.camera, size, scene, seed)
        image = mi.render(scene, sensor=sensor, integrator=integrator, spp=count, seed=seed)
        total = total + count * np.array(image)  # (H, W, C)
        done, part = done + count, part + 1
    return (total / spp).astype(np.float32)


def render_auxiliary(scene, job: Job) -> dict[str, np.ndarray]:
    """depth, normal, albedo and motion, each (C, H, W), averaged over aux_spp samples per pixel.

    Motion comes from the first g x g samples, one in each cell of a grid over the pixel: positions must be projected
    before they are averaged, so these samples are rendered as a picture g times as large.
    """
    # first samples, with positions
    settings, size = job.settings, (job.settings.height, job.settings.width)
    grid = min(MOTION_GRID, math.isqrt(settings.aux_spp), max(1, math.isqrt(PASS_SAMPLES // math.prod(size))))
    with_position = mi.load_dict({"type": "aov", "aovs": f"{AUXILIARY},position:position"})
    first = render(scene, with_position, (size[0] * grid, size[1] * grid), 1, job, "aux")  # (gH, gW, 10)

    # motion, in pixels of the frame
    moved = np.zeros((*first.shape[:2], 2), np.float32)
    if job.before is not None:
        moved = motion(first[..., 7:], first[..., 0] > 0, job.camera, job.before) / grid  # (gH, gW, 2)

    # mean over each pixel
    cells = np.concatenate([first[..., :7], moved], -1).reshape(size[0], grid, size[1], grid, 9)
    values = cells.mean((1, 3)).transpose(2, 0, 1)  # (9, H, W)

    # the rest of the samples
    if rest := settings.aux_spp - grid**2:
        others = render(scene, mi.load_dict({"type": "aov", "aovs": AUXILIARY}), size, rest, job, "aux-rest")
        values[:7] = (grid**2 * values[:7] + rest * others.transpose(2, 0, 1)) / settings.aux_spp
    return {"depth": values[:1], "normal": values[1:4], "albedo": np.clip(values[4:7], 0, 1), "motion": values[7:]}


def denoise(color: np.ndarray, auxiliary: dict[str, np.ndarray]) -> np.ndarray:
    """(3, H, W) radiance through Open Image Denoise, with albedo and normal as its clean auxiliary images."""
    os.environ.setdefault(DENOISER_THREADS, "1")  # read when it starts; a worker of a cluster has one core
    import pyoidn

    planes = (color, auxiliary["albedo"], auxiliary["normal"])
    image, albedo, normal = (np.ascontiguousarray(p.transpose(1, 2, 0), np.float32) for p in planes)  # (H, W, 3)
    clean = pyoidn.denoise(image, albedo=albedo, normal=normal, hdr=True, quality="high", clean_aux=True)
    return clean.transpose(2, 0, 1)


def render_frame(job: Job) -> int:
    """Renders one frame into its folder, whole or not at all; returns the number of paths traced.

    Raises InputError where the scene cannot be loaded, Mitsuba's version is not the run's or the sequence's folder is
    not there, OSError where the frame cannot be written.
    """
    # the same disk and Mitsuba as where the run began
    host, settings, size = socket.gethostname(), job.settings, (job.settings.height, job.settings.width)
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

    # scene
    scene, integrator = load_scene(job.source, settings.variant, settings.max_depth)

    def color(spp: int, rendering: str) -> np.ndarray:
        """(3, H, W) linear radiance."""
        return render(scene, integrator, size, spp, job, rendering)[..., :3].transpose(2, 0, 1)

    # auxiliary channels, the same in every file of the frame
    auxiliary = render_auxiliary(scene, job)

    # noisy renderings and target
    try:
        with whole_folder(job.frame_folder) as folder:
            for k in range(settings.noisy):
                write_exr(folder / f"noisy-{k}.exr", {"color": color(settings.spp, f"noisy-{k}"), **auxiliary})
            target = color(settings.target_spp, "target")
            target = denoise(target, auxiliary) if settings.denoise_target else target
            write_exr(folder / "target.exr", {"color": target, **auxiliary})
    except FileNotFoundError as error:
        raise gone from error
    return settings.samples
