"""The network of Chaitanya et al. 2017: a recurrent autoencoder that predicts colors.

Shapes: B sequences, T frames, C input channels, H rows, W columns. A `frame` is (B, C, H, W): the quantities of
`PaperDenoiser.inputs`, concatenated in that order (frames/channels.py): linear radiance, depth, world-space shading
normals, and with `demodulate` albedo. The state is one hidden tensor per encoder level.
"""

from collections.abc import Callable

import torch
from torch import nn

from frames.channels import ALBEDO_INPUTS, PLAIN_INPUTS, channel_count
from frames.radiance import decode_radiance, encode_radiance
from networks.autoencoder import RecurrentAutoencoder, State, pad_to_multiple
from networks.convolutions import convolution
from networks.features import clamp_to_limits
from networks.history import NO_ALBEDO

PLAIN_FEATURES = 7  # what the network sees: encoded radiance (3), depth (1), normal (3)
ALBEDO_FEATURES = 8  # and whether the radiance was divided by albedo


class PaperDenoiser(nn.Module):
    """Implements model.Denoiser.

    channels: widths of the encoder levels, full size first.
    demodulate: divide radiance by the albedo of the first hit, and multiply afterwards (section 4.2). Frames then
        carry albedo too: 10 channels instead of 7.
    Raises ValueError if an argument is out of range.
    """

    smallest = 1
    has_history = has_detail = False

    def __init__(self, channels: tuple[int, ...], demodulate: bool = False):
        super().__init__()
        if not channels or any(not isinstance(c, int) or c < 1 for c in channels):
            raise ValueError(f"channels {channels}: expected one positive width per encoder level, like 32 43 57")
        self.options = {"network": "paper", "channels": list(channels), "demodulate": bool(demodulate)}
        self.inputs = self.required = ALBEDO_INPUTS if demodulate else PLAIN_INPUTS
        self.network = RecurrentAutoencoder(ALBEDO_FEATURES if demodulate else PLAIN_FEATURES, tuple(channels))
        self.output = convolution(channels[0], 3)
        self.multiple, self.strides = self.network.multiple, self.network.strides

    @property
    def dtype(self) -> torch.dtype:
        """The type in which the network computes: float32, unless the caller changed its weights."""
        return self.output.weight.dtype

    def reach(self, _frame: torch.Tensor) -> int:
        """How far, in pixels, a pixel's output and state can depend on the frame and the state, to each side."""
        return self.network.receptive_radius

    def fit(self, frame: torch.Tensor) -> tuple[torch.Tensor, tuple[int, int]]:
        """The frame as the network computes with it, and its (H, W): clamped to its quantities' limits, and padded.

        The result is contiguous: preprocessing takes several times as long if channels are innermost in memory.
        Raises ValueError if the frame does not have this network's channels.
        """
        channels = channel_count(self.inputs)
        if frame.ndim != 4 or frame.shape[1] != channels:
            raise ValueError(
                f"a frame of shape {tuple(frame.shape)}: expected (B, {channels}, H, W), {', '.join(self.inputs)}"
            )
        frame = clamp_to_limits(frame.contiguous(), self.inputs)
        return pad_to_multiple(frame, self.multiple), tuple(frame.shape[-2:])

    def initial_state(self, padded: torch.Tensor) -> State:
        """The state before the first frame, for a frame that `fit` returned."""
        return self.network.initial_state(padded.to(self.dtype))

    def forward(self, frame: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """One frame and the state (None before the first) to (B, 3, H, W) linear radiance and the state.

        Raises ValueError if the frame's channels or the state's shapes do not fit this network.
        """
        images, state = self.forward_window(frame[None], state)
        return images[0], state

    def forward_window(
        self, frames: torch.Tensor, state: State | None = None, encoded: bool = False
    ) -> tuple[torch.Tensor, State]:
        """T consecutive frames, (T, B, C, H, W), to (T, B, 3, H, W) at once: faster, T times the memory.

        encoded: give encoded radiance, which may be negative: decoded, a black output would have no gradient.
        """
        # normalize all frames at once
        length, batch = frames.shape[:2]
        padded, (height, width) = self.fit(frames.flatten(0, 1))  # (T B, C, H', W')
        features, encoded_albedo = self.preprocess(padded)
        # check the state
        state = self.initial_state(padded[:batch]) if state is None else state
        if len(state) != len(self.network.channels) or state[0].shape[-2:] != features.shape[-2:]:
            raise ValueError(
                f"a state of {len(state)} levels, the first {tuple(state[0].shape)}, does not fit a frame of "
                f"{width}x{height}; pass None where a sequence starts or its frame size changes"
            )
        # the network, then albedo
        entered = self.network.encoder[0].enter(features.to(self.dtype)).unflatten(0, (length, batch))
        decoded, state = self.network(entered, state)
        image = self.output(decoded[-1]).float() * encoded_albedo  # (T B, 3, H', W')
        image = image[..., :height, :width].unflatten(0, (length, batch))
        return image if encoded else decode_radiance(image), state

    def preprocess(self, frame: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """A (B, C, H, W) frame to (B, features, H, W), and the encoded albedo that multiplies the output.

        Since (a x)^0.2 = a^0.2 x^0.2, multiplying by the encoded albedo restores it. A pixel is divided in all channels
        or in none: if only the channels near 0 were left out (the blue of a red leaf), the network, which does not see
        the albedo, would give them the brightness of their neighbors. Depth becomes log(1 + depth), which does not
        depend on the extremes of a frame.
        """
        color, depth, normal, *albedo = frame.split([channel_count((name,)) for name in self.inputs], dim=1)
        divisor, flags = torch.ones_like(color), []
        if albedo:
            divided = albedo[0].amax(1, keepdim=True) > NO_ALBEDO  # (B, 1, H, W)
            divisor = albedo[0].clamp(min=NO_ALBEDO).where(divided, 1)  # (B, 3, H, W)
            flags = [divided.to(color.dtype)]
        features = torch.cat((encode_radiance(color / divisor), torch.log1p(depth), normal, *flags), 1)
        return features, encode_radiance(divisor)

    # what the other networks do and this one needs not

    def estimate(
        self, frame: torch.Tensor, state: State | None = None, complete: bool = False
    ) -> tuple[torch.Tensor, State]:
        """The same as forward."""
        return self(frame, state)

    def start(self, frame: torch.Tensor, _estimate: Callable) -> tuple[torch.Tensor, None]:
        """The frame, and no state: its first frame is like any other."""
        return frame, None

    def finish(
        self, _frame: torch.Tensor, image: torch.Tensor, state: State, detail: bool = True, tile: int | None = None
    ) -> tuple[torch.Tensor, State]:
        """The same image and state: there is no detail stage."""
        return image, state

    def complete_frame(self, frame: torch.Tensor, _state: State) -> torch.Tensor:
        """The frame: it lacks nothing."""
        return frame

    def complete_window(self, frames: torch.Tensor) -> torch.Tensor:
        """The frames: they lack nothing."""
        return frames

    def rescaled(self, state: State, _factors: torch.Tensor) -> State:
        """The same state: it has no radiance or depth in it."""
        return state

    def sample_counts(self, _state: State, frames: int) -> torch.Tensor:
        """How many samples each pixel stands for, if it has seen so many frames: (1, 1, 1, 1)."""
        return torch.full((1, 1, 1, 1), float(frames))
