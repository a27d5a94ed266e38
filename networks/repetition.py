"""Whether the noise of successive frames repeats, because the renderer kept its seed; found without targets.

Noise that repeats stands still on the screen while surfaces move through it; where nothing moves, smooth surfaces stay
rough in the same way. A history of equal samples is one sample.
Shapes: H rows, W columns.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F

from frames.channels import MOTION_INPUTS, channels_of
from frames.radiance import encode_radiance, luminance
from networks.features import MIN_ALBEDO
from networks.motion import LEVELS, estimate_motion, features_of
from networks.warping import motion_is_known, warp

FLAT = 0.05  # range of the surface's features around a pixel, below which it shows no edge and no texture
MOVES = 1.0  # pixels, from which noise and surface can be told apart
STILL = 0.5  # pixels, up to which a surface stands still, as far as estimated motion says
ENOUGH = 300  # pixels
ALIKE = 0.25  # correlation; of independent noise it is below 0.05
ROUGH = 0.04  # median difference of encoded radiance from its neighbors, relative: below, there is hardly any noise
EQUAL = 0.8  # the same, where nothing moves: reflections and shadows at rest may be rough, too
COMPARED = 3  # frames of a sequence
REMEDY = (
    "the noise of successive frames is alike, so the history is worth little; give every frame a seed of its own "
    "(in Blender, scene.cycles.use_animated_seed)"
)


def noise_repeats(frames: list[torch.Tensor]) -> bool:
    """Whether the noise of successive (12, H, W) frames, as the network reads them, repeats.

    False where the frames do not show it: too small, without noise, held, or nothing moves and there is no albedo,
    without which texture would pass for noise.
    """
    found = [verdict(then[None], now[None]) for then, now in pairwise(frames)]
    found = [repeats for repeats in found if repeats is not None]
    return bool(found) and all(found)


def verdict(then: torch.Tensor, now: torch.Tensor) -> bool | None:
    """Whether the noise of two successive (1, 12, H, W) frames repeats; None if they do not show it."""
    height, width = (extent >> LEVELS << LEVELS for extent in now.shape[-2:])
    then, now = (frame[..., :height, :width].nan_to_num(0, 0, 0) for frame in (then, now))
    color, motion = (channels_of(MOTION_INPUTS, name) for name in ("color", "motion"))
    if not height or not width or torch.equal(then[:, : motion.start], now[:, : motion.start]):  # held
        return None

    # what moves, and where surfaces are flat
    surfaces = [frame[:, color.stop : motion.start] for frame in (then, now)]
    known = motion_is_known(now[:, motion])  # (1, 1, H, W)
    if known.float().mean() < 0.5:
        known, moved = torch.ones_like(known), estimate_motion(*surfaces)  # (1, 2, H, W)
    else:
        moved = now[:, motion].where(known, 0)
    flat = known[0, 0] & is_flat(surfaces[1]) & is_flat(surfaces[0]) & is_flat(warp(surfaces[0], moved))  # (H, W)
    speed = moved[0].norm(dim=0)
    noise = [roughness(frame) for frame in (then, now)]  # (1, 1, H, W)

    # where surfaces move through it
    moving = flat & (speed > MOVES)
    if int(moving.sum()) > ENOUGH and float(noise[1][0, 0].abs()[moving].median()) > ROUGH:
        stays, goes = (correlation(noise[1], other, moving) for other in (noise[0], warp(noise[0], moved)))
        return stays > ALIKE and stays > 2 * goes

    # where nothing moves; without albedo, texture would pass for noise
    still = flat & (speed < STILL) & (surfaces[1][0, 4:] > 0).any(0)
    if int(still.sum()) > ENOUGH and float(noise[1][0, 0].abs()[still].median()) > ROUGH:
        return correlation(noise[1], noise[0], still) > EQUAL
    return None


def is_flat(surface: torch.Tensor) -> torch.Tensor:
    """Where the features of a (1, 7, H, W) surface hardly vary over 3x3 pixels, and something is hit: (H, W)."""
    features = features_of(surface)
    span = F.max_pool2d(features, 3, 1, 1) + F.max_pool2d(-features, 3, 1, 1)
    return (span.amax(1)[0] < FLAT) & (surface[0, 0] > 0)


def roughness(frame: torch.Tensor) -> torch.Tensor:
    """How a (1, 12, H, W) frame's encoded radiance differs from the mean of its neighbors, relative: (1, 1, H, W)."""
    color, albedo = (frame[0, channels_of(MOTION_INPUTS, name)] for name in ("color", "albedo"))
    divided = color / albedo.clamp(min=MIN_ALBEDO) if (albedo > 0).any() else color
    encoded = encode_radiance(luminance(divided).clamp(min=0))[None, None]
    around = F.avg_pool2d(encoded, 3, 1, 1, count_include_pad=False)
    return (encoded - around) / around.clamp(min=1e-4)


def correlation(a: torch.Tensor, b: torch.Tensor, where: torch.Tensor) -> float:
    """The correlation of two (1, 1, H, W) planes over the pixels `where`, (H, W)."""
    a, b = a[0, 0][where], b[0, 0][where]
    return float((a * b).mean() / (a.square().mean() * b.square().mean()).sqrt().clamp(min=1e-12))
