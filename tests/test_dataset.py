"""Pins training samples: crops, draws of renderings, augmentations, random streams, and NaN in files."""

import itertools

import numpy as np
import pytest
import torch
from support import REAL_DATASET, make_scene, needs_real_dataset, write_channels
from torch.utils.data import DataLoader, default_collate

from dataset import (
    EpochSampler,
    ResumableLoader,
    SequenceData,
    TrainingWindows,
    ValidationWindows,
)
from frames.augmentation import AUGMENTATIONS, DIRECT_AUGMENTATIONS, augment_batch, draw_noisy, draw_order
from frames.channels import ALBEDO_INPUTS, MOTION_INPUTS, PLAIN_INPUTS
from frames.sequences import find_sequences, split_dataset
from frames.windows import WindowReader


def coordinates_scene(folder, frames=3, size=(10, 12), noisy=2):
    """Each pixel encodes where it is from: R = 1000 frame + rendering, G = row, B = column."""
    rows, columns = np.meshgrid(np.arange(size[0]), np.arange(size[1]), indexing="ij")
    plain = {"depth.Z": rows, "normal.R": rows * 0 + 0.6, "normal.G": rows * 0, "normal.B": rows * 0 + 0.8}
    for frame in range(frames):
        for name, k in [(f"noisy-{k}", k) for k in range(noisy)] + [("target", 500)]:
            channels = {"R": rows * 0 + 1000 * frame + k, "G": rows, "B": columns} | plain
            channels = {n: v.astype(np.float32) for n, v in channels.items()}
            write_channels(folder / f"frame-{frame:04d}" / f"{name}.exr", channels)
    return folder


@pytest.fixture
def coordinates(tmp_path):
    coordinates_scene(tmp_path / "A")
    return find_sequences(tmp_path, need_target=True)[0]


def finished(windows, key):
    """A sample as the network is trained on it: (T, C, H, W), augmented."""
    batch = augment_batch(default_collate([windows[key]]), windows.reader.inputs)
    return {name: batch[name][0] for name in ("noisy", "target", "start") if name in batch}


def test_one_crop_for_all_frames_of_input_and_target_reaching_every_offset(coordinates):
    windows = TrainingWindows(coordinates, PLAIN_INPUTS, length=3, crop_size=8, augment=())
    corners = set()
    for position in range(200):
        sample = finished(windows, (0, position, 0))
        assert sample["noisy"].shape == (3, 7, 8, 8) and sample["target"].shape == (3, 3, 8, 8)
        assert torch.equal(sample["noisy"][:, 1:3], sample["target"][:, 1:3])
        assert torch.equal(sample["noisy"][0, 1:3], sample["noisy"][2, 1:3])
        corners.add(tuple(sample["noisy"][0, 1:3, 0, 0].int().tolist()))
    assert corners == {(y, x) for y in range(3) for x in range(5)}


def test_a_sample_names_the_files_that_it_is_read_from(tmp_path, monkeypatch):
    coordinates_scene(tmp_path / "A", frames=4, size=(8, 8), noisy=5)
    windows = TrainingWindows(
        find_sequences(tmp_path, need_target=True)[0], MOTION_INPUTS, length=3, crop_size=8, augment=AUGMENTATIONS
    )
    read = set()
    monkeypatch.setattr(windows.reader, "_stored", lambda path, *rest: read.add(path) or pixels(path, *rest))
    pixels = WindowReader(windows.sequences, MOTION_INPUTS)._stored
    for position in range(40):
        read.clear()
        sample = windows[1, position, position % 2]
        assert windows.files(tuple(sample["key"])) == sorted(read)


def test_a_crop_as_large_as_the_frame_works(tmp_path):
    coordinates_scene(tmp_path / "A", size=(8, 8))
    windows = TrainingWindows(find_sequences(tmp_path, True)[0], PLAIN_INPUTS, length=3, crop_size=8)
    assert finished(windows, (0, 0, 0))["noisy"].shape == (3, 7, 8, 8)


@pytest.mark.parametrize("length", [2, 3])
def test_every_window_of_every_length_is_there(coordinates, length):
    windows = TrainingWindows(coordinates, PLAIN_INPUTS, length=length, crop_size=8, augment=())
    starts = [int(finished(windows, (0, 0, i))["target"][0, 0, 0, 0]) // 1000 for i in range(len(windows))]
    assert starts == list(range(4 - length))


def test_renderings_are_drawn_independently_for_every_frame(coordinates):
    windows = TrainingWindows(coordinates, PLAIN_INPUTS, length=3, crop_size=8, augment=())
    drawn = {tuple((finished(windows, (0, p, 0))["noisy"][:, 0, 0, 0] % 1000).int().tolist()) for p in range(60)}
    assert len(drawn) == 8


def test_orders_are_forward_reversed_or_stopped():
    rng = np.random.default_rng(0)
    assert all(draw_order(rng, 5, ()) == [0, 1, 2, 3, 4] for _ in range(20))
    reversed_too = {tuple(draw_order(rng, 3, ("reverse",))) for _ in range(50)}
    assert reversed_too == {(0, 1, 2), (2, 1, 0)}
    stopped = {tuple(draw_order(rng, 4, ("stop",))) for _ in range(300)}
    assert stopped == {(0, 1, 2, 3), (0, 0, 0, 0), (0, 1, 1, 1), (0, 1, 2, 2)}


def test_a_stopped_camera_shows_the_same_frame_under_another_noise(coordinates):
    rng = np.random.default_rng(0)
    for _ in range(50):
        drawn = draw_noisy(rng, [0, 1, 1, 1, 1], [3, 3])
        assert all(a != b for a, b in itertools.pairwise(drawn[1:])) and set(drawn) <= {0, 1, 2}
    assert draw_noisy(rng, [0, 0], [1]) == [0, 0]


def test_modulation_scales_input_and_target_alike_for_the_whole_window(coordinates):
    plain = finished(TrainingWindows(coordinates, PLAIN_INPUTS, length=3, crop_size=8, augment=()), (0, 0, 0))
    changed = finished(
        TrainingWindows(coordinates, PLAIN_INPUTS, length=3, crop_size=8, augment=("modulate",)), (0, 0, 0)
    )
    gains = changed["target"][0, :, 5, 5] / plain["target"][0, :, 5, 5]
    assert ((gains >= 0.5) & (gains <= 2) & (gains != 1)).all()
    assert torch.allclose(changed["target"], plain["target"] * gains[:, None, None])
    assert torch.allclose(changed["noisy"][:, :3], plain["noisy"][:, :3] * gains[:, None, None])
    assert torch.equal(changed["noisy"][:, 3:], plain["noisy"][:, 3:])


@pytest.mark.parametrize("augment", [("flip",), ("rotate",)])
def test_flips_and_rotations_move_all_buffers_of_all_frames_alike(coordinates, augment):
    windows = TrainingWindows(coordinates, PLAIN_INPUTS, length=3, crop_size=8, augment=augment)
    turned = 0
    for position in range(20):
        sample = finished(windows, (0, position, 0))
        assert torch.equal(sample["noisy"][:, 1:3], sample["target"][:, 1:3])
        assert torch.equal(sample["noisy"][:, 1], sample["noisy"][:, 3])  # depth is the row, too
        assert torch.equal(sample["noisy"][0, 1:4], sample["noisy"][2, 1:4])
        turned += int(sample["noisy"][0, 2, 0, 0] > sample["noisy"][0, 2, 0, -1])
    assert 0 < turned < 20


def test_flipped_world_space_normals_are_those_of_a_mirrored_world():
    """A camera exists (a proper rotation) in which they are the mirror image of the view-space normals."""
    rng = np.random.default_rng(3)
    camera = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    camera *= np.linalg.det(camera)
    view = rng.normal(size=(2, 3, 6, 6)).astype(np.float32)
    noisy = torch.zeros(1, 2, 6, 6, 7)
    noisy[0, ..., 4:] = torch.from_numpy(np.einsum("ij,tjyx->tyxi", camera, view))
    drawn = {"flip": torch.tensor([True]), "turns": torch.tensor([0]), "gains": torch.ones(1, 3)}
    flipped = augment_batch({"noisy": noisy, "target": noisy[..., :3]} | drawn, PLAIN_INPUTS)["noisy"][0].numpy()
    mirrored_view = view[..., ::-1] * np.array([-1, 1, 1])[:, None, None]
    mirrored_camera = np.diag([-1, 1, 1]) @ camera @ np.diag([-1, 1, 1])
    assert np.linalg.det(mirrored_camera) == pytest.approx(1)
    assert np.allclose(flipped[:, 4:], np.einsum("ij,tjyx->tiyx", mirrored_camera, mirrored_view), atol=1e-5)


@pytest.mark.parametrize("augmentation", (*DIRECT_AUGMENTATIONS, "expose"))
def test_each_augmentation_can_be_switched_off(coordinates, augmentation):
    keys = [(0, p, 0) for p in range(30)]
    off = TrainingWindows(coordinates, PLAIN_INPUTS, length=3, crop_size=8, augment=())
    on = TrainingWindows(coordinates, PLAIN_INPUTS, length=3, crop_size=8, augment=(augmentation,))

    def signature(windows, key):
        """What this augmentation can change, without what crops and the choice of renderings change."""
        target = finished(windows, key)["target"]
        order = (target[:, 0, 0, 0] / target[0, 0, 0, 0].clamp(min=1)).tolist()
        right = (target[0, 2, 0, 1] - target[0, 2, 0, 0]).item()
        return order, right, target[:, 0, 0, 0].tolist()

    assert {str(signature(off, k)[1:]) for k in keys} == {str((1.0, [500.0, 1500.0, 2500.0]))}
    assert len({str(signature(on, k)) for k in keys}) > 1


@pytest.mark.parametrize("augmentation", ["orient", "average", "drop"])
def test_augmentations_of_the_noisy_frames_can_be_switched_off(coordinates, augmentation):
    off, on = (
        TrainingWindows(coordinates, ALBEDO_INPUTS, length=3, crop_size=8, augment=names)
        for names in ((), (augmentation,))
    )
    for windows in (off, on):
        windows.reader.read = add_albedo(windows.reader.read)

    def signature(windows, key):
        """Fractions of rendering numbers (averages), the first normal, and whether there is albedo."""
        noisy = finished(windows, key)["noisy"]
        return [(noisy[:, 0, 0, 0] % 1).tolist(), noisy[0, 4:7, 0, 0].tolist(), bool(noisy[:, 7:10].any())]

    keys = [(0, p, 0) for p in range(30)]
    assert len({str(signature(off, k)) for k in keys}) == 1
    assert len({str(signature(on, k)) for k in keys}) > 1


def add_albedo(read):
    """WindowReader.read, as if the files had an albedo of 0.5."""

    def with_albedo(*arguments):
        sample = read(*arguments)
        sample["noisy"][..., 7:10] = 0.5
        return sample

    return with_albedo


def with_motion(read):
    """WindowReader.read, as if the files had a motion of one pixel both ways."""

    def read_and_move(*arguments):
        sample = read(*arguments)
        sample["noisy"][..., 10:12] = 1
        return sample

    return read_and_move


def test_samples_depend_on_seed_epoch_and_position_alone(coordinates):
    def sample(seed, epoch, position):
        return finished(
            TrainingWindows(coordinates, PLAIN_INPUTS, length=3, crop_size=8, seed=seed), (epoch, position, 0)
        )["noisy"]

    assert torch.equal(sample(0, 1, 2), sample(0, 1, 2))
    others = [sample(*key) for key in ((0, 1, 2), (1, 1, 2), (0, 2, 2), (0, 1, 3))]
    assert all(not torch.equal(others[0], other) for other in others[1:])


def test_batches_do_not_depend_on_the_number_of_workers(coordinates):
    def batches(workers):
        windows = TrainingWindows(coordinates, PLAIN_INPUTS, length=2, crop_size=8)
        loader = ResumableLoader(windows, 2, sampler=EpochSampler(len(windows), 8, 2, 0), num_workers=workers)
        return [b["noisy"] for b in loader]

    for alone, shared in zip(batches(0), batches(2), strict=True):
        assert torch.equal(alone, shared)


def test_validation_windows_cover_every_frame(tmp_path):
    coordinates_scene(tmp_path / "A", frames=8)
    windows = ValidationWindows(find_sequences(tmp_path, True)[0], PLAIN_INPUTS, length=3)
    shown = [(finished(windows, i)["target"][:, 0, 0, 0] // 1000).int().tolist() for i in range(len(windows))]
    assert shown == [[0, 1, 2], [3, 4, 5], [5, 6, 7]]
    assert [windows[i]["first"] for i in range(3)] == [True, False, False]


def test_auxiliary_channels_come_from_the_noisy_frame(tmp_path):
    make_scene(tmp_path / "A", frames=2)
    rows = np.full((24, 32), 77, np.float32)
    for k, value in (("noisy-0", 1), ("noisy-1", 1), ("target", 0)):
        path = tmp_path / "A/frame-0000" / f"{k}.exr"
        channels = {c: rows for c in (*"RGB", "depth.Z", *(f"{q}.{c}" for q in ("normal", "albedo") for c in "RGB"))}
        channels = {c: v * (value if "." in c else 1) for c, v in channels.items()}
        write_channels(path, channels)
    sample = finished(
        TrainingWindows(find_sequences(tmp_path, True)[0], ALBEDO_INPUTS, length=2, crop_size=24, augment=()), (0, 0, 0)
    )
    assert (sample["noisy"][0, 3:] == 77).all()


@pytest.mark.parametrize("workers", [0, 2])
def test_invalid_inputs_become_zero_and_are_reported_once_per_file(tmp_path, capfd, workers):
    coordinates_scene(tmp_path / "A", noisy=1)
    rows = np.ones((10, 12), np.float32)
    bad = rows.copy()
    bad[2, 3], bad[4, 5] = np.nan, np.inf
    names = ("R", "G", "B", "depth.Z", "normal.R", "normal.G", "normal.B")
    write_channels(tmp_path / "A/frame-0001/noisy-0.exr", {n: bad if n == "R" else rows for n in names})
    write_channels(tmp_path / "A/frame-0001/target.exr", {n: bad if n == "R" else rows for n in "RGB"})
    windows = ValidationWindows(find_sequences(tmp_path, True)[0], PLAIN_INPUTS, length=3)
    for _ in range(3):
        sample = next(iter(DataLoader(windows, num_workers=workers)))
    assert torch.isfinite(sample["noisy"]).all() and (~torch.isfinite(sample["target"])).sum() == 2
    assert capfd.readouterr().err.count("frame-0001/noisy-0.exr: 2 NaN or Inf values, replaced by 0") == 1


@needs_real_dataset
def test_real_frames_give_finite_samples():
    split = split_dataset(REAL_DATASET, 5, 128)
    assert not split.without_albedo and not split.notes and len(split.training) == len(split.validation) == 5
    data = SequenceData(split, ALBEDO_INPUTS, length=5, crop_size=128, batch_size=2, samples_per_epoch=4)
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert batch["noisy"].shape == (2, 5, 10, 128, 128) and torch.isfinite(batch["noisy"]).all()
    assert batch["noisy"][:, :, 7:].min() >= 0 and batch["noisy"][:, :, 7:].max() <= 1.001
    assert batch["noisy"][:, :, 4:7].norm(dim=2).max() < 1.01


def test_a_window_may_start_with_a_history_of_other_renderings(coordinates):
    """Its mean lies between the target and the mean of other renderings, and the camera has not moved since."""
    windows = TrainingWindows(coordinates, MOTION_INPUTS, length=3, crop_size=8, augment=("history",))
    windows.reader.read = with_motion(windows.reader.read)
    samples = [finished(windows, (0, p, 0)) for p in range(40)]
    begun, others = ([s for s in samples if (s["start"][6].max() > 0) == some] for some in (True, False))
    assert 4 < len(begun) < 20
    assert all((s["noisy"][0, -2:] == 0).all() and (s["noisy"][1:, -2:] == 1).all() for s in begun)
    assert all((s["noisy"][:, -2:] == 1).all() for s in others)
