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
    """

    invalid: int = 0
    beyond: dict[str, float] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.invalid or self.beyond)


def repair(planes: np.ndarray, names: tuple[str, ...], stand_in: float = 0) -> Repairs:
    """Replaces NaN and Inf in the quantities `names`, (C, H, W), by `stand_in`, and limits the others to +-65504.

    In place. What follows them in `planes` is color.
    """
    # what is no number
    valid = np.isfinite(planes)
    invalid = valid.size - int(np.count_nonzero(valid))
    if invalid:
        planes[~valid] = stand_in

    # what is too large
    beyond, first = {}, 0
    while first < len(planes):
        name, *names = names or ("color",)
        part = planes[first : first + QUANTITIES[name].count]  # (count, H, W)
        largest = max(np.fmax.reduce(part, None, initial=0), -np.fmin.reduce(part, None, initial=0))
        if largest > HALF_MAX:
            part.clip(-HALF_MAX, HALF_MAX, out=part)
            beyond[name] = max(float(largest), beyond.get(name, 0))
        first += len(part)
    return Repairs(invalid, beyond)


reported: set[str] = set()  # quantities of which was said that they are limited; fireflies would fill the screen


def report_repairs(source: Path | str, repairs: Repairs) -> None:
    """Prints on stderr what was changed in `source`; that values were limited, only for the first file."""
    if repairs.invalid:
        tqdm.write(f"{source}: {repairs.invalid} NaN or Inf values, replaced by 0", file=sys.stderr)
    for name, largest in repairs.beyond.items():
        if name not in reported:
            reported.add(name)
            limit = (
                f"limited to {HALF_MAX:.0f} in this and all other files; check.py counts them, larger units avoid it"
            )
            tqdm.write(f"{source}: {name} up to {largest:.6g}, {limit}", file=sys.stderr)
