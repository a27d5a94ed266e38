"""Pins camera geometry by closed forms: projection, motion, key frames, clear paths; and errors that name the file."""

import json

import numpy as np
import pytest

from files import InputError
from rendering.cameras import MOTION_LIMIT, Camera, along, around, keeps_clear, motion, read_key_frames

SIZE = (40, 60)
FOCAL = 30.0  # of 60 pixels at 90 degrees
FRONT = Camera((0, 0, 0), (0, 0, -1), fov=90.0)


def point(x, y, z):
    return np.array([x, y, z, 1.0])


def test_projection_has_x_to_the_right_and_y_down():
    assert np.allclose(FRONT.project(point(0, 0, -5), SIZE), (30, 20))
    assert np.allclose(FRONT.project(point(1, 0, -5), SIZE), (30 + FOCAL / 5, 20))
    assert np.allclose(FRONT.project(point(0, 1, -5), SIZE), (30, 20 - FOCAL / 5))
    assert np.allclose(FRONT.project(point(5, 0, -5), SIZE), (60, 20)), "the edge of the field of view"


def test_directions_are_the_inverse_of_projection():
    camera = Camera((1.0, 2.0, 3.0), (-2.0, 0.5, 1.0), (0.1, 1.0, 0.2), 50.0)
    directions = camera.directions(SIZE)
    points = np.concatenate([np.asarray(camera.origin) + 3.7 * directions, np.ones((*SIZE, 1))], -1)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    assert np.allclose(camera.project(points, SIZE), np.stack([x, y], -1))


def test_motion_of_a_sideways_step_is_focal_length_times_step_over_depth():
    now = Camera((0.2, 0, 0), (0.2, 0, -1), fov=90.0)
    position = np.asarray(now.origin) + 4.0 * now.directions(SIZE)  # a wall at depth 4
    moved = motion(position, np.ones(SIZE, bool), now, FRONT)
    assert np.allclose(moved, [FOCAL * 0.2 / 4, 0]), "the camera went right, so the wall was further right before"


def test_the_sky_moves_only_when_the_camera_turns():
    nothing = np.zeros(SIZE, bool)
    stepped = Camera((3, 0, 0), (3, 0, -1), fov=90.0)
    assert np.allclose(motion(np.zeros((*SIZE, 3)), nothing, stepped, FRONT), 0)
    turned = Camera((0, 0, 0), (np.sin(0.1), 0, -np.cos(0.1)), fov=90.0)
    moved = motion(np.zeros((*SIZE, 3)), nothing, turned, FRONT)
    assert moved[20, 30, 0] == pytest.approx(FOCAL * np.tan(0.1), rel=0.05)


def test_motion_is_finite_and_clamped_for_what_was_behind_the_camera():
    before = Camera((0, 0, -10), (0, 0, -11), fov=90.0)
    moved = motion(3.0 * FRONT.directions(SIZE), np.ones(SIZE, bool), FRONT, before)
    assert np.isfinite(moved).all() and np.abs(moved).max() == MOTION_LIMIT


KEYS = [Camera((x, 0, 0), (x, 0, -1), fov=50.0 + x) for x in (0.0, 1.0, 2.0, 3.0)]


def test_key_frames_are_met_at_whole_steps_and_the_camera_turns_back_at_the_end():
    found = [c.origin[0] for c in along(KEYS, 8, 1.0)]
    assert np.allclose(found, [0, 1, 2, 3, 2, 1, 0, 1])
    assert np.allclose([c.fov for c in along(KEYS, 3, 1.0, start=1)], [51, 52, 53])


def test_speed_divides_the_steps_and_a_longer_path_begins_as_a_shorter_one():
    slow = along(KEYS, 13, 0.25)
    assert np.allclose([c.origin[0] for c in slow], np.arange(13) / 4)
    assert along(KEYS, 5, 0.25) == slow[:5]
    bent = along([Camera((x, x * x, 0), (x, 0, -9)) for x in (0.0, 1.0, 2.0, 3.0)], 300, 0.01)
    steps = np.diff([c.origin for c in bent], axis=0)
    assert np.linalg.norm(np.diff(steps, axis=0), axis=1).max() < 0.001, "no jerk at the key frames"


def test_one_key_frame_is_a_camera_that_stands():
    assert along(KEYS[:1], 3, 1.0) == [KEYS[0]] * 3


def test_a_loop_keeps_its_radius_its_target_and_comes_back():
    loop = around(FRONT, 0.5, 241, 1.0)
    away = np.linalg.norm(np.subtract([c.origin for c in loop], FRONT.origin), axis=1)
    assert away.max() <= 0.55 and away.max() > 0.45
    assert np.allclose(loop[240].origin, FRONT.origin) and {c.target for c in loop} == {FRONT.target}


def sphere_from_inside(radius):
    def distances(origins, directions):
        along_ray = (origins * directions).sum(1)
        return -along_ray + np.sqrt(along_ray**2 - (origins**2).sum(1) + radius**2)

    return distances


@pytest.mark.parametrize(
    ("radius", "clearance", "sight", "clear"), [(3, 1, 2, True), (3, 2.5, 2, False), (3, 1, 4.5, False)]
)
def test_a_path_keeps_clear_of_what_rays_find(radius, clearance, sight, clear):
    path = around(FRONT, 1.0, 240, 1.0)
    assert keeps_clear(sphere_from_inside(radius), path, clearance, sight) is clear


def test_a_path_through_a_wall_is_not_clear():
    def wall_at_two(origins, directions):
        with np.errstate(divide="ignore"):
            t = (2 - origins[:, 0]) / directions[:, 0]
        return np.where(t > 0, t, np.inf)

    assert keeps_clear(wall_at_two, [Camera((0, 0, 0), (0, 0, -1)), Camera((1, 0, 0), (1, 0, -1))], 0.1, 0.1)
    assert not keeps_clear(wall_at_two, [Camera((0, 0, 0), (0, 0, -1)), Camera((4, 0, 0), (4, 0, -1))], 0.1, 0.1)


GOOD = {"origin": [0, 0, 0], "target": [0, 0, -1], "up": [0, 1, 0], "fov": 60}


def test_camera_files_with_and_without_up_and_with_the_bare_list(tmp_path):
    path = tmp_path / "camera.json"
    path.write_text(json.dumps({"source": "x", "keyframes": [GOOD]}))
    assert read_key_frames(path) == [Camera((0, 0, 0), (0, 0, -1), (0, 1, 0), 60)]
    path.write_text(json.dumps([{k: v for k, v in GOOD.items() if k != "up"}]))
    assert read_key_frames(path)[0].up == (0, 1, 0)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not a readable JSON"),
        ("{}", "no key frames"),
        ("[]", "no key frames"),
        (json.dumps([GOOD, {"origin": [0, 0, 0]}]), "key frame 1: expected origin, target, up and fov"),
        (json.dumps([GOOD | {"origin": [0, "a", 0]}]), "key frame 0: origin must be three numbers"),
        (json.dumps([GOOD | {"target": [0, 1]}]), "target must be three finite numbers"),
        (json.dumps([GOOD | {"fov": 180}]), "fov must be degrees between 0 and 180"),
        (json.dumps([GOOD | {"target": [0, 5, 0]}]), "on one line"),
        (json.dumps([GOOD | {"target": [0, 0, 0]}]), "on one line"),
    ],
)
def test_a_bad_camera_file_is_named_with_the_key_frame(tmp_path, content, said):
    path = tmp_path / "camera.json"
    path.write_text(content)
    with pytest.raises(InputError) as error:
        read_key_frames(path)
    assert str(path) in str(error.value) and said in str(error.value)
