"""Pins what TensorBoard shows beside the curves: pictures on one scale, maps, hyperparameters, the run's beginning."""

import argparse
from pathlib import Path

import torch
from support import QUICK, make_scene, run_script
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from networks.filtering import FilteringDenoiser
from training.record import hyperparameters
from training.tensorboard import CROP, ENLARGED, LARGEST_ERROR, frame_pictures, map_pictures, middle
from version import VERSION


def hparams(events, tag):
    return HParamsPluginData.FromString(events.SummaryMetadata(tag).plugin_data.content)


def test_a_run_is_recorded(tmp_path):
    make_scene(tmp_path / "data" / "train" / "A")
    make_scene(tmp_path / "data" / "val" / "B")
    kernels = "--network", "default", "--channels", "8", "10"
    run_script("train.py", tmp_path / "data", *QUICK, *kernels, "--max_epochs", 2, "--log_dir", tmp_path / "runs")
    events = EventAccumulator(str(tmp_path / "runs/version_0"), size_guidance={"images": 0})
    events.Reload()
    tags = events.Tags()
    assert {"frames/B", "crops/B", "maps/B"} <= set(tags["images"])
    text = events.Tensors("run/command/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "train.py" in text and "--channels 8 10" in text and VERSION in text
    # hyperparameters, and the metrics of the last epoch
    started = hparams(events, "_hparams_/session_start_info").session_start_info
    assert started.hparams["batch_size"].number_value == 2 and started.hparams["channels"].string_value == "8 10"
    metrics = [m.name.tag for m in hparams(events, "_hparams_/experiment").experiment.metric_infos]
    assert set(metrics) == {"final/psnr", "final/ssim", "final/loss"}
    assert events.Scalars("final/psnr")[-1].value == events.Scalars("val/psnr")[-1].value
    assert "custom_scalars__config__" in tags["tensors"]


def test_the_error_is_on_one_scale_whatever_the_image():
    target = torch.full((3, 8, 8), 0.18)
    *_, none = frame_pictures(target, target, target)
    *_, some = frame_pictures(target, target * 1.5, target)
    *_, more = frame_pictures(target, target * 1e6, target)
    assert none.max() == 0 and 0 < some.max() < more.max() == 255 and LARGEST_ERROR < 1


def test_a_crop_is_the_middle_with_whole_pixels():
    picture = torch.arange(200, dtype=torch.uint8).expand(3, 100, 200)
    crop = middle(picture)
    assert crop.shape == (3, CROP * ENLARGED, CROP * ENLARGED)
    assert crop[0, 0].unique().tolist() == list(range(100 - CROP // 2, 100 + CROP // 2))
    assert middle(picture[:, :5, :7]).shape == (3, 5 * ENLARGED, 7 * ENLARGED)


def test_maps_show_history_growing_and_kernels_shrinking_at_edges():
    torch.manual_seed(0)
    denoiser = FilteringDenoiser((8, 12, 16)).eval().requires_grad_(False)
    frames = torch.zeros(4, 12, 32, 32)
    frames[:, :3], frames[:, 6], frames[:, 7:10] = 0.4, 1.0, 0.5
    frames[:, 3, :, :14], frames[:, 3, :, 14:] = 2.0, 20.0  # a near and a far surface
    young, _ = map_pictures(denoiser, frames[:1])
    old, kernel = map_pictures(denoiser, frames)
    assert old.float().mean() > 1.5 * young.float().mean()
    assert kernel[0, 16, 1] > 0 and kernel.shape == (3, 32, 32)
    assert "filter" not in vars(denoiser)  # the denoiser is as it was


def test_options_become_hyperparameters_that_tensorboard_can_list():
    options = argparse.Namespace(channels=[8, 10], rate=0.5, none=[], cache_dir=None, dataset=Path("data"), fused=True)
    wanted = {"channels": "8 10", "rate": 0.5, "none": "none", "cache_dir": "none", "dataset": "data", "fused": True}
    assert hyperparameters(options) == wanted
