"""Pins that checkpoints of earlier versions load, reconstruct as before, and resume to the same weights.

data/before-folders.ckpt is from when all modules lay at the top level and the network's layers had other names:
two epochs on small_dataset with `--crop_size 16 --sequence_length 3 --channels 3 4 --patch 2 --means 4 8 --batch_size 2
--samples_per_epoch 6 --precision 32-true` on a CPU. The values below are what that version gives. data/first.ckpt.xz
is from before there were patches, means and averaged weights: one epoch with `--channels 3 4`. data/filtering.ckpt.xz
is the denoiser alone of one epoch of 0.9.0 with `--channels 3 4 --patch 2 --kernels on --radius 1`, from when kernels
were squares and a patch saw all of its pixels; its values below are of what networks/upgrades.py makes of it.
The frames here need no padding, which 0.9.0 changed.
"""

import lzma
from pathlib import Path

import pytest
import torch
from support import ROOT

from files import InputError
from training.checkpoints import load_checkpoint, load_denoiser
from training.fit import train
from training.training_options import parse_options
from training.weights import write_weights

OLD = ROOT / "tests" / "data" / "before-folders.ckpt"


def test_an_old_checkpoint_reconstructs_as_before():
    denoiser = load_denoiser(OLD)
    assert denoiser.options == {"channels": [3, 4], "demodulate": True, "patch": 2, "means": [4, 8]}
    frames = (torch.arange(2 * 10 * 16 * 16).reshape(2, 1, 10, 16, 16) * 37 % 101) / 101.0
    state = None
    with torch.inference_mode():
        for frame in frames:
            image, state = denoiser(frame, state)
    assert image.mean((0, 2, 3)).tolist() == pytest.approx([3.45457315, 4.50430775, 3.45599151], rel=1e-5)
    assert image[0, :, 5, 7].tolist() == pytest.approx([1.12245333, 7.90434217, 5.37611723], rel=1e-5)
    assert [s.abs().mean().item() for s in state] == pytest.approx([0.257096082, 0.0337764062], rel=1e-5)


def unpacked(name: str, folder: Path) -> Path:
    """A packed checkpoint of tests/data, as a file."""
    path = folder / name
    path.write_bytes(lzma.decompress((OLD.parent / f"{name}.xz").read_bytes()))
    return path


@pytest.mark.parametrize(
    ("name", "channels", "means"),
    [
        ("first.ckpt", 10, [1.67443118925803e-07, 4.621809239324648e-06, 4.524778063341728e-08]),
        ("filtering.ckpt", 12, [0.5327011942863464, 0.5181906223297119, 0.5078891515731812]),
    ],
)
def test_checkpoints_of_every_format_reconstruct_as_before(name, channels, means, tmp_path):
    denoiser = load_denoiser(unpacked(name, tmp_path))
    frames = (torch.arange(2 * channels * 32 * 32).reshape(2, 1, channels, 32, 32) * 37 % 101) / 101.0
    state = None
    with torch.inference_mode():
        for frame in frames:
            image, state = denoiser(frame, state)
    assert image.mean((0, 2, 3)).tolist() == pytest.approx(means, rel=1e-4)


def test_training_does_not_resume_from_an_earlier_network_but_fine_tunes(small_dataset, tmp_path):
    old, weights = unpacked("filtering.ckpt", tmp_path), tmp_path / "old.safetensors"
    more = ["--max_epochs", "1", "--num_workers", "0", "--accelerator", "cpu", "--log_dir", str(tmp_path / "runs")]
    more += ["--crop_size", "16", "--sequence_length", "3", "--samples_per_epoch", "2", "--batch_size", "1"]
    with pytest.raises(InputError, match="of an earlier network, so training cannot resume"):
        train(parse_options([str(small_dataset), "--checkpoint", str(old), *more]), [])
    write_weights(load_checkpoint(old), weights)
    assert train(parse_options([str(small_dataset), "--checkpoint", str(weights), *more]), []).is_file()


def test_training_resumes_from_the_first_format(small_dataset, tmp_path):
    more = ["--max_epochs", "2", "--num_workers", "0", "--accelerator", "cpu", "--log_dir", str(tmp_path / "runs")]
    options = parse_options([str(small_dataset), "--checkpoint", str(unpacked("first.ckpt", tmp_path)), *more])
    assert (options.channels, options.patch, options.means, options.kernels) == ([3, 4], 1, [], "off")
    assert torch.load(train(options, []), weights_only=True)["epoch"] == 1


def test_training_resumes_from_an_old_checkpoint(small_dataset, tmp_path):
    more = ["--max_epochs", "3", "--num_workers", "0", "--accelerator", "cpu", "--log_dir", str(tmp_path / "runs")]
    options = parse_options([str(small_dataset), "--checkpoint", str(OLD), *more])
    assert (options.crop_size, options.channels, options.precision) == (16, [3, 4], "32-true")
    checkpoint = torch.load(train(options, []), weights_only=True)
    assert (checkpoint["epoch"], checkpoint["global_step"]) == (2, 9)
    for part, total, values in (
        ("state_dict", 288.0284147, [-0.0055210940, 0.0549490079, 0.0886132270, -0.0113431858, -0.0002864515]),
        ("current_model_state", 288.0444438, [-0.0054770675, 0.0550069176, 0.0886703357, -0.0112863500, -0.0003252909]),
    ):
        weights = torch.cat([w.flatten() for w in checkpoint[part].values()])
        assert len(weights) == 3160 and weights.double().abs().sum().item() == pytest.approx(total, rel=1e-5)
        assert weights[[0, 7, 100, 500, -1]].tolist() == pytest.approx(values, abs=1e-5)
