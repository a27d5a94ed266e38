"""Pins the contact sheet: a tile for each scene, all of one size."""

import sys

import numpy as np
import pytest
import torch
from support import make_scene, run_script
from torchvision.io import read_image

from frames.exr_writing import write_exr
from scoring import contact_sheet


def test_a_contact_sheet_has_a_tile_for_each_scene(tmp_path):
    for name in "ABC":
        make_scene(tmp_path / "train" / name, frames=1)
    run_script("-m", "scoring.contact_sheet", tmp_path / "train", tmp_path / "sheet.png", "--columns", "2")
    sheet = read_image(str(tmp_path / "sheet.png"))
    assert sheet.shape == (3, 48, 64)
    assert (sheet[:, 24:, 32:] == 0).all() and (sheet[:, 24:, :32].float().mean() > 20)
    assert torch.equal(sheet[:, :24, :32], sheet[:, :24, 32:])


def test_tiles_of_other_sizes_are_scaled_and_cropped(tmp_path):
    for name, size in (("A", (16, 24)), ("B", (32, 32)), ("C", (9, 40))):
        make_scene(tmp_path / name, frames=1, size=size)
    sheet = contact_sheet.contact_sheet(tmp_path, 3, 24)
    assert contact_sheet.contact_sheet(tmp_path, 3, 24, width=12).shape == (3, 8, 36)
    assert sheet.shape == (3, 16, 72) and all(sheet[..., 24 * i : 24 * i + 24].any() for i in range(3))


def test_a_few_of_many_scenes_come_from_all_over(tmp_path):
    for number in range(6):
        make_scene(tmp_path / f"scene-{number}", frames=1, size=(8, 8))
        light = np.zeros((3, 8, 8), np.float32)
        light[:, number] = 1
        write_exr(tmp_path / f"scene-{number}/frame-0000/target.exr", {"color": light})
    whole, few = contact_sheet.contact_sheet(tmp_path, 6, 6), contact_sheet.contact_sheet(tmp_path, 6, 3)
    scenes, shown = whole.split(8, 2), few.split(8, 2)
    assert not torch.equal(scenes[1], scenes[2])
    assert all(torch.equal(tile, scenes[index]) for tile, index in zip(shown, (0, 2, 4), strict=False))


@pytest.mark.parametrize("option", ["--most", "--columns"])
def test_a_contact_sheet_of_no_scenes_is_refused(tmp_path, monkeypatch, capsys, option):
    make_scene(tmp_path / "A", frames=1, size=(8, 8))
    monkeypatch.setattr(sys, "argv", ["contact_sheet", str(tmp_path), str(tmp_path / "sheet.png"), option, "0"])
    with pytest.raises(SystemExit) as stopped:
        contact_sheet.main()
    assert stopped.value.code == 2 and not (tmp_path / "sheet.png").exists()
    assert f"argument {option}: '0' is not a whole number from 1 up" in capsys.readouterr().err
