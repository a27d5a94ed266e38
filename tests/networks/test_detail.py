"""Pins the detail stage: the library's own output, pyramid sums, blend weights, colors, tiles, precision, gradients."""

import copy
import struct
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from support import ROOT

from checkpoints import as_checkpoint, load_denoiser, write_weights
from files import InputError
from inference.engines import fast_engine, prepare
from model import denoise, make_denoiser
from networks.blending import distribute_change
from networks.detail import GUIDED, LEVELS, MORE, DetailStage, blend_pyramid, decode, encode
from training.add_detail import find_weights, installed_library, with_detail

needs_library = pytest.mark.skipif(not find_spec("pyoidn"), reason="needs Open Image Denoise")
SMALL = {"channels": (8, 10, 12), "network": "filtering", "detail": "small"}


@pytest.fixture
def denoiser():
    torch.manual_seed(0)
    return make_denoiser(SMALL).eval().requires_grad_(False)


def frames(count=3, size=(64, 70), colors=1, seed=0):
    """Noisy frames, (T, 9 + 3 L, H, W), of a wall in motion; further colors are halves of the first."""
    generator = torch.Generator().manual_seed(seed)
    planes = torch.rand(count, 12, *size, generator=generator)
    planes[:, 3], planes[:, 4:7] = 2.0, torch.tensor([0.0, 0.0, 1.0])[:, None, None]
    planes[:, 7:10], planes[:, 10:] = 0.5, 1.5
    return torch.cat((planes, *[planes[:, :3] / 2] * (colors - 1)), 1)


def pyramid(size, share, count=1):
    return [torch.full((count, 1, size[0] >> n, size[1] >> n), share) for n in range(LEVELS)]


@needs_library
@pytest.mark.parametrize("size", ["base", "small"])
def test_it_begins_with_what_the_library_gives(size):
    """Within rounding, in the library's own exposure; "balanced" is its name of base, "fast" of small."""
    import pyoidn

    planes = torch.rand(9, 96, 128, generator=torch.Generator().manual_seed(0))
    planes[:3] = planes[:3].pow(4) * 3
    color, albedo, normal = planes.split(3)
    normal = torch.nn.functional.normalize(normal - 0.5, dim=0)
    stage = DetailStage(size)
    stage.begin_with(find_weights(installed_library(), stage, "clean"))
    parts = (np.ascontiguousarray(part.permute(1, 2, 0).numpy()) for part in (color, albedo, normal))
    image, albedo_, normal_ = parts
    quality = {"base": "balanced", "small": "fast"}[size]
    found = pyoidn.denoise(image, albedo=albedo_, normal=normal_, hdr=True, quality=quality, clean_aux=True)
    expected = torch.from_numpy(found).permute(2, 0, 1)
    # the library's exposure: key .18 over the log average of squares of 16 pixels
    light = (color * torch.tensor([0.212671, 0.715160, 0.072169])[:, None, None]).sum(0, keepdim=True)
    exposure = 0.18 / torch.nn.functional.avg_pool2d(light, 16).log().mean().exp()
    more = torch.rand(1, MORE, 96, 128)  # which counts for nothing before training
    seen = torch.cat((encode(color * exposure)[None], albedo[None], normal[None] * 0.5 + 0.5, more), 1)
    with torch.no_grad():
        direct = decode(stage.predict(seen).image)[0] / exposure
    assert (direct - expected).abs().mean() < 0.01 * expected.mean()


@pytest.mark.parametrize("share", [0.0, 1.0, 0.3])
def test_equal_shares_of_all_levels_are_that_share(share):
    planes = torch.randn(2, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(blend_pyramid(planes, pyramid((48, 64), share, 2)), share * planes, atol=1e-6)


def test_a_level_has_what_the_coarser_cannot_hold():
    flat, fine = torch.ones(1, 1, 48, 64), torch.ones(1, 1, 48, 64)
    fine[..., ::2, :] = -1
    shares = pyramid((48, 64), 0.0)
    shares[0] = torch.ones_like(shares[0])
    assert blend_pyramid(flat, shares).abs().max() < 1e-6 and torch.allclose(
        blend_pyramid(fine, shares), fine, atol=1e-6
    )


def test_the_transfer_function_and_its_inverse():
    radiance = torch.cat((torch.zeros(1), torch.logspace(-8, np.log10(65504), 200)))
    assert torch.allclose(decode(encode(radiance)), radiance, rtol=1e-4) and encode(radiance)[-1] == pytest.approx(1)
    assert (encode(radiance).diff() > 0).all() and decode(torch.tensor(-1.0)) == 0
    for end in (1.57945760e-6, 3.22087631e-2):  # continuous where its pieces meet
        below, above = encode(torch.tensor([end * (1 - 1e-5), end * (1 + 1e-5)]))
        assert abs(above - below) < 1e-4


def test_without_shares_the_filtered_image_stays_and_with_all_the_estimate_comes():
    torch.manual_seed(0)
    stage, planes = DetailStage("small"), torch.rand(1, 15, 48, 64)
    for logit, found in ((-50.0, planes[:, 9:12]), (50.0, None)):
        for layer in stage.blend:
            layer.bias.data = torch.tensor([logit, -50.0])
        with torch.no_grad():
            image = stage(planes)
            if found is None:
                seen = torch.cat((encode(planes[:, :3]), planes[:, 3:6], planes[:, 6:9] / 2 + 0.5), 1)
                more = torch.cat((encode(planes[:, 9:]), torch.ones(1, 1, 48, 64)), 1)
                found = decode(stage.predict(torch.cat((seen, more), 1)).image)
        assert torch.allclose(image, found, rtol=1e-3, atol=1e-4)


def test_shares_are_shares(denoiser):
    for weight in denoiser.detail.parameters():
        weight.normal_(std=3.0)
    shares = denoiser.detail.predict(torch.rand(1, GUIDED + MORE, 48, 64)).logits
    assert len(shares) == LEVELS
    assert [tuple(planes.shape) for planes in shares] == [(1, 2, 48 >> n, 64 >> n) for n in range(LEVELS)]
    assert all((torch.sigmoid(planes) >= 0).all() and (torch.sigmoid(planes) <= 1).all() for planes in shares)


def test_the_last_result_is_fetched_along_the_motion_and_changes_the_next(denoiser):
    first, second = frames(2, (64, 96))[:, None]  # a point was 1.5 pixels to the right and below
    _, state = denoiser(first)
    image, state = denoiser.estimate(second, state)
    hidden, history = denoiser.parts(state)
    moved = history.output
    assert (moved.amax(1)[..., :-1, :-1] > 0).all()
    assert (moved[..., -1] == 0).all() and (moved[..., -1, :] == 0).all(), "nothing where it comes into view"
    without = [*hidden, *history._replace(output=torch.zeros_like(moved)).tensors()]
    known, unknown = (denoiser.finish(second, image, s)[0] for s in (state, without))
    assert (known - unknown).abs().max() > 1e-3


def test_without_the_stage_images_are_those_of_the_filter(denoiser):
    planes = frames()
    plain = make_denoiser({k: v for k, v in SMALL.items() if k != "detail"}).eval()
    plain.load_state_dict({k: v for k, v in denoiser.state_dict().items() if not k.startswith("detail.")})
    for (_, a), (_, b) in zip(denoise(denoiser, planes, detail=False), denoise(plain, planes), strict=True):
        assert torch.allclose(a, b, atol=1e-6)
    assert not torch.allclose(next(denoise(denoiser, planes))[1], next(denoise(plain, planes))[1], atol=1e-3)


@pytest.mark.parametrize("black", [False, True])
def test_light_groups_still_add_up(denoiser, black):
    planes = frames(colors=3)
    if black:
        planes[:, :3, :20], planes[:, 12:, :20] = 0, 0
    for _, image in denoise(denoiser, planes):
        first, *groups = image.split(3)
        assert torch.allclose(sum(groups), first, rtol=1e-4, atol=1e-5)


def test_what_was_black_is_shared_equally():
    image = torch.cat((torch.zeros(1, 3, 2, 2), torch.zeros(1, 6, 2, 2)), 1)
    assert torch.allclose(distribute_change(torch.full((1, 3, 2, 2), 0.4), image)[:, 3:], torch.tensor(0.2))


def test_tiles_give_the_same(denoiser):
    planes = frames(2, (224, 330))
    plain = [image for _, image in denoise(denoiser, planes)]
    tiled = [image for _, image in denoise(denoiser, planes, fast_engine(denoiser, tile=96))]
    assert all(torch.allclose(a, b, rtol=1e-3, atol=1e-4) for a, b in zip(plain, tiled, strict=True))


def test_half_precision_is_near(denoiser):
    planes = frames()
    plain = torch.stack([image for _, image in denoise(copy.deepcopy(denoiser), planes)])
    prepare(denoiser, torch.device("cpu"), torch.bfloat16)
    half = torch.stack([image for _, image in denoise(denoiser, planes)])
    assert half.dtype == torch.float32 and 0 < (half - plain).abs().max() < 0.1 * plain.max()


def test_every_weight_has_a_gradient():
    torch.manual_seed(0)
    denoiser = make_denoiser(SMALL)
    image, state = denoiser(frames(1))
    image, _ = denoiser(frames(1, seed=1), state)
    image.square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in denoiser.detail.parameters())
    assert all(layer.bias.grad.abs().min() > 0 for layer in denoiser.detail.blend)


@needs_library
def test_a_filter_gets_a_stage_and_keeps_its_weights(tmp_path):
    filtering = load_denoiser(ROOT / "weights" / "fast.safetensors")
    found = with_detail(filtering, "small", "noisy", installed_library())
    write_weights(as_checkpoint(found), tmp_path / "a.safetensors")
    back = load_denoiser(tmp_path / "a.safetensors")
    assert back.options == filtering.options | {"detail": "small"}
    assert all(torch.equal(back.state_dict()[name], weight) for name, weight in filtering.state_dict().items())


@pytest.mark.parametrize(
    "content", [b"", b"\xd7\x41\x02\x00" + b"\xff" * 60, b"\xd7\x41\x02\x00" + struct.pack("<Q", 12)]
)
def test_other_files_have_no_weights(content, tmp_path):
    (tmp_path / "a.tza").write_bytes(content)
    with pytest.raises(InputError, match=r"a.tza: no weights of Open Image Denoise"):
        find_weights(tmp_path / "a.tza", DetailStage("small"), "clean")
    with pytest.raises(InputError, match=r"b.tza: No such file"):
        find_weights(tmp_path / "b.tza", DetailStage("small"), "clean")
