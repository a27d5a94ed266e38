"""Pins which windows an epoch shows, in which order, to which rank, and that a loader resumes within it."""

import pytest
import torch
from support import make_scene

from dataset import EpochSampler, ResumableLoader, TrainingWindows
from frames.channels import PLAIN_INPUTS
from frames.sequences import find_sequences


def test_large_and_small_scenes_get_as_many_crops_as_they_have_pixels(tmp_path):
    make_scene(tmp_path / "train" / "Small", frames=3, size=(32, 32))
    make_scene(tmp_path / "train" / "Large", frames=3, size=(64, 96))
    sequences, _ = find_sequences(tmp_path / "train", True)
    windows = TrainingWindows(sequences, PLAIN_INPUTS, length=3, crop_size=16)
    drawn = [windows.windows[i][0].scene for i in windows.draws]
    assert drawn.count("Large") == 6 * drawn.count("Small") and len(windows) == 7
    sampler = EpochSampler(len(windows), 14, 1, seed=0)
    sizes = [len(windows[key]["noisy"]) for key in sampler]
    assert len(sizes) == 14


def test_an_epoch_shows_every_window_and_ranks_share_it_without_overlap():
    whole = list(EpochSampler(5, 20, 4, seed=1))
    assert sorted(window for _, _, window in whole) == sorted([0, 1, 2, 3, 4] * 4)
    ranks = [list(EpochSampler(5, 20, 2, 1, rank, 2)) for rank in range(2)]
    assert sorted(ranks[0] + ranks[1]) == sorted(whole) and not set(ranks[0]) & set(ranks[1])
    assert len(EpochSampler(5, 21, 4, 0)) == 24


def test_epochs_are_shuffled_apart():
    sampler = EpochSampler(50, 50, 1, seed=0)
    first = [w for _, _, w in sampler]
    sampler.set_epoch(1)
    assert first != [w for _, _, w in sampler] and first == [w for _, _, w in EpochSampler(50, 50, 1, seed=0)]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_loader_resumes_within_an_epoch(workers):
    class Keys(torch.utils.data.Dataset):
        def __getitem__(self, key):
            return key[1]

    def loader():
        return ResumableLoader(Keys(), 2, sampler=EpochSampler(3, 12, 2, 0), num_workers=workers)

    whole = [b.tolist() for b in loader()]
    first, second = loader(), loader()
    iterator = iter(first)
    taken = [next(iterator).tolist() for _ in range(4)]
    second.load_state_dict(first.state_dict())
    rest = [b.tolist() for b in second]
    assert taken + rest == whole and second.state_dict() == {"batches_taken": 6}
    assert len(list(second)) == 6  # the epoch after is whole again
