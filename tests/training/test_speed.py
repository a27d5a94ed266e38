"""Pins that a faster training step has the loss and gradients of the plain one, and never waits for a value."""

import pytest
import torch
from support import QUICK, run_script
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from files import InputError
from frames.channels import QUANTITIES
from training import fit
from training import resolve as resolve_module
from training.module import PLAIN, DenoisingModule, Speed
from training.resolve import resolve
from training.training_options import parse_options


def step_of(speed, channels=(8, 12)):
    """Loss and gradients of a training step at this speed setting."""
    torch.manual_seed(0)
    module = DenoisingModule({"network": "paper", "channels": channels, "demodulate": False}, 1e-3, speed=speed).train()
    generator = torch.Generator().manual_seed(1)
    noisy, target = torch.rand(2, 3, 7, 24, 24, generator=generator), torch.rand(2, 3, 3, 24, 24, generator=generator)
    loss = module.compare(module(noisy), target)["loss"]
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
    """Fails when the code reads the value of a tensor: on a GPU, the host would wait for it."""

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        assert function is not torch.ops.aten._local_scalar_dense.default, "a tensor's value was asked for"
        return function(*arguments, **(keywords or {}))


def test_the_training_step_never_waits_for_a_value(small_dataset, tmp_path, monkeypatch):
    """Network, losses, backward pass, optimiser and logging."""
    waiting = NoWaiting()
    steps = 0

    class Watch(fit.pl.Callback):
        def on_train_batch_start(self, *_):
            waiting.__enter__()

        def on_exception(self, *_):
            waiting.__exit__(None, None, None)

        def on_train_batch_end(self, *_):
            nonlocal steps
            waiting.__exit__(None, None, None)
            steps += 1

    build = fit.build_trainer

    def watched(settings, command):
        trainer, last = build(settings, command)
        trainer.callbacks.insert(0, Watch())  # before AveragedWeights, which does wait now and then
        return trainer, last

    monkeypatch.setattr(fit, "build_trainer", watched)
    arguments = [small_dataset, *QUICK, "--log_dir", tmp_path / "runs", "--max_epochs", 2, "--samples_per_epoch", 8]
    fit.train(parse_options([str(a) for a in arguments]), [])
    assert steps == 8


def filtering_window(device):
    """A filtering network in training, and a batch of two windows, one without motion, on the device."""
    torch.manual_seed(0)
    speed = Speed(cuda_graph=True)
    with torch.device(device):
        module = DenoisingModule(
            {"channels": (8, 12), "network": "filtering"}, 1e-3, loss="picture", speed=speed
        ).train()
        noisy, target, start = torch.rand(2, 3, 12, 64, 64), torch.rand(2, 3, 3, 64, 64), torch.rand(2, 7, 64, 64)
    noisy[0, :, 10:] = QUANTITIES["motion"].missing
    return module, [noisy, target, start]


@pytest.mark.skipif(not torch.backends.cuda.is_built(), reason="needs PyTorch with CUDA, though not a GPU")
def test_nothing_of_a_recorded_step_is_copied_from_the_cpu():
    """Such a copy cannot be recorded, nor a value be asked for. On made-up tensors, which are on no GPU."""

    class NoCopies(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
            result = function(*arguments, **(keywords or {}))
            tensors = [x for x in tree_leaves((arguments, keywords, result)) if isinstance(x, torch.Tensor)]
            assert function is not torch.ops.aten._local_scalar_dense.default, "a tensor's value was asked for"
            assert {x.device.type for x in tensors if x.ndim} <= {"cuda"}, function
            return result

    with FakeTensorMode():
        module, batch = filtering_window("cuda")
        with NoCopies():
            assert module.window_losses(*batch)["loss"].device.type == "cuda"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("step", [0, 1])  # with a second look at the first frame, and without
def test_a_recorded_step_is_the_step(monkeypatch, step):
    monkeypatch.setattr(DenoisingModule, "global_step", step)
    found = []
    module, batch = filtering_window("cuda")
    for compute in (module.graphed, module.window_losses):  # an eager step before would tie gradients to its stream
        for _ in range(2):
            module.zero_grad()
            losses = compute(*batch)
            losses["loss"].backward()
        found.append([losses["loss"].detach(), *(p.grad.clone() for p in module.parameters())])
    for recorded, eager in zip(*found, strict=True):
        assert torch.allclose(recorded, eager, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--cuda_graph", "on"), "there is no GPU"),
        (("--cuda_graph", "on", "--compile", "on"), "--compile on takes its place"),
        (("--cuda_graph", "on", "--recompute", "on"), "--recompute on keeps no activations"),
    ],
)
def test_a_graph_that_cannot_be_is_refused_and_auto_does_without(monkeypatch, options, found):
    monkeypatch.setattr(resolve_module, "on_gpu", lambda accelerator: found != "there is no GPU")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    with pytest.raises(InputError, match=f"--cuda_graph on: {found}"):
        resolve(parse_options(["-", *options]))
    assert not resolve(parse_options(["-", *options[2:]])).cuda_graph


def test_a_graph_takes_the_place_of_compiling_on_a_gpu(monkeypatch):
    monkeypatch.setattr(resolve_module, "on_gpu", lambda accelerator: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    for network, graph in (("default", True), ("paper", False)):
        settings = resolve(parse_options(["-", "--network", network]))
        assert settings.cuda_graph == graph and settings.compile == (not graph and resolve_module.has_compiler())


def test_every_switch_of_the_command_line_is_heard(small_dataset, tmp_path):
    def resolved(*arguments):
        settings = resolve(parse_options([str(small_dataset), *QUICK, *arguments]))
        return settings.precision, fit.make_module(settings).speed

    off = ("--compile", "off", "--channels_last", "off", "--fused", "off", "--precision", "32-true")
    assert resolved(*off, "--recompute", "on") == ("32-true", Speed(recompute=True))
    assert resolved("--compile", "on")[1] == Speed(channels_last=True, compile=True, fused=True)
    run_script("train.py", small_dataset, *QUICK, *off, "--recompute", "on", "--fast_dev_run")
