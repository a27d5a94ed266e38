"""The motion of a camera through a scene at rest, from what two frames show.

How a picture moves with its camera (Longuet-Higgins and Prazdny 1980): turns move all pixels alike, whatever their
depth; shifts move each by one over its depth. So eight numbers say the motion of every pixel, also in the middle of a
wall, where a picture shows nothing to hold on to. They are found by least squares, in which what does not fit (moving
objects, surfaces that come into view) hardly counts: iteratively reweighted, with Cauchy's weights.

Shapes: B pictures, h rows and w columns of a level of a pyramid. A fit is (B, WAYS, 1), and the same at every level.
"""

import torch

from networks.warping import gradients, local_maximum, pixel_grid, warp

WAYS = 8
VIEW = 0.5  # half the picture's width over the focal length: a field of view of 53 degrees
NEAREST = 8.0  # of one over the depth, relative to its mean
JUMP = 1.1  # factor between depths of two surfaces, rather than of one
MOTION_SCALE = 0.5  # pixels, beyond which motion that differs from the camera's counts less
FEATURE_SCALE = 0.025  # the same for features
MOTION_ITERATIONS = 6
STEADINESS = 1e-5  # mean squared gradient of the features, below which a picture says little
EXPLAINED = 0.1, 0.9  # of the picture, and of what a camera at rest explains
DAMPING = 1e-3, 1e-5  # of the equations' diagonal, own and mean, so that they always have a solution


def nearness(depth: torch.Tensor) -> torch.Tensor:
    """One over the depth, (B, 1, H, W), relative to its mean; 0 for the background.

    depth: (B, 1, H, W) along the ray, at full size. The field of view is unknown; a usual one is assumed. A pixel on a
    silhouette before the background has the mean depth of both, far too small, and takes that of its surroundings.
    """
    hit = depth > 0
    inverse = (1 / depth.clamp(min=1e-3)).where(hit, 0)
    inside = local_maximum(-local_maximum(-inverse))  # without what is narrower than three pixels
    silhouette = local_maximum(1 - hit.to(depth.dtype)) > 0
    x, y = positions(depth)
    near = inside.where(silhouette, inverse) * (1 + VIEW**2 * (x * x + y * y)).sqrt()
    return (near / near.mean((1, 2, 3), keepdim=True).clamp(min=1e-9)).clamp(max=NEAREST)


def positions(planes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Where the pixels of (..., h, w) planes are, from the center, in halves of the width: x and y, each (h, w)."""
    height, width = planes.shape[-2:]
    x, y = pixel_grid(planes)
    return (2 * x + 1 - width) / width, (2 * y + 1 - height) / width


def ways_to_move(near: torch.Tensor) -> torch.Tensor:
    """The motion of a picture's pixels for each way that its camera can move by, (B, 2, WAYS, h, w), in pixels.

    near: (B, 1, h, w). Turns: around the vertical, the horizontal and the view; the two that bend the picture count
    by themselves, since the field of view is not known. Shifts: to the side, up, and forward.
    """
    x, y = positions(near)
    one, none = torch.ones_like(x), torch.zeros_like(x)
    turns = (one, none), (none, one), (y, -x), (x * x, x * y), (x * y, y * y)
    shifts = (one, none), (none, one), (x, y)
    ways = [torch.stack(turn).expand(len(near), -1, -1, -1) for turn in turns]
    ways += [torch.stack(shift) * near for shift in shifts]
    return torch.stack(ways, 2) * (near.shape[-1] / 2)


def motion_of(fit: torch.Tensor, ways: torch.Tensor) -> torch.Tensor:
    """The motion of every pixel, (B, 2, h, w)."""
    return (ways * fit[:, None, :, :, None]).sum(2)


def fit_to_motion(near: torch.Tensor, motion: torch.Tensor) -> torch.Tensor:
    """The fit to a level's motion, (B, 2, h, w), of which much may be wrong."""
    ways = ways_to_move(near)
    fit = near.new_zeros(len(near), WAYS, 1)
    for _ in range(MOTION_ITERATIONS):
        rest = motion - motion_of(fit, ways)
        weight = cauchy(rest, MOTION_SCALE)
        fit = fit + step(ways, (weight, torch.zeros_like(weight), weight), weight * rest)
    return fit


def fit_to_pictures(
    fit: torch.Tensor, near: torch.Tensor, then: torch.Tensor, now: torch.Tensor, iterations: int
) -> torch.Tensor:
    """A fit, improved by what (B, C, h, w) features of two frames show. near: (B, 1, h, w) of the later frame."""
    ways, slopes = ways_of_edges(near), gradients(now)
    for _ in range(iterations):
        rest, weight, warped = unexplained(motion_of(fit, ways), then, now)
        # mean slopes of both frames: exact to the second order (Benhimane and Malis 2004)
        across, down = ((a + b) / 2 for a, b in zip(gradients(warped), slopes, strict=True))
        pairs = (across, across), (across, down), (down, down), (across, rest), (down, rest)
        xx, xy, yy, xr, yr = ((a * b).sum(1, keepdim=True) * weight for a, b in pairs)
        fit = fit + step(ways, (xx + STEADINESS, xy, yy + STEADINESS), torch.cat((xr, yr), 1))
    return fit


def better_of(
    fit: torch.Tensor, other: torch.Tensor, near: torch.Tensor, then: torch.Tensor, now: torch.Tensor
) -> torch.Tensor:
    """Of two fits, the one that explains more of a level's (B, C, h, w) features."""
    explained, by_other = (explained_by(f, near, then, now) for f in (fit, other))
    return fit.where((explained >= by_other)[:, None, None], other)


def at_rest_unless_better(fit: torch.Tensor, near: torch.Tensor, then: torch.Tensor, now: torch.Tensor) -> torch.Tensor:
    """The fit, or 0 where it explains hardly anything or less than rest: two frames may have little in common."""
    moved, rest = (explained_by(f, near, then, now) for f in (fit, torch.zeros_like(fit)))
    share, of_rest = EXPLAINED
    return fit.where(((moved > share) & (moved > of_rest * rest))[:, None, None], 0)


def explained_by(fit: torch.Tensor, near: torch.Tensor, then: torch.Tensor, now: torch.Tensor) -> torch.Tensor:
    """The share of a level's (B, C, h, w) features that a fit explains, (B,)."""
    return unexplained(motion_of(fit, ways_of_edges(near)), then, now)[1].mean((1, 2, 3))


def ways_of_edges(near: torch.Tensor) -> torch.Tensor:
    """ways_to_move, but an edge moves with the nearer of its two surfaces."""
    nearest = local_maximum(near)
    return ways_to_move(nearest.where(nearest > JUMP * near, near))


def unexplained(
    motion: torch.Tensor, then: torch.Tensor, now: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What a motion leaves unexplained, (B, C, h, w), how much each pixel counts, (B, 1, h, w), and `then` warped."""
    warped = warp(then, motion)
    x, y = pixel_grid(now)
    column, row = x + motion[:, :1], y + motion[:, 1:]
    inside = (column >= 0) & (column <= now.shape[-1] - 1) & (row >= 0) & (row <= now.shape[-2] - 1)
    return now - warped, cauchy(now - warped, FEATURE_SCALE) * inside, warped


def cauchy(rest: torch.Tensor, scale: float) -> torch.Tensor:
    """How much a pixel counts, (B, 1, h, w), of which (B, C, h, w) is not explained."""
    return 1 / (1 + rest.square().sum(1, keepdim=True) / scale**2)


def step(ways: torch.Tensor, matrix: tuple[torch.Tensor, ...], right: torch.Tensor) -> torch.Tensor:
    """By how much to change a fit, (B, WAYS, 1).

    matrix: of every pixel's equations for its motion, xx, xy and yy, (B, 1, h, w) each. right: their right sides,
    (B, 2, h, w).
    """
    xx, xy, yy = matrix
    across, down = ways.unbind(1)  # (B, WAYS, h, w)
    weighted = torch.stack((xx * across + xy * down, xy * across + yy * down), 1).transpose(1, 2).flatten(2)
    flat = ways.transpose(1, 2).flatten(2)  # (B, WAYS, 2 h w)
    return solved(weighted @ flat.transpose(1, 2), flat @ right.flatten(1)[:, :, None])


def solved(matrix: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """x of matrix x = right, (B, n, n) and (B, n, 1), damped: by elimination, since exported files have no solver."""
    diagonal = matrix.diagonal(dim1=1, dim2=2)
    own, mean = DAMPING
    damping = own * diagonal + mean * diagonal.mean(1, keepdim=True) + 1e-12
    size = matrix.shape[-1]
    places = torch.arange(size, device=matrix.device)
    unit = (places[:, None] == places).to(matrix.dtype)
    rows = torch.cat((matrix + damping[:, None] * unit, right), 2)  # (B, n, n + 1)
    for index in range(size):
        pivot = rows[:, index : index + 1] / rows[:, index : index + 1, index : index + 1]
        others = rows - rows[:, :, index : index + 1] * pivot
        rows = torch.where(places[:, None] == index, pivot, others)
    return rows[:, :, size:]
