"""What check.py found, as text for people and as JSON for other programs."""

import json
import math
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from checking.finding import Part
from checking.inspection import Contents
from checking.pairs import Pair, best_sign, verdict
from checking.problems import ERROR, Problem, lines_of
from checking.values import Values
from files import atomic_file
from frames.cache import TARGET
from frames.channels import MOTION_INPUTS
from frames.sequences import Sequence

READ_BY = {"train": "train.py", "val": "train.py", "test": "test.py", "frames": "test.py"}


@dataclass
class Report:
    """Everything about a path. contents: of each part, file by file. pairs: by the scene's label."""

    path: Path
    parts: list[Part] = field(default_factory=list)
    contents: dict[str, list[Contents]] = field(default_factory=dict)
    pairs: dict[str, Pair | None] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @property
    def errors(self) -> int:
        """How many problems would stop train.py or test.py."""
        return sum(problem.level == ERROR for problem in self.problems)

    @property
    def stopped(self) -> set[str]:
        """The scripts that would stop."""
        return {READ_BY[p.scene.partition("/")[0]] for p in self.problems if p.level == ERROR}

    @property
    def scenes(self) -> dict[str, list[Sequence]]:
        """The sequences of each scene of every part, by label."""
        return {label: sequences for part in self.parts for label, sequences in part.scenes.items()}


def text_of(report: Report) -> str:
    """The report as lines: parts with channels, values and scenes, then the problems, errors last, then the outcome."""
    lines = []
    for part in report.parts:
        contents = report.contents[part.name]
        lines += [headline(part, contents), *channel_lines(contents), ""]
        lines += [*scene_lines(report, part), ""] if part.sequences else []
    problems = lines_of(report.problems)
    return "\n".join([*lines, *problems, *([""] if problems else []), outcome(report)])


def headline(part: Part, contents: list[Contents]) -> str:
    """Where a part is, and how much there is of it."""
    scenes = len({sequence.scene for sequence in part.sequences})
    frames = sum(len(sequence.frames) for sequence in part.sequences)
    numbers = {"scene": scenes, "sequence": len(part.sequences), "frame": frames, "file": len(contents)}
    amounts = ", ".join(counted(number, noun) for noun, number in numbers.items())
    return f"{part.folder} (read by {READ_BY[part.name]}): {amounts}"


def channel_lines(contents: list[Contents]) -> list[str]:
    """For noisy files and for targets: which channels each quantity was found in, and its values."""
    lines = []
    for role, is_target in (("noisy", False), ("target", True)):
        files = [c for c in contents if c.file.is_target == is_target and c.header]
        for name in () if not files else TARGET if is_target else MOTION_INPUTS:
            found = Counter(c.channels[name] for c in files if name in c.channels)
            names = "; ".join(f"{' '.join(n)}{share(count, len(files))}" for n, count in found.most_common())
            values = total([c.values[name] for c in files if name in c.values])
            lines.append(f"  {role:<7} {name:<7} {names or 'none':<28} {values}".rstrip())
    return lines


def share(count: int, files: int) -> str:
    """In how many of the files, if not in all."""
    return "" if count == files else f" (in {count} of {files} files)"


def total(values: list[Values]) -> str:
    """The values of a quantity in all files together."""
    if not values:
        return ""
    pixels = sum(v.count for v in values)
    mean = sum(v.mean * v.count for v in values) / pixels
    odd = sum((Counter(v.odd) for v in values), Counter())
    text = f"{min(v.low for v in values):.4g} to {max(v.high for v in values):.4g}, mean {mean:.4g}"
    return text + "".join(f", {kind} {number / pixels:.2g}" for kind, number in odd.items())


def scene_lines(report: Report, part: Part) -> list[str]:
    """A line for each scene: frames, size, renderings, noise, and whether motion fits."""
    rows = [("scene", "frames", "size", "noisy", "targets", "noise", "of targets", "motion")]
    for label, sequences in part.scenes.items():
        frames = [frame for sequence in sequences for frame in sequence.frames]
        numbers = sorted({len(frame.noisy) for frame in frames})
        pair = report.pairs.get(label)
        rows.append(
            (
                label,
                " + ".join(str(len(s.frames)) for s in sequences),
                " ".join(sorted({f"{s.size[1]}x{s.size[0]}" for s in sequences})),
                "-".join(str(n) for n in (numbers[0], numbers[-1])) if len(numbers) > 1 else str(numbers[0]),
                str(sum(frame.target is not None for frame in frames)),
                percent(pair.noise if pair else math.nan),
                percent(pair.target_noise if pair else math.nan),
                motion_cell(pair),
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  " + "  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def percent(value: float) -> str:
    """A share in percent, `-` for NaN."""
    return "-" if math.isnan(value) else f"{100 * value:.2g} %" if value < 0.1 else f"{value:.0%}".replace("%", " %")


def motion_cell(pair: Pair | None) -> str:
    """Whether motion fits, with what was compared."""
    if pair is None:
        return "-"
    errors = pair.motion
    if math.isnan(errors["as it is"]):
        return verdict(pair)
    best = best_sign(pair)
    other = "opposite" if best in ("as it is", "without") else best
    return f"{verdict(pair)}: {errors['as it is']:.3f}, {errors['without']:.3f} without, {errors[other]:.3f} {other}"


def outcome(report: Report) -> str:
    """What train.py and test.py would do, in one line."""
    warnings = counted(len(report.problems) - report.errors, "warning")
    if report.stopped:
        return f"{report.path}: {counted(report.errors, 'error')}, {warnings}: {names_of(report.stopped)} would stop"
    return f"{report.path}: no errors, {warnings}: fit for {names_of({READ_BY[part.name] for part in report.parts})}"


def counted(number: int, noun: str) -> str:
    """`1 frame`, `2 frames`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def names_of(scripts: set[str]) -> str:
    """These scripts, in the order in which they are used."""
    return " and ".join(sorted(scripts, reverse=True))


def as_json(report: Report) -> dict:
    """Everything in plain values. NaN becomes None, and paths become text."""
    parts = {}
    for part in report.parts:
        scenes = {}
        for label, sequences in part.scenes.items():
            pair = report.pairs.get(label)
            scenes[label.partition("/")[2]] = {
                "size": list(sequences[0].size),
                "sequences": [[frame.folder.name for frame in sequence.frames] for sequence in sequences],
                "pairs": asdict(pair) | {"verdict": verdict(pair)} if pair else None,
            }
        files = {
            str(c.file.path): {
                "target": c.file.is_target,
                "channels": c.channels,
                "values": {name: asdict(values) for name, values in c.values.items()},
            }
            for c in report.contents[part.name]
        }
        parts[part.name] = {"folder": str(part.folder), "scenes": scenes, "files": files}
    problems = [asdict(p) | {"fix": p.fix} for p in report.problems]
    return plain({"path": report.path, "errors": report.errors, "problems": problems, "parts": parts})


def plain(value: object) -> object:
    """The value as JSON has it: text for paths, None for NaN and Inf."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def save_json(path: Path, report: Report) -> None:
    """Writes the report, atomically. Raises OSError."""
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(as_json(report), indent=1, allow_nan=False) + "\n")
