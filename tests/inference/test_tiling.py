"""Pins tiling: image and state are those of the whole frame, and the receptive radius is what the network sees."""

import pytest
import torch
import torch.nn.functional as F

from frames.channels import QUANTITIES
from inference.tiling import boxes, denoise_in_tiles
from networks.autoencoder import RecurrentAutoencoder
from networks.filtering import FilteringDenoiser
from networks.paper import PaperDenoiser
from training.presets import PRESETS


def small(levels=3):
    torch.manual_seed(0)
    return PaperDenoiser([4, 6, 5, 7][:levels]).eval().requires_grad_(False)


@pytest.mark.parametrize(("size", "tile"), [((100, 131), 32), ((64, 200), 64), ((70, 70), 1), ((40, 50), 500)])
def test_tiles_give_the_image_and_the_state_of_the_whole_frame(size, tile):
    denoiser = small(2 if tile == 1 else 3)
    state = tiled_state = None
    for frame in torch.rand(4, 1, 7, *size):
        image, state = denoiser(frame, state)
        tiled, tiled_state = denoise_in_tiles(denoiser, frame, tiled_state, tile)
        assert torch.allclose(tiled, image, atol=1e-5)
        assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(tiled_state, state, strict=True))


def test_a_smaller_margin_would_not_do():
    denoiser = small()
    frame = torch.rand(1, 7, 128, 128)
    type(denoiser.network).receptive_radius, radius = 4, type(denoiser.network).receptive_radius
    try:
        tiled, _ = denoise_in_tiles(denoiser, frame, None, 32)
    finally:
        type(denoiser.network).receptive_radius = radius
    assert not torch.allclose(tiled, denoiser(frame)[0], atol=1e-5)


@pytest.mark.parametrize(("stride", "levels"), [(1, 1), (1, 2), (1, 3), (2, 2)])
def test_the_receptive_radius_is_reached_and_not_exceeded(stride, levels):
    """Positive weights let every input pixel in reach change the output; tried for each pixel of a coarsest one."""
    network = RecurrentAutoencoder(1, (4, 6, 5)[:levels], stride).double().requires_grad_(False)
    for weight in network.parameters():
        weight.abs_().add_(0.01)
    size = 4 * network.receptive_radius // network.multiple * network.multiple
    farthest = 0
    for offset in range(network.multiple):
        frame = torch.rand(1, 1, size, size, dtype=torch.float64, requires_grad=True)
        at = size // 2 // network.multiple * network.multiple + offset
        entered = network.encoder[0].enter(F.avg_pool2d(frame, stride))[None]
        decoded, _ = network(entered, network.initial_state(frame))
        last = F.conv2d(decoded[-1], torch.ones(1, decoded[-1].shape[1], 3, 3, dtype=torch.float64), padding=1)
        seen = torch.autograd.grad(last[0, 0, at // stride, at // stride], frame)[0].abs().sum((0, 1)).nonzero()
        farthest = max(farthest, int((seen - at).abs().max()))
    assert farthest <= network.receptive_radius <= farthest + network.multiple


def test_the_papers_network_sees_346_pixels():
    assert PaperDenoiser(PRESETS["paper"]["channels"]).network.receptive_radius == 346


@pytest.mark.parametrize("tile", [32, 64])
@pytest.mark.parametrize("missing", [False, True])
def test_tiles_of_a_filtering_network_reach_as_far_as_the_motion(tile, missing):
    torch.manual_seed(0)
    denoiser = FilteringDenoiser([4, 6]).eval().requires_grad_(False)
    for parameter in denoiser.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    state = tiled_state = None
    frames = torch.rand(3, 1, 12, 90, 330)
    frames[:, :, 3:10] = 0.5 + 0.02 * frames[:, :, 3:10]
    frames[:, :, 10:] = QUANTITIES["motion"].missing if missing else 6 * frames[:, :, 10:] - 3
    for frame in frames:
        image, state = denoiser(frame, state)
        assert denoiser.reach(frame) < 170  # so that tiles are smaller than the frame
        tiled, tiled_state = denoise_in_tiles(denoiser, frame, tiled_state, tile)
        assert torch.allclose(tiled, image, atol=1e-4)
        # where hardly any history remains, it is divided by little, and so is its rounding
        assert all(torch.allclose(a, b, rtol=3e-4, atol=1e-4) for a, b in zip(tiled_state, state, strict=True))


def test_boxes_cover_a_frame_once():
    count = torch.zeros(50, 33)
    for inner, outer in boxes((50, 33), 16, 8):
        count[inner] += 1
        assert all(0 <= o.start <= i.start and i.stop <= o.stop for i, o in zip(inner, outer, strict=True))
    assert (count == 1).all()
