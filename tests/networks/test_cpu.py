"""Pins what makes a CPU faster: each function, and the whole network, gives what the plain way gives."""

from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F

from model import make_denoiser
from networks import cpu
from networks.convolutions import convolution
from networks.cpu import convolve_upsampled, mean_around, plain, pooled
from networks.paper import PaperDenoiser

PLANES = torch.rand(2, 3, 8, 16, generator=torch.Generator().manual_seed(0))
WAYS = {"fast": nullcontext, "plain": plain}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("size", [1, 2, 4])
def test_pooled(size, gradient, way):
    planes = PLANES.clone().requires_grad_(gradient)
    with way():
        assert torch.allclose(pooled(planes, size), F.avg_pool2d(PLANES, size))
    assert torch.equal(planes, PLANES), "what is given stays"


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("gradient", [False, True])
def test_mean_around(gradient, way):
    wanted = F.avg_pool2d(F.pad(PLANES, (1, 1, 1, 1), mode="replicate"), 3, 1)
    with way():
        assert torch.allclose(mean_around(PLANES.clone().requires_grad_(gradient)), wanted)


@torch.inference_mode()
def test_a_convolution_of_enlarged_planes_is_that_of_the_planes_themselves():
    torch.manual_seed(0)
    layer, x, skip = convolution(5, 4), torch.rand(2, 3, 36, 5), torch.rand(2, 2, 72, 10)  # three blocks of rows
    wanted = layer(torch.cat((F.interpolate(x, scale_factor=2.0), skip), 1))
    assert torch.allclose(convolve_upsampled(layer, x, skip), wanted, atol=1e-5)
    with plain():
        assert torch.equal(convolve_upsampled(layer, x, skip), wanted)


def frames(height=192, width=128):
    """Two frames with all quantities, (2, 1, 12, H, W), of surfaces of all sorts; the camera moves by 1.3 pixels."""
    planes = torch.rand(2, 1, 12, height, width, generator=torch.Generator().manual_seed(0))
    planes[:, :, 3] = 2 + 3 * (torch.arange(width) // 24 % 2)
    planes[:, :, 10:] = 1.3
    return planes


FILTERING = {"network": "filtering", "channels": (8, 10, 12), "detail": "small"}


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["planes", "channels last"])
@pytest.mark.parametrize(
    "make", [lambda: make_denoiser(FILTERING), lambda: PaperDenoiser((8, 10))], ids=["filtering", "paper"]
)
@torch.inference_mode()
def test_the_whole_network_agrees_with_the_plain_way(make, layout, monkeypatch):
    torch.manual_seed(0)
    denoiser = make().eval().to(memory_format=layout)
    for weight in denoiser.parameters():
        weight.add_(0.02 * torch.randn(weight.shape))  # so that every output counts
    blocks = []
    monkeypatch.setattr(
        cpu, "row_blocks", lambda planes, found=cpu.row_blocks: blocks.append(list(found(planes))) or iter(blocks[-1])
    )

    def run():
        blocks.clear()
        state, images = None, []
        for frame in frames():
            image, state = denoiser(frame[:, : 7 if "albedo" not in denoiser.inputs else 12], state)
            images.append(image)
        return [*images, *state], max(map(len, blocks))

    fast, most = run()
    with plain():
        slow, one = run()
    assert most > 1 == one, "the fast way works on a few rows at a time, the plain way on all"
    for a, b in zip(fast, slow, strict=True):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-4)
