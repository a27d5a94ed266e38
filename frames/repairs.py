"""Makes the values of a frame fit for half floats, in which training keeps them, and says so.

Reconstruction reads frames the same way, so that both see the same: depth in centimetres, too, ends at 655 metres.
Shapes: C channels, H rows, W columns.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from frames.channels import HALF_MAX, QUANTITIES


@dataclass(frozen=True)
class Repairs:
    """What was changed in a frame so that half floats can hold it, in training as in reconstruction.

    invalid: how many values were NaN or Inf. beyond: the largest of the quantities that went beyond 65504.
    negative: how many values of radiance were below 0.
    """

    invalid: int = 0
    beyond: dict[str, float] = field(default_factory=dict)
    negative: int = 0

    def __bool__(self) -> bool:
        return bool(self.invalid or self.beyond or self.negative)


def repair(planes: np.ndarray, names: tuple[str, ...], stand_in: float = 0) -> Repairs:
    """Makes the quantities `names`, (C, H, W), what half floats can hold; what follows them in `planes` is color.

    In place: NaN and Inf become `stand_in`, but infinite radiance, of a lamp that half floats cannot hold, becomes the
    brightest there is, unless stand_in is NaN; values are limited to +-65504, and radiance below 0 becomes 0.
    """
    invalid = negative = first = 0
    beyond = {}
    while first < len(planes):
        name, *names = names or ("color",)
        part = planes[first : first + QUANTITIES[name].count]  # (count, H, W)

        # what is no number
        valid = np.isfinite(part)
        if not valid.all():
            invalid += valid.size - int(np.count_nonzero(valid))
            infinite = stand_in if np.isnan(stand_in) else QUANTITIES[name].infinite
            part[~valid] = np.where(part[~valid] == np.inf, infinite, stand_in)

        # what is too large, or too small
        lowest, largest = np.fmin.reduce(part, None, initial=0), np.fmax.reduce(part, None, initial=0)
        if max(largest, -lowest) > HALF_MAX:
            part.clip(-HALF_MAX, HALF_MAX, out=part)
            beyond[name] = max(float(largest), -float(lowest), beyond.get(name, 0))
        if name == "color" and lowest < 0:
            negative += int(np.count_nonzero(part < 0))
            np.maximum(part, 0, out=part)  # keeps NaN
        first += len(part)
    return Repairs(invalid, beyond, negative)


reported: set[str] = set()  # what was said once; fireflies would fill the screen


def report_repairs(source: Path | str, repairs: Repairs) -> None:
    """Prints on stderr what was changed in `source`; limited and negative values only for the first file."""
    if repairs.invalid:
        told = "replaced by 0, infinite radiance by 65504"
        tqdm.write(f"{source}: {repairs.invalid} NaN or Inf values, {told}", file=sys.stderr)
    for name, largest in repairs.beyond.items():
        limit = f"limited to {HALF_MAX:.0f} in this and all other files; check.py counts them, larger units avoid it"
        report_once(name, f"{source}: {name} up to {largest:.6g}, {limit}")
    if repairs.negative:
        remedy = "replaced by 0 in this and all other files; a pixel filter without negative lobes avoids it"
        report_once("negative", f"{source}: {repairs.negative} values of radiance below 0, {remedy}")


def report_once(what: str, message: str) -> None:
    """Prints a message on stderr, if none about `what` was printed before."""
    if what not in reported:
        reported.add(what)
        tqdm.write(message, file=sys.stderr)
