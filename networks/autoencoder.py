"""The recurrent U-Net of Chaitanya et al. 2017, section 4.1, from the output of its first convolution on.

Shapes: B sequences, T frames, H rows, W columns. The hidden state is one tensor per encoder level.
"""

from collections.abc import Iterable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from networks.convolutions import activate, convolution
from networks.cpu import convolve_rows, convolve_upsampled

State = list[torch.Tensor]


def pad_to_multiple(planes: torch.Tensor, multiple: int) -> torch.Tensor:
    """(B, C, H, W) planes, padded below and on the right by reflection until H and W are multiples of `multiple`.

    A repeated row of noise would count many times and show as streaks. What is too small to be reflected that often
    repeats its first row or column after its reflection.
    """
    height, width = planes.shape[-2:]
    right, bottom = -width % multiple, -height % multiple
    if not (right or bottom):
        return planes
    if right < width and bottom < height:  # faster than pad_by_reflection
        return F.pad(planes, (0, right, 0, bottom), mode="reflect")
    return pad_by_reflection(pad_by_reflection(planes, 2, bottom), 3, right)


def pad_by_reflection(planes: torch.Tensor, axis: int, more: int) -> torch.Tensor:
    """The planes, and along `axis` after their last row `more` of its reflection."""
    last = planes.shape[axis] - 1
    places = torch.arange(last + 1 + more, device=planes.device) - last
    return planes.index_select(axis, (last - places.abs()).clamp(min=0))


class EncoderLevel(nn.Module):
    """A convolution, then a recurrent block of three convolutions; the hidden state joins at its second (figure 3)."""

    def __init__(self, inputs: int, width: int):
        super().__init__()
        self.conv1 = convolution(inputs, width)
        self.conv2 = convolution(width, width)
        self.conv3 = convolution(2 * width, width)
        self.conv4 = convolution(width, width)

    def enter(self, x: torch.Tensor) -> torch.Tensor:
        """The first convolution: (B, inputs, H, W) to (B, width, H, W)."""
        return activate(self.conv1(x))

    def extract(self, entered: torch.Tensor) -> torch.Tensor:
        """The output of `enter` to the rest of what does not depend on the previous frame, of the same shape."""
        return activate(self.conv2(entered))

    def update(self, x: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """The output of `extract` and the hidden state, of the same shape, to the new hidden state, also the skip."""

        def joined(rows: slice) -> torch.Tensor:
            return torch.cat((x[:, :, rows], hidden[:, :, rows]), 1)

        return activate(self.conv4(activate(convolve_rows(self.conv3, x, joined))))


class DecoderLevel(nn.Module):
    """Nearest upsampling, the skip connection, two convolutions."""

    def __init__(self, inputs: int, skip: int, width: int):
        super().__init__()
        self.conv1 = convolution(inputs + skip, width)
        self.conv2 = convolution(width, width)

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """(B, inputs, H/2, W/2) and the (B, skip, H, W) skip connection to (B, width, H, W)."""
        return activate(self.conv2(activate(convolve_upsampled(self.conv1, x, skip))))


class RecurrentAutoencoder(nn.Module):
    """The recurrent U-Net: features in, features of every decoder level out.

    inputs: channels of its first convolution.
    channels: widths of the encoder levels, finest first.
    stride: pixels of a frame from one pixel of the finest level to the next.
    """

    def __init__(self, inputs: int, channels: tuple[int, ...], stride: int = 1):
        super().__init__()
        self.channels = tuple(channels)
        self.strides = [stride << level for level in range(len(channels))]  # pixels from one to the next, per level
        self.multiple = self.strides[-1]  # of which a frame's sides must be multiples
        self.encoder = nn.ModuleList(EncoderLevel(above, width) for above, width in pairwise((inputs, *channels)))
        self.decoder = nn.ModuleList(
            DecoderLevel(below, width, width) for below, width in zip(channels[:0:-1], channels[-2::-1], strict=True)
        )

    @property
    def memory_format(self) -> torch.memory_format:
        """The memory format of the weights; activations take it on."""
        last = self.encoder[0].conv2.weight.is_contiguous(memory_format=torch.channels_last)
        return torch.channels_last if last else torch.contiguous_format

    @property
    def receptive_radius(self) -> int:
        """How far, in pixels, a pixel's output and state can depend on the input, to each side."""
        encoder, decoder = (sum(4 * s for s in self.strides), sum(2 * s for s in self.strides[:-1]))
        return encoder + decoder + self.strides[0] + self.multiple - 1  # last: a pixel's place within its coarsest one

    def initial_state(self, frame: torch.Tensor) -> State:
        """The zero state for (B, C, H, W) frames of this size, type and device.

        Level l is (B, channels[l], H / s, W / s), where s = strides[l], in the memory format of the weights.
        """
        batch, _, *size = frame.shape
        layout, state = self.memory_format, []
        for channels, stride in zip(self.channels, self.strides, strict=True):
            height, width = (extent // stride for extent in size)
            state.append(frame.new_zeros(batch, channels, height, width).to(memory_format=layout))
        return state

    def forward(self, entered: torch.Tensor, state: Iterable[torch.Tensor]) -> tuple[list[torch.Tensor], State]:
        """The features of every decoder level, (T B, channels[l], H / s, W / s), coarsest first, and the new state.

        entered: (T, B, channels[0], H / s, W / s), the output of the first level's first convolution.
        Level by level, so that what does not depend on the previous frame is computed for all frames at once.
        """
        length, new_state, skips = len(entered), [], []
        # encoder: frame by frame only where the hidden state is needed
        x = entered.flatten(0, 1)  # (T B, channels[0], H / s, W / s)
        del entered  # as everything that has been used, for memory
        for index, (level, hidden) in enumerate(zip(self.encoder, state, strict=True)):
            hiddens = []
            x = level.extract(x if index == 0 else level.enter(F.max_pool2d(x, 2)))
            for frame in x.chunk(length):
                hidden = level.update(frame, hidden)  # (B, channels[l], H / s, W / s)
                hiddens.append(hidden)
            x = torch.cat(hiddens) if length > 1 else hidden  # (T B, channels[l], H / s, W / s)
            skips.append(x)
            new_state.append(hidden)
        # decoder
        decoded = [x]
        for level, skip in zip(self.decoder, skips[-2::-1], strict=True):
            decoded.append(level(decoded[-1], skip))
        return decoded, new_state
