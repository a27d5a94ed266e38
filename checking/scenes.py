"""The files of a scene against each other: the same pixels twice, buffers that only some have, clipped targets."""

from itertools import pairwise
from pathlib import Path

from checking.inspection import Contents
from checking.problems import ERROR, Problem
from frames.channels import QUANTITIES
from frames.sequences import Sequence

WHITE = 1.0  # where pictures end, and radiance does not


def same_pixels(sequence: Sequence, contents: dict[Path, Contents]) -> list[Problem]:
    """Renderings of a frame, or first renderings of successive frames, with the same pixels; black does not count."""

    def digest(path: Path) -> str:
        found = contents[path]
        return found.digest if found.digest and "empty" not in found.values["color"].odd else ""

    def twice(first: Path, second: Path) -> Problem:
        return Problem("identical", second, f"the same pixels as {first}", contents[second].file.scene)

    problems = []
    for frame in sequence.frames:
        seen: dict[str, Path] = {}
        for path in frame.files:
            if key := digest(path):
                if key in seen:
                    problems.append(twice(seen[key], path))
                seen.setdefault(key, path)
    for before, after in pairwise(frame.noisy[0] for frame in sequence.frames):
        if digest(before) and digest(before) == digest(after):
            problems.append(twice(before, after))
    return problems


def lacking(contents: list[Contents]) -> list[Problem]:
    """Noisy files of a scene without an optional quantity that others of its noisy files have.

    An error for plain files if the first one has it: all must have the layers of the first.
    """
    noisy = [c for c in contents if c.header and not c.file.is_target]
    noisy = [c for c in noisy if all(problem.level != ERROR for problem in c.problems)]
    problems = []
    for name in (name for name, quantity in QUANTITIES.items() if quantity.missing is not None):
        without = [c for c in noisy if name not in c.channels]
        if len(without) < len(noisy):
            found = f"no {name}, which {len(noisy) - len(without)} of the scene's {len(noisy)} noisy files have"
            level = ERROR if noisy[0].file.is_plain and name in noisy[0].channels else ""
            problems += [Problem("mixed", c.file.path, found, c.file.scene, level) for c in without]
    return problems


def clipped_targets(contents: list[Contents]) -> list[Problem]:
    """A problem if no target of a scene is brighter than white, the brightest is just that, and renderings are."""
    highest = {True: [], False: []}
    for c in contents:
        if "color" in c.values:
            highest[c.file.is_target].append((c.values["color"].high, c.file))
    if not highest[True] or not highest[False]:
        return []
    target, file = max(highest[True], key=lambda item: item[0])
    noisy = max(high for high, _ in highest[False])
    if abs(target - WHITE) > 1e-3 or noisy <= WHITE:
        return []
    return [Problem("clipped", file.path, f"no target exceeds {WHITE}, noisy renderings reach {noisy:.4g}", file.scene)]
