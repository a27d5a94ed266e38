"""Pins augmentation on the device: a batch equals what NumPy makes of its samples, one by one."""

import numpy as np
import pytest
import torch
from torch.utils.data import default_collate

from frames.augmentation import AUGMENTATIONS, augment_batch, draw_transform
from frames.channels import ALBEDO_INPUTS, PLAIN_INPUTS


def slow_augment(noisy, target, drawn):
    """One sample, (T, H, W, C), by NumPy: mirrored, turned, coloured; then channels first."""
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
    drawn = [draw_transform(rng, AUGMENTATIONS) for _ in noisy]
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
