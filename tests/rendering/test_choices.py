"""Pins the options that are drawn for each scene: values, ranges and weights; the same draws from the same seed."""

from collections import Counter

import numpy as np
import pytest

from files import InputError
from rendering.choices import parse_choices


def draws(text: str, kind=float, count: int = 4000, names: tuple = ()) -> list:
    choices, rng = parse_choices("spp", text, kind, names=names), np.random.default_rng(0)
    return [choices.draw(rng) for _ in range(count)]


def test_a_single_value_is_itself():
    assert set(draws("4", int, 20)) == {4} and set(draws("0.25", count=20)) == {0.25}
    assert set(draws("room", str, 20, ("room", "plain"))) == {"room"}


def test_a_range_is_log_uniform_so_that_each_doubling_is_as_likely():
    values = np.array(draws("0.1-25.6"))
    assert values.min() >= 0.1 and values.max() <= 25.6
    share = np.histogram(np.log2(values / 0.1), bins=8, range=(0, 8))[0] / len(values)
    assert np.abs(share - 1 / 8).max() < 0.02


def test_whole_numbers_of_a_range_all_come_the_small_ones_more_often():
    count = Counter(draws("1-16", int))
    assert set(count) == set(range(1, 17)) and count[1] > count[2] > count[8]


def test_weights_are_shares():
    count = Counter(draws("box*2,gaussian", str, names=("box", "gaussian")))
    assert abs(count["box"] / 4000 - 2 / 3) < 0.03
    values = np.array(draws("0*9, 1-6"))
    assert abs((values == 0).mean() - 0.9) < 0.02 and values[values > 0].min() >= 1


def test_a_range_from_zero_is_uniform():
    assert abs(np.mean(draws("0-1")) - 0.5) < 0.02


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("0", int, "expected 1 or more, found 0"),
        ("1.5", int, "whole numbers or a range such as 1-16, found '1.5'"),
        ("many", int, "found 'many'"),
        ("16-1", int, "the range 16-1 ends before it begins"),
        ("1,,2", int, "found ''"),
        ("1*x", int, "'x' is no weight"),
        ("1*0", int, "all weights are 0"),
        ("1e999", float, "expected 1 or more, found 1e999"),
        ("cube", str, "'cube' is none of box, tent"),
    ],
)
def test_what_cannot_be_drawn_from_is_named_with_its_option(text, kind, message):
    with pytest.raises(InputError, match=r"--spp .*" + message.replace("'", "'")):
        parse_choices("spp", text, kind, lowest=1, names=("box", "tent"))
