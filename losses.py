"""The training losses, LOSSES: that of Chaitanya et al. 2017, section 4.3, and one of tone-mapped pictures.

Shapes: B sequences, T frames, 3 color channels, H rows, W columns. Every term compares (B, T, 3, H, W) tensors by their
difference alone, so a pixel where the target equals the prediction has no error and no gradient; `mask_target` uses
this for pixels whose target is not finite.

To add a term: write a function of what the other terms of its loss take, and add a line to LOSSES. It is then trained,
logged to TensorBoard under its name, and charted. To add a loss, add it there and to presets.LOSS_NAMES.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F

from frames.radiance import encode_radiance, window_exposure

FRAME_SIGMA = 2.0  # frames; this Gaussian is the paper's table 0.011 0.044 0.135 0.325 0.607 0.882 1
LOG_SIZE, LOG_SIGMA = 15, 1.5  # pixels; the "high frequency error norm" of Ravishankar and Bresler 2011

RELATIVE_FLOOR, RELATIVE_LIMIT = 0.05, 20.0  # of relative_error: smallest denominator; largest error
BRIGHTNESS_SIZE, BRIGHTNESS_LIMIT = 16, 1.0  # pixels; relative error beyond which it counts linearly


def frame_weights(length: int, device: torch.device | None = None) -> torch.Tensor:
    """(length,) weights exp(-(length - 1 - t)^2 / (2 sigma^2)) of the frames; they increase to 1 for the last one."""
    distance = torch.arange(length - 1, -1, -1, dtype=torch.float32, device=device)  # (T,)
    return torch.exp(-(distance**2) / (2 * FRAME_SIGMA**2))


def laplacian_of_gaussian(
    size: int = LOG_SIZE, sigma: float = LOG_SIGMA, device: torch.device | None = None
) -> torch.Tensor:
    """(size, size) Laplacian of a Gaussian of `sigma` pixels; it sums to zero, so flat areas give zero."""
    axis = torch.arange(size, dtype=torch.float32, device=device) - (size - 1) / 2  # (size,)
    squared = axis[:, None] ** 2 + axis[None, :] ** 2  # (size, size)
    gaussian = torch.exp(-squared / (2 * sigma**2))
    kernel = gaussian / gaussian.sum() * (squared - 2 * sigma**2) / sigma**4
    return kernel - kernel.mean()


def weighted_mean(per_frame: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """The mean of (B, T) values with (T,) `weights` for the frames: a scalar whose scale does not depend on T."""
    return (per_frame * weights).sum(1).mean() / weights.sum()


def spatial_l1(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of two (B, T, 3, H, W) tensors, weighted by frame; a scalar >= 0 (equation 1)."""
    difference = (prediction - target).abs().mean((2, 3, 4))  # (B, T)
    return weighted_mean(difference, frame_weights(prediction.shape[1], prediction.device))


def gradient_l1(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean absolute Laplacian of Gaussian of the difference, channel by channel; a scalar >= 0 (equation 2).

    Takes two (B, T, 3, H, W) tensors. The border is repeated outwards, so a constant difference gives zero there too.
    """
    batch, length, channels, height, width = prediction.shape
    # Frames and colors become channels of one depthwise convolution, innermost in memory. On a CPU this is 17 times
    # as fast as a batch of single-channel images, which took as long as the network.
    difference = (prediction - target).reshape(batch, length * channels, height, width)  # (B, 3 T, H, W)
    padded = F.pad(difference, (LOG_SIZE // 2,) * 4, mode="replicate").contiguous(memory_format=torch.channels_last)
    kernel = laplacian_of_gaussian(device=difference.device).to(difference)
    kernel = kernel.expand(length * channels, 1, -1, -1).contiguous()  # (3 T, 1, size, size)
    response = F.conv2d(padded, kernel, groups=length * channels)  # (B, 3 T, H, W)
    response = response.reshape(batch, length, -1).abs().mean(2)  # (B, T)
    return weighted_mean(response, frame_weights(length, prediction.device))


def temporal_l1(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference between the frame-to-frame changes of two sequences; a scalar >= 0 (equation 3).

    Takes two (B, T, 3, H, W) tensors. The change from frame t - 1 to t has the weight of frame t. 0 for a single frame.
    """
    if prediction.shape[1] < 2:
        return (prediction - target).sum() * 0
    change = ((prediction - target).diff(dim=1)).abs().mean((2, 3, 4))  # (B, T - 1)
    return weighted_mean(change, frame_weights(prediction.shape[1], prediction.device)[1:])


def mask_target(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """`target` with the prediction's value wherever a channel is not finite: no error and no gradient there.

    Takes and returns (..., 3, H, W).
    """
    valid = torch.isfinite(target).all(-3, keepdim=True)  # (..., 1, H, W)
    return torch.where(valid, target, prediction)


def tone_curve(radiance: torch.Tensor) -> torch.Tensor:
    """Exposed linear radiance to what a picture shows: a soft shoulder towards 1, then gamma 2.2. Any shape."""
    radiance = radiance.clamp(min=0)
    return (radiance / (1 + radiance**3) ** (1 / 3) + 1e-3) ** (1 / 2.2)  # the offset keeps the gradient finite at 0


class Pictures(NamedTuple):
    """Two sequences as the picture loss compares them, (B, T, 3, H, W) each.

    prediction, target: linear radiance at the exposure of a picture.
    difference: of the two under tone_curve.
    """

    prediction: torch.Tensor
    target: torch.Tensor
    difference: torch.Tensor


def as_pictures(prediction: torch.Tensor, target: torch.Tensor, exposure: torch.Tensor) -> Pictures:
    """Two (B, T, 3, H, W) sequences of linear radiance, at these (B,) exposures."""
    exposure = exposure[:, None, None, None, None]
    prediction, target = prediction * exposure, target * exposure
    return Pictures(prediction, target, tone_curve(prediction) - tone_curve(target))


def absolute_error(pictures: Pictures) -> torch.Tensor:
    """The mean absolute difference under tone_curve."""
    return pictures.difference.abs().mean()


def change_error(pictures: Pictures) -> torch.Tensor:
    """The mean absolute difference of the frame-to-frame changes under tone_curve; 0 for a single frame."""
    difference = pictures.difference
    return difference.diff(dim=1).abs().mean() if difference.shape[1] > 1 else difference.sum() * 0


def square_error(pictures: Pictures) -> torch.Tensor:
    """The mean squared difference under tone_curve."""
    return pictures.difference.square().mean()


def relative_error(pictures: Pictures) -> torch.Tensor:
    """The mean relative difference in linear light, clamped; it counts what is too bright for a picture."""
    error = (pictures.prediction - pictures.target).abs() / (pictures.target + RELATIVE_FLOOR)
    return error.clamp(max=RELATIVE_LIMIT).mean()


def brightness_error(pictures: Pictures) -> torch.Tensor:
    """Squared relative difference of the mean radiance of squares of pixels, and of whole frames; a scalar >= 0.

    Absolute differences of pictures favor the median of
    what a pixel might be, and under noise with rare bright samples the median is too dark; this term keeps the
    brightness. It is relative to the prediction, held constant (Lehtinen et al. 2018, section 3.3): relative to the
    target, errors would count more where the target is dark, and the best prediction would again be too dark.
    """
    prediction, target, _ = pictures
    total = 0.0
    for size in (BRIGHTNESS_SIZE, max(prediction.shape[-2:])):
        ours, wanted = (F.avg_pool2d(x.flatten(0, 2)[:, None], size, ceil_mode=True) for x in (prediction, target))
        scale = ours.detach() + RELATIVE_FLOOR
        total = total + F.huber_loss(ours / scale, wanted / scale, delta=BRIGHTNESS_LIMIT)
    return total


class Term(NamedTuple):
    """A term of a loss: its weight, and its function, which gives a scalar >= 0."""

    weight: float
    function: Callable[..., torch.Tensor]


class Loss(NamedTuple):
    """A weighted sum of terms.

    encoded: whether it compares encoded radiance, which a network may predict below 0, or linear radiance.
    arguments: what its terms take, from the prediction and the masked target, (B, T, 3, H, W) each, encoded or linear,
        and the (B,) exposures of the target's pictures.
    terms: by the name under which they are logged.
    """

    encoded: bool
    arguments: Callable[..., tuple]
    terms: dict[str, Term]

    def __call__(self, prediction: torch.Tensor, target: torch.Tensor) -> dict[str, torch.Tensor]:
        """`loss`, the weighted sum, and each term, of two (B, T, 3, H, W) sequences.

        prediction: encoded radiance if `encoded`, else linear.
        target: linear radiance; pixels that are not finite do not count.
        """
        exposure = window_exposure(target)
        target = mask_target(prediction, encode_radiance(target) if self.encoded else target)
        return self.of(*self.arguments(prediction, target, exposure))

    def of(self, *arguments) -> dict[str, torch.Tensor]:
        """The same of what the terms take."""
        values = {name: term.function(*arguments) for name, term in self.terms.items()}
        return {"loss": sum(self.terms[name].weight * value for name, value in values.items()), **values}


LOSSES = {
    "paper": Loss(  # equation 4
        encoded=True,
        arguments=lambda prediction, target, _: (prediction, target),
        terms={
            "spatial": Term(0.8, spatial_l1),
            "gradient": Term(0.1, gradient_l1),
            "temporal": Term(0.1, temporal_l1),
        },
    ),
    "picture": Loss(
        encoded=False,
        arguments=lambda prediction, target, exposure: (as_pictures(prediction, target, exposure),),
        terms={
            "spatial": Term(1.0, absolute_error),
            "temporal": Term(0.15, change_error),
            "square": Term(8.0, square_error),
            "relative": Term(0.02, relative_error),
            "brightness": Term(0.2, brightness_error),
        },
    ),
}
TERM_NAMES = ["loss", *dict.fromkeys(name for loss in LOSSES.values() for name in loss.terms)]
