"""Options whose value is drawn for each scene: `1-16`, `box*2,gaussian`, `0*9,2-12`."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from files import InputError

NUMBER = r"\d+(?:\.\d*)?(?:e[+-]?\d+)?"


@dataclass(frozen=True)
class Choices:
    """Values and ranges, of which one is drawn; weights: how likely each is, in any scale.

    A range is a pair (low, high); whole: whether its numbers are integers.
    """

    items: tuple
    weights: tuple[float, ...]
    whole: bool = False

    def draw(self, rng: np.random.Generator):
        """A value; of a range any number, log-uniform where it starts above 0, so that each doubling is as likely."""
        item = self.items[rng.choice(len(self.items), p=np.array(self.weights) / sum(self.weights))]
        if not isinstance(item, tuple):
            return item
        low, high = item
        if self.whole:  # each integer has the values that round to it
            low, high = low - 0.499, high + 0.499
        value = math.exp(rng.uniform(math.log(low), math.log(high))) if low > 0 else rng.uniform(low, high)
        return round(value) if self.whole else float(f"{value:.4g}")


def parse_choices(option: str, text: str, kind: Callable, lowest: float = 0.0, names: tuple = ()) -> Choices:
    """What an option allows: values or ranges A-B between commas, each with a weight `*W` if it is not 1.

    kind: int, float or str; numbers must be at least `lowest`.
    names: the words allowed.
    Raises InputError naming the option, what was found and what was expected.
    """
    items, weights = [], []
    for part in text.split(","):
        value, _, weight = part.strip().partition("*")
        if weight and not re.fullmatch(NUMBER, weight):
            raise InputError(f"--{option} {text}: {weight!r} is no weight; expected a number after *, as in {value}*2")
        items.append(_item(option, text, value.strip(), kind, lowest, names))
        weights.append(float(weight or 1))
    if not sum(weights) > 0:
        raise InputError(f"--{option} {text}: all weights are 0; expected at least one above 0")
    return Choices(tuple(items), tuple(weights), kind is int)


def _item(option: str, text: str, value: str, kind: Callable, lowest: float, names: tuple):
    """A word, a number, or a range (low, high)."""
    if kind is str:
        if value not in names:
            raise InputError(f"--{option} {text}: {value!r} is none of {', '.join(names)}")
        return value
    match = re.fullmatch(f"({NUMBER})(?:-({NUMBER}))?", value)
    try:
        numbers = tuple(kind(number) for number in match.groups() if number)
    except (AttributeError, ValueError):
        what = "whole numbers" if kind is int else "numbers"
        raise InputError(f"--{option} {text}: expected {what} or a range such as 1-16, found {value!r}") from None
    if min(numbers) < lowest or not all(math.isfinite(number) for number in numbers):
        raise InputError(f"--{option} {text}: expected {lowest:g} or more, found {value}")
    if numbers[-1] < numbers[0]:
        raise InputError(f"--{option} {text}: the range {value} ends before it begins")
    return numbers if numbers[0] != numbers[-1] else numbers[0]
