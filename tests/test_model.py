"""Pins the denoiser: any frame size, functional recurrence, independent batch items."""

import pytest
import torch

from frames.channels import PLAIN_INPUTS, channel_count, channels_of
from frames.normalization import divided, scale_of
from frames.radiance import decode_radiance, encode_radiance
from model import NETWORKS, Denoiser, denoise, make_denoiser
from networks.paper import PaperDenoiser
from training.module import DenoisingModule
from training.presets import PRESETS

SMALL = [8, 10, 12]
SMALLEST = {"filtering": {"channels": SMALL, "detail": "small"}, "paper": {"channels": SMALL}}  # arguments of NETWORKS


@pytest.fixture
def denoiser():
    torch.manual_seed(0)
    return PaperDenoiser(SMALL).eval()


def random_frames(*shape, albedo=False):
    torch.manual_seed(1)
    frames = torch.rand(*shape[:-2], 10 if albedo else 7, *shape[-2:])
    return frames


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 5), (16, 16), (17, 33), (45, 80)])
@pytest.mark.parametrize("channels", [SMALL, list(PRESETS["paper"]["channels"])])
def test_any_size_keeps_its_size(size, channels):
    image, state = PaperDenoiser(channels)(random_frames(2, *size))
    assert image.shape == (2, 3, *size) and torch.isfinite(image).all() and (image >= 0).all()
    again, _ = PaperDenoiser(channels)(random_frames(2, *size), state)
    assert again.shape == image.shape


def test_padding_does_not_change_frames_that_need_none(denoiser):
    frame = random_frames(1, 16, 16)
    features, _ = denoiser.preprocess(frame)
    entered = denoiser.network.encoder[0].enter(features)[None]
    decoded, _ = denoiser.network(entered, denoiser.network.initial_state(features))
    assert torch.equal(decode_radiance(denoiser.output(decoded[-1])), denoiser(frame)[0])


def test_the_state_has_one_tensor_per_level_and_starts_at_zero(denoiser):
    frame = random_frames(1, 16, 12)
    image, state = denoiser(frame)
    assert [tuple(s.shape) for s in state] == [(1, 8, 16, 12), (1, 10, 8, 6), (1, 12, 4, 3)]
    zeros = [torch.zeros_like(s) for s in state]
    assert torch.equal(denoiser(frame, zeros)[0], image)
    assert not torch.allclose(denoiser(frame, state)[0], image)


def test_every_level_is_recurrent(denoiser):
    frame = random_frames(1, 16, 16)
    _, state = denoiser(frame)
    zeros = [torch.zeros_like(s) for s in state]
    for level in range(len(SMALL)):
        only = [s if i == level else z for i, (s, z) in enumerate(zip(state, zeros, strict=True))]
        assert not torch.equal(denoiser(frame, only)[0], denoiser(frame, zeros)[0])


def test_frame_by_frame_equals_the_sequence():
    module = DenoisingModule({"network": "paper", "channels": SMALL, "demodulate": False}, 1e-3).eval()
    frames = random_frames(1, 5, 18, 22)
    frames = divided(frames[0], PLAIN_INPUTS, scale_of(frames[0, :1], PLAIN_INPUTS).expand(5, 2))[
        None
    ]  # as training has
    whole = decode_radiance(module(frames))[0]
    for (_, stepped), together in zip(denoise(module.denoiser, frames[0]), whole, strict=True):
        assert torch.allclose(stepped, together, rtol=1e-3, atol=1e-5)


def test_denoise_reads_one_frame_ahead_of_nothing(denoiser):
    """Frames stream: the next is requested only after the previous one has been returned."""
    asked = []

    def frames():
        for index in range(3):
            asked.append(index)
            yield random_frames(8, 8)

    stream = denoise(denoiser, frames())
    for index in range(3):
        next(stream)
        assert asked == list(range(index + 1))


def test_batch_items_are_independent(denoiser):
    frames = random_frames(3, 20, 20)
    together, state = denoiser(frames)
    together_next, _ = denoiser(frames.flip(0), state)
    for index in range(3):
        alone, own = denoiser(frames[index : index + 1])
        assert torch.allclose(alone, together[index : index + 1], atol=1e-5)
        alone_next, _ = denoiser(frames.flip(0)[index : index + 1], own)
        assert torch.allclose(alone_next, together_next[index : index + 1], atol=1e-5)


def test_the_first_frame_reaches_the_last_reconstruction():
    module = DenoisingModule({"network": "paper", "channels": SMALL, "demodulate": False}, 1e-3)
    frames = random_frames(1, 4, 16, 16).requires_grad_()
    module(frames)[:, -1].sum().backward()
    assert (frames.grad.abs().sum((0, 2, 3, 4)) > 0).all()


def test_decode_inverts_encode():
    radiance = torch.cat((torch.zeros(1), torch.logspace(-6, 5, 200)))
    assert torch.allclose(decode_radiance(encode_radiance(radiance)), radiance, rtol=1e-4)
    assert encode_radiance(torch.tensor([-1.0])) == 0 and encode_radiance(torch.tensor([32.0])).item() == pytest.approx(
        2
    )


def test_linear_output_is_the_decoded_output(denoiser):
    frame = random_frames(1, 16, 16)
    encoded, _ = denoiser.forward_window(frame[None], encoded=True)
    assert torch.equal(decode_radiance(encoded[0]), denoiser(frame)[0])


def test_depth_does_not_depend_on_the_frames_extremes(denoiser):
    frame = random_frames(1, 8, 8)
    features, _ = denoiser.preprocess(frame)
    frame[:, 3, 0, 0] = 1000
    changed, _ = denoiser.preprocess(frame)
    assert (features != changed).sum() == 1


def test_albedo_is_divided_out_and_multiplied_back():
    torch.manual_seed(0)
    denoiser = PaperDenoiser(SMALL, demodulate=True).eval()
    white = random_frames(1, 16, 16, albedo=True)
    white[:, 7:] = 1
    albedo = 0.05 + 0.9 * torch.rand(1, 3, 16, 16)
    textured = white.clone()
    textured[:, :3] *= albedo
    textured[:, 7:] = albedo
    assert torch.allclose(denoiser(textured)[0], albedo * denoiser(white)[0], rtol=1e-3, atol=1e-5)


def test_no_albedo_leaves_radiance_as_it_is():
    denoiser = PaperDenoiser(SMALL, demodulate=True).eval()
    black = random_frames(1, 16, 16, albedo=True)
    white = black.clone()
    black[:, 7:], white[:, 7:] = 0, 1
    (black_features, black_code), (white_features, white_code) = map(denoiser.preprocess, (black, white))
    assert torch.equal(black_features[:, :7], white_features[:, :7]) and torch.equal(black_code, white_code)
    assert (black_features[:, 7] == 0).all() and (white_features[:, 7] == 1).all()


def test_one_black_channel_of_a_colored_albedo_stays_black():
    """The blue of a red leaf: left undivided, it would get the brightness of the red."""
    denoiser = PaperDenoiser(SMALL, demodulate=True).eval()
    red = random_frames(1, 16, 16, albedo=True)
    red[:, 7:] = torch.tensor([0.8, 0.1, 0.0])[:, None, None]
    image, _ = denoiser(red)
    white = red.clone()
    white[:, :3] /= red[:, 7:].clamp(min=1e-3)
    white[:, 7:] = 1
    assert torch.allclose(image[:, 2], denoiser(white)[0][:, 2] * 1e-3, rtol=1e-3, atol=1e-6)


def test_the_loss_of_a_black_output_still_has_a_gradient():
    """Losses see the encoded output, which may be negative; decoded, it would be 0 without a gradient."""
    module = DenoisingModule({"network": "paper", "channels": SMALL, "demodulate": False}, 1e-3)
    torch.nn.init.constant_(module.denoiser.output.bias, -100.0)
    loss = module.compare(module(random_frames(1, 2, 16, 16)), torch.ones(1, 2, 3, 16, 16))["loss"]
    loss.backward()
    assert module.denoiser.output.bias.grad.abs().sum() > 0


def test_wrong_inputs_are_named(denoiser):
    with pytest.raises(ValueError, match=r"expected \(B, 7, H, W\)"):
        denoiser(torch.rand(1, 10, 8, 8))
    _, state = denoiser(random_frames(1, 8, 8))
    with pytest.raises(ValueError, match="does not fit a frame of 16x16"):
        denoiser(random_frames(1, 16, 16), state)
    with pytest.raises(ValueError, match="one positive width"):
        PaperDenoiser([])


def test_the_papers_network_has_the_papers_widths():
    """Section 4.1: 32, 43, 57, 76 and 101 channels."""
    assert PRESETS["paper"] == {"kind": "paper", "channels": (32, 43, 57, 76, 101, 101)}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_is_a_denoiser(name):
    """What model.Denoiser lists is there, and what it says of shapes and options is so."""
    denoiser = make_denoiser({"network": name, **SMALLEST[name]}).eval().requires_grad_(False)
    assert isinstance(denoiser, Denoiser)
    again = make_denoiser(denoiser.options).eval().requires_grad_(False)
    again.load_state_dict(denoiser.state_dict())
    frame = torch.rand(1, channel_count(denoiser.inputs), denoiser.smallest + 3, denoiser.smallest + 5)
    padded, size = denoiser.fit(frame)
    assert size == frame.shape[2:] and all(extent % denoiser.multiple == 0 for extent in padded.shape[2:])
    state = denoiser.initial_state(padded)
    sizes = [[extent // stride for extent in padded.shape[2:]] for stride in denoiser.strides]
    image, after = denoiser(frame, state)
    assert image.shape == (1, 3, *size) and all(torch.isfinite(image).flatten())
    for part in (state, after):
        assert [list(planes.shape[2:]) for planes in part] == sizes
    assert torch.equal(again(frame, state)[0], image)
    assert denoiser.has_history == hasattr(denoiser, "state_with_history")
    count = denoiser.sample_counts(after, 1)
    assert count.shape[0] == 1 and count.ndim == 4


@pytest.mark.parametrize("demodulate", [False, True])
def test_a_window_is_its_frames_one_after_the_other(demodulate):
    torch.manual_seed(0)
    denoiser = PaperDenoiser(SMALL, demodulate)
    frames = random_frames(3, 2, 40, 48, albedo=denoiser.options["demodulate"])
    state, images = None, []
    for frame in frames:
        image, state = denoiser.forward_window(frame[None], state, encoded=True)
        images.append(image[0])
    window, last = denoiser.forward_window(frames, encoded=True)
    assert torch.allclose(window, torch.stack(images), atol=1e-5)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(state, last, strict=True))
    once, again = (
        torch.autograd.grad((x**2).sum(), list(denoiser.parameters())) for x in (window, torch.stack(images))
    )
    assert all(torch.allclose(a, b, rtol=1e-3, atol=1e-3) for a, b in zip(once, again, strict=True))


@pytest.mark.parametrize(
    "options",
    [{"network": "paper", "channels": SMALL, "demodulate": True}, {"channels": SMALL, "network": "filtering"}],
    ids=["paper", "filtering"],
)
@pytest.mark.parametrize(("radiance", "depth"), [(1e-4, 1.0), (3e7, 1.0), (1.0, 100.0), (0.5, 1e-3)])
def test_units_do_not_matter(options, radiance, depth):
    """Not even where a sequence becomes many times as bright, and as far, so that its scale changes."""
    torch.manual_seed(0)
    network = make_denoiser(options).eval()
    frames = torch.rand(5, channel_count(network.inputs), 70, 66)
    frames[0, :3], frames[2:, :3] = 0, 30 * frames[2:, :3]  # black at first
    frames[3:, 3] *= 20
    if "motion" in network.inputs:
        frames[:, channels_of(network.inputs, "motion")] *= 3
    other = frames.clone()
    other[:, :3] *= radiance
    other[:, 3] *= depth
    images, found = (torch.stack([image for _, image in denoise(network, planes)]) for planes in (frames, other))
    assert (found / radiance - images).abs().max() < 2e-3 * images.max()
