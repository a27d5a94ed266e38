"""Pins that the fast ways to compute give what the plain one gives: precision, formats, tiles, training switches."""

import copy

import pytest
import torch
from support import QUICK, run_script
from torch.utils._python_dispatch import TorchDispatchMode

import train
from files import InputError
from inference import engines
from inference.engines import FittingStep, choose_device, choose_dtype, fast_step, prepare
from model import Denoiser, denoise
from training.module import DenoisingModule
from training.speed import PLAIN, Speed

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


def step_of(speed, channels=(8, 12)):
    """Loss and gradients of a training step computed this way."""
    torch.manual_seed(0)
    module = DenoisingModule({"channels": channels, "demodulate": False, "patch": 2}, 1e-3, speed=speed).train()
    generator = torch.Generator().manual_seed(1)
    noisy, target = torch.rand(2, 3, 7, 24, 24, generator=generator), torch.rand(2, 3, 3, 24, 24, generator=generator)
    loss = module.losses(module(noisy), target)["loss"]
    loss.backward()
    return loss.item(), {name: p.grad for name, p in module.named_parameters()}


@pytest.mark.parametrize("switch", ["channels_last", "recompute", "compile"])
def test_a_faster_step_has_the_loss_and_the_gradients_of_the_plain_one(switch):
    channels = [8] if switch == "compile" else [8, 12]  # compiling takes long
    plain_loss, plain = step_of(PLAIN, channels)
    loss, gradients = step_of(Speed(**{switch: True}), channels)
    assert loss == pytest.approx(plain_loss, rel=1e-5)
    assert gradients.keys() == plain.keys()  # no _orig_mod.
    for name, gradient in gradients.items():
        assert torch.allclose(gradient, plain[name], rtol=1e-3, atol=1e-5), name


def test_recomputing_keeps_fewer_activations():
    def kept(speed):
        total = 0

        def pack(tensor):
            nonlocal total
            total += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            step_of(speed)
        return total

    assert kept(Speed(recompute=True)) < kept(PLAIN) / 2


class NoWaiting(TorchDispatchMode):
    """Fails where a value of a tensor is asked for: on a GPU, the host would wait for it."""

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        assert function is not torch.ops.aten._local_scalar_dense.default, "a tensor's value was asked for"
        return function(*arguments, **(keywords or {}))


def test_the_training_step_never_waits_for_a_value(small_dataset, tmp_path, monkeypatch):
    """Network, losses, backward pass, optimiser and logging."""
    waiting = NoWaiting()
    steps = 0

    class Watch(train.pl.Callback):
        def on_train_batch_start(self, *_):
            waiting.__enter__()

        def on_exception(self, *_):
            waiting.__exit__(None, None, None)

        def on_train_batch_end(self, *_):
            nonlocal steps
            waiting.__exit__(None, None, None)
            steps += 1

    build = train.build_trainer

    def watched(options, command):
        trainer, last = build(options, command)
        trainer.callbacks.insert(0, Watch())  # in front of what does wait, now and then: see AveragedWeights
        return trainer, last

    monkeypatch.setattr(train, "build_trainer", watched)
    arguments = [small_dataset, *QUICK, "--log_dir", tmp_path / "runs", "--max_epochs", 2, "--samples_per_epoch", 8]
    train.train(train.parse_options([str(a) for a in arguments]), [])
    assert steps == 8


def test_every_switch_of_the_command_line_is_heard(small_dataset, tmp_path):
    off = ("--compile", "off", "--channels_last", "off", "--fused", "off", "--precision", "32-true")
    options = train.parse_options([str(small_dataset), *off, "--recompute", "on"])
    assert train.choose_speed(options) == Speed(recompute=True) and train.choose_precision(options) == "32-true"
    on = train.parse_options([str(small_dataset), "--compile", "on"])
    assert train.choose_speed(on) == Speed(channels_last=True, compile=True, fused=True)
    run_script("train.py", small_dataset, *QUICK, *off, "--recompute", "on", "--fast_dev_run")
