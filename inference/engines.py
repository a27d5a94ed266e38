"""How reconstruction computes on the machine at hand: precision, memory format, CUDA graphs, tiles.

A step is what a Denoiser is: (frame, state) -> (image, state), on the denoiser's device.
"""

import sys

import torch

from files import InputError
from inference.tiling import denoise_in_tiles
from machine import cpu_has_bfloat16
from model import Denoiser, State, Step

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
FIRST_TILE, SMALLEST_TILE = 2048, 256  # pixels, where a frame did not fit into a GPU's memory


def choose_device(name: str) -> torch.device:
    """The device of this name; auto: cuda where there is one, else the CPU. Raises InputError where there is none."""
    try:
        device = torch.device(name if name != "auto" else "cuda" if torch.cuda.is_available() else "cpu")
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # PyTorch built without, or a machine without, that device
        raise InputError(f"--device {name}: {str(error).splitlines()[0]}; use auto or cpu") from error
    return device


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """The type of this name; auto: float16 on a GPU, bfloat16 on a CPU that multiplies it, else float32."""
    if name != "auto":
        return PRECISIONS[name]
    if device.type == "cuda":
        return torch.float16
    return torch.bfloat16 if device.type == "cpu" and cpu_has_bfloat16() else torch.float32


def place(denoiser: Denoiser, device: torch.device, precision: torch.dtype) -> Denoiser:
    """The denoiser on that device, channels last; its network, not what is around it, in that precision."""
    denoiser.to(device, memory_format=torch.channels_last).network.to(precision)
    return denoiser


def fast_step(denoiser: Denoiser, tile: int | None = None) -> Step:
    """The fastest step for where the denoiser is: on a GPU as a CUDA graph, in tiles where `tile` pixels are given.

    On a CPU the denoiser itself is: compiled or in OpenVINO it was no faster (benchmarks/reconstruction.py). A frame
    that does not fit into a GPU's memory is divided into smaller and smaller tiles until it does.
    """
    if tile:
        return lambda frame, state: denoise_in_tiles(denoiser, frame, state, tile)
    return FittingStep(denoiser) if next(denoiser.parameters()).is_cuda else denoiser


class FittingStep:
    """A CUDA graph of the denoiser, or tiles where the GPU's memory does not hold whole frames."""

    def __init__(self, denoiser: Denoiser):
        self.denoiser, self.step = denoiser, GraphedStep(denoiser)
        self.tile: int | None = None

    def __call__(self, frame: torch.Tensor, state: State | None) -> tuple[torch.Tensor, State]:
        """A step. Raises torch.OutOfMemoryError where not even the smallest tiles fit."""
        while True:
            try:
                return self.step(frame, state)
            except torch.OutOfMemoryError:
                if self.tile == SMALLEST_TILE:
                    raise
            self.tile = self.tile // 2 if self.tile else FIRST_TILE
            print(f"a frame of {tuple(frame.shape[2:])} pixels does not fit; tiles of {self.tile}", file=sys.stderr)
            self.step = fast_step(self.denoiser, self.tile)
            torch.cuda.empty_cache()


class GraphedStep:
    """A step captured once per frame size as a CUDA graph, so that the host launches one thing, not a hundred.

    The state lives in the graph: what is returned is that, and is changed by the next step.
    """

    def __init__(self, denoiser: Denoiser):
        self.denoiser = denoiser
        self.graph = None

    def __call__(self, frame: torch.Tensor, state: State | None) -> tuple[torch.Tensor, State]:
        """A step; the image is the caller's to keep."""
        if self.graph is None or frame.shape != self.frame.shape:
            self._capture(frame)
        if state is None:
            for hidden in self.state:
                hidden.zero_()
        elif state is not self.state:
            for hidden, given in zip(self.state, state, strict=True):
                hidden.copy_(given)
        self.frame.copy_(frame)
        self.graph.replay()
        return self.image.clone(), self.state

    def _capture(self, frame: torch.Tensor) -> None:
        self.graph = None  # frees the memory of the size before
        self.frame = frame.clone()
        self.state = self.denoiser.initial_state(self.denoiser.pad(self.frame)[0])
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):  # what is set up at a first call must not be captured
            for _ in range(3):
                self.denoiser(self.frame, self.state)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.image, new_state = self.denoiser(self.frame, self.state)
            for hidden, new in zip(self.state, new_state, strict=True):
                hidden.copy_(new)
        self.graph = graph
