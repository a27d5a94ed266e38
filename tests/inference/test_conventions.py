"""Pins how frames tell what their motion and normals mean: every convention is recognised, and misfits are too."""

import numpy as np
import pytest
import torch

from files import InputError
from inference.conventions import MISSING, Convention, Pair, candidates, decide, inverted_motion, parse_convention
from inference.normals import TURN, face_camera, fit_turn, turned_by

SIZE = 48, 64
MOVED = 3, 2  # pixels, right and down, from one frame to the next


def surfaces():
    """A textured wall that moves by MOVED: the surface of two frames."""
    rng = np.random.default_rng(0)
    wall = np.kron(rng.random((7, 20, 20)), np.ones((4, 4))).astype(np.float32)
    x, y = MOVED
    frames = wall[:, y + 4 : y + 4 + SIZE[0], x + 4 : x + 4 + SIZE[1]], wall[:, 4 : 4 + SIZE[0], 4 : 4 + SIZE[1]]
    return tuple(torch.from_numpy(np.ascontiguousarray(frame)) + 0.5 for frame in frames)


def stored(convention):
    """Vectors of the moving wall under a convention."""
    sign = -1 if convention.leads == "previous" else 1
    vectors = np.empty((2, *SIZE), np.float32)
    for index, (word, plus) in enumerate(((convention.x, "right"), (convention.y, "down"))):
        size = (SIZE[1], SIZE[0])[index] if convention.unit == "fractions" else 1
        vectors[index] = sign * MOVED[index] * (1 if word == plus else -1) / size
    return vectors


@pytest.mark.parametrize("convention", candidates(""), ids=str)
def test_every_convention_is_recognised(convention):
    """Backwards along the motion or forwards mirrored is the same where all moves alike, but gives the same motion."""
    pair = Pair(surfaces(), (stored(convention),) * 2)
    verdict = decide([(candidates(convention.leads), [pair])])
    assert verdict.convention == convention
    motion = pair.motion(convention)
    known = motion[0] < MISSING / 2
    assert known.mean() > 0.85 and np.allclose(motion[:, known], -np.array(MOVED)[:, None], atol=1e-4)
    assert parse_convention(str(convention)) == convention


def test_the_layer_that_fits_is_taken():
    wrong = Pair(surfaces(), (stored(Convention()) * 5,) * 2)
    right = Pair(surfaces(), (stored(Convention(leads="next", y="up")),) * 2)
    verdict = decide([(candidates("previous"), [wrong]), (candidates("next"), [right])])
    assert verdict.layer == 1 and verdict.convention == Convention(leads="next", y="up")


def test_motion_that_fits_no_convention_is_not_used():
    noise = np.random.default_rng(1).uniform(-9, 9, (2, *SIZE)).astype(np.float32)
    verdict = decide([(candidates(""), [Pair(surfaces(), (noise, noise))])])
    assert verdict.convention is None and "no convention fits" in verdict.reason


def test_where_nothing_moves_the_likeliest_is_taken_and_said_to_be():
    first, _ = surfaces()
    verdict = decide([(candidates(""), [Pair((first, first), (np.zeros((2, *SIZE), np.float32),) * 2)])])
    assert verdict.convention == Convention() and "nothing moves" in verdict.reason


def test_vectors_that_are_no_motion_become_missing():
    vectors = np.ones((2, 2, 2), np.float32)
    vectors[0, 0, 0], vectors[1, 0, 1], vectors[0, 1, 0] = np.nan, np.inf, MISSING
    assert (Convention().pixels(vectors) == MISSING).sum() == 6


def test_of_two_surfaces_that_go_to_one_place_the_nearer_is_seen():
    ahead = np.zeros((2, 1, 4), np.float32)
    ahead[0, 0] = 2, 0, 0, 0
    depth = np.array([[1, 5, 5, 5]], np.float32)
    assert inverted_motion(ahead, depth)[0].tolist() == [[MISSING, 0, -2, 0]]
    depth[0, 0] = 9
    assert inverted_motion(ahead, depth)[0].tolist() == [[MISSING, 0, 0, 0]]


@pytest.mark.parametrize("text", ["up,down", "sideways", "", "previous,next"])
def test_unusable_motion_options_are_named(text):
    with pytest.raises(InputError, match=rf"--motion {text}: expected auto, none, or words of previous\|next"):
        parse_convention(text)


def test_a_part_of_a_convention_is_enough():
    assert parse_convention("up") == Convention(y="up")


def rotation(axis, angle):
    x, y, z = torch.tensor(axis, dtype=torch.float64) / np.linalg.norm(axis) * np.deg2rad(angle)
    return torch.linalg.matrix_exp(torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]])).float()


def test_the_turn_of_a_camera_is_found_though_a_quarter_moves_by_itself():
    normals = torch.nn.functional.normalize(torch.randn(4000, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    turn = rotation((1, 2, -1), 7)
    before = normals @ turn.T
    before[:1000] = normals[:1000] @ rotation((0, 0, 1), 40).T
    assert torch.allclose(fit_turn(before, normals), turn, atol=2e-3)
    assert turned_by([(before, normals)]) == pytest.approx(7, abs=0.1)


def test_a_single_plane_shows_no_turn_about_its_normal_and_world_space_none_at_all():
    plane = torch.tensor([0.0, 0.0, 1.0]).expand(500, 3)
    assert torch.allclose(fit_turn(plane, plane), torch.eye(3), atol=1e-5)
    noisy = torch.nn.functional.normalize(plane + 0.1 * torch.randn(500, 3), dim=1)
    assert turned_by([(plane, noisy)]) < TURN


def test_in_camera_space_all_normals_face_the_camera():
    surface = torch.zeros(7, 10, 10)
    surface[3] = 1.0  # z
    assert face_camera(surface) and face_camera(-surface)
    surface[1, :2], surface[3, :2] = 0.8, -0.6
    assert not face_camera(surface)
