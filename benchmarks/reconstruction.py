"""Milliseconds per frame: the networks in each precision, the paper's in plain PyTorch, Open Image Denoise.

    python -m benchmarks.reconstruction                             # 1280x720 and 1920x1080, CPU or GPU
    python -m benchmarks.reconstruction --sizes 640x360 --only "default float32" "Open Image Denoise high"

Every row runs in a process of its own, for its peak memory; rows take turns, and the best of the rounds counts.
"""

import argparse
from importlib.util import find_spec

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.reporting import alone, best, parse_size, peak_memory, report, usual_precision
from frames.channels import channel_count
from inference.engines import DTYPES, choose_device, fast_engine, prepare
from machine import keep_freed_memory
from model import Denoiser, State, make_denoiser
from training.presets import PARTS, PRESETS, network_options


def make(network: str) -> Denoiser:
    """An untrained network for frames with albedo. network: a name in training.presets.PRESETS."""
    preset = PARTS | PRESETS[network]
    return make_denoiser(network_options(preset["kind"], preset, demodulate=True)).eval().requires_grad_(False)


def run_network(
    network: str, precision: str, plain: bool, size: tuple[int, int], device_name: str, repeat: int
) -> dict[str, float]:
    """Seconds per frame and peak memory.

    plain: as PyTorch comes, contiguous and without a CUDA graph, instead of as test.py computes it.
    """
    # a network and a frame
    device, denoiser = choose_device(device_name), make(network)
    channels = channel_count(denoiser.inputs)
    frame = torch.rand(1, channels, *size, generator=torch.Generator().manual_seed(0)).to(device)  # (1, C, H, W)
    if plain:
        estimate, finish = denoiser.to(device).estimate, denoiser.finish
    else:
        keep_freed_memory()
        estimate, finish = fast_engine(prepare(denoiser, device, DTYPES[precision]))
    state: State | None = None

    def work() -> None:
        nonlocal state
        _, state = finish(frame, *estimate(frame, state))

    with torch.inference_mode():
        seconds = best(work, device, repeat)
    return {"seconds": seconds, "memory": peak_memory(device)}


def run_oidn(quality: str, size: tuple[int, int], device_name: str, repeat: int) -> dict:
    """Seconds per frame and peak memory of Open Image Denoise, with albedo and normal."""
    import pyoidn

    device = choose_device(device_name)
    color, albedo, normal = torch.rand(3, *size, 3, generator=torch.Generator().manual_seed(0)).to(device)
    options = {"hdr": True, "quality": quality, "clean_aux": True}
    seconds = best(lambda: pyoidn.denoise(color, albedo=albedo, normal=normal, **options), device, repeat)
    return {"seconds": seconds, "memory": peak_memory(device) if device.type == "cpu" else None}


def gflop(network: str, size: tuple[int, int]) -> float:
    """GFLOP of the convolutions of a frame; a multiplication and an addition count as two."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.inference_mode():
        denoiser = make(network)
        denoiser(torch.empty(1, channel_count(denoiser.inputs), *size))
    return counter.get_total_flops() / 1e9


def compare(sizes: list[tuple[int, int]], device: str, rounds: int, repeat: int, only: list[str] | None) -> None:
    """Prints the table of every size. only: rows by name, None for all."""
    half = usual_precision(device)
    precisions = ["float32", *(["float16", "bfloat16"] if half == "float16" else [half] if half != "float32" else [])]
    networks = [(n, p, False) for n in PRESETS for p in precisions] + [("paper", "float32", True)]
    for size in sizes:
        # what to run
        jobs = {}
        for network, precision, plain in networks:
            name = f"{network} {precision}" + " plain" * plain
            jobs[name] = run_network, (network, precision, plain, size, device, repeat)
        for quality in ("high", "balanced", "fast") if find_spec("pyoidn") else ():
            jobs[f"Open Image Denoise {quality}"] = run_oidn, (quality, size, device, repeat)
        jobs = {name: job for name, job in jobs.items() if only is None or name in only}
        # run everything in turn, `rounds` times
        found = [{name: alone(work, *arguments) for name, (work, arguments) in jobs.items()} for _ in range(rounds)]
        seconds = {name: min(f[name]["seconds"] for f in found) for name in jobs}
        # the table
        rows = []
        for name, (work, arguments) in jobs.items():
            row = {f"{size[1]}x{size[0]}": name}
            for quality in ("high", "fast"):
                reference = seconds.get(f"Open Image Denoise {quality}")
                row[f"of OIDN {quality}"] = seconds[name] / reference if reference else None
            row |= {"ms": seconds[name] * 1e3, "MiB": found[0][name]["memory"]}
            rows.append(row | {"GFLOP": gflop(arguments[0], size) if work is run_network else None})
        report("reconstruction", rows, size=size, device=device)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["1280x720", "1920x1080"], help="pixels")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3, help="frames per round, the best counts")
    parser.add_argument("--only", nargs="*", help="rows by name, as the table has them; default: all")
    options = parser.parse_args()
    sizes = [parse_size(text) for text in options.sizes]
    compare(sizes, options.device, options.rounds, options.repeat, options.only)


if __name__ == "__main__":
    main()
