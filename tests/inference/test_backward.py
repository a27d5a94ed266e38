"""Pins what later frames tell: the network on the sequence in reverse, weighted by samples; nothing is left on disk."""

import argparse
import errno
from itertools import islice

import numpy as np
import pytest
import torch
from tqdm import tqdm

from frames.channels import MOTION_INPUTS, PLAIN_INPUTS, first_channel
from inference.backward import backward_estimates, flipped, refinement, reversed_frame
from inference.conventions import MISSING
from model import Denoiser, Estimate, combined, denoise, make_denoiser

DEPTH, MOTION = (first_channel(MOTION_INPUTS, name) for name in ("depth", "motion"))


def sequence(frames=4, height=32, width=64):
    """Frames without motion, of a textured wall in front of a camera at rest."""
    planes = torch.rand(frames, 12, height, width, generator=torch.Generator().manual_seed(0))
    planes[:, DEPTH : DEPTH + 4] = torch.tensor([2.0, 0, 0, 1])[:, None, None]
    planes[:, DEPTH + 4 : MOTION] = planes[0, DEPTH + 4 : MOTION].clone()
    planes[:, MOTION:] = MISSING
    return planes


def network():
    """An untrained network that looks at a history."""
    torch.manual_seed(0)
    return make_denoiser({"kernels": True, "channels": (8, 10)}).eval()


def later(denoiser, frames, folder, engine=None, brightness="on"):
    """refinement as test.py calls it."""
    options = argparse.Namespace(output_dir=folder, direction="both", brightness=brightness, silhouettes="on")
    return refinement(denoiser, iter(frames), 4, engine, options, tqdm(disable=True))


@pytest.mark.parametrize("make", [network, lambda: Denoiser((8, 10)).eval()], ids=["history", "direct"])
def test_the_sequence_in_reverse_and_mirrored_gives_the_same_images(make, tmp_path):
    denoiser, frames = make(), list(sequence())
    if isinstance(denoiser, Denoiser):
        frames = [frame[:7] for frame in frames]
    with later(denoiser, frames[::-1], tmp_path) as found:
        one = [image for _, image in denoise(denoiser, frames, refinement=found)]
    reverse = [flipped(frame, denoiser.inputs) for frame in frames[::-1]]
    with later(denoiser, reverse[::-1], tmp_path) as found:
        other = [image for _, image in denoise(denoiser, reverse, refinement=found)]
    for a, b in zip(one, other[::-1], strict=True):
        assert torch.allclose(a, b.flip(-1), rtol=1e-3, atol=1e-6), "the curves miss one frame each, another one"
    assert not torch.allclose(one[0], next(image for _, image in denoise(denoiser, frames)), atol=1e-4)


def test_estimates_come_back_from_disk_as_they_were_and_in_order(tmp_path):
    denoiser, frames = network(), list(sequence())
    expected = [found for _, found in backward_estimates(denoiser, frames[::-1])][::-1]
    with later(denoiser, frames[::-1], tmp_path) as found:
        found = list(found.later)
        assert not list(tmp_path.iterdir()), "a process that is killed leaves nothing"
    for (image, samples), (wanted_image, wanted_samples) in zip(found, expected, strict=True):
        assert torch.equal(image, wanted_image) and torch.equal(samples, wanted_samples)
    counts = [float(samples.mean()) for _, samples in found]
    assert counts == sorted(counts, reverse=True), "the first frame has the most frames after it"


def test_a_mirror_exchanges_left_and_right_and_what_moves_left_and_right():
    frame = sequence(1)[0]
    frame[MOTION:] = torch.tensor([3.0, 2.0])[:, None, None]
    found = flipped(frame, MOTION_INPUTS)
    assert torch.equal(found[:MOTION], frame[:MOTION].flip(-1))
    assert torch.equal(found[MOTION:, 0, 0], torch.tensor([-3.0, 2.0]))
    assert torch.equal(flipped(found, MOTION_INPUTS), frame)
    assert torch.equal(flipped(frame[:7], PLAIN_INPUTS), frame[:7].flip(-1))


def test_in_a_mirror_the_frames_come_back_as_they_were(tmp_path):
    frames = list(sequence())
    for frame, (given, estimate) in zip(frames, backward_estimates(network(), frames), strict=True):
        assert torch.equal(frame, given) and estimate.image.shape == (3, 32, 64)


def test_each_estimate_counts_by_its_samples_and_what_is_too_bright_for_less():
    one, other = torch.full((6, 1, 3), 1.0), torch.full((6, 1, 3), 5.0)
    one[:, 0, 2] = other[:, 0, 2] = 2.0
    image = combined(Estimate(one, torch.tensor([[[1.0, 0.0, 1]]])), Estimate(other, torch.tensor([[[3.0, 0.0, 1]]])))
    assert image.mean().item() == pytest.approx((4 + 5 + 2) / 3), "as bright as the mean of radiance"
    assert torch.isfinite(image).all(), "pixels of which no sample is trusted"
    apart = image[0, 0] / image[0, 0, 2] * 2  # without what brightens all of it
    assert apart[0].item() == pytest.approx((1 / 4 + 3 / 4 * 5**0.2) ** 5) and apart[1].item() == pytest.approx(5)
    assert torch.equal(image[:3], image[3:])
    nothing = Estimate(torch.zeros(3, 2, 2), torch.ones(1, 1, 1))
    assert combined(nothing, nothing).abs().max() == 0


class Dimmer(torch.nn.Module):
    """Instead of a network: gives the frame's radiance times a factor."""

    inputs, smallest = MOTION_INPUTS, 1

    def __init__(self, factor):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.tensor(factor))

    def estimate(self, frame, state):
        return self.factor * frame[:, :3], frame

    finish = staticmethod(Denoiser.finish)


@pytest.mark.parametrize(("dimmed", "expected"), [(0.97, 1.0), (1.03, 1.0), (0.5, 0.575), (2.0, 2 / 1.15), (0.0, 0.0)])
def test_a_sequence_is_as_bright_as_its_samples(dimmed, expected, tmp_path):
    denoiser, frames = Dimmer(dimmed), list(sequence())
    with later(denoiser, frames[::-1], tmp_path) as found:
        images = [image for _, image in denoise(denoiser, frames, refinement=found)]
    for frame, image in zip(frames, images, strict=True):
        assert torch.allclose(image, expected * frame[:3], rtol=1e-3)


def test_brightness_can_be_left_alone(tmp_path):
    denoiser, frames = Dimmer(0.97), list(sequence())
    with later(denoiser, frames[::-1], tmp_path, brightness="off") as found:
        for frame, image in denoise(denoiser, frames, refinement=found):
            assert torch.allclose(image, 0.97 * frame[:3])


def test_forward_an_image_is_as_bright_as_the_samples_so_far(tmp_path):
    denoiser, frames = Dimmer(0.96), list(sequence())
    options = argparse.Namespace(output_dir=tmp_path, direction="forward", brightness="on", silhouettes="on")
    with refinement(denoiser, iter(()), 4, denoiser, options, tqdm(disable=True)) as found:
        images = [image for _, image in denoise(denoiser, frames, refinement=found)]
    factors = [float((image / frame[:3]).nanmedian()) for frame, image in zip(frames, images, strict=True)]
    assert factors == pytest.approx([0.96, 1, 1, 1], abs=1e-3), "the first frame has none before it to compare with"


def test_motion_of_the_frame_after_is_turned_around():
    frame, after = sequence(2)
    assert (reversed_frame(frame, None, MOTION_INPUTS)[MOTION:] == MISSING).all()
    after[MOTION], after[MOTION + 1] = -3.0, 1.0  # this frame's columns 0 to 60 are at 3 to 63 in the frame after
    found = reversed_frame(frame, after, MOTION_INPUTS)[MOTION:]
    assert (found[:, 1:, :-3] == torch.tensor([3.0, -1.0])[:, None, None]).all()
    assert (found[:, :, -3:] == MISSING).all() and (found[:, 0] == MISSING).all()
    assert torch.equal(reversed_frame(frame[:7], after[:7], PLAIN_INPUTS), frame[:7])


def test_a_full_disk_names_the_folder_and_the_way_out(tmp_path, monkeypatch):
    class Full:
        def write(self, _data):
            raise OSError(errno.ENOSPC, "No space left on device")

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr("tempfile.TemporaryFile", lambda dir: Full())
    with pytest.raises(
        OSError, match=rf"No space left on device: '{tmp_path} \(--direction forward needs less room\)'"
    ):
        later(network(), sequence(), tmp_path).__enter__()


@pytest.mark.parametrize(("direction", "number"), [("forward", 4), ("both", 1)])
def test_frames_are_not_read_in_reverse_where_that_tells_nothing(direction, number, tmp_path):
    options = argparse.Namespace(output_dir=tmp_path, direction=direction, brightness="off", silhouettes="off")
    frames = iter(sequence(number))
    with refinement(network(), frames, number, network(), options, tqdm(disable=True)) as found:
        assert found.later is None and len(list(frames)) == number


def test_an_error_in_a_frame_is_raised(tmp_path):
    def broken():
        yield from islice(sequence(), 2)
        raise ValueError("frame 2")

    with pytest.raises(ValueError, match="frame 2"):
        later(network(), broken(), tmp_path).__enter__()


def test_further_colors_still_add_up(tmp_path):
    frames = sequence()
    lights = torch.cat((0.25 * frames[:, :3], 0.75 * frames[:, :3]), 1)
    frames = list(torch.cat((frames, lights), 1))
    denoiser = network()
    with later(denoiser, frames[::-1], tmp_path) as found:
        for _, image in denoise(denoiser, frames, refinement=found):
            assert np.allclose(image[:3], image[3:6] + image[6:], atol=1e-5)
