"""Milliseconds per frame: our networks in each precision, the paper's in plain PyTorch, Open Image Denoise.

    python -m benchmarks.reconstruction                             # 1280x720 and 1920x1080, CPU or GPU
    python -m benchmarks.reconstruction --sizes 640x360 --end_to_end

Every row runs in a process of its own, for its peak memory; rows take turns, and the best of the rounds counts.
--end_to_end: test.py as a whole against the network alone, per frame of 1280x720.
"""

import argparse
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.noise_frames import write_sequence
from benchmarks.reporting import alone, best, parse_size, peak_memory, peaks, report, run_script, usual_precision
from frames.channels import channel_count
from inference.engines import DTYPES, choose_device, fast_engine, prepare
from machine import keep_freed_memory
from model import State, make_denoiser
from training.presets import NETWORKS


def make(network: str | dict) -> torch.nn.Module:
    """An untrained network for frames with albedo. network: a name in NETWORKS, or the arguments of make_denoiser."""
    arguments = NETWORKS[network] if isinstance(network, str) else network
    demodulate = {} if arguments.get("kernels") else {"demodulate": True}
    return make_denoiser(demodulate | arguments).eval().requires_grad_(False)


def run_network(
    network: str | dict, precision: str, engine: str, size: tuple[int, int], device_name: str, repeat: int
) -> dict:
    """Seconds per frame and peak memory.

    engine: test.py's own; compiled, by torch.compile; openvino; or plain, as PyTorch comes: contiguous, without CUDA
    graph.
    """
    # a network and a frame
    device, denoiser = choose_device(device_name), make(network)
    channels = channel_count(denoiser.inputs)
    frame = torch.rand(1, channels, *size, generator=torch.Generator().manual_seed(0)).to(device)
    # a step, as the engine computes it
    state = None
    if engine == "plain":
        step = denoiser.to(device)
    elif engine == "openvino":
        step, state = openvino_step(denoiser, precision, frame)
    else:
        keep_freed_memory()
        prepare(denoiser, device, DTYPES[precision])
        engine = fast_engine(denoiser)

        def step(frame: torch.Tensor, state: State | None) -> tuple[torch.Tensor, State]:
            return engine.finish(frame, *engine.estimate(frame, state))

    if engine == "compiled":
        denoiser.network.compile(dynamic=False)

    def work():
        nonlocal state
        _, state = step(frame, state)

    with torch.inference_mode():
        seconds = best(work, device, repeat)
    return {"seconds": seconds, "memory": peak_memory(device)}


def openvino_step(denoiser: torch.nn.Module, precision: str, frame: torch.Tensor):
    """A step computed by OpenVINO, and the state before the first frame."""
    import openvino

    class Flat(torch.nn.Module):
        def forward(self, frame, *state):
            image, state = denoiser(frame, list(state))
            return image, *state

    state = denoiser.initial_state(denoiser.fit(frame)[0])
    converted = openvino.convert_model(Flat(), example_input=(frame, *state))
    hints = {
        "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = openvino.Core().compile_model(converted, "CPU", hints).create_infer_request()

    def step(frame, state):
        found = request.infer([frame.numpy(), *(h.numpy() for h in state)], share_inputs=True, share_outputs=True)
        image, *state = (torch.from_numpy(found[i]) for i in range(len(state) + 1))
        return image, [hidden.clone() for hidden in state]

    return step, state


def run_oidn(quality: str, size: tuple[int, int], device_name: str, repeat: int) -> dict:
    """Seconds per frame and peak memory of Open Image Denoise, with albedo and normal."""
    import pyoidn

    device = choose_device(device_name)
    color, albedo, normal = torch.rand(3, *size, 3, generator=torch.Generator().manual_seed(0)).to(device)
    options = {"hdr": True, "quality": quality, "clean_aux": True}
    seconds = best(lambda: pyoidn.denoise(color, albedo=albedo, normal=normal, **options), device, repeat)
    return {"seconds": seconds, "memory": peak_memory(device) if device.type == "cpu" else None}


class Moved(TorchDispatchMode):
    """Counts the values that convolutions read and write."""

    def __init__(self):
        super().__init__()
        self.values = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        """Runs the function, and counts if it is a convolution."""
        result = function(*args, **(kwargs or {}))
        if function is torch.ops.aten.convolution.default:
            self.values += args[0].numel() + args[1].numel() + result.numel()
        return result


def gflop(network: str | dict, size: tuple[int, int]) -> float:
    """GFLOP of the convolutions of a frame; a multiplication and an addition count as two."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.inference_mode():
        denoiser = make(network)
        denoiser(torch.empty(1, channel_count(denoiser.inputs), *size))
    return counter.get_total_flops() / 1e9


def gigabytes(network: str | dict, size: tuple[int, int], precision: str) -> float:
    """GB that the convolutions of a frame read and write, weights and the margins of blocks included."""
    with torch.device("meta"), torch.no_grad(), Moved() as moved:
        denoiser = make(network)
        denoiser(torch.empty(1, channel_count(denoiser.inputs), *size))
    return moved.values * DTYPES[precision].itemsize / 1e9


def compare(sizes: list[tuple[int, int]], device: str, rounds: int, repeat: int, only: list[str] | None) -> None:
    """Prints the table of every size. only: rows by name, None for all."""
    # what to run
    half = usual_precision(device)
    precisions = ["float32", *(["float16", "bfloat16"] if half == "float16" else [half] if half != "float32" else [])]
    reached = {precision: alone(peaks, device, precision) for precision in precisions}
    networks = [(n, p, "eager") for n in NETWORKS for p in precisions] + [("paper", "float32", "plain")]
    networks += [("direct", half, "compiled")]
    if find_spec("openvino") and choose_device(device).type == "cpu":
        networks += [("direct", p, "openvino") for p in precisions]
    for size in sizes:
        jobs = {}
        for network, precision, engine in networks:
            name = f"{network} {precision}" + (f" {engine}" if engine != "eager" else "")
            jobs[name] = run_network, (network, precision, engine, size, device, repeat)
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
            if work is run_network:
                flops, moved = gflop(arguments[0], size), gigabytes(arguments[0], size, arguments[1])
                peak = reached[arguments[1]]
                row |= {"GFLOP": flops, "of product": flops / seconds[name] / peak["gflops"]}
                row |= {"GB": moved, "of copy": moved / seconds[name] / peak["gb_per_s"]}
            rows.append(row)
        report("reconstruction", rows, size=size, device=device, peaks=reached)


def end_to_end(device: str, frames: tuple[int, int] = (4, 16)) -> None:
    """Compares test.py with its network alone. Seconds per frame: two runs of different length, their difference."""
    with tempfile.TemporaryDirectory() as name:
        folder, size = Path(name), (720, 1280)
        for network in ("default", "fast"):
            options = {"denoiser": make(network).options}
            weights = {f"denoiser.{k}": v for k, v in make(network).state_dict().items()}
            torch.save({"hyper_parameters": options, "state_dict": weights}, folder / f"{network}.ckpt")
        for count in frames:
            write_sequence(folder / f"{count}", size, count)
        rows = []
        for network in ("default", "fast"):
            bare = alone(run_network, network, usual_precision(device), "eager", size, device, 5)["seconds"]
            for label, more in (
                ("exr", ["--write", "exr", "--score", "off"]),
                ("exr, png, video", ["--score", "off"]),
                ("exr, png, video, scores", []),
            ):
                times = [time_script(folder, network, count, device, more) for count in frames]
                seconds = (times[1] - times[0]) / (frames[1] - frames[0])
                rows.append({"test.py": f"{network}, {label}", "of network": seconds / bare, "ms": seconds * 1e3})
            rows.append({"test.py": f"{network}, network alone", "of network": 1.0, "ms": bare * 1e3})
        report("end_to_end", rows, size=size, device=device)


def time_script(folder: Path, network: str, count: int, device: str, more: list[str]) -> float:
    """Seconds that test.py takes for the sequence of `count` frames; the better of two runs."""
    given = [folder / f"{network}.ckpt", folder / f"{count}", "--device", device, *more, "--output_dir", folder / "out"]
    times = []
    for _ in range(2):
        start = time.perf_counter()
        run_script("test.py", *given)
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="*", default=["1280x720", "1920x1080"], help="pixels; none: no table")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3, help="frames per round, the best counts")
    parser.add_argument("--only", nargs="*", help="rows by name, as the table has them; default: all")
    parser.add_argument("--end_to_end", action="store_true")
    options = parser.parse_args()
    sizes = [parse_size(text) for text in options.sizes]
    compare(sizes, options.device, options.rounds, options.repeat, options.only)
    if options.end_to_end:
        end_to_end(options.device)


if __name__ == "__main__":
    main()
