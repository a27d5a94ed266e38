"""The recurrent U-Net of Chaitanya et al. 2017, section 4.1.

Shapes: B sequences, T frames, H rows, W columns. The hidden state is one tensor per encoder level.
"""

from collections.abc import Iterable
from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from networks.convolutions import activate, convolution, convolve_joined, convolve_patches, convolve_rows

State = list[torch.Tensor]


def pad_to_multiple(planes: torch.Tensor, multiple: int) -> torch.Tensor:
    """(B, C, H, W) planes, mirrored at the last row and column until H and W are multiples of `multiple`.

    Mirrored, because a last row that is repeated is one row of noise that counts many times: it would show as streaks.
    What is too small for that repeats its first row or column after its mirror image.
    """
    height, width = planes.shape[-2:]
    right, bottom = -width % multiple, -height % multiple
    if not (right or bottom):
        return planes
    if right < width and bottom < height:  # faster than `mirrored`
        return F.pad(planes, (0, right, 0, bottom), mode="reflect")
    return pad_by_reflection(pad_by_reflection(planes, 2, bottom), 3, right)


def pad_by_reflection(planes: torch.Tensor, axis: int, more: int) -> torch.Tensor:
    """The planes, and along `axis` after their last row `more` of its mirror image."""
    last = planes.shape[axis] - 1
    places = torch.arange(last + 1 + more, device=planes.device) - last
    return planes.index_select(axis, (last - places.abs()).clamp(min=0))


def rename_on_load(module: nn.Module, names: dict[str, str]) -> None:
    """Lets `module` load checkpoints in which its submodules had other names. names: {old: new}."""
    module.register_load_state_dict_pre_hook(partial(_rename_weights, names))


def _rename_weights(names: dict[str, str], _module: nn.Module, weights: dict, prefix: str, *_) -> None:
    for old, new in names.items():
        for part in ("weight", "bias"):
            if f"{prefix}{old}.{part}" in weights:
                weights[f"{prefix}{new}.{part}"] = weights.pop(f"{prefix}{old}.{part}")


class EncoderLevel(nn.Module):
    """A convolution, then a recurrent block of three convolutions; the hidden state joins at its second (figure 3).

    inputs: of its first convolution. patch: see RecurrentAutoencoder.
    """

    def __init__(self, inputs: int, width: int, patch: int = 1):
        super().__init__()
        self.patch = patch
        self.conv1 = convolution(inputs, width)
        self.conv2 = convolution(width, width)
        self.conv3 = convolution(2 * width, width)
        self.conv4 = convolution(width, width)
        rename_on_load(self, {"entry": "conv1", "before": "conv2", "join": "conv3", "after": "conv4"})

    def enter(self, x: torch.Tensor) -> torch.Tensor:
        """The first convolution: (B, inputs / patch^2, H, W) to (B, width, H / patch, W / patch)."""
        return activate(convolve_patches(self.conv1, x, self.patch))

    def extract(self, entered: torch.Tensor) -> torch.Tensor:
        """The output of `enter` to the rest of what does not depend on the previous frame, of the same shape."""
        return activate(self.conv2(entered))

    def update(self, x: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """The output of `extract` and the hidden state, of the same shape, to the new hidden state, also the skip."""

        def joined(rows: slice) -> torch.Tensor:
            return torch.cat((x[:, :, rows], hidden[:, :, rows]), 1)

        return activate(self.conv4(convolve_rows(self.conv3, x, joined)))


class DecoderLevel(nn.Module):
    """Nearest upsampling, the skip connection, two convolutions."""

    def __init__(self, inputs: int, skip: int, width: int):
        super().__init__()
        self.conv1 = convolution(inputs + skip, width)
        self.conv2 = convolution(width, width)
        rename_on_load(self, {"join": "conv1", "after": "conv2"})

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """(B, inputs, H/2, W/2) and the (B, skip, H, W) skip connection to (B, width, H, W)."""
        return activate(self.conv2(convolve_joined(self.conv1, x, skip)))


class RecurrentAutoencoder(nn.Module):
    """The recurrent U-Net: (B, features, H, W) to 3 linear outputs. H and W must be multiples of `multiple`.

    channels: widths of the encoder levels, full size first.
    patch: each square of patch x patch pixels enters as one pixel with patch^2 times as many features, and leaves as
    patch^2 colors (Shi et al. 2016), so that the first level has patch^2 times fewer pixels. 1 is the paper's network.
    patch_features: of each patch as a whole, beside those of its pixels; `decode` is then the way in, not `forward`.
    """

    def __init__(self, features: int, channels: tuple[int, ...], patch: int = 1, patch_features: int = 0):
        super().__init__()
        self.channels, self.patch = tuple(channels), patch
        self.strides = [patch << level for level in range(len(channels))]  # pixels from one to the next, per level
        self.multiple = self.strides[-1]
        self.encoder = nn.ModuleList([EncoderLevel(features * patch**2 + patch_features, channels[0], patch)])
        self.encoder.extend(EncoderLevel(above, width) for above, width in pairwise(channels))
        self.decoder = nn.ModuleList(
            DecoderLevel(below, width, width) for below, width in zip(channels[:0:-1], channels[-2::-1], strict=True)
        )
        self.output = convolution(channels[0], 3 * patch**2)
        if patch > 1:  # the pixels of a patch start equal; otherwise training starts with a grid (Aitken et al. 2017)
            first = self.output.weight.detach()[:: patch**2]
            self.output.weight = nn.Parameter(first.repeat_interleave(patch**2, 0))

    @property
    def memory_format(self) -> torch.memory_format:
        """The memory format of the weights; activations take it on."""
        last = self.encoder[0].conv2.weight.is_contiguous(memory_format=torch.channels_last)
        return torch.channels_last if last else torch.contiguous_format

    @property
    def receptive_radius(self) -> int:
        """How far, in pixels, a pixel's output and state can depend on the input, to each side."""
        encoder, decoder = (sum(4 * s for s in self.strides), sum(2 * s for s in self.strides[:-1]))
        return encoder + decoder + self.patch + self.multiple - 1  # last: a pixel's place within its coarsest one

    def initial_state(self, features: torch.Tensor) -> State:
        """The zero state for features of this shape, type and device.

        Level l is (B, channels[l], H / s, W / s), where s = strides[l], in the memory format of the weights.
        """
        batch, _, *size = features.shape
        layout, state = self.memory_format, []
        for channels, stride in zip(self.channels, self.strides, strict=True):
            height, width = (extent // stride for extent in size)
            state.append(features.new_zeros(batch, channels, height, width).to(memory_format=layout))
        return state

    def forward(self, features: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        """T frames: (T, B, features, H, W) and the state before them to (T, B, 3, H, W) and the state after them."""
        entered = self.encoder[0].enter(features.flatten(0, 1)).unflatten(0, features.shape[:2])
        decoded, state = self.decode(entered, state)
        colors = self.output(decoded[-1])  # (T B, 3 patch^2, H / patch, W / patch)
        colors = F.pixel_shuffle(colors, self.patch) if self.patch > 1 else colors  # (T B, 3, H, W)
        return colors.unflatten(0, (len(features), -1)), state

    def decode(self, entered: torch.Tensor, state: Iterable[torch.Tensor]) -> tuple[list[torch.Tensor], State]:
        """The features of every decoder level, (T B, channels[l], H / s, W / s), coarsest first, and the new state.

        entered: (T, B, channels[0], H / patch, W / patch), which `enter` of the first level gave.
        Level by level, so that what does not depend on the previous frame is computed for all frames at once.
        """
        length, new_state, skips = len(entered), [], []
        # encoder: frame by frame only where the hidden state is needed
        x = entered.flatten(0, 1)  # (T B, channels[0], H / patch, W / patch)
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
