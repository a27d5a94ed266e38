"""Pins what check.py says of pixels: odd values, motion read the wrong way, and noise that is not as it should be."""

import numpy as np
import pytest
from moving_scene import SIZE, STEP, blurred, make_moving_scene

from checking.check_path import check
from checking.pairs import compare_scene, pair_problems, verdict
from checking.values import measure
from frames.sequences import scene_sequences


def compared(folder):
    """The pair of a scene, and the kinds of problems that it shows."""
    sequences, _ = scene_sequences(folder, True)
    pair = compare_scene(sequences)
    return pair, {p.kind for p in pair_problems(pair, sequences, "train/A")}


def test_a_good_scene_has_no_problems_and_its_motion_fits(tmp_path):
    pair, kinds = compared(make_moving_scene(tmp_path / "A"))
    assert kinds == set() and verdict(pair) == "fits"
    assert pair.motion["as it is"] < 0.2 * pair.motion["without"]
    assert pair.target_noise < 0.05 and pair.noise > 0.3 and pair.brightness == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("motion", "best"),
    [((STEP, STEP), "opposite"), ((STEP, -STEP), "x opposite"), ((-STEP, STEP), "y opposite"), ((0, 0), "is 0, but")],
)
def test_motion_that_does_not_fit_is_told_with_what_would(motion, best, tmp_path):
    make_moving_scene(tmp_path / "A", motion=motion)
    sequences, _ = scene_sequences(tmp_path / "A", True)
    (problem,) = pair_problems(compare_scene(sequences), sequences, "train/A")
    assert problem.kind == "motion" and best in problem.found.rpartition("fits best")[2]


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("pattern", {"noise": lambda frame, k: np.random.default_rng(k).exponential(1, SIZE)}),
        ("identical", {"noise": lambda frame, k: np.random.default_rng(frame).exponential(1, SIZE)}),
        ("filtered", {"noise": lambda frame, k: blurred(np.random.default_rng((frame, k)).exponential(1, SIZE), 3)}),
        ("noise", {"target_noise": 0.25}),
        ("brightness", {"gain": 2.5}),
    ],
)
def test_noise_that_is_not_as_it_should_be(kind, changes, tmp_path):
    _, kinds = compared(make_moving_scene(tmp_path / "A", **changes))
    assert kinds == {kind}


def odd(name, planes):
    return measure(name, np.asarray(planes, np.float32)).odd


def test_values_that_should_not_be_there_are_counted():
    rng = np.random.default_rng(0)
    color = rng.random((3, 64, 64)) + 0.1
    assert odd("color", color) == {}
    color[:, 3, 4], color[0, 1, 1], color[1, 2, 2], color[2, 5, 5] = 50, -1, np.nan, 70000
    assert odd("color", color) == {"nan": 1, "negative": 1, "fireflies": 2}
    color[:, 10:13, 10:13] = 500  # a lamp
    assert odd("color", color)["fireflies"] == 2
    assert odd("color", np.zeros((3, 4, 4))) == {"empty": 48}
    assert odd("depth", np.full((1, 4, 4), 2.0)) == {"constant": 16}
    assert odd("depth", np.linspace(-1, 1, 16).reshape(1, 4, 4)) == {"negative": 8}
    assert odd("albedo", np.linspace(0, 2, 48).reshape(3, 4, 4))["range"] == 24
    assert odd("motion", np.zeros((2, 4, 4))) == {}
    normal = rng.standard_normal((3, 16, 20))
    normal /= np.linalg.norm(normal, axis=0)
    assert odd("normal", normal) == {} and odd("normal", normal * 2) == {"length": 320}
    assert odd("normal", normal / 2 + 0.5) == {"encoded": 320}


def test_ranges_leave_out_what_is_not_finite():
    values = measure("depth", np.array([[[1, 3, np.inf, np.nan]]], np.float32))
    assert (values.low, values.high, values.mean, values.odd["nan"]) == (0, 3, 2, 2)


def test_the_pairs_reach_the_report(tmp_path):
    make_moving_scene(tmp_path / "A", motion=(STEP, STEP))
    from checking.checking_options import build_parser

    report = check(build_parser().parse_args([str(tmp_path)]))
    assert [p.kind for p in report.problems] == ["motion"] and report.errors == 0
