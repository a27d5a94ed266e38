"""Pins the contact sheet: a tile for each scene, and one size for all."""

import torch
from support import make_scene, run_script
from torchvision.io import read_image


def test_a_contact_sheet_has_a_tile_for_each_scene(tmp_path):
    for name in "ABC":
        make_scene(tmp_path / "train" / name, frames=1)
    run_script("-m", "scoring.contact_sheet", tmp_path / "train", tmp_path / "sheet.png", "--columns", "2")
    sheet = read_image(str(tmp_path / "sheet.png"))
    assert sheet.shape == (3, 48, 64)
    assert (sheet[:, 24:, 32:] == 0).all() and (sheet[:, 24:, :32].float().mean() > 20)
    assert torch.equal(sheet[:, :24, :32], sheet[:, :24, 32:])


def test_a_contact_sheet_of_different_sizes_is_refused(tmp_path):
    make_scene(tmp_path / "A", frames=1)
    make_scene(tmp_path / "B", frames=1, size=(16, 16))
    done = run_script("-m", "scoring.contact_sheet", tmp_path, tmp_path / "sheet.png", check=False)
    assert done.returncode == 1 and "differ in size" in done.stderr and not (tmp_path / "sheet.png").exists()
