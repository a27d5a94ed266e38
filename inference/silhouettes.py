"""Silhouettes: pixels that show two surfaces, or a surface and the background, resolved by how much each covers.

A filtering network gives such a pixel the mean of similar pixels, and it has few similar neighbors. Its depth, normal
and albedo say how much of each surface it shows, because without noise they are means as well. So radiance around a
silhouette is modeled as a linear function of the three, fitted by least squares to the pixels around it (a guided
filter, He et al. 2010; weighted, as in Moon et al. 2014). The result counts by how well the model fits, compared with
the pixel's brightness: beside a lamp, a small share of the lamp's light would be a large error.

Shapes: C input channels, L colors, mostly 1, H rows, W columns, P silhouette pixels, N pixels around each, G guides.
"""

import torch

from frames.channels import channels_of
from networks.features import clamp_to_limits
from networks.history import BLACK, depth_edges

RADIUS = 3  # pixels to each side, which the model is fitted to
SPREAD = 1.7  # pixels; standard deviation of their weights
COVERED = 0.99  # length of a normal, above which it is that of one surface
AVERAGED = 0.05  # share of the silhouettes with shorter normals, below which a frame's normals are not means
DOUBT = 0.02  # weight of silhouettes, so that something too thin to have an inside stays as it is
RIDGE = 1e-5  # of the squares of guides, so that there always is a solution
ERROR = 0.5  # of the network, relative to the brightness: with a misfit as large, both count the same
SMALLEST_RANGE = 1e-3  # of depth around a silhouette, relative to the largest
MOST = 2**13  # pixels at a time, for memory


def resolve_silhouettes(frame: torch.Tensor, image: torch.Tensor, inputs: tuple[str, ...]) -> torch.Tensor:
    """The (3 L, H, W) image of a (C, H, W) frame of the quantities `inputs`, with its silhouettes resolved.

    Further colors get the factors of the first, so that they still add up to it.
    """
    depth, normal, *albedo = (
        clamp_to_limits(frame[None, channels_of(inputs, name)], (name,))[0]
        for name in ("depth", "normal", "albedo")
        if name in inputs
    )
    mask = find_silhouettes(depth, normal)  # (H, W)
    planes = torch.cat((depth, normal, *albedo, image[:3], torch.where(mask, DOUBT, 1.0)[None]))
    found, pixels = image.clone(), planes.flatten(1).T.contiguous()  # (H W, G + 4)
    for places in mask.nonzero().split(MOST):
        rows, columns = places.unbind(1)
        old = image[:3, rows, columns]  # (3, P)
        mixed = mix(around(pixels, image.shape[1:], rows, columns)).T  # (3, P)
        factor = torch.where(old > BLACK, mixed / old.clamp(min=BLACK), 1)
        found[:, rows, columns] *= factor.repeat(len(image) // 3, 1)
    return found


def find_silhouettes(depth: torch.Tensor, normal: torch.Tensor) -> torch.Tensor:
    """The pixels on silhouettes, and those beside them: (H, W) booleans.

    None where normals are those of single samples, which do not say how much is covered: then hardly any is short.

    depth: (1, H, W), 0 for the background.
    normal: (3, H, W).
    """
    broken = depth_edges(depth[None])[0, 0] > 0
    short = (depth[0] > 0) & (normal.square().sum(0) < COVERED**2)  # faster than a norm
    averaged = (broken & short).sum() > AVERAGED * broken.sum()
    return (broken | short) & averaged


def mix(near: torch.Tensor) -> torch.Tensor:
    """The radiance of some pixels, (P, 3), clamped to the range of those around, which the model may leave.

    near: (P, N, G + 4) guides, depth first, radiance and weight of the pixels around; in the middle the pixel itself.
    """
    guides, image, weight = near.split([near.shape[2] - 4, 3, 1], 2)
    # depth as a share of its range around each pixel
    lowest, highest = guides[..., :1].aminmax(dim=1, keepdim=True)
    guides[..., :1] = (guides[..., :1] - lowest) / (highest - lowest).clamp(min=SMALLEST_RANGE * highest + BLACK)
    # least squares
    own, own_image = (x[:, x.shape[1] // 2, None] for x in (guides, image))  # (P, 1, G), (P, 1, 3)
    weight = weight * closeness()
    weight = weight / weight.sum(1, keepdim=True)  # (P, N, 1)
    mean_guides, mean_image = ((x * weight).sum(1, keepdim=True) for x in (guides, image))
    guides, colors = guides - mean_guides, image - mean_image
    weighted = (guides * weight).transpose(1, 2)  # (P, G, N)
    matrix = weighted @ guides + RIDGE * torch.eye(guides.shape[2])  # (P, G, G)
    slopes = torch.linalg.solve(matrix, weighted @ colors)  # (P, G, 3)
    mixed = (mean_image + (own - mean_guides) @ slopes).clamp(image.amin(1, True), image.amax(1, True))  # (P, 1, 3)
    # weighted by how well the model fits
    misfit = ((colors - guides @ slopes).square() * weight).sum(1, keepdim=True).mean(2, keepdim=True)  # (P, 1, 1)
    error = ERROR**2 * own_image.mean(2, keepdim=True) * mixed.mean(2, keepdim=True)  # alike for darker and brighter
    return torch.lerp(own_image, mixed, error / (error + misfit + BLACK**2))[:, 0]


def around(pixels: torch.Tensor, size: tuple[int, int], rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """The values of (H W, C) pixels in squares around some, (P, N, C); beyond the edge, the nearest inside.

    size: H, W.
    """
    y, x = offsets()
    height, width = size
    return pixels[(rows[:, None] + y).clamp(0, height - 1) * width + (columns[:, None] + x).clamp(0, width - 1)]


def offsets() -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and columns of the pixels around a pixel, counted from it: (N,) each."""
    steps = torch.arange(-RADIUS, RADIUS + 1)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    return y.flatten(), x.flatten()


def closeness() -> torch.Tensor:
    """The weights of the pixels around a pixel, (N, 1), by their distance."""
    y, x = offsets()
    return torch.exp((y.square() + x.square()) / (-2 * SPREAD**2))[:, None]
