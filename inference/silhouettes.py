"""Rims, the pixels that two surfaces or a surface and the background share: mixed anew, by how much each covers.

A network that filters gives such a pixel the mean of pixels that are alike, and beside it few are. Depth, normal and
albedo say how much of each surface a pixel has: without noise, they are means, too. So around a rim radiance is taken
for a linear function of the three, found by least squares among the pixels around it (a guided filter, He et al. 2010;
weighted, as in Moon et al. 2014). What that gives counts by how well it explains what is around, compared with the
brightness of the rim: beside a lamp, a small share of the lamp's light would be a large error.

Shapes: C input channels, L colors, mostly 1, H rows, W columns, P rims, N pixels around each, G guides.
"""

import torch

from frames.channels import channels_of
from networks.features import clamp_to_limits
from networks.history import depth_edges

RADIUS = 3  # pixels to each side, from which a rim is mixed
SPREAD = 1.7  # pixels; standard deviation of their weights
COVERED = 0.99  # length of a normal, above which it is that of one surface
AVERAGED = 0.05  # share of the rims with shorter normals, below which a frame's normals are not means
DOUBT = 0.02  # weight of rims, so that something too thin to have anything else stays as it is
RIDGE = 1e-5  # of the squares of guides, so that there always is a solution
ERROR = 0.5  # of the network at a rim, relative to its brightness: what is found counts as much if its misfit is that
SMALLEST_RANGE = 1e-3  # of depth around a rim, relative to the largest
BLACK = 1e-6  # radiance, below which nothing is mended: factors on it could overflow
MOST = 2**13  # rims at a time, for memory


def resolve_silhouettes(frame: torch.Tensor, image: torch.Tensor, inputs: tuple[str, ...]) -> torch.Tensor:
    """The (3 L, H, W) image of a (C, H, W) frame of the quantities `inputs`, with its rims mixed anew.

    Further colors get the factors of the first, so that they still add up to it.
    """
    depth, normal, *albedo = (
        clamp_to_limits(frame[None, channels_of(inputs, name)], (name,))[0]
        for name in ("depth", "normal", "albedo")
        if name in inputs
    )
    rims = find_silhouettes(depth, normal)  # (H, W)
    planes = torch.cat((depth, normal, *albedo, image[:3], torch.where(rims, DOUBT, 1.0)[None]))
    found, pixels = image.clone(), planes.flatten(1).T.contiguous()  # (H W, G + 4)
    for places in rims.nonzero().split(MOST):
        rows, columns = places.unbind(1)
        old = image[:3, rows, columns]  # (3, P)
        mixed = mix(around(pixels, image.shape[1:], rows, columns)).T  # (3, P)
        factor = torch.where(old > BLACK, mixed / old.clamp(min=BLACK), 1)
        found[:, rows, columns] *= factor.repeat(len(image) // 3, 1)
    return found


def find_silhouettes(depth: torch.Tensor, normal: torch.Tensor) -> torch.Tensor:
    """The pixels that two surfaces or a surface and the background share, and those beside them: (H, W) booleans.

    depth: (1, H, W), 0 where nothing is hit. normal: (3, H, W). None where normals are those of single samples, which
    do not say what is covered: then hardly any is short.
    """
    broken = depth_edges(depth[None])[0, 0] > 0
    short = (depth[0] > 0) & (normal.square().sum(0) < COVERED**2)  # faster than a norm
    averaged = (broken & short).sum() > AVERAGED * broken.sum()
    return (broken | short) & averaged


def mix(near: torch.Tensor) -> torch.Tensor:
    """The radiance of some pixels, (P, 3), within the range of what is around, which a line may leave.

    near: (P, N, G + 4) guides, depth first, radiance and weight of what is around, the pixel itself in the middle.
    """
    guides, image, weight = near.split([near.shape[2] - 4, 3, 1], 2)
    # depth, in shares of its range around each rim
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
    # by how well that explains what is around
    misfit = ((colors - guides @ slopes).square() * weight).sum(1, keepdim=True).mean(2, keepdim=True)  # (P, 1, 1)
    error = ERROR**2 * own_image.mean(2, keepdim=True) * mixed.mean(2, keepdim=True)  # alike for darker and brighter
    return torch.lerp(own_image, mixed, error / (error + misfit + BLACK**2))[:, 0]


def around(pixels: torch.Tensor, size: tuple[int, int], rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """The values of (H W, C) pixels in squares around some, (P, N, C); at the border, the nearest inside.

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
