"""Pins the filtering denoiser: any size, constants, history that helps and is dropped, missing buffers, precision."""

import copy

import pytest
import torch
import torch.nn.functional as F

from frames.channels import MOTION_INPUTS, QUANTITIES, first_channel
from frames.normalization import divided, scale_of
from inference.engines import fast_engine, prepare
from model import denoise, pad_to_smallest
from networks import filtering
from networks.filtering import FilteringDenoiser
from networks.heads import EXTRAS, with_nearest
from networks.history import History
from networks.paper import PaperDenoiser

SMALL = (8, 12, 16)


def make(finest_radius=1):
    torch.manual_seed(0)
    return FilteringDenoiser(SMALL, finest_radius=finest_radius).eval().requires_grad_(False)


@pytest.fixture
def denoiser():
    return make()


def shaken(denoiser):
    """The denoiser with weights that make every output count."""
    generator = torch.Generator().manual_seed(1)
    for weight in denoiser.parameters():
        weight.add_(0.1 * torch.randn(weight.shape, generator=generator))
    return denoiser


def scene(frames=4, height=37, width=50, noise=True, seed=0):
    """A flat grey wall seen by a camera at rest: (T, 1, 12, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    planes = torch.zeros(frames, 1, 12, height, width)
    planes[:, :, :3] = 0.4
    if noise:
        planes[:, :, :3] *= torch.empty(frames, 1, 3, height, width).exponential_(generator=generator)
    planes[:, :, 3], planes[:, :, 6], planes[:, :, 7:10] = 2.0, 1.0, 0.5
    return planes


def leave_out(frames, name):
    frames = frames.clone()
    first = first_channel(MOTION_INPUTS, name)
    frames[:, :, first : first + QUANTITIES[name].count] = QUANTITIES[name].missing
    return frames


def run(denoiser, frames):
    images, state = [], None
    for frame in frames:
        image, state = denoiser(frame, state)
        images.append(image)
    return torch.cat(images), state


def history_of(denoiser, state) -> History:
    return denoiser.parts(state)[1]


@pytest.mark.parametrize("size", [(1, 1), (37, 50), (64, 64)])
def test_any_frame_size(denoiser, size):
    images, state = run(denoiser, scene(2, *size))
    assert images.shape == (2, 3, *size) and torch.isfinite(images).all()
    assert all(torch.isfinite(s).all() for s in state)


@pytest.mark.parametrize("missing", [(), ("albedo",), ("motion",), ("albedo", "motion")])
def test_a_constant_stays_constant_whatever_is_missing(denoiser, missing):
    frames = scene(noise=False)
    for name in missing:
        frames = leave_out(frames, name)
    images, _ = run(denoiser, frames)
    assert torch.allclose(images, torch.full_like(images, 0.4), rtol=1e-3)


def test_history_makes_later_frames_better_with_and_without_motion(denoiser):
    for frames in (scene(12), leave_out(scene(12), "motion")):
        images, state = run(denoiser, frames)
        error = (images - 0.4).square().mean((1, 2, 3))
        assert error[-1] < 0.4 * error[0]
        assert history_of(denoiser, state).weight.mean() > 8


def test_motion_is_completed_only_where_it_is_missing(denoiser):
    frames = scene(2, 32, 64)
    _, state = run(denoiser, frames[:1])
    frames[:, :, 10:] = 3.0
    assert torch.equal(denoiser.complete_frame(frames[1], state), frames[1])
    completed = denoiser.complete_frame(leave_out(frames, "motion")[1], state)
    assert torch.equal(completed[:, :10], frames[1][:, :10])
    assert completed[:, 10:].abs().max() < 0.01  # the camera is at rest


@pytest.mark.parametrize("size", [(32, 64), (16, 24), (37, 50)])
def test_a_window_completed_at_once_is_what_its_frames_are_one_by_one(denoiser, size):
    frames = scene(4, *size)
    wall = torch.rand(1, 3, size[0] // 4, size[1] // 4, generator=torch.Generator().manual_seed(0)) - 0.5
    wall = F.normalize(F.interpolate(wall, size=(size[0], size[1] + 4), mode="bicubic"), dim=1)[0]
    for index in range(4):  # the camera turns by a pixel a frame
        frames[index, 0, 4:7] = wall[:, :, index : index + size[1]]
    frames[:, :, 10:] = 3.0
    frames[2] = leave_out(frames, "motion")[2]
    window = denoiser.complete_window(frames.transpose(0, 1)).transpose(0, 1)  # (T, 1, 12, H, W)
    assert torch.equal(window[[0, 1, 3]], frames[[0, 1, 3]]) and window[2, :, 10:].abs().max() > 0.01
    state = completed = None
    for index, (frame, whole) in enumerate(zip(frames, window, strict=True)):
        if index == 2:
            alone = denoiser.complete_frame(denoiser.fit(frame)[0], state)[..., : size[0], : size[1]]
            assert torch.allclose(alone, whole, atol=1e-3)  # of a pixel
        image, state = denoiser(frame, state)
        if size == (32, 64):  # others are padded, and the padding of this motion is not what would be estimated there
            given, completed = denoiser(whole, completed, complete=True)
            assert torch.allclose(given, image, atol=1e-3)
    nowhere = denoiser.complete_window(leave_out(frames, "motion").transpose(0, 1))
    assert nowhere[:, 0, 10:].abs().max() == 0  # a history that training gives it has the same camera


def test_a_history_given_at_the_start_is_what_frames_would_have_left(denoiser):
    """Eight equal samples, seen before: the first image is as if there had been eight frames without noise."""
    frames = scene(9, noise=False)
    start = torch.zeros(1, 7, *frames.shape[-2:])
    start[:, :6], start[:, 6] = 0.4, 8
    state = denoiser.state_with_history(frames[0], start)
    _, after_frames = run(denoiser, frames[:8])
    given, left = history_of(denoiser, state), history_of(denoiser, after_frames)
    assert torch.allclose(given.surface, left.surface)
    assert torch.allclose(given.samples / given.weight, left.samples / left.weight, rtol=1e-4)
    assert torch.allclose(given.previous, left.previous, rtol=1e-3)
    empty = denoiser.state_with_history(frames[0], torch.zeros_like(start))
    image, _ = denoiser(scene(1)[0], empty)
    assert torch.equal(image, denoiser(scene(1)[0])[0])


def test_the_second_look_has_the_first_image_but_not_its_samples(denoiser):
    frame = leave_out(scene(), "motion")[0]
    image, state = denoiser(frame)
    again, looked = denoiser.second_look(frame, state)
    history = history_of(denoiser, looked)
    previous = history.previous[..., : image.shape[2], : image.shape[3]]
    assert torch.allclose(previous * 0.5, image, atol=1e-6)  # divided by the albedo
    assert (history.samples == 0).all()
    assert torch.equal(history.surface, history_of(denoiser, state).surface)
    assert (again[:, -2:] == 0).all() and torch.equal(again[:, :-2], frame[:, :-2])


def test_a_sequence_starts_with_a_second_look(denoiser):
    frames = scene(2, 64, 70)
    first, second = (image for _, image in denoise(denoiser, [f[0] for f in frames]))
    scale = scale_of(frames[0], MOTION_INPUTS)
    frames = [divided(frame, MOTION_INPUTS, scale) for frame in frames]
    with torch.inference_mode():
        planes, state = denoiser.second_look(frames[0], denoiser(frames[0])[1])
        image, state = denoiser(planes, state)
        assert torch.equal(first, image[0] * scale[0, 0])
        assert torch.equal(second, denoiser(frames[1], state)[0][0] * scale[0, 0])
    assert (history_of(denoiser, state).weight <= 1).all()  # one sample, however often it was looked at


def test_a_cut_starts_anew(denoiser):
    """Another surface everywhere: what was gathered before has no part in the image."""
    first, second = scene(3), scene(3, seed=1)
    second[:, :, 3], second[:, :, :3] = 9.0, 3 * second[:, :, :3]
    _, state = run(denoiser, first)
    hidden, history = denoiser.parts(state)
    after_cut, _ = denoiser(second[0], [*map(torch.zeros_like, hidden), *history.tensors()])
    alone, _ = denoiser(second[0])
    assert torch.allclose(after_cut, alone, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("bias", "weights"), [(1e4, [1, 2, 3]), (0.0, [1, 1.5, 1.75]), (-1e4, [1, 1, 1])])
def test_samples_fade_by_how_far_the_history_is_trusted(denoiser, monkeypatch, bias, weights):
    torch.nn.init.zeros_(denoiser.finest.weight)
    monkeypatch.setattr(filtering, "CONFIDENCE_BIAS", 1e4)
    monkeypatch.setattr(filtering, "TRUST_BIAS", bias)
    state, found = None, []
    for frame in scene(3):
        _, state = denoiser(frame, state)
        found.append(float(denoiser.sample_counts(state, 1).mean()))
    assert found == pytest.approx(weights)


def test_the_state_holds_the_surface_that_was_seen(denoiser):
    frames = scene(1, 32, 32)
    _, state = run(denoiser, frames)
    assert torch.equal(history_of(denoiser, state).surface, frames[0][:, 3:10])


def test_no_image_is_brighter_than_the_brightest_sample_nor_darker_than_the_darkest(denoiser):
    frames = scene(3)
    images, _ = run(denoiser, frames)
    assert images.max() <= frames[:, :, :3].max() + 1e-4 and images.min() >= -1e-6


@pytest.mark.parametrize(("precision", "tolerance"), [(torch.bfloat16, 0.05), (torch.float16, 0.02)])
def test_half_precision_is_near(denoiser, precision, tolerance):
    frames = scene()
    plain, _ = run(copy.deepcopy(denoiser), frames)
    prepare(denoiser, torch.device("cpu"), precision)
    half, _ = run(denoiser, frames)
    assert half.dtype == torch.float32
    assert (half - plain).abs().max() <= tolerance * plain.max()


def test_frames_and_states_that_do_not_fit_are_named(denoiser):
    _, state = denoiser(scene(1)[0])
    with pytest.raises(ValueError, match=r"a state of 64x64 does not fit a frame of 80x70"):
        denoiser(scene(1, 70, 80)[0], state)
    with pytest.raises(ValueError, match=r"expected \(B, 12, H, W\), color, depth, normal, albedo, motion"):
        denoiser(scene(1)[0][:, :10])


def test_every_weight_gets_a_finite_gradient():
    torch.manual_seed(0)
    denoiser = FilteringDenoiser(SMALL)
    images, _ = run(denoiser, scene(3))
    (images - 0.4).square().mean().backward()
    for name, weight in denoiser.named_parameters():
        assert weight.grad is not None and torch.isfinite(weight.grad).all(), name


@pytest.mark.parametrize("finest_radius", [0, 1])
def test_the_shorter_way_without_a_gradient_gives_the_same_and_leaves_the_state_alone(finest_radius):
    """A frame of three blocks of rows: images and histories are those of training's way, and what was given stays."""
    denoiser, frames = shaken(make(finest_radius)), scene(3, height=72)
    frames[:, :, 3] += frames[:, :, 0]  # surfaces of all sorts, some of which lose their history
    frames[:, :, 10], frames[2, :, 11] = 1.3, -0.6
    state = slow_state = None
    for frame in frames:
        given, kept = frame.clone(), [part.clone() for part in state or ()]
        with torch.no_grad():
            image, new = denoiser(frame, state)
        assert torch.equal(frame, given) and all(map(torch.equal, state or (), kept))
        slow, slow_state = denoiser(frame.clone().requires_grad_(), slow_state)
        assert torch.allclose(image, slow, rtol=1e-3, atol=1e-5)
        assert all(torch.allclose(a, b, rtol=1e-3, atol=1e-4) for a, b in zip(new, slow_state, strict=True))
        state, slow_state = new, [part.detach() for part in slow_state]


def test_the_finest_head_computes_of_the_coarser_results_logits_those_of_the_nearest_pixels(denoiser):
    features = torch.rand(1, SMALL[0], 6, 8, generator=torch.Generator().manual_seed(0))
    finest = shaken(denoiser).finest
    outputs = F.pixel_shuffle(F.conv2d(features, finest.weight, finest.bias), 2)[:, :-EXTRAS]
    wanted = with_nearest(outputs, finest.taps)
    head, _ = finest(features, torch.zeros(1, 1, 12, 16))
    assert torch.allclose(head(4, 12), wanted[:, :, 4:], atol=1e-5)


def test_at_full_size_a_pixel_may_be_weighed_without_its_neighbors():
    alone, usual = make(finest_radius=0), make()
    assert alone.taps[-1] == ((0, 0),) and alone.reach(scene(1)[0]) < usual.reach(scene(1)[0])
    assert alone.options == usual.options | {"finest_radius": 0}
    images, _ = run(alone, scene(2, noise=False))
    assert torch.allclose(images, torch.tensor(0.4), rtol=1e-4)


def test_further_colors_add_up_to_the_frames_own_and_leave_it_unchanged(denoiser):
    """Two light groups, one of them far brighter: over frames with motion and a cut, to float32 rounding."""
    frames = scene(5)
    frames[3, :, 3] = 9.0  # a cut: another surface
    frames[:, :, 10] = 1.5
    share = torch.rand(5, 1, 3, 37, 50, generator=torch.Generator().manual_seed(1)) ** 4
    grouped = torch.cat((frames, share * frames[:, :, :3], (1 - share) * frames[:, :, :3]), 2)
    plain = torch.stack([image for _, image in denoise(denoiser, list(frames[:, 0]))])  # (5, 3, H, W)
    images = torch.stack([image for _, image in denoise(denoiser, list(grouped[:, 0]))])  # (5, 9, H, W)
    beauty, first, second = images.split(3, 1)
    assert torch.allclose(beauty, plain, rtol=1e-5, atol=1e-7)
    assert torch.allclose(first + second, beauty, rtol=1e-4, atol=1e-6)
    assert first.mean() < 0.5 * second.mean()  # not a share of the beauty
    tiled = denoise(denoiser, list(grouped[:, 0]), fast_engine(denoiser, tile=16))
    assert torch.allclose(torch.stack([image for _, image in tiled]), images, rtol=1e-4, atol=1e-5)


def test_small_pictures_are_padded_by_reflection_for_networks_that_need_it():
    frame = torch.arange(12.0 * 3 * 50).reshape(12, 3, 50)
    denoiser = FilteringDenoiser((8, 10))
    found = pad_to_smallest(frame, denoiser)
    assert found.shape == (12, 64, 64) and torch.equal(found[:, :3, :50], frame)
    assert torch.equal(found[:, 3:5, :50], frame[:, [1, 0]]), "reflected at the last row"
    assert torch.equal(found[:, :3, 50:], frame[:, :, 35:49].flip(2)), "and at the last column"
    assert pad_to_smallest(frame, PaperDenoiser((8, 10))) is frame and pad_to_smallest(found, denoiser) is found
    images = [image for _, image in denoise(denoiser.eval(), [frame, frame])]
    assert all(image.shape == (3, 3, 50) for image in images)
