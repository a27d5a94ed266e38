"""Pins movements: rigid ones keep distances, normals are the moved surface's, nothing jumps; a flicker's range."""

import numpy as np
import pytest

from rooms.meshes import blob, vertex_normals
from rooms.moving import (
    Breathe,
    Flicker,
    Slide,
    Sway,
    Swing,
    Together,
    Tumble,
    Turn,
    Twist,
    Walk,
    Wave,
    folded,
    passed,
    rotation,
)

UP, SIDE = (0.0, 1.0, 0.0), (0.6, 0.0, 0.8)
RIGID = [
    Walk(SIDE, 0.2, 1.5, 0.3, 0.05, 0.6, 12.0),
    Turn((0.3, 0.5, 0.1), SIDE, 7.0, 9.0, 0.4),
    Swing((0.0, 1.5, 0.0), SIDE, 20.0, 30.0, 0.4, 15.0),
    Slide((0.3, 0.0, 0.2), 17.0, 1.0),
    Tumble((0.0, 0.5, 0.0), SIDE, 2, 0.7, 15.0, 0.2),
    Together((Turn((0.0, 0.5, 0.0), UP, -11.0), Walk(SIDE, 0.05, 1.0, 1.0))),
]
DEFORMING = [
    Sway(-0.6, 1.2, (0.2, 0.0, 0.1), 21.0, 0.3),
    Twist((0.05, -0.6, 0.1), 1.2, 60.0, 19.0, 0.5),
    Wave((0.02, 0.01, 0.04), (3.0, 2.0, 1.0), -0.7, 1.5, 13.0, 0.2),
    Wave((0.02, 0.01, 0.04), (3.0, 2.0, 1.0), 0.7, -1.5, 13.0, 0.2),
    Breathe((0.0, -0.6, 0.0), (0.1, -0.15, 0.05), 16.0, 0.1),
]
BALL = blob(np.random.default_rng(0), (0.4, 0.6, 0.3), 0.05)


def distances(points):
    return np.linalg.norm(points[:-7] - points[7:], axis=1)


@pytest.mark.parametrize("movement", RIGID, ids=lambda m: type(m).__name__)
def test_rigid_movements_keep_distances_and_turn_normals_along(movement):
    normals = vertex_normals(BALL)
    for time in (-1.0, 0.0, 3.3, 17.0, 100.0):
        vertices, turned = movement.at(BALL.vertices, normals, time)
        assert np.allclose(distances(vertices), distances(BALL.vertices), atol=1e-5)
        ends = movement.at(BALL.vertices + normals, normals, time)[0]
        assert np.allclose(ends - vertices, turned, atol=1e-5)


@pytest.mark.parametrize("movement", DEFORMING, ids=lambda m: type(m).__name__)
def test_deforming_movements_turn_normals_as_the_surface_turns(movement):
    # two tangents at each point, moved with the surface by a small step
    points = BALL.vertices.astype(float)
    normals = vertex_normals(BALL).astype(float)
    first = np.cross(normals, SIDE)
    second = np.cross(normals, first)
    for time in (0.0, 4.7):
        vertices, moved = movement.at(points, normals, time)
        steps = [movement.at(points + 1e-6 * t, normals, time)[0] - vertices for t in (first, second)]
        expected = np.cross(*steps)
        length = np.linalg.norm(expected, axis=1, keepdims=True)
        usable = (length > 1e-14)[:, 0] & (np.abs(normals[:, 1]) < 0.999)
        expected *= np.sign((expected * moved).sum(1, keepdims=True))
        assert np.allclose((expected / length)[usable], moved[usable], atol=1e-3)
        assert np.allclose(np.linalg.norm(moved, axis=1), 1, atol=1e-6)
        assert np.abs(distances(vertices) - distances(points)).max() > 1e-3, "it deforms"


@pytest.mark.parametrize("movement", RIGID + DEFORMING, ids=lambda m: type(m).__name__)
def test_movements_move_without_jumps_and_can_be_digested(movement):
    normals = vertex_normals(BALL)
    times = np.arange(-1, 17, 0.02)
    paths = np.array([movement.at(BALL.vertices[::50], normals[::50], time)[0] for time in times])
    assert np.abs(np.diff(paths, axis=0)).max() < 0.03
    assert np.ptp(paths, axis=0).max() > 0.01
    assert eval(repr(movement)) == movement


def test_a_walk_turns_round_at_both_ends_and_may_stop():
    assert [folded(d, -1, 2) for d in (0, 2, 3, 5, 6, 7)] == [0, 2, 1, -1, 0, 1]
    steps = np.diff([passed(time, 10.0) for time in np.arange(-1, 17, 0.5)])
    assert (steps >= -1e-9).all() and steps.min() < 0.05 and steps.max() > 0.8
    assert passed(3.5, 0.0) == 3.5


def test_a_rotation_is_one():
    matrix = rotation(SIDE, 33.0)
    assert np.allclose(matrix @ matrix.T, np.eye(3)) and np.linalg.det(matrix) == pytest.approx(1)
    assert np.trace(matrix) == pytest.approx(1 + 2 * np.cos(np.radians(33)))


@pytest.mark.parametrize("steps", [False, True])
def test_a_flicker_stays_in_its_range_and_reaches_its_ends(steps):
    factors = [Flicker(0.7, 9.0, 0.4, steps).factor(time) for time in np.arange(0, 40, 0.1)]
    assert min(factors) == pytest.approx(0.3, abs=1e-2) and max(factors) == pytest.approx(1, abs=1e-2)
    assert not steps or len(np.unique(np.round(factors, 6))) == 2
