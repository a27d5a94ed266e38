"""Pins that test.py and export.py end with one line, and without half a file, where the disk is full."""

import pytest
import torch
from support import make_scene

from model import make_denoiser


@pytest.mark.parametrize(
    ("script", "output"), [("test.py", "out"), ("export.py", "out/model.onnx"), ("export.py", "out/model.pt2")]
)
def test_a_full_disk_is_one_line(server, tmp_path, script, output):
    make_scene(tmp_path / "data" / "test" / "A", frames=2)
    options = {"network": "paper", "channels": [4, 4], "demodulate": False}
    weights = {f"denoiser.{name}": value for name, value in make_denoiser(options).state_dict().items()}
    torch.save({"hyper_parameters": {"denoiser": options}, "state_dict": weights}, tmp_path / "a.ckpt")
    arguments = [tmp_path / "data", "--output_dir", tmp_path / output] if script == "test.py" else [tmp_path / output]
    run = server.start(tmp_path / "log", script, tmp_path / "a.ckpt", *arguments, largest=2000)
    assert run.wait() == 1, run.text()
    said = run.text().strip().splitlines()[-1]
    assert said.startswith(f"{script}: {tmp_path}/out/") and "not written (" in said and "free some space" in said
    assert "Traceback" not in run.text() and not [p for p in (tmp_path / "out").rglob(".*")]
