"""Motion estimated from the surfaces that two frames show, for renderers that write none.

The method of Lucas and Kanade (1981) over a pyramid: at each level, the motion that best explains the difference of two
frames in log depth, normal and albedo, in a window around every pixel. These buffers have no noise, so this finds the
motion to a fraction of a pixel. Where a window shows nothing to hold on to (the middle of a wall), the motion of what
is around it is taken; along a flat surface, being a little off does no harm.

Shapes: B sequences, H rows, W columns, multiples of 2^LEVELS. Motion is in pixels, as networks/history.py has it.
"""

import torch
import torch.nn.functional as F

LEVELS = 5  # halvings; the coarsest level finds motion of up to about 60 pixels
ITERATIONS = 2  # at each level
WINDOW, SPREAD = 4, 8  # pixels to each side: of the window, and over which sure motion spreads to its surroundings
STEADINESS = 3e-3  # squared gradient of the features, below which a pixel tells little
LARGEST_DIFFERENCE = 0.2  # of a feature; larger ones are occlusions, and should not pull harder
DEPTH_SCALE, ALBEDO_SCALE = 0.5, 2.0  # of log depth and albedo among the features; that of normals is 1


def estimate_motion(then: torch.Tensor, now: torch.Tensor) -> torch.Tensor:
    """The motion, (B, 2, H, W), from `now` back to `then`: (B, 7, H, W) depth, normal, albedo of successive frames."""
    # from half size on, which is fine enough for history
    pyramid = [(F.avg_pool2d(features_of(then), 2), F.avg_pool2d(features_of(now), 2))]
    for _ in range(LEVELS - 1):
        pyramid.append(tuple(F.avg_pool2d(planes, 2) for planes in pyramid[-1]))
    motion = now.new_zeros(now.shape[0], 2, *pyramid[-1][1].shape[2:])
    for level, (before, after) in enumerate(pyramid[::-1]):
        motion = enlarge(motion) if level else motion
        motion = refine(motion, before, after)
    return enlarge(motion)


def features_of(surface: torch.Tensor) -> torch.Tensor:
    """What is matched, (B, 7, H, W): log depth, normal, albedo, scaled by how much they tell."""
    depth, normal, albedo = surface.split([1, 3, 3], 1)
    return torch.cat((DEPTH_SCALE * torch.log(depth.clamp(min=1e-3)), normal, ALBEDO_SCALE * albedo), 1)


def enlarge(motion: torch.Tensor) -> torch.Tensor:
    """Motion of a level to that of the next finer one: twice the size, twice the pixels."""
    return 2 * F.interpolate(motion, scale_factor=2.0, mode="bilinear", align_corners=False)


def refine(motion: torch.Tensor, then: torch.Tensor, now: torch.Tensor) -> torch.Tensor:
    """A level's motion, (B, 2, h, w), improved by what (B, 7, h, w) features of two frames say."""
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
    spread = box_mean(torch.cat((motion * sureness, sureness), 1), SPREAD)
    return spread[:, :2] / spread[:, 2:]


def gradients(planes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Central differences of (B, C, h, w) planes along x and along y."""
    padded = F.pad(planes, (1, 1, 1, 1), mode="replicate")
    across = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]
    down = padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
    return across / 2, down / 2


def box_mean(planes: torch.Tensor, radius: int) -> torch.Tensor:
    """The mean of (B, C, h, w) planes over squares of 2 radius + 1 pixels; outside the picture nothing counts."""
    size = 2 * radius + 1
    for kernel, margin in (((1, size), (0, radius)), ((size, 1), (radius, 0))):
        planes = F.avg_pool2d(planes, kernel, 1, margin, count_include_pad=False)
    return planes


def pixel_grid(planes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The column x and row y of every pixel of (..., H, W) planes, each (H, W)."""
    height, width = planes.shape[-2:]
    y, x = torch.meshgrid(
        torch.arange(height, device=planes.device), torch.arange(width, device=planes.device), indexing="ij"
    )
    return x, y


def warp(planes: torch.Tensor, motion: torch.Tensor, outside: str = "border") -> torch.Tensor:
    """(B, C, h, w) planes fetched bilinearly along (B, 2, h, w) motion, in their own pixels.

    outside: what is beyond the edge, as F.grid_sample names it: "border" or "zeros".
    """
    height, width = planes.shape[-2:]
    x, y = pixel_grid(planes)
    # grid_sample counts from -1 to 1 between the outer edges of the picture
    grid = torch.stack((((x + motion[:, 0]) * 2 + 1) / width - 1, ((y + motion[:, 1]) * 2 + 1) / height - 1), -1)
    return F.grid_sample(planes, grid, mode="bilinear", padding_mode=outside, align_corners=False)
