"""Rims of what a frame shows before the background: mixed anew, by how much of a pixel each covers.

A network that filters gives such a pixel the mean of pixels that are alike, and beside the background few are. Normal
and albedo say how much of it is covered: both are 0 in the background, and without noise. So around a rim radiance is
taken for a linear function of normal and albedo, found by least squares among the pixels that are no rim (a guided
filter, He et al. 2010; weighted, as in Moon et al. 2014), and a rim gets what that gives.

Shapes: C input channels, L colors, mostly 1, H rows, W columns, P rims, N pixels around each, G guides.
"""

import torch

from frames.channels import channels_of
from networks.features import within_limits
from networks.warping import local_maximum

RADIUS = 3  # pixels to each side, from which a rim is mixed
COVERED = 0.99  # length of a normal, above which a pixel is not mixed
DOUBT = 1e-2  # weight of rims and what touches them, so that something too thin to have anything else stays as it is
RIDGE = 1e-5  # of the squares of normal and albedo, so that there always is a solution
BLACK = 1e-6  # radiance, below which nothing is mended: factors on it could overflow
MOST = 2**14  # rims at a time, for memory


def mend_rims(frame: torch.Tensor, image: torch.Tensor, inputs: tuple[str, ...]) -> torch.Tensor:
    """The (3 L, H, W) image of a (C, H, W) frame of the quantities `inputs`, with its rims mixed anew.

    Further colors get the factors of the first, so that they still add up to it. Where normals are those of single
    samples, they do not say what is covered, and nothing changes.
    """
    depth, normal, *albedo = (
        within_limits(frame[None, channels_of(inputs, name)], (name,))[0]
        for name in ("depth", "normal", "albedo")
        if name in inputs
    )
    rims = find_rims(depth, normal)  # (H, W)
    guides = torch.cat((normal, *albedo))  # (G, H, W)
    found = image.clone()
    for places in rims.nonzero().split(MOST):
        rows, columns = places.unbind(1)
        old = image[:3, rows, columns]  # (3, P)
        mixed = mix(guides, image[:3], rims, rows, columns)
        factor = torch.where(old > BLACK, mixed / old.clamp(min=BLACK), 1)
        found[:, rows, columns] *= factor.repeat(len(image) // 3, 1)
    return found


def find_rims(depth: torch.Tensor, normal: torch.Tensor) -> torch.Tensor:
    """The pixels that the background shares, and those of it beside them, (H, W) booleans.

    Shared is what is beside a pixel that hits nothing, and has a short normal.
    depth: (1, H, W), 0 where nothing is hit. normal: (3, H, W), a pixel's mean.
    """
    hit = (depth > 0)[None]  # (1, 1, H, W)
    shared = hit & touches(~hit) & (normal.norm(dim=0) < COVERED)
    return (shared | (~hit & touches(shared)))[0, 0]


def touches(pixels: torch.Tensor) -> torch.Tensor:
    """The pixels of (1, 1, H, W) booleans, and their neighbors."""
    return local_maximum(pixels.float()) > 0


def mix(
    guides: torch.Tensor, image: torch.Tensor, rims: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor
) -> torch.Tensor:
    """The radiance of some pixels, (3, P), by (G, H, W) guides and a (3, H, W) image around them.

    Within the range of what is around, which a line may leave.
    """
    blurred = touches(rims[None, None])[0]  # (1, H, W): by the network, across the rim
    weight = around(torch.where(blurred, DOUBT, 1.0), rows, columns)  # (1, N, P)
    weight = weight / weight.sum(1, keepdim=True)
    near_guides, near_image = around(guides, rows, columns), around(image, rows, columns)  # (G, N, P), (3, N, P)
    mean_guides, mean_image = ((planes * weight).sum(1) for planes in (near_guides, near_image))
    spread = (near_guides - mean_guides[:, None]).permute(2, 0, 1)  # (P, G, N)
    weighted = spread * weight.permute(2, 0, 1)
    matrix = weighted @ spread.transpose(1, 2) + RIDGE * torch.eye(len(guides))  # (P, G, G)
    right = weighted @ (near_image - mean_image[:, None]).permute(2, 1, 0)  # (P, G, 3)
    slopes = torch.linalg.solve(matrix, right)
    own = (guides[:, rows, columns] - mean_guides).T[:, None]  # (P, 1, G)
    return (mean_image + (own @ slopes)[:, 0].T).clamp(near_image.amin(1), near_image.amax(1))


def around(planes: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """The values of (C, H, W) planes in squares around some pixels, (C, N, P); at the border, the nearest inside."""
    offsets = torch.arange(-RADIUS, RADIUS + 1)
    y, x = (part.flatten()[:, None] for part in torch.meshgrid(offsets, offsets, indexing="ij"))
    height, width = planes.shape[1:]
    return planes[:, (rows + y).clamp(0, height - 1), (columns + x).clamp(0, width - 1)]
