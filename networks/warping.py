"""Planes fetched along a motion, their gradients and means.

Shapes: B pictures, C channels, h rows and w columns of some level. Motion is in the level's own pixels.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F

from frames.channels import QUANTITIES

MISSING = QUANTITIES["motion"].missing  # pixels
UNKNOWN_MOTION = MISSING / 2  # motion beyond this means that the frame has none


def motion_is_known(motion: torch.Tensor) -> torch.Tensor:
    """(B, 2, H, W) motion to (B, 1, H, W) booleans: whether the frame has motion."""
    return motion.abs().amax(1, keepdim=True) < UNKNOWN_MOTION


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


def pixels_around(places: torch.Tensor, height: int, width: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The four pixels around each of some places, and their bilinear shares, 0 outside the picture.

    places: (B, 2, ...) columns and rows. Yields numbers of pixels, row by row, and shares: (B, ...) each.
    """
    (left, top), (across, down) = (part.unbind(1) for part in (places.floor(), places - places.floor()))
    columns = (left, 1 - across), (left + 1, across)
    columns = [(column.clamp(0, width - 1).long(), share * within(column, width)) for column, share in columns]
    for row, below in ((top, 1 - down), (top + 1, down)):
        start, below = row.clamp(0, height - 1).long() * width, below * within(row, height)
        for column, beside in columns:
            yield start + column, below * beside


def within(places: torch.Tensor, extent: int) -> torch.Tensor:
    """Which rows are among so many; the same with columns."""
    return (places >= 0) & (places < extent)


def invert_motion(ahead: torch.Tensor, depth: torch.Tensor) -> torch.Tensor:
    """Forward motion of a frame to backward motion of the next one, by scattering; the nearest surface wins.

    ahead: (B, 2, H, W) pixels to where each point is in the next frame. depth: (B, 1, H, W), 0 where nothing is hit.
    Pixels that nothing moves to have MISSING motion.
    """
    # the pixel that each moves to; one more pixel for those that leave the picture
    batch, _, height, width = ahead.shape
    x, y = pixel_grid(ahead)
    known = motion_is_known(ahead)[:, 0]
    column, row = (place + ahead[:, axis].where(known, 0).round() for axis, place in enumerate((x, y)))
    stays = (known & within(column, width) & within(row, height)).flatten(1)  # (B, H W)
    place = (row * width + column).flatten(1).where(stays, height * width).long()

    # the nearest of those that move to one pixel, and of equally near ones the last
    count = height * width + 1
    far = depth.where(depth > 0, torch.inf).flatten(1)
    nearest = far.new_full((batch, count), torch.inf).scatter_reduce(1, place, far, "amin")
    wins = stays & (far <= nearest.gather(1, place))
    index = torch.arange(height * width, device=ahead.device).where(wins, -1)
    source = index.new_full((batch, count), -1).scatter_reduce(1, place, index, "amax")[:, None, :-1]

    motion = -ahead.flatten(2).gather(2, source.clamp(min=0).expand(-1, 2, -1))
    return motion.where(source >= 0, MISSING).unflatten(2, (height, width))


def enlarge(motion: torch.Tensor) -> torch.Tensor:
    """Motion of a level to that of the next finer one: twice the size, twice the pixels."""
    return 2 * F.interpolate(motion, scale_factor=2.0, mode="bilinear", align_corners=False)


def gradients(planes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Central differences of (B, C, h, w) planes along x and along y."""
    padded = F.pad(planes, (1, 1, 1, 1), mode="replicate")
    across = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]
    down = padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
    return across / 2, down / 2


def blurred(planes: torch.Tensor) -> torch.Tensor:
    """(B, C, h, w) planes, each pixel mixed with its neighbors: 1, 2, 1 along rows and along columns."""
    planes = F.pad(planes, (1, 1, 1, 1), mode="replicate")
    planes = (planes[..., :-2] + 2 * planes[..., 1:-1] + planes[..., 2:]) / 4
    return (planes[..., :-2, :] + 2 * planes[..., 1:-1, :] + planes[..., 2:, :]) / 4


def box_mean(planes: torch.Tensor, radius: int) -> torch.Tensor:
    """The mean of (B, C, h, w) planes over squares of 2 radius + 1 pixels; outside the picture nothing counts."""
    size = 2 * radius + 1
    for kernel, margin in (((1, size), (0, radius)), ((size, 1), (radius, 0))):
        planes = F.avg_pool2d(planes, kernel, 1, margin, count_include_pad=False)
    return planes


def local_maximum(planes: torch.Tensor) -> torch.Tensor:
    """The largest value of each pixel of (B, C, h, w) planes and its eight neighbors."""
    planes = F.pad(planes, (1, 1, 1, 1), mode="replicate")  # a third of the time of max_pool2d
    planes = torch.maximum(torch.maximum(planes[..., :-2], planes[..., 2:]), planes[..., 1:-1])
    return torch.maximum(torch.maximum(planes[..., :-2, :], planes[..., 2:, :]), planes[..., 1:-1, :])
