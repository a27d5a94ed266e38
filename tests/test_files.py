"""Pins that files and folders are written atomically."""

import errno
import os
import socket
import subprocess
import sys

import pytest
import torch

from checkpoints import write_weights
from files import atomic_file, whole_folder


def test_a_written_file_appears_under_its_name_only_when_it_is_whole(tmp_path):
    path = tmp_path / "new.txt"
    with atomic_file(path) as temporary:
        temporary.write_text("whole")
        assert temporary.parent == tmp_path and not path.exists()
    assert path.read_text() == "whole" and list(tmp_path.iterdir()) == [path]


def test_a_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "kept.json"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_file(path) as temporary:
        temporary.write_text("half of the n")
        raise RuntimeError("disk full")
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["kept.json"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "new.npy: not written (No space left on device); free some"),
        (OSError("100 requested and 10 written"), "new.npy: not written (100 requested and 10 written); free some"),
    ],
)
def test_a_full_disk_names_the_file_and_the_remedy(tmp_path, error, said):
    with pytest.raises(OSError) as raised, atomic_file(tmp_path / "new.npy"):
        raise error
    assert said in str(raised.value)


def test_a_folder_that_is_gone_names_the_file(tmp_path):
    path = tmp_path / "gone" / "new.txt"
    with pytest.raises(OSError, match=r"new.txt: not written \(No such"), atomic_file(path) as temporary:
        temporary.write_text("lost")


def test_what_killed_processes_left_is_deleted_and_what_others_write_is_not(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    host = socket.gethostname()
    left = [f".{host}-{ended.pid}-{name}.txt" for name in "ab"]
    others = {f".{host}-{os.getppid()}-a.txt", f".elsewhere-{ended.pid}-a.txt"}
    for name in (*left, *others):
        (tmp_path / name).touch()
    with atomic_file(tmp_path / "a.txt") as temporary:
        temporary.write_text("whole")
    assert {path.name for path in tmp_path.iterdir()} == {"a.txt", *others}


def test_released_weights_can_be_read_by_whom_the_umask_allows(tmp_path):
    checkpoint = {"state_dict": {"denoiser.a": torch.zeros(2)}, "hyper_parameters": {"denoiser": {}}}
    before = os.umask(0o022)
    try:
        write_weights(checkpoint, tmp_path / "w.safetensors")
    finally:
        os.umask(before)
    assert (tmp_path / "w.safetensors").stat().st_mode & 0o777 == 0o644


def test_a_written_folder_appears_under_its_name_only_when_it_is_whole(tmp_path):
    folder = tmp_path / "scene" / "frame"
    folder.parent.mkdir()
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
