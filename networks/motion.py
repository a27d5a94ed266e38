"""Motion estimated from the surfaces that two frames show, for renderers that write none.

The method of Lucas and Kanade (1981) over a pyramid: at each level, the motion that best explains the difference of two
frames in log depth, normal and albedo. First at the coarse levels, in a window around every pixel, then that of a
camera in a scene at rest (networks/camera.py), then at the fine levels, for what moves by itself, in windows again.
These buffers have no noise, so this finds the motion to a tenth of a pixel.

Shapes: B sequences, H rows, W columns, multiples of 2^LEVELS. Motion is in pixels, as networks/history.py has it.
"""

import torch

from networks.camera import (
    at_rest_unless_better,
    better_of,
    fit_to_motion,
    fit_to_pictures,
    motion_of,
    nearness,
    ways_to_move,
)
from networks.cpu import pooled
from networks.warping import blurred, box_mean, enlarge, gradients, warp

LEVELS = 5  # halvings; the coarsest level finds motion of up to about 60 pixels
COARSE = 3  # levels, before the camera's motion is fitted
ITERATIONS = 2  # in windows, at each level
CAMERA_ITERATIONS = 4, 6, 3  # from the last of the coarse levels on
WINDOW, SPREAD = 4, 8  # pixels to each side: of the window, and over which sure motion spreads to its surroundings
STEADINESS = 3e-3  # squared gradient of the features, below which a pixel tells little
LARGEST_DIFFERENCE = 0.2  # of a feature; larger ones are occlusions, and should not pull harder
CLEARLY = 1.5, 0.02  # factor and amount by which more must differ along the camera's motion than along another
DEPTH_SCALE, ALBEDO_SCALE = 0.5, 2.0  # of log depth and albedo among the features; that of normals is 1


def estimate_motion(then: torch.Tensor, now: torch.Tensor) -> torch.Tensor:
    """The motion, (B, 2, H, W), from `now` back to `then`: (B, 7, H, W) depth, normal, albedo of successive frames."""
    # pyramids, coarsest level first: to half size, which is fine enough for history
    pyramids = (pyramid(features_of(surface)) for surface in (then, now))
    frames = [(blurred(a), blurred(b)) for a, b in zip(*pyramids, strict=True)]
    near = pyramid(nearness(now[:, :1]))

    # anything that moves, roughly
    motion = now.new_zeros(now.shape[0], 2, *near[0].shape[2:])
    for level in range(COARSE):
        motion = enlarge(motion) if level else motion
        motion = refined(motion, torch.zeros_like(motion), *frames[level])

    # the camera; by normals and albedo, since depth changes as it moves
    pictures = [(near[level], *(planes[:, 1:] for planes in frames[level])) for level in range(COARSE - 1, LEVELS)]
    first, *iterations = CAMERA_ITERATIONS
    rough = fit_to_motion(near[COARSE - 1], motion)
    starts = rough, torch.zeros_like(rough)  # what is thin can make the rough motion worse than none
    fit = better_of(*(fit_to_pictures(start, *pictures[0], first) for start in starts), *pictures[0])
    for level, count in zip(pictures[1:], iterations, strict=True):
        fit = fit_to_pictures(fit, *level, count)
    fit = at_rest_unless_better(fit, *pictures[-1])

    # what moves by itself
    for level in range(COARSE, LEVELS):
        camera = motion_of(fit, ways_to_move(near[level]))
        motion = refined(enlarge(motion) if level > COARSE else camera, camera, *frames[level])
    factor, amount = CLEARLY
    by_itself = difference(camera, *frames[-1]) > factor * difference(motion, *frames[-1]) + amount
    return enlarge(motion.where(by_itself, camera))


def features_of(surface: torch.Tensor) -> torch.Tensor:
    """What is matched, (B, 7, H, W): log depth, normal, albedo, scaled by how much they tell."""
    depth, normal, albedo = surface.split([1, 3, 3], 1)
    return torch.cat((DEPTH_SCALE * torch.log(depth.clamp(min=1e-3)), normal, ALBEDO_SCALE * albedo), 1)


def pyramid(planes: torch.Tensor) -> list[torch.Tensor]:
    """(B, C, H, W) planes at LEVELS smaller sizes, each half the next, smallest first."""
    levels = []
    for _ in range(LEVELS):
        planes = pooled(planes, 2)
        levels.append(planes)
    return levels[::-1]


def refined(motion: torch.Tensor, usual: torch.Tensor, then: torch.Tensor, now: torch.Tensor) -> torch.Tensor:
    """A level's motion, (B, 2, h, w), improved by what (B, 7, h, w) features of two frames say.

    Where a window shows nothing to hold on to, what is around it decides how far to depart from the usual motion.
    """
    for _ in range(ITERATIONS):
        # gradient of the earlier frame where the motion leads, and what it leaves unexplained
        warped = warp(then, motion)
        across, down = gradients(warped)
        rest = (now - warped).clamp(-LARGEST_DIFFERENCE, LARGEST_DIFFERENCE)
        # normal equations of each window, (B, 1, h, w) each
        pairs = ((across, across), (across, down), (down, down), (across, rest), (down, rest))
        sums = box_mean(torch.cat([(a * b).sum(1, keepdim=True) for a, b in pairs], 1), WINDOW)
        xx, xy, yy, xr, yr = sums.split(1, 1)
        xx, yy = xx + STEADINESS, yy + STEADINESS
        step = torch.cat((yy * xr - xy * yr, xx * yr - xy * xr), 1) / (xx * yy - xy * xy)
        motion = motion + step.clamp(-1, 1)
    # sure motion spreads
    sureness = xx + yy - 2 * STEADINESS + 1e-5
    spread = box_mean(torch.cat(((motion - usual) * sureness, sureness), 1), SPREAD)
    return usual + spread[:, :2] / spread[:, 2:]


def difference(motion: torch.Tensor, then: torch.Tensor, now: torch.Tensor) -> torch.Tensor:
    """How much features differ along the motion, in the mean around each pixel: (B, 1, h, w)."""
    rest = (now - warp(then, motion)).abs().clamp(max=LARGEST_DIFFERENCE)
    return box_mean(rest.sum(1, keepdim=True), WINDOW)
