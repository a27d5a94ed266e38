"""The training losses of Chaitanya et al. 2017, section 4.3: pure functions of encoded radiance.

Shapes: B sequences, T frames, 3 colour channels, H rows, W columns. Every loss of two (B, T, 3, H, W) tensors is a
function of their difference, so a pixel where the target equals the prediction neither counts nor gets gradient;
`mask_target` uses that for pixels whose target is not finite.
"""

import torch
import torch.nn.functional as F

SPATIAL_WEIGHT, GRADIENT_WEIGHT, TEMPORAL_WEIGHT = 0.8, 0.1, 0.1  # equation 4
FRAME_SIGMA = 2.0  # frames; the paper's table 0.011 0.044 0.135 0.325 0.607 0.882 1 is this Gaussian
LOG_SIZE, LOG_SIGMA = 15, 1.5  # pixels; the "high frequency error norm" of Ravishankar and Bresler 2011


def frame_weights(length: int, device: torch.device | None = None) -> torch.Tensor:
    """(length,) weights exp(-(length - 1 - t)^2 / (2 sigma^2)): towards the last frame, whose weight is 1."""
    distance = torch.arange(length - 1, -1, -1, dtype=torch.float32, device=device)
    return torch.exp(-(distance**2) / (2 * FRAME_SIGMA**2))


def laplacian_of_gaussian(
    size: int = LOG_SIZE, sigma: float = LOG_SIGMA, device: torch.device | None = None
) -> torch.Tensor:
    """(size, size) Laplacian of a Gaussian of `sigma` pixels; sums to zero, so that flat areas give zero."""
    axis = torch.arange(size, dtype=torch.float32, device=device) - (size - 1) / 2
    squared = axis[:, None] ** 2 + axis[None, :] ** 2
    gaussian = torch.exp(-squared / (2 * sigma**2))
    kernel = gaussian / gaussian.sum() * (squared - 2 * sigma**2) / sigma**4
    return kernel - kernel.mean()


def weighted_mean(per_frame: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """The mean of (B, T) values, frames weighted by (T,) `weights`: a scalar whose scale does not depend on T."""
    return (per_frame * weights).sum(1).mean() / weights.sum()


def spatial_l1(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of two (B, T, 3, H, W) tensors, frames weighted; a scalar >= 0 (equation 1)."""
    difference = (prediction - target).abs().mean((2, 3, 4))
    return weighted_mean(difference, frame_weights(prediction.shape[1], prediction.device))


def gradient_l1(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean absolute Laplacian of Gaussian of the difference, each channel by itself; a scalar >= 0 (equation 2).

    Takes two (B, T, 3, H, W) tensors. The border is repeated outwards, so a constant difference gives zero there too.
    """
    batch, length, channels, height, width = prediction.shape
    # Frames and colours as channels of one depthwise convolution, channels innermost: on a CPU 17 times as fast as
    # a batch of single-channel images, which took as long as the network.
    difference = (prediction - target).reshape(batch, length * channels, height, width)
    kernel = laplacian_of_gaussian(device=difference.device).to(difference).expand(length * channels, 1, -1, -1)
    padded = F.pad(difference, (LOG_SIZE // 2,) * 4, mode="replicate").contiguous(memory_format=torch.channels_last)
    response = F.conv2d(padded, kernel.contiguous(), groups=length * channels).reshape(batch, length, -1)
    return weighted_mean(response.abs().mean(2), frame_weights(length, prediction.device))


def temporal_l1(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of the two sequences' frame-to-frame changes; a scalar >= 0 (equation 3).

    Takes two (B, T, 3, H, W) tensors. The change from frame t - 1 to t has frame t's weight. 0 for a single frame.
    """
    if prediction.shape[1] < 2:
        return (prediction - target).sum() * 0
    change = ((prediction - target).diff(dim=1)).abs().mean((2, 3, 4))
    return weighted_mean(change, frame_weights(prediction.shape[1], prediction.device)[1:])


def total_loss(prediction: torch.Tensor, target: torch.Tensor) -> dict[str, torch.Tensor]:
    """The losses of two (B, T, 3, H, W) encoded sequences: `spatial`, `gradient`, `temporal`, and `loss`, their
    weighted sum 0.8 / 0.1 / 0.1 (equation 4)."""
    spatial = spatial_l1(prediction, target)
    gradient = gradient_l1(prediction, target)
    temporal = temporal_l1(prediction, target)
    loss = SPATIAL_WEIGHT * spatial + GRADIENT_WEIGHT * gradient + TEMPORAL_WEIGHT * temporal
    return {"loss": loss, "spatial": spatial, "gradient": gradient, "temporal": temporal}


def mask_target(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """`target` with every pixel that is not finite in all channels replaced by the prediction's: it adds no error and
    no gradient. Takes and returns (..., 3, H, W)."""
    valid = torch.isfinite(target).all(-3, keepdim=True)
    return torch.where(valid, target, prediction)
