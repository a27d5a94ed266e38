"""Pins which files of a folder are a shot: padding, several shots, gaps, steps, and names that are no frame's."""

import pytest

from files import InputError
from frames.shots import find_shots, holds_shots


def touch(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def names(shots):
    return [[path.name for path in shot.files] for shot in shots]


def test_frames_are_in_order_of_their_numbers_whatever_the_padding(tmp_path):
    folder = touch(tmp_path / "a", "s_10.exr", "s_9.exr", "s_8.EXR", "s_0011.exr")
    shots, notes = find_shots(folder)
    assert names(shots) == [["s_8.EXR", "s_9.exr", "s_10.exr", "s_0011.exr"]] and not notes
    assert holds_shots(folder)


def test_several_shots_in_a_folder(tmp_path):
    folder = touch(tmp_path / "a", "sh01_v2.0001.exr", "sh01_v2.0002.exr", "sh02-1.exr", "sh02-2.exr", "7.exr")
    shots, _ = find_shots(folder)
    assert names(shots) == [["7.exr"], ["sh01_v2.0001.exr", "sh01_v2.0002.exr"], ["sh02-1.exr", "sh02-2.exr"]]
    assert [shot.name for shot in shots] == ["", "sh01_v2.", "sh02-"]


def test_a_gap_splits_and_is_noted_and_a_step_does_not(tmp_path):
    shots, notes = find_shots(touch(tmp_path / "gap", "s1.exr", "s2.exr", "s4.exr"))
    assert names(shots) == [["s1.exr", "s2.exr"], ["s4.exr"]] and "gap between s2.exr and s4.exr" in notes[0]
    shots, notes = find_shots(touch(tmp_path / "step", "s1.exr", "s3.exr", "s5.exr", "s9.exr"))
    assert names(shots) == [["s1.exr", "s3.exr", "s5.exr"], ["s9.exr"]]
    assert "2 numbers apart" in notes[0] and "gap between s5.exr and s9.exr" in notes[1]
    assert len(find_shots(touch(tmp_path / "two", "s1.exr", "s3.exr"))[0]) == 2


def test_other_files_are_named_and_hidden_ones_are_not_frames(tmp_path):
    folder = touch(tmp_path / "a", "s1.exr", "s2.exr", "final.exr", ".host-12-s3.exr", "notes.txt", "s4.png")
    shots, notes = find_shots(folder)
    assert names(shots) == [["s1.exr", "s2.exr"]]
    assert notes == [f"{folder / 'final.exr'}: skipped, its name does not end in a number"]


def test_two_files_of_one_number_are_an_error(tmp_path):
    with pytest.raises(InputError, match=r"s_01.exr and s_1.exr are both frame 1; keep one"):
        find_shots(touch(tmp_path / "a", "s_1.exr", "s_01.exr", "s_2.exr"))


def test_a_dataset_holds_no_shots(tmp_path):
    frame = touch(tmp_path / "frame-0000", "noisy-0.exr", "noisy-1.exr", "target.exr")
    assert not holds_shots(frame) and not holds_shots(tmp_path)
    assert holds_shots(frame / "noisy-0.exr") and names(find_shots(frame / "noisy-0.exr")[0]) == [["noisy-0.exr"]]
