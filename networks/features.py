"""The channels of a frame, and what the filtering network sees of them.

Shapes: B sequences, H rows, W columns. A frame is (B, 9 + 3 L, H, W): its color, depth, shading normal, albedo, motion,
then further colors; L counts all colors, and is mostly 1.
"""

from typing import NamedTuple

import torch
from torch.nn.functional import pixel_unshuffle

from frames.channels import MOTION_INPUTS, QUANTITIES, channel_count, first_channel
from frames.radiance import encode_radiance, local_mean
from networks.autoencoder import RecurrentAutoencoder
from networks.convolutions import activate
from networks.cpu import ALL_ROWS, convolve_rows, may_ask, pooled
from networks.history import NO_ALBEDO, albedo_edges

SURFACES = slice(first_channel(MOTION_INPUTS, "depth"), first_channel(MOTION_INPUTS, "motion"))  # of a frame's channels
MOTION = slice(SURFACES.stop, channel_count(MOTION_INPUTS))  # further colors follow
MIN_ALBEDO = 0.01  # no channel is divided by less
EDGE_ALBEDO = 0.3  # nor is, on an albedo edge, the largest channel
MEANS = (4, 8, 32)  # pixels: the network sees the mean radiance of squares of these sizes
SAMPLE_FEATURES = 6  # of every pixel: see `sample_planes`
PATCH_FEATURES = 13 + 3 * len(MEANS)  # of every patch: see `patch_planes`
SHADE_MEANS = 8, 32  # pixels: see `shading`
SMALL = 1e-4  # radiance; keeps the gradient of the encoding finite at 0


class Seen(NamedTuple):
    """What the network sees of a frame and its past, planes of (B, ..., H, W)."""

    divided: torch.Tensor  # (B, 3, H, W) radiance, divided by albedo where there is one
    depth: torch.Tensor
    normal: torch.Tensor
    albedo: torch.Tensor
    has_albedo: torch.Tensor  # (B, 1, H, W) booleans
    previous: torch.Tensor  # (B, 3, H, W) of the History, reprojected, as all that follows
    sums: torch.Tensor  # (B, 3, H, W) of earlier samples, divided by albedo
    weight: torch.Tensor  # (B, 1, H, W) their effective count
    validity: torch.Tensor  # (B, 1, H, W)


def clamp_to_limits(frame: torch.Tensor, names: tuple[str, ...]) -> torch.Tensor:
    """A (B, C, H, W) frame of the quantities `names`, and perhaps further colors, with nothing that breaks a network.

    NaN and Inf become 0, but infinite radiance the brightest there is, and what is beyond a quantity's limits
    (frames/channels.py) the nearest of them. Every network begins with this, so that one broken pixel stays one broken
    pixel, whoever gives the frame.
    """
    quantities = [QUANTITIES[name] for name in names]
    counts = [quantity.count for quantity in quantities]
    if frame.shape[1] > sum(counts):
        quantities, counts = [*quantities, QUANTITIES["color"]], [*counts, frame.shape[1] - sum(counts)]
    parts = list(zip(frame.split(counts, 1), quantities, strict=True))
    # training copies in either case, so that it is the same step everywhere
    if (
        may_ask(frame)
        and not torch.is_grad_enabled()
        and all(is_within(planes, *quantity.limits) for planes, quantity in parts)
    ):
        return frame  # mostly so, and a copy takes time
    return torch.cat([planes.nan_to_num(0.0, q.infinite, 0.0).clamp(*q.limits) for planes, q in parts], 1)


def is_within(planes: torch.Tensor, lowest: float, highest: float) -> bool:
    """Whether all values are within these limits; NaN is not."""
    least, most = planes.aminmax()
    return bool((least >= lowest) & (most <= highest))


def color_count(frame: torch.Tensor) -> int:
    """How many colors a (B, 9 + 3 L, H, W) frame has: L."""
    return 1 + (frame.shape[1] - MOTION.stop) // 3


def further_colors(frame: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The colors that follow a frame's other channels, each (B, 3, H, W)."""
    return frame[:, MOTION.stop :].split(3, 1) if frame.shape[1] > MOTION.stop else ()


def with_motion(frame: torch.Tensor, motion: torch.Tensor) -> torch.Tensor:
    """The frame with this motion, (B, 2, H, W)."""
    return torch.cat((frame[:, : MOTION.start], motion, frame[:, MOTION.stop :]), 1)


def mean_planes(seen: Seen, patch: int) -> torch.Tensor:
    """The local means of this frame's and the history's samples, (B, 3 len(MEANS), H / patch, W / patch)."""
    samples = (seen.sums + seen.divided) / (seen.weight + 1) + SMALL
    samples = pooled(samples, patch)
    return torch.cat([local_mean(samples, size // patch, encode=True) for size in MEANS], 1)


def sample_planes(seen: Seen) -> torch.Tensor:
    """What the network sees of every pixel, (B, SAMPLE_FEATURES, H, W): its sample, and the mean of earlier ones."""
    earlier = seen.sums / seen.weight.clamp(min=1e-3)
    return encode_radiance(torch.cat((seen.divided, earlier + SMALL), 1))


def patch_planes(seen: Seen, means: torch.Tensor, patch: int) -> list[torch.Tensor]:
    """What the network sees of every square of patch x patch pixels: its surface (8 planes), local means, the previous
    image (3), validity, and how much its history weighs. means: mean_planes.

    All of this is smoother than samples are, and to see it at full size would take most of the first convolution.
    """
    flag = seen.has_albedo.to(seen.depth.dtype)
    surface = [pooled(planes, patch) for planes in (seen.depth, seen.normal, flag, seen.albedo)]
    previous = encode_radiance(pooled(seen.previous, patch).clamp(min=0) + SMALL)
    weight = pooled(seen.weight, patch)
    return [torch.log1p(surface[0]), *surface[1:], means, previous, pooled(seen.validity, patch), 1 / (1 + weight)]


def enter(network: RecurrentAutoencoder, seen: Seen, hidden: torch.Tensor) -> torch.Tensor:
    """The network's first convolution of what it sees, (B, C, h, w), the shape of its first hidden state.

    A few rows at a time where that is possible, because all that it sees would take much memory.
    """
    patch = network.strides[0]
    means = mean_planes(seen, patch)

    def features(rows: slice) -> torch.Tensor:
        # of some rows of patches, those of pixels
        pixels = slice(*(place and place * patch for place in (rows.start, rows.stop)))
        part = Seen(*(planes[:, :, pixels] for planes in seen))
        planes = [pixel_unshuffle(sample_planes(part), patch), *patch_planes(part, means[:, :, rows], patch)]
        planes = [plane.to(hidden.dtype) for plane in planes]
        if rows == ALL_ROWS:
            return torch.cat(planes, 1)
        # at once into the network's memory format, for time
        size = len(means), sum(plane.shape[1] for plane in planes), *planes[0].shape[2:]
        out = torch.empty(size, dtype=hidden.dtype, device=means.device, memory_format=network.memory_format)
        return torch.cat(planes, 1, out=out)

    return activate(convolve_rows(network.encoder[0].conv1, hidden, features))


def albedo_divisor(albedo: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Where radiance is divided by a (B, 3, H, W) albedo, (B, 1, H, W) booleans, and by what, (B, 3, H, W).

    A pixel at the silhouette of glass, metal or the sky has the mean albedo of both sides, near 0 where most of it has
    none, but perhaps the radiance of one. Divided by so little it would outshine its neighbors. So it is divided by the
    same color, but brighter.
    """
    largest = albedo.amax(1, keepdim=True)
    has_albedo = largest > NO_ALBEDO
    brighter = (EDGE_ALBEDO / largest.clamp(min=MIN_ALBEDO)).clamp(min=1).where(albedo_edges(albedo) > 0, 1)
    return has_albedo, (albedo.clamp(min=MIN_ALBEDO) * brighter).where(has_albedo, 1)


def rough_shading(divided: torch.Tensor) -> torch.Tensor:
    """Encoded brightness of (B, 3, H, W) noisy radiance over small squares, (B, 1, H, W).

    Encoded first, then averaged, so that single bright samples do not matter; then scaled to the encoded mean of large
    squares, because the mean of encoded samples depends on how few of them carry the light.
    """
    small, large = SHADE_MEANS
    brightness = divided.mean(1, keepdim=True)
    encoded = encode_radiance(brightness)
    scale = local_mean(brightness, large, encode=True) / local_mean(encoded, large).clamp(min=1e-3)
    return local_mean(encoded, small) * scale
