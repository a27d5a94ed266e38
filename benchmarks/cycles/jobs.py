"""Which files a run renders, and which of them are missing. Imports nothing of Blender."""

from dataclasses import dataclass
from pathlib import Path

HALVES = 2  # of a reference, with different seeds


@dataclass(frozen=True)
class Job:
    """One frame to render. frame: from 1. spp: samples a pixel. path: the EXR file to write."""

    shot: str
    frame: int
    spp: int
    seed: int
    path: Path


def noisy_path(out: Path, shot: str, spp: int, frame: int) -> Path:
    """Where a noisy frame is."""
    return out / shot / f"spp-{spp}" / f"{frame:04d}.exr"


def half_path(out: Path, shot: str, half: int, frame: int) -> Path:
    """Where one of the two halves of a reference frame is."""
    return out / shot / "reference" / f"half-{half}" / f"{frame:04d}.exr"


def jobs_of(out: Path, shot: str, spp: list[int], reference_spp: int, frames: int) -> list[Job]:
    """All files of a shot: noisy frames first, then the halves of the reference. Every folder has its own seed.

    Raises ValueError if the reference cannot be split in two.
    """
    if reference_spp % HALVES:
        raise ValueError(f"--reference_spp {reference_spp}: expected an even number, for two halves")
    numbers = range(1, frames + 1)
    noisy = [Job(shot, n, s, HALVES + s, noisy_path(out, shot, s, n)) for s in spp for n in numbers]
    halves = [
        Job(shot, n, reference_spp // HALVES, half, half_path(out, shot, half, n))
        for n in numbers
        for half in range(HALVES)
    ]
    return noisy + halves


def missing(jobs: list[Job]) -> list[Job]:
    """The jobs whose files do not exist; files are written atomically."""
    return [job for job in jobs if not job.path.is_file()]
