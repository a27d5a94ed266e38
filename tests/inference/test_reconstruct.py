"""Pins the backward pass: the network on the sequence in reverse, weighted by samples; nothing is left on disk."""

import errno
import tempfile
from itertools import islice

import numpy as np
import pytest
import torch

from frames.channels import MOTION_INPUTS, PLAIN_INPUTS, first_channel
from inference.conventions import MISSING
from inference.reconstruct import (
    backward_estimates,
    backward_frames,
    flipped,
    reconstruct,
    store,
    stored_estimate,
    with_motion_ahead,
)
from model import Estimate, combined, denoise, make_denoiser
from networks.paper import PaperDenoiser

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
    return make_denoiser({"network": "filtering", "channels": (8, 10)}).eval()


def paper():
    """The paper's network, untrained, with images that are not black."""
    torch.manual_seed(0)
    denoiser = PaperDenoiser((8, 10)).eval()
    torch.nn.init.constant_(denoiser.output.bias, 0.5)
    return denoiser


def images(denoiser, frames, folder=None, **more):
    """Of both directions; these frames have no motion, so the backward pass takes them as they are."""
    return [image for _, image in reconstruct(denoiser, frames, frames[::-1], scratch=folder, **more)]


@pytest.mark.parametrize("make", [network, paper], ids=["history", "paper"])
def test_the_flipped_sequence_in_reverse_gives_the_same_images(make):
    denoiser = make()
    frames = [frame[:7] if denoiser.inputs == PLAIN_INPUTS else frame for frame in sequence()]
    one = images(denoiser, frames)
    other = images(denoiser, [flipped(frame, denoiser.inputs) for frame in frames[::-1]])
    for a, b in zip(one, other[::-1], strict=True):
        assert torch.allclose(a, b.flip(-1), rtol=1e-3, atol=1e-6), "the curves miss one frame each, another one"
    assert not torch.allclose(one[0], next(image for _, image in denoise(denoiser, frames)), atol=1e-4)


def test_estimates_come_back_from_disk_as_they_were_and_in_order(tmp_path):
    denoiser, frames = network(), list(sequence())
    expected = [found for _, found in backward_estimates(denoiser, frames[::-1])][::-1]
    with tempfile.TemporaryFile(dir=tmp_path) as file:
        shapes = [store(estimate, file, tmp_path) for estimate in expected]
        found = [stored_estimate(file, shapes[0], index) for index in range(len(shapes))]
        assert not list(tmp_path.iterdir()), "a process that is killed leaves nothing"
    for (image, samples), (wanted_image, wanted_samples) in zip(found, expected, strict=True):
        assert torch.equal(image, wanted_image) and torch.equal(samples, wanted_samples)
    counts = [float(samples.mean()) for _, samples in found]
    assert counts == sorted(counts, reverse=True), "the first frame has the most frames after it"


def test_flipping_exchanges_left_and_right_and_what_moves_left_and_right():
    frame = sequence(1)[0]
    frame[MOTION:] = torch.tensor([3.0, 2.0])[:, None, None]
    found = flipped(frame, MOTION_INPUTS)
    assert torch.equal(found[:MOTION], frame[:MOTION].flip(-1))
    assert torch.equal(found[MOTION:, 0, 0], torch.tensor([-3.0, 2.0]))
    assert torch.equal(flipped(found, MOTION_INPUTS), frame)
    assert torch.equal(flipped(frame[:7], PLAIN_INPUTS), frame[:7].flip(-1))


def test_flipped_frames_come_back_as_they_were():
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

    def start(self, frame, _estimate):
        return frame, None

    def sample_counts(self, _state, frames):
        return torch.full((1, 1, 1, 1), float(frames))

    def finish(self, _frame, image, state, detail):
        return image, state


@pytest.mark.parametrize(("dimmed", "expected"), [(0.97, 1.0), (1.03, 1.0), (0.5, 0.575), (2.0, 2 / 1.15), (0.0, 0.0)])
def test_a_sequence_is_as_bright_as_its_samples(dimmed, expected):
    frames = list(sequence())
    for frame, image in zip(frames, images(Dimmer(dimmed), frames), strict=True):
        assert torch.allclose(image, expected * frame[:3], rtol=1e-3)


def test_brightness_can_be_left_alone():
    frames = list(sequence())
    for frame, image in zip(frames, images(Dimmer(0.97), frames, brightness=False), strict=True):
        assert torch.allclose(image, 0.97 * frame[:3])


def test_forward_an_image_is_as_bright_as_the_samples_so_far():
    found = reconstruct(Dimmer(0.96), list(sequence()))
    factors = [float((image / frame[:3]).nanmedian()) for frame, image in found]
    assert factors == pytest.approx([0.96, 1, 1, 1], abs=1e-3), "the first frame has none before it to compare with"


def test_frames_for_the_backward_pass_are_the_same_in_reverse_order():
    frames = list(sequence())
    found = list(backward_frames(reversed(frames), MOTION_INPUTS))
    assert all(torch.equal(a, b) for a, b in zip(found, frames[::-1], strict=True)), "nothing moves that is known"


def test_motion_of_the_frame_after_is_inverted():
    frame, after = sequence(2)
    assert (with_motion_ahead(frame, None, MOTION_INPUTS)[MOTION:] == MISSING).all()
    after[MOTION], after[MOTION + 1] = -3.0, 1.0  # this frame's columns 0 to 60 are at 3 to 63 in the frame after
    found = with_motion_ahead(frame, after, MOTION_INPUTS)[MOTION:]
    assert (found[:, 1:, :-3] == torch.tensor([3.0, -1.0])[:, None, None]).all()
    assert (found[:, :, -3:] == MISSING).all() and (found[:, 0] == MISSING).all()
    assert torch.equal(with_motion_ahead(frame[:7], after[:7], PLAIN_INPUTS), frame[:7])


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
        images(network(), list(sequence()), tmp_path)


def test_an_error_in_a_frame_is_raised():
    def broken():
        yield from islice(sequence(), 2)
        raise ValueError("frame 2")

    with pytest.raises(ValueError, match="frame 2"):
        next(reconstruct(network(), [], broken()))


def test_further_colors_still_add_up():
    frames = sequence()
    lights = torch.cat((0.25 * frames[:, :3], 0.75 * frames[:, :3]), 1)
    frames = list(torch.cat((frames, lights), 1))
    denoiser = network()
    for image in images(denoiser, frames):
        assert np.allclose(image[:3], image[3:6] + image[6:], atol=1e-5)
