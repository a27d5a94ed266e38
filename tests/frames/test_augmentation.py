"""Pins augmentation on the device: a batch equals what NumPy makes of its samples, one by one."""

import numpy as np
import pytest
import torch
from torch.utils.data import default_collate

from frames.augmentation import (
    AUGMENTATIONS,
    DIRECT_AUGMENTATIONS,
    EXPOSURE,
    augment_batch,
    change_motion,
    draw_average,
    draw_dropped,
    draw_history,
    draw_transform,
    flip_and_turn,
    flip_and_turn_vectors,
)
from frames.channels import ALBEDO_INPUTS, MAX_WEIGHT, MOTION_INPUTS, PLAIN_INPUTS, QUANTITIES


def slow_augment(noisy, target, drawn):
    """One sample, (T, H, W, C), by NumPy: mirrored, turned, colored; then channels first."""
    if drawn["flip"]:
        noisy, target = noisy[:, :, ::-1].copy(), target[:, :, ::-1]
        noisy[..., 4] *= -1
    noisy, target = (np.rot90(x, int(drawn["turns"]), (1, 2)).copy() for x in (noisy, target))
    noisy[..., :3] *= drawn["gains"]
    target *= drawn["gains"]
    return np.moveaxis(noisy, -1, 1), np.moveaxis(target, -1, 1)


@pytest.mark.parametrize("inputs", [PLAIN_INPUTS, ALBEDO_INPUTS])
def test_a_batch_equals_its_samples_one_by_one(inputs):
    rng = np.random.default_rng(0)
    channels = 7 if inputs == PLAIN_INPUTS else 10
    noisy = rng.random((80, 2, 6, 6, channels)).astype(np.float16)
    target = rng.random((80, 2, 6, 6, 3)).astype(np.float16)
    target[3, 1, 2, 2] = np.nan
    drawn = [draw_transform(rng, DIRECT_AUGMENTATIONS) for _ in noisy]
    assert {(bool(d["flip"]), int(d["turns"])) for d in drawn} >= {(f, t) for f in (False, True) for t in range(4)}
    batch = {"noisy": torch.from_numpy(noisy), "target": torch.from_numpy(target)} | default_collate(drawn)
    fast = augment_batch(batch, inputs)
    assert set(fast) == {"noisy", "target"} and fast["noisy"].dtype == torch.float32
    for i, draws in enumerate(drawn):
        slow = slow_augment(noisy[i].astype(np.float32), target[i].astype(np.float32), draws)
        assert np.array_equal(fast["noisy"][i], slow[0]) and np.array_equal(fast["target"][i], slow[1], equal_nan=True)
    for pixels in fast.values():
        assert pixels.stride(2) == 1  # channels innermost


def test_without_draws_a_batch_is_only_converted():
    batch = {"noisy": torch.rand(1, 2, 5, 9, 7).half(), "target": torch.rand(1, 2, 5, 9, 3).half(), "scene": ["A"]}
    fast = augment_batch(batch, PLAIN_INPUTS)
    assert fast["noisy"].shape == (1, 2, 7, 5, 9) and fast["scene"] == ["A"]
    assert torch.equal(fast["target"].movedim(2, -1).half(), batch["target"])


def test_flipped_and_turned_vectors_point_where_the_pixels_went():
    """A dot moves by its motion vector; after any flip and turn of the picture, the turned vector still leads to it."""
    size, start, vector = 9, (2, 3), (4, -1)  # (x, y)
    here, there, motion = torch.zeros(8, 1, 1, 9, 9), torch.zeros(8, 1, 1, 9, 9), torch.zeros(8, 1, 2, 9, 9)
    here[..., start[1], start[0]] = 1
    there[..., start[1] + vector[1], start[0] + vector[0]] = 1
    motion[:] = torch.tensor(vector)[:, None, None]
    flip, turns = torch.arange(8) >= 4, torch.arange(8) % 4
    here, there = flip_and_turn(here, flip, turns), flip_and_turn(there, flip, turns)
    turned = flip_and_turn_vectors(motion, flip, turns)
    for i in range(8):
        y, x = here[i, 0, 0].nonzero()[0]
        dx, dy = turned[i, 0, :, y, x].int()
        assert there[i, 0, 0, y + dy, x + dx] == 1 and here.shape[-1] == size


def test_a_stopped_camera_has_no_motion_and_a_reversed_one_has_none_to_know():
    missing = QUANTITIES["motion"].missing
    motion = np.full((4, 2, 2, 2), 3.0, np.float16)
    motion[:, 0] = missing
    stopped, reversed_ = motion.copy(), motion.copy()
    change_motion(stopped, [0, 1, 1, 1])
    assert (stopped[:2, 1] == 3).all() and (stopped[2:, 1] == 0).all() and (stopped[:, 0] == missing).all()
    change_motion(reversed_, [3, 2, 1, 0])
    assert (reversed_ == missing).all()


def test_normals_get_other_axes_and_keep_their_length_and_angles():
    rng = np.random.default_rng(0)
    noisy = torch.from_numpy(rng.normal(size=(2, 3, 6, 6, 12)).astype(np.float16))
    target = torch.from_numpy(rng.random((2, 3, 6, 6, 3)).astype(np.float16))
    drawn = [draw_transform(rng, ("orient",)) for _ in range(2)]
    fast = augment_batch({"noisy": noisy, "target": target} | default_collate(drawn), MOTION_INPUTS)
    before, after = noisy.float().movedim(-1, 2)[:, :, 4:7], fast["noisy"][:, :, 4:7]
    assert not torch.allclose(before, after, atol=0.1)
    assert torch.allclose(before.norm(dim=2), after.norm(dim=2), atol=1e-4)
    dots = [(x[:, :, :, 0, 0] * x[:, :, :, 3, 4]).sum(2) for x in (before, after)]
    assert torch.allclose(*dots, atol=1e-3)


def test_exposure_is_one_factor_for_all_colors():
    gains = np.array([draw_transform(np.random.default_rng(i), ("expose",))["gains"] for i in range(200)])
    assert np.allclose(gains, gains[:, :1]) and gains.min() >= 1 / EXPOSURE and gains.max() <= EXPOSURE
    assert gains.min() < 0.3 and gains.max() > 3


def test_averages_and_drops_are_drawn_now_and_then():
    rng = np.random.default_rng(0)
    averages = {draw_average(rng, AUGMENTATIONS) for _ in range(200)}
    dropped = {tuple(draw_dropped(rng, AUGMENTATIONS)) for _ in range(600)}
    assert averages == {1, 2, 3} and dropped == {(), ("albedo",), ("motion",), ("albedo", "motion")}
    assert draw_average(rng, ()) == 1 and draw_dropped(rng, ()) == []


def test_histories_are_drawn_now_and_then_but_not_for_windows_in_reverse():
    rng = np.random.default_rng(0)
    drawn = [draw_history(rng, AUGMENTATIONS, [0, 1, 2]) for _ in range(300)]
    found = [(count, samples) for count, samples, _ in drawn if count]
    assert 60 < len(found) < 120 and {count for count, _ in found} == set(range(1, 8))
    assert all(count <= samples <= MAX_WEIGHT for count, samples in found)
    assert not any(draw_history(rng, AUGMENTATIONS, [2, 1, 0])[0] for _ in range(100))
    assert not any(draw_history(rng, (), [0, 1, 2])[0] for _ in range(100))


@pytest.mark.parametrize(("flip", "turns"), [(False, 0), (True, 0), (False, 1), (True, 3)])
def test_the_history_moves_and_scales_with_its_window(flip, turns):
    noisy = torch.rand(1, 2, 6, 6, 12).half()
    start = torch.cat((noisy[:, 0, ..., :3], noisy[:, 0, ..., :3], torch.full((1, 6, 6, 1), 5.0).half()), -1)
    batch = {"noisy": noisy, "target": noisy[..., :3], "start": start}
    batch |= {"flip": torch.tensor([flip]), "turns": torch.tensor([turns]), "gains": torch.tensor([[0.5, 1.0, 2.0]])}
    done = augment_batch(batch, MOTION_INPUTS)
    assert torch.equal(done["start"][:, :3], done["noisy"][:, 0, :3])
    assert torch.equal(done["start"][:, 3:6], done["noisy"][:, 0, :3]) and (done["start"][:, 6] == 5).all()
