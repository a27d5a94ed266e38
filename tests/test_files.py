"""Pins that files and folders appear whole or not at all."""

import pytest

from files import whole_file, whole_folder


def test_a_written_file_appears_under_its_name_only_when_it_is_whole(tmp_path):
    path = tmp_path / "new.txt"
    with whole_file(path) as temporary:
        temporary.write_text("whole")
        assert temporary.parent == tmp_path and not path.exists()
    assert path.read_text() == "whole" and list(tmp_path.iterdir()) == [path]


def test_a_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "kept.json"
    path.write_text("old")
    with pytest.raises(RuntimeError), whole_file(path) as temporary:
        temporary.write_text("half of the n")
        raise RuntimeError("disk full")
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["kept.json"]


def test_a_written_folder_appears_under_its_name_only_when_it_is_whole(tmp_path):
    folder = tmp_path / "scene" / "frame"
    with whole_folder(folder) as temporary:
        (temporary / "a.txt").write_text("a")
        assert temporary.parent == folder.parent and not folder.exists()
    assert [p.name for p in folder.iterdir()] == ["a.txt"] and list(folder.parent.iterdir()) == [folder]


def test_a_failed_write_leaves_no_folder(tmp_path):
    with pytest.raises(RuntimeError), whole_folder(tmp_path / "frame") as temporary:
        (temporary / "a.txt").write_text("half of the n")
        raise RuntimeError("disk full")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_exists_gets_the_new_files_and_keeps_its_others(tmp_path):
    folder = tmp_path / "frame"
    folder.mkdir()
    (folder / "kept.txt").write_text("old")
    (folder / "replaced.txt").write_text("old")
    with whole_folder(folder) as temporary:
        for name in ("replaced.txt", "added.txt"):
            (temporary / name).write_text("new")
    texts = {p.name: p.read_text() for p in folder.iterdir()}
    assert texts == {"kept.txt": "old", "replaced.txt": "new", "added.txt": "new"} and list(tmp_path.iterdir()) == [
        folder
    ]
