"""How a network runs on this machine: device, precision, memory format, CUDA graphs, tiles.

A step is a function like Denoiser.estimate: (frame, state) -> (image, state), all on the denoiser's device.
Shapes: frame (B, C, H, W), image (B, 3, H, W) linear radiance, state one tensor per encoder level.
"""

import sys
from functools import partial

import torch

from files import InputError
from inference.reconstruction_options import PRECISIONS
from inference.tiling import denoise_in_tiles
from machine import cpu_has_bfloat16
from model import Denoiser, Engine, State

DTYPES = {name: getattr(torch, name) for name in PRECISIONS}
FIRST_TILE, SMALLEST_TILE = 2048, 256  # pixels, for frames that do not fit in a GPU's memory


def choose_device(name: str) -> torch.device:
    """The device of this name; auto: cuda if there is one, else the CPU. Raises InputError if it cannot be used."""
    try:
        device = torch.device(name if name != "auto" else "cuda" if torch.cuda.is_available() else "cpu")
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # missing in this machine or in this build of PyTorch
        raise InputError(f"--device {name}: {str(error).splitlines()[0]}; use auto or cpu") from error
    return device


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """The type of this name in PRECISIONS, or the fastest for the device if it is auto.

    That is float16 on a GPU, bfloat16 on a CPU that has it in hardware, else float32.
    """
    if name != "auto":
        return DTYPES[name]
    if device.type == "cuda":
        return torch.float16
    return torch.bfloat16 if device.type == "cpu" and cpu_has_bfloat16() else torch.float32


def prepare(denoiser: Denoiser, device: torch.device, dtype: torch.dtype) -> Denoiser:
    """Moves the denoiser to the device, channels last, and converts its networks to `dtype`; returns it.

    Pre- and postprocessing stay float32: half floats cannot hold bright radiance.
    """
    return denoiser.to(device, dtype, memory_format=torch.channels_last)


def fast_engine(denoiser: Denoiser, tile: int | None = None) -> Engine:
    """The fastest engine on the denoiser's device: on a CPU, the denoiser's own methods.

    tile: split frames into tiles of this many pixels. On a GPU, `estimate` runs as a CUDA graph, or in ever smaller
    tiles until a frame fits in memory; `finish` runs eagerly, in tiles of the same size. On a CPU, neither
    torch.compile nor OpenVINO was faster.
    """
    if tile:
        return Engine(partial(denoise_in_tiles, denoiser, tile=tile), partial(denoiser.finish, tile=tile))
    if not next(denoiser.parameters()).is_cuda:
        return Engine(denoiser.estimate, denoiser.finish)
    step = FittingStep(denoiser)
    return Engine(step, lambda *given, **options: denoiser.finish(*given, **options, tile=step.tile))


class FittingStep:
    """A step that runs as a CUDA graph, or in tiles if a whole frame does not fit in the GPU's memory."""

    def __init__(self, denoiser: Denoiser):
        self.denoiser, self.step = denoiser, GraphedStep(denoiser)
        self.tile: int | None = None

    def __call__(self, frame: torch.Tensor, state: State | None) -> tuple[torch.Tensor, State]:
        """Denoises a frame. Raises torch.OutOfMemoryError if not even the smallest tiles fit."""
        while True:
            try:
                return self.step(frame, state)
            except torch.OutOfMemoryError:
                if self.tile == SMALLEST_TILE:
                    raise
            self.tile = self.tile // 2 if self.tile else FIRST_TILE
            height, width = frame.shape[2:]
            print(f"a frame of {width}x{height} does not fit in memory; using tiles of {self.tile}", file=sys.stderr)
            self.step = fast_engine(self.denoiser, self.tile).estimate
            torch.cuda.empty_cache()


class GraphedStep:
    """A step captured as a CUDA graph for each frame size, so that the CPU launches one graph instead of 100 kernels.

    The graph owns the state: the next step overwrites the state that the last one returned.
    """

    def __init__(self, denoiser: Denoiser):
        self.denoiser = denoiser
        self.graph = None

    def __call__(self, frame: torch.Tensor, state: State | None) -> tuple[torch.Tensor, State]:
        """Denoises a frame. Later steps do not change the returned image, but they do change the returned state."""
        # a graph for this frame size
        if self.graph is None or frame.shape != self.frame.shape:
            self._capture(frame)

        # inputs to where the graph reads them
        if state is not self.state:
            for hidden, given in zip(self.state, state or self.start, strict=True):
                hidden.copy_(given)
        self.frame.copy_(frame)

        self.graph.replay()
        return self.image.clone(), self.state  # (B, 3, H, W), state

    def _capture(self, frame: torch.Tensor) -> None:
        # buffers that the graph reads from and writes to
        self.graph = None  # frees the memory of the last frame size
        self.frame = frame.clone()
        self.start = self.denoiser.initial_state(self.denoiser.fit(self.frame)[0])
        self.state = [hidden.clone() for hidden in self.start]

        # warm-up on a side stream: libraries set themselves up in the first calls, which must not be captured
        side_stream = torch.cuda.Stream()
        side_stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side_stream):
            for _ in range(3):
                self.denoiser.estimate(self.frame, self.state)
        torch.cuda.current_stream().wait_stream(side_stream)

        # capture
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.image, new_state = self.denoiser.estimate(self.frame, self.state)
            for hidden, new in zip(self.state, new_state, strict=True):
                hidden.copy_(new)
        self.graph = graph
