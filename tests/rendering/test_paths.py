"""Pins camera paths through procedural rooms: as fast in the picture as asked for, clear of everything, smooth.

Their rooms are analytic: the inside of a box, open ground, and a box too small for any path.
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from rendering import paths
from rendering.cameras import Camera, detail, keeps_clear
from rendering.paths import CLEARANCES, focal_length, picture_speed, plan_path, plan_shot, point_speeds, with_lens
from rendering.shots import MOVES, PACES, PATH_FRAMES, Shot
from rooms.floor import Room

SIZE = (128, 160)
HALL = Room((8.0, 3.0, 6.0), sights=[np.array([1.0, 0.8, 0.5]), np.array([-2.0, 1.0, -1.0])])
YARD = Room((10.0, 4.0, 10.0), sights=HALL.sights)


def inside(room):
    """The distances of rays from inside a box as large as the room."""
    low, high = np.array([-0.5, 0, -0.5]) * room.size, np.array([0.5, 1, 0.5]) * room.size

    def cast(origins, directions):
        with np.errstate(divide="ignore", invalid="ignore"):
            walls = np.stack([(low - origins) / directions, (high - origins) / directions])  # (2, N, 3)
        return np.where(walls > 0, walls, np.inf).min((0, 2))

    return cast


def ground(origins, directions):
    """The distances of rays to the plane y = 0."""
    with np.errstate(divide="ignore"):
        t = -origins[:, 1] / directions[:, 1]
    return np.where(t > 0, t, np.inf)


def nothing(origins, directions):
    return np.full(len(origins), np.inf)


PLACES = {"hall": (HALL, inside(HALL)), "yard": (YARD, ground)}


@pytest.fixture(scope="module")
def hall_shots():
    """A few dozen shots of a moderate speed; an empty hall shows too little, which does not matter here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "detail", lambda cast, camera: 1.0)
        return [plan_shot(HALL, np.random.default_rng(seed), inside(HALL), 1.0, SIZE) for seed in range(70)]


def test_detail_is_what_breaks_off_or_bends():
    camera = Camera((0.0, 1.5, 2.0), (0.0, 1.5, -3.0), fov=50.0)

    def ball(radius: float):
        def cast(origins, directions):
            toward = np.array([0, 1.5, -1]) - origins
            along = (toward * directions).sum(-1)
            inside_square = radius**2 - ((toward * toward).sum(-1) - along**2)
            hit = along - np.sqrt(np.maximum(inside_square, 0))
            return np.where((inside_square > 0) & (hit > 0), hit, inside(HALL)(origins, directions))

        return cast

    wall, corner = camera, replace(camera, target=(-4.0, 1.5, -1.0))
    assert detail(inside(HALL), wall) == 0 and 0 < detail(inside(HALL), corner) < 0.2
    shares = [detail(ball(radius), camera) for radius in (0.2, 0.5, 1.0)]
    assert shares == sorted(shares) and shares[0] > 0 and shares[2] > 0.25
    assert detail(nothing, camera) == 0


def test_things_are_looked_at_rather_than_walls():
    """With a screen of pillars in one half of the hall, most paths see it at first."""
    whole = inside(HALL)

    def pillars(origins, directions):
        found = whole(origins, directions)
        for x in (1.0, 2.0, 3.0):
            for z in (-2.0, 0.0, 2.0):
                flat = np.hypot(directions[:, 0], directions[:, 2])
                toward = np.array([x, z]) - origins[:, [0, 2]]
                along = (toward * directions[:, [0, 2]]).sum(-1) / np.maximum(flat, 1e-9)
                room_left = 0.15**2 - ((toward * toward).sum(-1) - along**2)
                hit = (along - np.sqrt(np.maximum(room_left, 0))) / np.maximum(flat, 1e-9)
                found = np.where((room_left > 0) & (hit > 0), np.minimum(found, hit), found)
        return found

    paths_found = [plan_path(HALL, np.random.default_rng(seed), pillars, 1.0, SIZE) for seed in range(12)]
    assert np.median([detail(pillars, path[0]) for path in paths_found]) > 0.2


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("speed", [0.1, 1.0, 5.0, 20.0])
def test_the_picture_moves_as_fast_as_asked_for(place, speed):
    room, cast = PLACES[place]
    for seed, size in [(1, SIZE), (2, SIZE), (3, (144, 256)), (4, (144, 256)), (5, SIZE), (6, (144, 256))]:
        path = plan_path(room, np.random.default_rng(seed), cast, speed, size)
        assert len(path) == PATH_FRAMES
        assert picture_speed(path, cast, size) == pytest.approx(speed, rel=0.1)
        assert picture_speed(path, cast, size, 40, PATH_FRAMES) == pytest.approx(speed, rel=0.25)


def test_the_speed_of_a_sideways_step_is_focal_length_times_step_over_depth():
    path = [Camera((0.05 * n, 1.0, 2.0), (0.05 * n, 1.0, 0.0), fov=50.0) for n in range(PATH_FRAMES)]

    def wall(origins, directions):
        return (origins[:, 2] + 3) / -directions[:, 2]

    assert picture_speed(path, wall, SIZE) == pytest.approx(focal_length(50.0, 160) * 0.05 / 5)


def test_the_speed_of_a_pan_is_focal_length_times_angle_however_far_things_are():
    eye, sight, steps = np.array([0, 1, 0]), np.array([0, 1, -2]), np.arange(16) - 7.5
    shot = Shot(eye, sight, 12.0, "pan", "steady", steps, np.zeros((16, 5)), np.zeros(2), amplitude=2 * 0.01)
    speed = picture_speed(shot.cameras(), inside(HALL), SIZE)
    assert speed == pytest.approx(focal_length(12.0, 160) * 0.01, rel=0.01), "0.01 radians a frame, little distortion"
    assert picture_speed(shot.cameras(), nothing, SIZE) == pytest.approx(speed)


def test_frames_at_rest_do_not_count_as_speed():
    path = [Camera((x, 1, 0), (x, 1, -1)) for x in (0.0, 0.1, 0.1, 0.1, 0.1, 0.2, 0.3)]
    steady = [Camera((x, 1, 0), (x, 1, -1)) for x in (0.0, 0.1, 0.2, 0.3)]
    assert picture_speed(path, inside(HALL), SIZE, 8, 9) == pytest.approx(
        picture_speed(steady, inside(HALL), SIZE, 8, 9), rel=0.02
    )
    assert picture_speed(path[2:5], inside(HALL), SIZE) == 0


@pytest.mark.parametrize("speed", [0.3, 3.0, 15.0])
def test_paths_keep_clear_and_stay_in_the_room(speed):
    for seed in range(8):
        path = plan_path(HALL, np.random.default_rng(seed), inside(HALL), speed, SIZE)
        assert keeps_clear(inside(HALL), path, CLEARANCES[-1][0], CLEARANCES[-1][1])
        assert (np.abs([c.origin for c in path] - np.array([0, 1.5, 0])) < np.array(HALL.size) / 2).all()


def test_most_paths_have_the_best_clearance(hall_shots):
    clear = [keeps_clear(inside(HALL), s.cameras(), CLEARANCES[0][0], 0.1) for s in hall_shots]
    assert np.mean(clear) > 0.9


@pytest.mark.parametrize("speed", [0.1, 20.0])
def test_where_nothing_fits_the_camera_pans_at_this_speed(speed):
    box = Room((1.0, 1.0, 1.0))
    shot = plan_shot(box, np.random.default_rng(0), inside(box), speed, SIZE)
    path = shot.cameras()
    assert shot.move == "pan" and len({c.origin for c in path}) == 1
    assert picture_speed(path, inside(box), SIZE) == pytest.approx(speed, rel=0.01)


def test_the_same_generator_makes_the_same_path():
    first, again, other = (plan_path(HALL, np.random.default_rng(s), inside(HALL), 2.0, SIZE) for s in (5, 5, 6))
    assert first == again and first != other


def test_every_move_and_pace_occurs_some_from_close_by(hall_shots):
    assert {s.move for s in hall_shots} == set(MOVES)
    assert {s.pace for s in hall_shots} == set(PACES)
    assert 0.15 < np.mean([s.close for s in hall_shots]) < 0.5
    assert min(s.distance for s in hall_shots) > 0.499


def test_close_shots_look_down_from_near(hall_shots):
    close = [s for s in hall_shots if s.close]
    assert max(s.distance for s in close) < 2.0
    assert np.mean([s.view[1] < 0 for s in close]) > 0.9


def test_paths_are_smooth(hall_shots):
    for shot in hall_shots:
        path = shot.cameras()
        for values in ([c.origin for c in path], [c.axes()[2] for c in path]):
            steps = np.diff(values, axis=0)
            jerk = np.linalg.norm(np.diff(steps, axis=0), axis=1).max()
            assert jerk <= 1e-6 + 0.9 * np.linalg.norm(steps, axis=1).max(), f"{shot.move}, {shot.pace}"


def test_stops_are_exact_and_the_camera_moves_in_more_than_half_of_the_frames(hall_shots):
    for shot in hall_shots:
        path = shot.cameras()
        moving = [before != after for before, after in pairwise(path)]
        assert sum(moving) > len(moving) / 2
        may_rest = shot.pace in ("going and stopping", "starting from rest") and shot.move != "handheld"
        assert all(moving) != may_rest, f"{shot.move}, {shot.pace}"


def test_a_lens_blurs_infinity_by_so_many_pixels():
    path = [Camera((0, 1, 0.1 * n), (0, 1, -5), fov=90.0) for n in range(PATH_FRAMES)]
    lens = with_lens(path, inside(HALL), blur=4.0, width=160)
    assert lens[0].focus == pytest.approx(3.0), "the wall in front of the first camera"
    assert lens[0].aperture == pytest.approx(4.0 * 3.0 / (2 * 80.0)), "a focal length of 80 pixels at 90 degrees"
    assert len({(c.aperture, c.focus) for c in lens}) == 1
    assert [replace(c, aperture=0.0, focus=1.0) for c in lens] == path

    # a point far away, seen from the ends of the lens, in the plane in focus
    shift = 2 * lens[0].aperture / lens[0].focus * focal_length(90.0, 160)
    assert shift == pytest.approx(4.0)


def test_a_lens_that_sees_nothing_focuses_on_the_target():
    assert with_lens([Camera((0, 1, 0), (0, 1, -5))], nothing, 2.0, 160)[0].focus == pytest.approx(5.0)


def test_no_path_has_a_picture_of_which_nearly_half_rests():
    for seed in range(20):
        path = plan_path(YARD, np.random.default_rng(seed), ground, 0.3, SIZE)
        assert np.quantile(point_speeds(path, ground, SIZE), 0.35) > 0.3 / 4
