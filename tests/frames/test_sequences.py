"""Pins what is found on disk, what is skipped and reported, what is an error, and that validation shares no frame."""

import shutil

import numpy as np
import pytest
from support import make_scene, write_channels

from files import InputError
from frames.channels import ALBEDO_INPUTS
from frames.sequences import find_sequences, find_test_sequences, split_dataset


def names(sequence):
    return [f.folder.name for f in sequence.frames]


def test_any_number_of_renderings_frames_and_scenes_starting_anywhere(tmp_path):
    make_scene(tmp_path / "A", frames=3, noisy=7, start=41)
    make_scene(tmp_path / "B", frames=2, noisy=1)
    (tmp_path / "A" / "frame-0042" / "noisy-3.exr").unlink()
    (tmp_path / "no scene").mkdir()
    sequences, notes = find_sequences(tmp_path, need_target=True)
    assert [s.scene for s in sequences] == ["A", "B"]
    assert notes == [f"{tmp_path / 'no scene'}: skipped, it has no folders frame-0000 ..."]
    assert names(sequences[0]) == ["frame-0041", "frame-0042", "frame-0043"]
    assert [len(f.noisy) for f in sequences[0].frames] == [7, 6, 7]
    assert sequences[0].size == (24, 32) and sequences[0].albedo


def test_frames_are_in_the_order_of_their_numbers(tmp_path):
    make_scene(tmp_path / "A", frames=1, start=9999)
    make_scene(tmp_path / "A", frames=2, start=10000)
    sequences, _ = find_sequences(tmp_path, need_target=True)
    assert names(sequences[0]) == ["frame-9999", "frame-10000", "frame-10001"]


def test_renderings_keep_their_names_and_are_in_the_order_of_their_numbers(tmp_path):
    folder = make_scene(tmp_path / "A", frames=1, noisy=3) / "frame-0000"
    for old, new in (("noisy-0", "noisy-002"), ("noisy-2", "noisy-10")):
        (folder / f"{old}.exr").rename(folder / f"{new}.exr")
    (sequence,), _ = find_sequences(tmp_path, need_target=True)
    assert [path.name for path in sequence.frames[0].noisy] == ["noisy-1.exr", "noisy-002.exr", "noisy-10.exr"]


def test_an_albedo_in_two_layers_names_the_file(tmp_path):
    path = make_scene(tmp_path / "A", frames=1) / "frame-0000/noisy-1.exr"
    names = ["R", "G", "B", "Z", "N.X", "N.Y", "N.Z", *(f"{x}.albedo.{c}" for x in "ab" for c in "RGB")]
    write_channels(path, {name: np.ones((24, 32), np.float32) for name in names})
    with pytest.raises(InputError, match=r"noisy-1.exr: albedo is in several layers"):
        find_sequences(tmp_path, need_target=True)


def test_a_gap_splits_the_sequence_and_is_reported(tmp_path):
    make_scene(tmp_path / "A", frames=6)
    shutil.rmtree(tmp_path / "A" / "frame-0002")
    sequences, notes = find_sequences(tmp_path, need_target=True)
    assert [names(s)[0] for s in sequences] == ["frame-0000", "frame-0003"]
    assert len(notes) == 1 and "gap between frame-0001 and frame-0003" in notes[0]


def test_a_frame_without_target_or_renderings_is_skipped_and_reported(tmp_path):
    make_scene(tmp_path / "A", frames=6)
    (tmp_path / "A" / "frame-0001" / "target.exr").unlink()
    for k in range(2):
        (tmp_path / "A" / "frame-0003" / f"noisy-{k}.exr").unlink()
    sequences, notes = find_sequences(tmp_path, need_target=True)
    assert [names(s) for s in sequences] == [["frame-0000"], ["frame-0002"], ["frame-0004", "frame-0005"]]
    assert any("frame-0001: skipped, it has no target.exr" in n for n in notes)
    assert any("frame-0003: skipped, it has no noisy-0.exr" in n for n in notes)
    sequences, _ = find_sequences(tmp_path, need_target=False)
    assert [len(s.frames) for s in sequences] == [3, 2] and sequences[0].frames[1].target is None


def test_empty_and_absent_folders_are_errors_that_say_what_belongs_there(tmp_path):
    (tmp_path / "train").mkdir()
    with pytest.raises(InputError, match=r"train: no scenes in it; expected .*frame-0000/\{target.exr"):
        split_dataset(tmp_path, 3, 8)
    with pytest.raises(InputError, match=r"nowhere.*no such folder"):
        split_dataset(tmp_path / "nowhere", 3, 8)
    make_scene(tmp_path / "train" / "A", target=False)
    with pytest.raises(InputError, match=r"no usable frame(.|\n)*frame-0000: skipped, it has no target"):
        split_dataset(tmp_path, 3, 8)


def test_mixed_resolutions_name_both_files_and_sizes(tmp_path):
    make_scene(tmp_path / "A", frames=2)
    make_scene(tmp_path / "A", frames=1, start=2, size=(24, 40))
    with pytest.raises(InputError, match=r"frame-0002.noisy-0.exr.*40x24.*frame-0000.noisy-0.exr.*32x24"):
        find_sequences(tmp_path, need_target=True)


def test_scenes_may_differ_in_resolution(tmp_path):
    make_scene(tmp_path / "A", frames=1)
    make_scene(tmp_path / "B", frames=1, size=(16, 16))
    assert [s.size for s in find_sequences(tmp_path, need_target=True)[0]] == [(24, 32), (16, 16)]


def test_missing_channels_and_damage_are_found_before_training(tmp_path):
    make_scene(tmp_path / "A", frames=2, albedo=False)
    find_sequences(tmp_path, need_target=True)
    with pytest.raises(InputError, match=r"noisy-0.exr: no channel for albedo"):
        find_sequences(tmp_path, True, ALBEDO_INPUTS)
    write_channels(tmp_path / "A/frame-0001/noisy-1.exr", {c: np.zeros((24, 32), np.float32) for c in "RGB"})
    with pytest.raises(InputError, match=r"frame-0001.noisy-1.exr: no channel for depth"):
        find_sequences(tmp_path, need_target=True)
    (tmp_path / "A/frame-0001/noisy-1.exr").write_bytes(b"")
    with pytest.raises(InputError, match=r"frame-0001.noisy-1.exr: not a readable EXR"):
        find_sequences(tmp_path, need_target=True)


def test_a_target_needs_radiance_only(tmp_path):
    """Auxiliary channels come from the noisy frame; a target without them is a good target."""
    make_scene(tmp_path / "A", frames=1)
    write_channels(tmp_path / "A/frame-0000/target.exr", {c: np.ones((24, 32), np.float32) for c in "RGB"})
    assert len(find_sequences(tmp_path, need_target=True)[0]) == 1


@pytest.mark.parametrize(
    ("frames", "length", "held"), [(6, 3, 3), (20, 3, 3), (100, 7, 10), (10, 7, 3), (10, 5, 5), (14, 7, 7), (9, 7, 2)]
)
def test_validation_is_the_last_tenth_and_at_least_a_window_and_shares_no_frame(tmp_path, frames, length, held):
    make_scene(tmp_path / "train" / "A", frames=frames, size=(8, 8), noisy=1)
    split = split_dataset(tmp_path, length, 8)
    training, validation = ([n for s in part for n in names(s)] for part in (split.training, split.validation))
    assert len(validation) == held and not set(training) & set(validation)
    assert training + validation == [f"frame-{n:04d}" for n in range(frames)]


def test_sequences_too_short_for_a_window_are_skipped_and_reported(tmp_path):
    make_scene(tmp_path / "train" / "A", frames=6)
    make_scene(tmp_path / "train" / "B", frames=2)
    split = split_dataset(tmp_path, 3, 8)
    assert [s.scene for s in split.training] == ["A"]
    assert split.notes == ["B (frame-0000 to frame-0001): skipped, 2 frames are fewer than --sequence_length 3"]


def test_sequences_that_are_all_too_short_are_an_error_that_says_which_length_would_do(tmp_path):
    make_scene(tmp_path / "train" / "A", frames=5)
    with pytest.raises(InputError, match="--sequence_length 5 or less"):
        split_dataset(tmp_path, 7, 8)
    with pytest.raises(InputError, match="--sequence_length 2 or less, or put scenes into val/"):
        split_dataset(tmp_path, 5, 8)


def test_a_val_folder_is_used_as_it_is(tmp_path):
    make_scene(tmp_path / "train" / "A", frames=5)
    make_scene(tmp_path / "val" / "B", frames=2)
    split = split_dataset(tmp_path, 5, 8)
    assert [len(s.frames) for s in split.training] == [5] and [len(s.frames) for s in split.validation] == [2]
    assert split.validation[0].scene == "B"


def test_a_crop_that_does_not_fit_says_which_would(tmp_path):
    make_scene(tmp_path / "train" / "A")
    make_scene(tmp_path / "train" / "B", size=(40, 20))
    with pytest.raises(InputError, match=r"--crop_size 32: A \(32x24\), B \(20x40\); pass --crop_size 20 or less"):
        split_dataset(tmp_path, 3, 32)
    split_dataset(tmp_path, 3, 20)


def test_what_to_reconstruct_is_a_dataset_a_folder_of_scenes_or_one_sequence(tmp_path):
    make_scene(tmp_path / "test" / "A", frames=1)
    make_scene(tmp_path / "train" / "B", frames=1)
    for path in (tmp_path, tmp_path / "test", tmp_path / "test" / "A"):
        sequences, _ = find_test_sequences(path, ALBEDO_INPUTS)
        assert [s.scene for s in sequences] == ["A"]


def test_two_folders_of_one_number_are_refused(tmp_path):
    make_scene(tmp_path / "A", frames=3)
    (tmp_path / "A" / "frame-0001").rename(tmp_path / "A" / "frame-2")
    with pytest.raises(InputError, match=r"A/frame-0002 and frame-2 are both frame 2; keep one of them"):
        find_sequences(tmp_path, True)
