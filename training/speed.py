"""How training computes: what it can switch on and off, and what is fast on the machine at hand."""

import argparse
import os
import shutil
from dataclasses import dataclass

import torch

from machine import cpu_has_bfloat16, on_gpu


@dataclass(frozen=True)
class Speed:
    """Ways to compute the same faster, or in less memory.

    channels_last: the network's memory format. compile: by torch.compile, training only. fused: one kernel for Adam.
    recompute: activations of each frame, but for its state, in the backward pass instead of keeping them.
    """

    channels_last: bool = False
    compile: bool = False
    fused: bool = False
    recompute: bool = False


PLAIN = Speed()


def choose_speed(options: argparse.Namespace) -> Speed:
    """What train.py's options say; `auto` compiles on a GPU, if there is the compiler that torch.compile needs.

    (On the CPUs tried, the compiled training step was slower than the eager one.)
    """
    chosen = {name: getattr(options, name) == "on" for name in ("channels_last", "compile", "fused", "recompute")}
    if options.compile == "auto":
        compilers = (os.environ.get("CC"), "cc", "gcc", "clang")
        chosen["compile"] = on_gpu(options.accelerator) and any(c and shutil.which(c) for c in compilers)
    chosen["fused"] = chosen["fused"] and options.precision != "16-mixed"  # Lightning cannot clip its gradients
    return Speed(**chosen)


def choose_precision(options: argparse.Namespace) -> str:
    """Lightning's name of what --precision says; `auto` is bf16-mixed where the hardware has it, else 32-true."""
    if options.precision != "auto":
        return options.precision
    if on_gpu(options.accelerator):
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = options.accelerator in ("auto", "cpu") and not torch.backends.mps.is_available() and cpu_has_bfloat16()
    return "bf16-mixed" if fast else "32-true"
