"""The machine and this process on it: cores, GPU, bfloat16, memory, threads, interrupts; types of options."""

import argparse
import ctypes
import os
import platform
import signal

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of mallopt, from malloc.h

SWITCH = ("on", "off")  # choices of an option


def positive(text: str) -> int:
    """The type of an option that is a whole number from 1 up. Raises ArgumentTypeError."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 up")
    return int(text)


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ignore_interrupt(_worker: int) -> None:
    """Ctrl-C reaches every process of the terminal; the training process alone decides what it means."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def keep_freed_memory() -> None:
    """Makes the GNU C library keep what is freed for what is allocated next, instead of giving it back to the system.

    Large tensors would else be new, cleared pages every time, which takes as long as many an operation on them. To be
    called by scripts, which have the process to themselves; no other library has such options, and nothing happens.
    """
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        library.mallopt(M_MMAP_MAX, 0)
        library.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def let_idle_threads_sleep() -> None:
    """Makes idle OpenMP threads sleep instead of spin, so that other threads get their cores.

    Call it before importing torch, whose OpenMP library reads the setting once. The user's own setting is kept.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def on_gpu(accelerator: str) -> bool:
    """Whether Lightning's accelerator of this name is an NVIDIA or AMD GPU here."""
    import torch  # not at the top: rendering uses this module and does without

    return accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()


def cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 (AVX512-BF16 or AMX); PyTorch has no public name for it yet."""
    import torch

    tests = (getattr(torch.cpu, f"_is_{name}_supported", lambda: False) for name in ("avx512_bf16", "amx_tile"))
    return any(test() for test in tests)
