"""Planes fetched along a motion, their gradients and means.

Shapes: B pictures, C channels, h rows and w columns of some level. Motion is in the level's own pixels.
"""

import torch
import torch.nn.functional as F


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
