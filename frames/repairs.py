"""Replaces NaN, Inf and negative radiance in a frame, and says so.

Shapes: C channels, H rows, W columns.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from frames.channels import HALF_MAX, QUANTITIES


@dataclass(frozen=True)
class Repairs:
    """What was changed in a frame. invalid: NaN and Inf values. negative: values of radiance below 0."""

    invalid: int = 0
    negative: int = 0

    def __bool__(self) -> bool:
        return bool(self.invalid or self.negative)


def repair(planes: np.ndarray, names: tuple[str, ...], stand_in: float = 0) -> Repairs:
    """Makes the quantities `names`, (C, H, W), finite, and radiance at least 0; what follows in `planes` is color.

    In place. NaN and Inf become `stand_in`. But unless that is NaN, radiance of +Inf, mostly that of a lamp which half
    floats cannot hold, becomes the frame's largest, at least 65504.
    """
    invalid = negative = first = 0
    while first < len(planes):
        name, *names = names or ("color",)
        part = planes[first : first + QUANTITIES[name].count]  # (count, H, W)

        # what is no number
        valid = np.isfinite(part)
        if not valid.all():
            invalid += valid.size - int(np.count_nonzero(valid))
            if name == "color" and not np.isnan(stand_in):
                part[np.isposinf(part)] = part.max(initial=HALF_MAX, where=valid)
            part[~np.isfinite(part)] = stand_in

        # what is too small
        if name == "color" and np.fmin.reduce(part, None, initial=0) < 0:
            negative += int(np.count_nonzero(part < 0))
            np.maximum(part, 0, out=part)  # keeps NaN
        first += len(part)
    return Repairs(invalid, negative)


reported: set[str] = set()  # what was said once; fireflies would fill the screen


def report_repairs(source: Path | str, repairs: Repairs) -> None:
    """Prints on stderr what was changed in `source`; negative values only for the first file."""
    if repairs.invalid:
        remedy = "replaced by 0, radiance of +Inf by the frame's largest, at least 65504"
        tqdm.write(f"{source}: {repairs.invalid} NaN or Inf values, {remedy}", file=sys.stderr)
    if repairs.negative:
        remedy = "replaced by 0 in this and all other files; a pixel filter without negative lobes avoids it"
        report_once("negative", f"{source}: {repairs.negative} values of radiance below 0, {remedy}")


def report_once(what: str, message: str) -> None:
    """Prints a message on stderr, if none about `what` was printed before."""
    if what not in reported:
        reported.add(what)
        tqdm.write(message, file=sys.stderr)
