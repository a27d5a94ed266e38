"""One step of the recurrence with every input and output under a name of its own: what an exported file computes.

Shapes: H rows, W columns; a batch of one. H' and W' are H and W, rounded up to multiples of the denoiser's `multiple`.
"""

import torch
from torch import nn

from frames.channels import QUANTITIES
from frames.exr import BACKGROUND_DEPTH
from frames.normalization import divided, followed, known, scale_of
from model import Denoiser
from networks.autoencoder import pad_by_reflection
from networks.history import NEVER, History

Named = dict[str, torch.Tensor]

SECOND_LOOK = "second_look"
IMAGE = "image"
SCALE = "scale"


class NamedStep(nn.Module):
    """Maps named tensors to named tensors: `input_names` to `output_names`, in these orders.

    A quantity of the frame is (1, channels, H, W) float32; NaN and Inf count as 0. The state is, in this order:

    hidden_<level>: (1, channels, H' / stride, W' / stride) in the network's type;
    the fields of networks.history.History, if the network has one: (1, channels, H', W') float32;
    scale: (1, 2) float32 (frames/normalization.py).

    Zeros are the state before a sequence. second_look, a boolean, asks a network with a history to see a sequence's
    first frame again, given the state after it. The image is (1, 3, H, W) linear radiance, float32.
    """

    def __init__(self, denoiser: Denoiser):
        super().__init__()
        self.denoiser = denoiser
        self.frame_channels = {name: QUANTITIES[name].count for name in denoiser.inputs}
        self.looks_twice = denoiser.has_history
        levels = len(denoiser.network.channels)
        parts = History._fields[: len(denoiser.strides) - levels]
        self.hidden_names = [f"hidden_{level}" for level in range(levels)]
        self.state_names = [*self.hidden_names, *parts, SCALE]
        self.sized_states = dict(zip(self.state_names, denoiser.strides, strict=False))  # and their strides
        self.input_names = [*denoiser.inputs, *([SECOND_LOOK] if self.looks_twice else []), *self.state_names]
        self.output_names = [IMAGE, *map(self.next_name, self.state_names)]

    @staticmethod
    def next_name(name: str) -> str:
        """The output that is the input `name` of the next frame."""
        return f"next_{name}"

    def forward(self, inputs: Named) -> Named:
        """See the class."""
        frame = torch.cat([finite(name, inputs[name]) for name in self.denoiser.inputs], 1)  # (1, C, H, W)
        *state, before = (inputs[name] for name in self.state_names)
        scale = followed(before, scale_of(frame, self.denoiser.inputs))
        frame = divided(frame, self.denoiser.inputs, scale)
        state = self.denoiser.rescaled(state, known(before) / known(scale))
        if self.looks_twice:
            state = self.with_empty_marked(state)
            again, again_state = self.denoiser.second_look(frame, state)
            frame = again.where(inputs[SECOND_LOOK], frame)
            state = [new.where(inputs[SECOND_LOOK], old) for new, old in zip(again_state, state, strict=True)]
        height, width = frame.shape[2:]
        planes = self.padded(frame, state[0])
        image, state = self.denoiser.estimate(planes, state)
        if self.denoiser.has_detail:
            image = self.padded(image[..., :height, :width], state[0])  # as finish does where nothing was padded
            image, state = self.denoiser.finish(planes, image, state)
        image = image[..., :height, :width] * scale[:, 0, None, None, None]
        return dict(zip(self.output_names, (image, *state, scale), strict=True))

    def padded(self, frame: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """The (1, C, H, W) frame, padded as by Denoiser.fit to (1, C, H', W'), for a state with this first part.

        Its size is written as a multiple of the state's, with which an exporter reckons much faster than with a
        remainder. The two reshapes change nothing, but fail where the state is of another size.
        """
        (height, width), stride, multiple = frame.shape[2:], self.denoiser.strides[0], self.denoiser.multiple
        rows, columns = (stride * extent for extent in hidden.shape[2:])
        taller = pad_by_reflection(frame, 2, -height % multiple).reshape(1, -1, rows, width)
        return pad_by_reflection(taller, 3, -width % multiple).reshape(1, -1, rows, columns)

    def with_empty_marked(self, state: list[torch.Tensor]) -> list[torch.Tensor]:
        """The state with a depth that no surface has wherever its history holds no samples."""
        hidden, history = self.denoiser.parts(state)
        depth = history.surface[:, :1].masked_fill(history.weight <= 0, NEVER)
        surface = torch.cat((depth, history.surface[:, 1:]), 1)
        return [*hidden, *history._replace(surface=surface).tensors()]

    def first_state(self, height: int, width: int) -> Named:
        """The state before a sequence of frames of this size: zeros."""
        planes = torch.zeros(1, sum(self.frame_channels.values()), height, width)
        state = [*self.denoiser.initial_state(self.denoiser.fit(planes)[0]), torch.zeros(1, 2)]
        return {name: torch.zeros_like(part) for name, part in zip(self.state_names, state, strict=True)}


def finite(name: str, planes: torch.Tensor) -> torch.Tensor:
    """The planes of the quantity `name`, as frames/exr.py reads them: NaN, Inf, and depths of the background are 0.

    (A comparison with NaN is false.)
    """
    return planes.where(planes.abs() < (BACKGROUND_DEPTH if name == "depth" else torch.inf), 0.0)
