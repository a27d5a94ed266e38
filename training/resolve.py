"""Decides what train.py's options leave open (`auto`, or not given), in one place, before a run starts."""

import argparse
import hashlib
import os
import shutil
from pathlib import Path

import torch

from files import InputError
from machine import cpu_has_bfloat16, on_gpu, usable_cores
from training.presets import KINDS

SHORT_NAMES = {"16": "16-mixed", "bf16": "bf16-mixed", "32": "32-true", "64": "64-true"}  # of Lightning's precisions


def resolve(options: argparse.Namespace, has_albedo: bool = True, saved: dict | None = None) -> argparse.Namespace:
    """A copy of the options in which everything is decided, under the same names.

    albedo, cuda_graph, compile, channels_last, fused, recompute: booleans. precision: Lightning's name. num_workers: a
    number. cache_dir: the folder of this dataset's decoded frames, None to decode every crop. (--accelerator, --devices
    and --strategy are left to Lightning, which prints what it chose.)

    has_albedo: whether every scene has albedo. saved: the options of the checkpoint's denoiser, if the run resumes.
    """
    gpu = on_gpu(options.accelerator)
    precision = resolve_precision(options.precision, options.accelerator)
    cache = cache_folder(options.dataset, options.cache_dir)
    graph = resolve_graph(options)
    decided = {
        "albedo": saved.get("demodulate", False) if saved else options.albedo == "auto" and has_albedo,
        "precision": precision,
        "cache_dir": cache,
        "num_workers": usual_workers(gpu or cache is None) if options.num_workers is None else options.num_workers,
        "cuda_graph": graph,
        "compile": gpu and not graph and has_compiler() if options.compile == "auto" else options.compile == "on",
        "channels_last": options.channels_last == "on",
        "fused": options.fused == "on" and precision != "16-mixed",  # Lightning cannot unscale its gradients
        "recompute": options.recompute == "on",
    }
    return argparse.Namespace(**(vars(options) | decided))


def resolve_graph(options: argparse.Namespace) -> bool:
    """Whether to record the training step as a CUDA graph. Raises InputError where that was asked for and cannot be."""
    against = [
        reason
        for reason, holds in (
            ("there is no GPU", not on_gpu(options.accelerator)),
            ("--compile on takes its place", options.compile == "on"),
            ("--recompute on keeps no activations", options.recompute == "on"),
        )
        if holds
    ]
    if options.cuda_graph == "on" and against:
        raise InputError(f"--cuda_graph on: {against[0]}; leave --cuda_graph out")
    wanted = options.cuda_graph == "auto" and KINDS[options.kind].many_kernels
    return options.cuda_graph == "on" or (wanted and not against)


def resolve_precision(precision: str, accelerator: str) -> str:
    """Lightning's full name of the precision; `auto` is bf16-mixed if the hardware computes it fast, else 32-true."""
    if precision != "auto":
        return SHORT_NAMES.get(precision, precision)
    if on_gpu(accelerator):
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = accelerator in ("auto", "cpu") and not torch.backends.mps.is_available() and cpu_has_bfloat16()
    return "bf16-mixed" if fast else "32-true"


def has_compiler() -> bool:
    """Whether there is the C compiler that torch.compile needs.

    (`--compile auto` compiles on GPUs only: on the CPUs tried, the compiled step was slower than the eager one.)
    """
    return any(name and shutil.which(name) for name in (os.environ.get("CC"), "cc", "gcc", "clang"))


def usual_workers(cores_are_idle: bool) -> int:
    """The number of loading processes if --num_workers is not given: half the cores, at most 8, or none.

    Reading decoded frames costs a CPU that trains less than a process that takes cores from its threads
    (benchmarks/README.md). Under a GPU the cores are idle, and decoding every crop needs processes in any case.
    """
    return min(8, usable_cores() // 2) if cores_are_idle else 0


def cache_folder(dataset: Path, cache_dir: str) -> Path | None:
    """The folder of a dataset's decoded frames, None for `none`; `auto` is DATASET/.cache.

    In a folder of the user's choice, each dataset gets a folder of its own.
    """
    if cache_dir == "none":
        return None
    if cache_dir == "auto":
        return dataset / ".cache"
    resolved = dataset.resolve()
    return Path(cache_dir) / f"{resolved.name}-{hashlib.sha256(os.fsencode(resolved)).hexdigest()[:8]}"
