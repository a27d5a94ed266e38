"""The machine and this process: cores, GPU, bfloat16, memory, threads, interrupts; types of command-line options."""

import argparse
import ctypes
import io
import os
import platform
import signal
import sys
import threading
from pathlib import Path

CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # microseconds per period, or max (Linux control groups)
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of mallopt, from malloc.h

SWITCH = ("on", "off")  # choices of options that can be switched


def positive(text: str) -> int:
    """The argparse type of a whole number from 1 up. Raises ArgumentTypeError."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 up")
    return int(text)


def natural(text: str) -> int:
    """The argparse type of a whole number from 0 up. Raises ArgumentTypeError."""
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 up")
    return int(text)


def usable_cores() -> int:
    """How many cores this process may use: those of its affinity, within the quota of its container."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = CPU_QUOTA.read_text().partition(" ") if CPU_QUOTA.is_file() else ("max", "", "")
    return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))


def leave_signals_to_the_main_process(_worker: int) -> None:
    """Makes a worker process ignore Ctrl-C and SIGTERM, which terminals and SLURM send to every process.

    The main process handles them. Only its own SIGTERM, with which it ends its workers, is obeyed.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):  # which tells who sent a signal; macOS has none
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=obey_the_main_process, args=(os.getppid(),), daemon=True).start()


def obey_the_main_process(main: int) -> None:
    """Waits for a SIGTERM of the process `main`, then ends this one."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != main:
        pass
    os._exit(128 + signal.SIGTERM)


def show_every_name() -> None:
    """Makes stdout show file names that are not UTF-8 with escapes, as stderr does, instead of raising an error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def keep_freed_memory() -> None:
    """Makes the GNU C library keep freed memory for the next allocation instead of returning it to the system.

    Otherwise every large tensor gets new pages, which the system has to clear: that takes as long as many operations on
    the tensor. Only for scripts, since it affects the whole process. Does nothing with other C libraries.
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
    """Whether Lightning's `accelerator` means an NVIDIA or AMD GPU on this machine."""
    import torch  # not at the top: rendering uses this module without PyTorch

    return accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()


def cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 (AVX512-BF16 or AMX); PyTorch has no public function for it yet."""
    import torch

    tests = (getattr(torch.cpu, f"_is_{name}_supported", lambda: False) for name in ("avx512_bf16", "amx_tile"))
    return any(test() for test in tests)
