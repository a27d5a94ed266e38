"""Pins that the fast ways to reconstruct give what the plain one gives: precision, memory format, tiles, graphs."""

import copy

import pytest
import torch

from files import InputError
from inference import engines
from inference.engines import FittingStep, choose_device, choose_dtype, fast_step, prepare
from model import Denoiser, denoise

CPU = torch.device("cpu")


@pytest.fixture
def denoiser():
    torch.manual_seed(0)
    return Denoiser([16, 24], demodulate=True, patch=2).eval().requires_grad_(False)


def images(denoiser, step=None):
    frames = torch.rand(5, 10, 37, 50, generator=torch.Generator().manual_seed(1))
    return torch.stack([image for _, image in denoise(denoiser, frames, step)])


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.05), ("float16", 0.01)])
def test_half_precision_is_near(denoiser, precision, tolerance):
    """Relative to the brightest pixel; bfloat16 has 8 bits."""
    plain = images(copy.deepcopy(denoiser))
    fast = images(prepare(denoiser, CPU, engines.DTYPES[precision]))
    assert fast.dtype == torch.float32 and (fast - plain).abs().max() <= tolerance * plain.max()
    if precision != "float32":
        assert not torch.equal(fast, plain)


def test_around_the_network_everything_stays_float32(denoiser):
    """A bright background keeps its value: radiance and albedo are never half floats."""
    prepare(denoiser, CPU, torch.bfloat16)
    assert denoiser.dtype == torch.bfloat16
    features, albedo, _ = denoiser.preprocess(torch.full((1, 10, 4, 4), 1e5))
    assert features.dtype == albedo.dtype == torch.float32


def test_a_tiled_step_gives_the_same(denoiser):
    plain = images(denoiser)
    assert torch.allclose(images(denoiser, fast_step(denoiser, tile=16)), plain, atol=1e-5)


def test_out_of_memory_leads_to_smaller_and_smaller_tiles(denoiser, monkeypatch, capsys):
    plain = images(denoiser)

    def exhausted(frame, state):
        raise torch.OutOfMemoryError

    fits = fast_step(denoiser, 512)
    monkeypatch.setattr(engines, "fast_step", lambda denoiser, tile: fits if tile == 512 else exhausted)
    step = FittingStep(denoiser)
    step.step = exhausted
    assert torch.allclose(images(denoiser, step), plain, atol=1e-5)
    assert "does not fit in memory; using tiles of 512" in capsys.readouterr().err
    monkeypatch.setattr(engines, "fast_step", lambda denoiser, tile: exhausted)
    step.step = exhausted
    with pytest.raises(torch.OutOfMemoryError):
        images(denoiser, step)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_cuda_graph_gives_the_same(denoiser):
    plain = images(copy.deepcopy(denoiser))
    prepare(denoiser, torch.device("cuda"), torch.float32)
    step = fast_step(denoiser)
    for _ in range(2):  # a new sequence starts from an empty state
        assert (images(denoiser, step) - plain).abs().max() <= 1e-3 * plain.max()


def test_a_device_that_is_not_there_is_one_clear_line():
    missing = "cuda:7"
    with pytest.raises(InputError, match=r"--device cuda:7: .*use auto or cpu"):
        choose_device(missing)
    assert choose_dtype("auto", CPU) in (torch.bfloat16, torch.float32)
    assert choose_dtype("auto", torch.device("cuda")) == torch.float16
