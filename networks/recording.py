"""Whether an exporter is recording what is computed, to write it to a file that holds for every frame size.

Then nothing may depend on a value or on a frame's size, and nothing should be written into a view: the file would hold
a copy of the whole tensor for each.
"""

import torch


def is_recording() -> bool:
    """Whether torch.export or the tracer of torch.onnx is at work."""
    return torch.compiler.is_exporting() or torch.jit.is_tracing()
