"""Writes a NamedStep to a file, and reads the file again as a function of arrays."""

import inspect
import io
import json
import logging
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import nn

from exporting.export_options import ONNX, PT2
from exporting.step import SECOND_LOOK, Named, NamedStep
from files import InputError

OPSET = 17  # of ONNX: the first with all that is needed is 16
OPEN_SIZES = "prefer_deferred_runtime_asserts_over_guards"  # of torch.export: sizes that the example does not fix
EXAMPLE_SIZE = 37, 50  # (H, W) while recording: no multiple of anything, so that padding is recorded

Arrays = dict[str, np.ndarray]


class Positional(nn.Module):
    """A NamedStep whose inputs and outputs go by order, as torch.onnx wants them."""

    def __init__(self, step: NamedStep):
        super().__init__()
        self.step = step

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The values of `output_names`, given those of `input_names`."""
        return tuple(self.step(dict(zip(self.step.input_names, inputs, strict=True))).values())


def write_step(step: NamedStep, path: Path, about: dict[str, str]) -> None:
    """Writes the step to `path`, in the format of its ending. about: texts to keep inside. Raises OSError."""
    write = write_onnx if path.suffix == ONNX else write_pt2
    with torch.no_grad():
        write(step, path, about)


def read_step(path: Path) -> Callable[[Arrays], Arrays]:
    """The step in the file that write_step wrote, on the CPU."""
    return read_onnx(path) if path.suffix == ONNX else read_pt2(path)


def example_inputs(step: NamedStep) -> Named:
    """Inputs of a small size, in the order of `input_names`."""
    inputs = {name: torch.rand(1, count, *EXAMPLE_SIZE) for name, count in step.frame_channels.items()}
    inputs |= {SECOND_LOOK: torch.tensor(False), **step.first_state(*EXAMPLE_SIZE)}
    return {name: inputs[name] for name in step.input_names}


def write_onnx(step: NamedStep, path: Path, about: dict[str, str]) -> None:
    """write_step for ONNX."""
    import onnx

    # sizes that may differ from frame to frame
    sizes = {name: {2: "height", 3: "width"} for name in (*step.frame_channels, step.output_names[0])}
    for name, stride in step.sized_states.items():
        names = {axis: f"{step.denoiser.multiple // stride}*{side}" for axis, side in ((2, "rows"), (3, "columns"))}
        sizes[name], sizes[step.next_name(name)] = names, names

    # The tracer takes seconds; the exporter built on torch.export takes minutes, for its algebra of sizes.
    with quiet():
        torch.onnx.export(
            Positional(step),
            tuple(example_inputs(step).values()),
            path,
            input_names=step.input_names,
            output_names=step.output_names,
            dynamic_axes=sizes,
            opset_version=OPSET,
            dynamo=False,
        )

    model = onnx.load(path)
    onnx.helper.set_model_props(model, about)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def write_pt2(step: NamedStep, path: Path, about: dict[str, str]) -> None:
    """write_step for torch.export. `about` goes into the archive's extra file `about`, as JSON.

    Raises InputError if this PyTorch is too old for sizes that are left open.
    """
    if OPEN_SIZES not in inspect.signature(torch.export.export).parameters:
        raise InputError(
            f"{path}: PyTorch {torch.__version__} is too old for {PT2}; install a newer one, or write {ONNX}"
        )
    inputs, free = example_inputs(step), torch.export.Dim.DYNAMIC
    rows, columns = (torch.export.Dim(side, min=2) for side in ("rows", "columns"))  # 1 would be special
    sizes = {name: {2: free, 3: free} if planes.ndim == 4 else {} for name, planes in inputs.items()}
    for name, stride in step.sized_states.items():
        count = step.denoiser.multiple // stride
        sizes[name] = {2: count * rows, 3: count * columns}
    with quiet():
        program = torch.export.export(step, (inputs,), dynamic_shapes=(sizes,), **{OPEN_SIZES: True})
        # its assertions are about the example's memory layout, which other sizes do not share
        for node in [n for n in program.graph.nodes if n.target == torch.ops.aten._assert_scalar.default]:
            program.graph.erase_node(node)
        program.graph_module.recompile()
        content = io.BytesIO()  # to memory first: a full disk would end the whole process
        torch.export.save(program, content, extra_files={"about": json.dumps(about)})
    path.write_bytes(content.getbuffer())


def read_onnx(path: Path) -> Callable[[Arrays], Arrays]:
    """read_step for ONNX."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors; it warns of what it cannot compute in advance, in half precision
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, inputs), strict=True))


def read_pt2(path: Path) -> Callable[[Arrays], Arrays]:
    """read_step for torch.export."""
    with quiet():
        module = torch.export.load(path).module()

    def run(inputs: Arrays) -> Arrays:
        with torch.no_grad():
            outputs = module({name: torch.from_numpy(planes) for name, planes in inputs.items()})
        return {name: planes.numpy() for name, planes in outputs.items()}

    return run


@contextmanager
def quiet():
    """Without the exporters' warnings: that branches on sizes are not recorded is what the check of the file is for."""
    level = logging.getLogger("torch.onnx").level
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logging.getLogger("torch.onnx").setLevel(level)
