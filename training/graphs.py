"""The training step as a CUDA graph: the GPU replays thousands of small kernels, faster than Python can launch them."""

import torch
from torch import nn


class Window(nn.Module):
    """What is recorded: from noisy frames, targets and perhaps a history to the losses, `loss` first."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module
        self.names: list[str] = []  # of the losses

    def forward(self, noisy: torch.Tensor, target: torch.Tensor, *start: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The losses of DenoisingModule.window_losses; only the first has a gradient."""
        losses = self.module.window_losses(noisy, target, *start)
        self.names = list(losses)
        return tuple(x if name == "loss" else x.detach() for name, x in losses.items())


class GraphedLosses:
    """DenoisingModule.window_losses, recorded once for each shape of the batch, and with and without a second look."""

    def __init__(self, module: nn.Module):
        self.module = module
        self.recorded: dict[tuple, Window] = {}
        self.pool = None  # of memory, shared: a step ends before the next one begins

    def __call__(self, *batch: torch.Tensor) -> dict[str, torch.Tensor]:
        """The losses of a batch on the GPU. The next call overwrites them."""
        key = self.module.looks_once, self.module.looks_both_ways, *(planes.shape for planes in batch)
        if key not in self.recorded:
            window = Window(self.module)
            inputs = tuple(planes.clone() for planes in batch)  # the graph keeps these, and reads from them
            self.pool = self.pool or torch.cuda.graph_pool_handle()
            options = {"allow_unused_input": True, "pool": self.pool}
            self.recorded[key] = torch.cuda.make_graphed_callables(window, inputs, **options)
        window = self.recorded[key]
        return dict(zip(window.names, window(*batch), strict=True))
