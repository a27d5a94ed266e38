"""The problems that check.py names: one table of kinds, with what is expected and how to correct it.

An error stops train.py or test.py. A warning does not, but frames are skipped, or the result is worse than it could be.
docs/data.md explains every kind.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

ERROR, WARNING = "error", "warning"
MOST_LINES = 20  # of one kind


@dataclass(frozen=True)
class Kind:
    """What train.py and test.py expect, and what to do where it is not so. level: ERROR or WARNING."""

    expected: str
    fix: str
    level: str = WARNING


def stops(expected: str, fix: str) -> Kind:
    """A kind of error."""
    return Kind(expected, fix, ERROR)


KINDS = {
    # folders and names
    "nothing": stops("<Scene>/frame-0000/{target.exr, noisy-0.exr ...}, or numbered EXR files", "name a dataset"),
    "short": stops("enough frames for --sequence_length", "render more frames, or train with a smaller one"),
    "small": stops("frames of at least --crop_size", "render larger frames, or train with a smaller one"),
    "refused": stops("files that train.py and test.py accept", "do as it says"),
    "skipped-frame": Kind("noisy-0.exr, and for training target.exr", "render it; until then it is left out"),
    "skipped-scene": Kind("folders frame-0000, frame-0001 ...", "rename its folders; until then it is left out"),
    "name": Kind("frame-<number>/{target.exr, noisy-<number>.exr}", "rename it; until then it is left out"),
    "gap": Kind("successive frame numbers", "render what is missing; until then these are two sequences"),
    "renderings": Kind("as many noisy renderings in every frame", "render what is missing"),
    # headers, and whether pixels can be decoded
    "unreadable": stops("an OpenEXR file", "render or copy it again"),
    "pixels": stops("pixels that can be decoded, of the header's size", "render or copy it again"),
    "channel": stops("the quantity under one of its names", "export it, or add its name to frames/channels.py"),
    "ambiguous": stops("each quantity once", "keep one of these layers; test.py: choose one with --layer"),
    "layers": stops("layers that test.py can read and write", "do as it says"),
    "left-out": Kind("optional quantities in one layer each", "do as it says; until then test.py does without"),
    "size": stops("one data window for all frames of a scene", "render them at one resolution, uncropped"),
    "mixed": Kind("a quantity in all noisy files, or in none", "export it in every frame"),
    # values
    "nan": Kind(
        "finite values",
        "look for the cause in the renderer; NaN becomes 0, infinite radiance the brightest",
    ),
    "negative": Kind("values from 0 up", "use a pixel filter without negative lobes; write depth as a distance"),
    "empty": Kind("values other than 0", "enable the pass, or light the scene"),
    "constant": Kind("values that differ", "export the pass itself"),
    "range": Kind("albedo from 0 to 1", "export reflectance without lighting, and clamp it"),
    "length": Kind("normals of length 1, or 0 in the background", "export normals as they are, not scaled"),
    "encoded": Kind("normals from -1 to 1", "export them as they are, or multiply by 2 and subtract 1"),
    "fireflies": Kind("targets without fireflies", "render them with more samples, denoise, or clamp them"),
    # files against each other
    "identical": Kind("another random seed for every rendering", "give each rendering and frame its own seed"),
    "pattern": Kind(
        "noise that changes from frame to frame", "give each frame its own seed; Blender: use_animated_seed"
    ),
    "filtered": Kind("noise that differs from pixel to pixel", "use a box filter of one pixel, and no denoiser"),
    "noise": Kind("targets with little noise", "render them with more samples, or denoise them"),
    "brightness": Kind("noisy and target equally bright on average", "write linear radiance at one exposure in both"),
    "clipped": Kind("linear radiance in targets too", "write targets before tone mapping"),
    "motion": Kind("pixels to where the point was a frame before, x right, y down", "see Motion in docs/data.md"),
}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. file: the file or folder. scene: its part and scene, such as `train/Kitchen`."""

    kind: str
    file: Path
    found: str
    scene: str = ""
    level: str = ""
    expected: str = ""

    def __post_init__(self):
        object.__setattr__(self, "level", self.level or KINDS[self.kind].level)
        object.__setattr__(self, "expected", self.expected or KINDS[self.kind].expected)

    @property
    def fix(self) -> str:
        """What to do about it."""
        return KINDS[self.kind].fix

    def line(self, more: int = 0) -> str:
        """The problem in one line. more: how many files of the scene have the same one."""
        alike = f" (and {more} more like it in {self.scene})" if more else ""
        return (
            f"{self.level} [{self.kind}] {self.file}{alike}: {self.found}; expected: {self.expected}; fix: {self.fix}"
        )


def lines_of(problems: Iterable[Problem]) -> list[str]:
    """The problems, errors last: a line for each error, and per scene for warnings; at most MOST_LINES of a kind."""

    def kind_of(problem: Problem) -> tuple[bool, str]:
        return problem.level == ERROR, problem.kind

    lines = []
    for (is_error, kind), alike in groupby(sorted(problems, key=kind_of), kind_of):
        alike = list(alike)
        groups = [[p] for p in alike] if is_error else by_scene(alike)
        lines += [group[0].line(len(group) - 1) for group in groups[:MOST_LINES]]
        if len(groups) > MOST_LINES:
            lines.append(f"{alike[0].level} [{kind}] ... and {len(groups) - MOST_LINES} more; --json lists them all")
    return lines


def by_scene(problems: list[Problem]) -> list[list[Problem]]:
    """Problems of one kind, those of a scene together; those of no scene each alone."""
    groups: dict[object, list[Problem]] = {}
    for problem in problems:
        groups.setdefault(problem.scene or problem, []).append(problem)
    return list(groups.values())
