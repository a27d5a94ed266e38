"""Pins that the fast ways to reconstruct give what the plain one gives: precision, memory format, tiles, graphs."""

import copy

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from files import InputError
from frames.channels import QUANTITIES
from inference import engines
from inference.engines import FittingStep, choose_device, choose_dtype, fast_engine, prepare
from model import Engine, denoise
from networks.filtering import FilteringDenoiser
from networks.paper import PaperDenoiser

CPU = torch.device("cpu")


@pytest.fixture
def denoiser():
    torch.manual_seed(0)
    return PaperDenoiser([16, 24], demodulate=True).eval().requires_grad_(False)


def images(denoiser, engine=None):
    frames = torch.rand(5, 10, 37, 50, generator=torch.Generator().manual_seed(1))
    return torch.stack([image for _, image in denoise(denoiser, frames, engine)])


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.06), ("float16", 0.01)])
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
    features, albedo = denoiser.preprocess(torch.full((1, 10, 4, 4), 1e5))
    assert features.dtype == albedo.dtype == torch.float32


def test_a_tiled_step_gives_the_same(denoiser):
    plain = images(denoiser)
    assert (images(denoiser, fast_engine(denoiser, tile=16)) - plain).abs().max() <= 1e-5 * plain.max()


def test_out_of_memory_leads_to_smaller_and_smaller_tiles(denoiser, monkeypatch, capsys):
    plain = images(denoiser)

    def exhausted(frame, state):
        raise torch.OutOfMemoryError

    fits, fails = fast_engine(denoiser, 512), Engine(exhausted, denoiser.finish)
    monkeypatch.setattr(engines, "fast_engine", lambda denoiser, tile: fits if tile == 512 else fails)
    step = FittingStep(denoiser)
    step.step = exhausted
    assert torch.allclose(images(denoiser, Engine(step, denoiser.finish)), plain, atol=1e-5)
    assert "does not fit in memory; using tiles of 512" in capsys.readouterr().err
    monkeypatch.setattr(engines, "fast_engine", lambda denoiser, tile: fails)
    step.step = exhausted
    with pytest.raises(torch.OutOfMemoryError):
        images(denoiser, Engine(step, denoiser.finish))


class Operations(TorchDispatchMode):
    """Collects the names of the operations that PyTorch runs."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        self.names.add(operation.name())
        return operation(*args, **(kwargs or {}))


@pytest.mark.parametrize("kind", ["paper", "filtering", "filtering, no motion"])
def test_a_step_has_no_constants_from_the_cpu(denoiser, kind):
    """A CUDA graph cannot be recorded where a list of numbers is copied to the GPU."""
    if kind != "paper":
        denoiser = FilteringDenoiser((16, 24)).eval().requires_grad_(False)
    frame = torch.rand(1, 10 if kind == "paper" else 12, 37, 50)
    if kind == "filtering, no motion":
        frame[:, 10:] = QUANTITIES["motion"].missing
    _, state = denoiser(frame)
    with Operations() as done:
        denoiser(frame, state)
    assert "aten::convolution" in done.names and "aten::lift_fresh" not in done.names


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("filtering", [False, True])
def test_a_cuda_graph_gives_the_same(denoiser, filtering):
    frames = torch.rand(5, 12, 37, 50, generator=torch.Generator().manual_seed(1))
    if filtering:
        denoiser = FilteringDenoiser((16, 24)).eval().requires_grad_(False)
    else:
        frames = frames[:, :10]
    plain = torch.stack([image for _, image in denoise(copy.deepcopy(denoiser), frames)])
    prepare(denoiser, torch.device("cuda"), torch.float32)
    engine = fast_engine(denoiser)
    for _ in range(2):  # a new sequence starts from an empty state
        graphed = torch.stack([image for _, image in denoise(denoiser, frames, engine)])
        assert (graphed - plain).abs().max() <= 1e-3 * plain.max()


def test_a_device_that_is_not_there_is_one_clear_line():
    missing = "cuda:7"
    with pytest.raises(InputError, match=r"--device cuda:7: .*use auto or cpu"):
        choose_device(missing)
    assert choose_dtype("auto", CPU) in (torch.bfloat16, torch.float32)
    assert choose_dtype("auto", torch.device("cuda")) == torch.float16
