"""Pins that checkpoints are untrusted: none of their code runs, and what is wrong with one is named."""

import pickle

import pytest
import torch

from checkpoints import load_checkpoint, load_denoiser
from files import InputError

SMALL = [8, 10, 12]
PAPER = {"network": "paper", "channels": [4, 4]}


class Trap:
    """Unpickling this would create a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_checkpoint_cannot_run_code(tmp_path):
    trap = tmp_path / "trap.ckpt"
    torch.save({"state_dict": {}, "hyper_parameters": Trap(tmp_path / "sprung")}, trap)
    with pytest.raises(ValueError, match=r"trap.ckpt"):
        load_checkpoint(trap)
    assert not (tmp_path / "sprung").exists()


def test_bad_checkpoints_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing.ckpt"):
        load_denoiser(tmp_path / "missing.ckpt")
    for name, content in (("text.ckpt", b"hello"), ("empty.ckpt", b""), ("pickle.ckpt", pickle.dumps({"a": 1}))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=name):
            load_denoiser(tmp_path / name)
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match=r"other.ckpt.*train.py"):
        load_denoiser(tmp_path / "other.ckpt")
    wrong = {
        "state_dict": {},
        "hyper_parameters": {"denoiser": {"network": "paper", "channels": SMALL, "demodulate": False}},
    }
    torch.save(wrong, tmp_path / "wrong.ckpt")
    with pytest.raises(ValueError, match=r"wrong.ckpt: weights do not fit"):
        load_denoiser(tmp_path / "wrong.ckpt")


@pytest.mark.parametrize(
    "saved",
    [
        {"hyper_parameters": None, "state_dict": {}},
        {"hyper_parameters": {"denoiser": None}, "state_dict": {}},
        {"hyper_parameters": {"denoiser": {"channels": [4, 4], "network": "other"}}, "state_dict": {}},
        {"hyper_parameters": {"denoiser": {"channels": [4, 4], "network": "paper", "color": 1}}, "state_dict": {}},
        {"hyper_parameters": {"denoiser": {"channels": [4, -1], "network": "paper"}}, "state_dict": {}},
        {"hyper_parameters": {"denoiser": {"channels": [4, -1], "network": "filtering"}}, "state_dict": {}},
        {"hyper_parameters": {"denoiser": {"channels": "four", "network": "filtering"}}, "state_dict": {}},
        {
            "hyper_parameters": {"denoiser": {"channels": [4], "detail": "big", "network": "filtering"}},
            "state_dict": {},
        },
        {"hyper_parameters": {"denoiser": {"channels": [10**9] * 2, "network": "paper"}}, "state_dict": {}},
        {"hyper_parameters": {"denoiser": PAPER}, "state_dict": {1: None, "denoiser.x": torch.ones(1)}},
        {"hyper_parameters": {"denoiser": PAPER}, "state_dict": None},
        [1, 2],
    ],
)
def test_hostile_checkpoints_are_named_and_take_no_memory(saved, tmp_path):
    torch.save(saved, tmp_path / "hostile.ckpt")
    with pytest.raises(InputError, match=r"hostile.ckpt: "):
        load_denoiser(tmp_path / "hostile.ckpt")
