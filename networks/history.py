"""The history that earlier frames leave: reprojected along the motion, and kept only where it shows the same surface.

Shapes: B sequences, H rows, W columns, N = H W pixels; L colors, the frame's own and further ones, mostly 1. Motion is
in pixels, from a pixel of this frame to where its surface point was in the previous frame, x right, y down.
"""

from functools import partial
from typing import NamedTuple

import torch

from frames.channels import HALF_MAX, MAX_WEIGHT
from networks.cpu import by_rows, in_rows, mean_around, pooled, warp_pixels
from networks.warping import local_maximum, pixel_grid, pixels_around, warp

DEPTH_TOLERANCE = 0.1  # relative to the larger depth
EDGE_DEPTH_TOLERANCE = 0.02  # the same, from a depth edge to where there is none
DEPTH_EDGE = 0.02  # relative difference of a pixel's depth from the mean of 3x3 pixels
NORMAL_TOLERANCE = 0.8  # smallest cosine
ALBEDO_TOLERANCE = 0.15  # largest difference of a channel
EDGE_ALBEDO_TOLERANCE = 0.02  # the same, from an albedo edge to where there is none
NO_ALBEDO = 1e-3  # where no channel is above this (mirrors, emitters, background), radiance is not divided
AGREEMENT = 2.0  # largest factor by which division and multiplication by albedo may change the previous image
BLACK = 1e-6  # radiance, below which factors could overflow
NEVER = -1.0  # depth of a history that holds nothing: no surface has it


class History(NamedTuple):
    """What earlier frames leave for the next one, float32.

    previous: (B, 3 L, H, W) the previous filtered images, divided by albedo.
    samples: (B, 6 L + 1, H, W) for each color, sums of confidence times radiance, first divided by albedo, then plain;
        last the sum of the confidences, which is the effective sample count.
    brightness: (B, 1, H, W) mean of the channels of the previous image's own color, not divided.
    surface: (B, 7, H, W) what the pixel showed: depth, shading normal, albedo.
    output: (B, 3, H, W) the previous frame's final output, divided by albedo; None without a detail stage.
    """

    previous: torch.Tensor
    samples: torch.Tensor
    brightness: torch.Tensor
    surface: torch.Tensor
    output: torch.Tensor | None = None

    @property
    def weight(self) -> torch.Tensor:
        """The effective sample count, (B, 1, H, W)."""
        return self.samples[:, -1:]

    def tensors(self) -> list[torch.Tensor]:
        """The tensors that there are, in order; History(*tensors) is the same history."""
        return [part for part in self if part is not None]


def empty_history(like: torch.Tensor, colors: int, with_output: bool) -> History:
    """A history that holds nothing, for (B, ..., H, W) planes with so many colors."""
    counts = {"previous": 3 * colors, "samples": 6 * colors + 1, "brightness": 1, "surface": 7}
    counts |= {"output": 3} if with_output else {}
    parts = {name: like.new_zeros(len(like), count, *like.shape[2:]) for name, count in counts.items()}
    parts["surface"][:, 0] = NEVER
    return History(**parts)


def rescaled(history: History, factors: torch.Tensor) -> History:
    """A history in other units. factors: (B, 2), by which radiance and depth are multiplied.

    Clamped to HALF_MAX, as the frames are.
    """
    radiance, depth = factors[:, :, None, None, None].unbind(1)  # (B, 1, 1, 1)

    def brighter(planes: torch.Tensor) -> torch.Tensor:
        return (planes * radiance).clamp(max=HALF_MAX)

    sums, surface = history.samples[:, :-1], history.surface
    return History(
        brighter(history.previous),
        torch.cat((brighter(sums), history.weight), 1),
        brighter(history.brightness),
        torch.cat(((surface[:, :1] * depth).clamp(max=HALF_MAX), surface[:, 1:]), 1),
        None if history.output is None else brighter(history.output),
    )


def depth_edges(depth: torch.Tensor) -> torch.Tensor:
    """1 where a (B, 1, H, W) depth breaks off, else 0: pixels that may show two surfaces, and those beside them."""
    return ((depth - mean_around(depth)).abs() > DEPTH_EDGE * depth).to(depth.dtype)


def albedo_edges(albedo: torch.Tensor) -> torch.Tensor:
    """1 where a (B, 3, H, W) albedo is there, but not at a neighbor, else 0: the pixel may show a little of a lamp."""
    missing = (albedo.amax(1, keepdim=True) <= NO_ALBEDO).to(albedo.dtype)
    return local_maximum(missing) - missing


def edges_of(surface: torch.Tensor) -> torch.Tensor:
    """The depth_edges and albedo_edges of a (B, 7, H, W) surface, (B, 2, H, W)."""
    return torch.cat((depth_edges(surface[:, :1]), albedo_edges(surface[:, 4:])), 1)


def dot(then: torch.Tensor, now: torch.Tensor) -> torch.Tensor:
    """The scalar products of the normals of (B, 7, N) surfaces, (B, N): plane by plane, for time."""
    (x, y, z), (right, up, forward) = (surface[:, 1:4].unbind(1) for surface in (then, now))
    return (x * right).addcmul_(y, up).addcmul_(z, forward)


def normal_length(surface: torch.Tensor) -> torch.Tensor:
    """The length of the normals of (B, 7, N) surfaces, (B, N)."""
    return dot(surface, surface).sqrt_()


def same_surface(
    then: torch.Tensor,
    now: torch.Tensor,
    depth_tolerance: torch.Tensor,
    least_cosine: torch.Tensor,
    albedo_tolerance: torch.Tensor,
) -> torch.Tensor:
    """Whether surfaces of two frames are the same one: (B, N) booleans. Background is the same as background.

    then, now: (B, 7, N) depth, normal, albedo.
    depth_tolerance: (B, N), the largest difference of depths, relative to the larger one.
    least_cosine: (B, N), of the normals, times both lengths: averaged normals are shorter than 1, background has 0.
    albedo_tolerance: (B, N), the largest difference of a channel of albedo.
    """
    near = (then[:, 0] - now[:, 0]).abs_() <= depth_tolerance * torch.maximum(then[:, 0], now[:, 0])
    alike = (then[:, 4:7] - now[:, 4:7]).abs_().amax(1) <= albedo_tolerance
    return near & alike & (dot(then, now) >= least_cosine)


def reproject(
    history: History, motion: torch.Tensor, surface: torch.Tensor, divisor: torch.Tensor
) -> tuple[History, torch.Tensor]:
    """Moves a history along the motion: to one with this frame's surface, and its validity, (B, 1, H, W).

    history: of the previous frame.
    motion: (B, 2, H, W).
    surface: (B, 7, H, W) of this frame.
    divisor: (B, 3, H, W), the albedo by which this frame's radiance is divided.

    Each pixel fetches the four history pixels around its previous position, weighted bilinearly; pixels outside the
    picture or on another surface are dropped, and the rest is renormalized. Validity, in [0, 1], is the weight that
    remained. Where it is 0, all but the surface is 0.

    A pixel on a depth edge has the mean depth of two surfaces, but a sample of one. Away from edges nothing is fetched
    from there unless depths are hardly different, or the samples of a lamp would trail behind it along the wall. The
    same holds at albedo edges.
    """
    then = history.surface.detach()
    kept = [part.flatten(2) for part in history._replace(surface=None).tensors()]  # (B, C, N) each
    marks = [edges_of(then).flatten(2), normal_length(then.flatten(2))[:, None]]
    planes = [*kept, then.flatten(2), torch.cat(marks, 1)]
    inner = 1 - edges_of(surface)  # (B, 2, H, W)
    x, y = pixel_grid(motion)
    positions = torch.stack((x + motion[:, 0], y + motion[:, 1]), 1)  # (B, 2, H, W): where each pixel was

    def fetch_rows(top: int, end: int) -> tuple[torch.Tensor, ...]:
        rows = (part[:, :, top:end].flatten(2) for part in (positions, surface, inner))
        *found, validity = fetch(planes, then.shape[-2:], *rows)
        previous, samples, brightness, *output = found
        scale = partial(in_agreement, brightness=brightness, divisor=divisor[:, :, top:end].flatten(2))
        found = scale(previous), samples, brightness, *map(scale, output), validity
        return tuple(part.unflatten(2, (end - top, -1)) for part in found)

    previous, samples, brightness, *output, validity = in_rows(motion, fetch_rows)
    return History(previous, samples, brightness, surface, *output), validity


def fetch(
    planes: list[torch.Tensor],
    size: tuple[int, int],
    positions: torch.Tensor,
    now: torch.Tensor,
    inner: torch.Tensor,
) -> list[torch.Tensor]:
    """`reproject` for n of the pixels: each of the kept planes, (B, C, n), then the weight that remained, (B, 1, n).

    planes: of a history of `size` (H, W): what is kept, (B, C, N) each; last the surface, (B, 7, N), and (B, 3, N) its
        edges_of and normal_length.
    positions: (B, 2, n) columns and rows in the history.
    now: (B, 7, n) surface.
    inner: (B, 2, n), 0 on its edges, else 1.
    """
    *kept, surfaces, marks = planes
    least_length = NORMAL_TOLERANCE * normal_length(now)
    totals, weight = [part.new_zeros(()) for part in kept], now.new_zeros(())
    for index, bilinear in pixels_around(positions, *size):  # (B, n) each
        then, (depth_edge, albedo_edge, length) = gathered(surfaces, index), gathered(marks, index).unbind(1)
        depth_tolerance = torch.where(depth_edge * inner[:, 0] > 0, EDGE_DEPTH_TOLERANCE, DEPTH_TOLERANCE)
        albedo_tolerance = torch.where(albedo_edge * inner[:, 1] > 0, EDGE_ALBEDO_TOLERANCE, ALBEDO_TOLERANCE)
        same = same_surface(then, now, depth_tolerance, length * least_length, albedo_tolerance)
        share = (bilinear * same)[:, None]  # (B, 1, n)
        totals = [torch.addcmul(total, gathered(part, index), share) for total, part in zip(totals, kept, strict=True)]
        weight = weight + share
    divided_by = weight.clamp(min=1e-4)
    return [*(total / divided_by for total in totals), weight.clamp(max=1)]


def gathered(planes: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """The values of (B, C, N) planes at (B, n) pixels: (B, C, n)."""
    return planes.gather(2, index[:, None].expand(-1, planes.shape[1], -1))


def in_agreement(previous: torch.Tensor, brightness: torch.Tensor, divisor: torch.Tensor) -> torch.Tensor:
    """The previous image, divided by albedo; multiplied again, at most AGREEMENT times as bright or as dark as before.

    What metal reflects does not follow its albedo. Where that falls to nothing within a few pixels, an image divided by
    one pixel's and multiplied by the next one's would be many times too bright, and stay so.

    previous: (B, 3 L, n).
    brightness: (B, 1, n), before it was divided.
    divisor: (B, 3, n), which will multiply it.
    """
    with torch.no_grad():
        divided = (previous[:, :3] * divisor).mean(1, keepdim=True)  # (B, 1, n)
        within = torch.minimum(torch.maximum(divided, brightness / AGREEMENT), brightness * AGREEMENT)
        factor = torch.where(divided > BLACK, within / divided.clamp(min=BLACK), 1)
    return previous * factor


def next_history(history: History, image: torch.Tensor, divisor: torch.Tensor, samples: torch.Tensor) -> History:
    """The history that this frame leaves; samples beyond MAX_WEIGHT fade.

    history: reprojected to this frame; its surface and output stay.
    image: (B, 3 L, H, W).
    divisor: (B, 3, H, W), the albedo by which it is divided.
    samples: (B, 6 L + 1, H, W).
    """
    fade = MAX_WEIGHT / samples[:, -1:].clamp(min=MAX_WEIGHT)
    previous = image / divisor.repeat(1, image.shape[1] // 3, 1, 1)
    return history._replace(previous=previous, samples=samples * fade, brightness=brightness_of(image))


def brightness_of(image: torch.Tensor) -> torch.Tensor:
    """The mean of the channels of a (B, 3 L, H, W) image's own color, (B, 1, H, W)."""
    return image[:, :3].mean(1, keepdim=True)


def with_output(history: History, image: torch.Tensor, divisor: torch.Tensor) -> History:
    """A history with this (B, 3, H, W) image as the previous output.

    Detached, so that training the detail stage alone does not backpropagate through the filter.
    """
    return history._replace(output=(image / divisor).detach())


def warp_hidden(hidden: torch.Tensor, motion: torch.Tensor, validity: torch.Tensor, stride: int) -> torch.Tensor:
    """Moves a level's hidden state by its mean motion, and multiplies it by its mean validity.

    hidden: (B, C, H / stride, W / stride).
    motion: (B, 2, H, W) pixels.
    validity: (B, 1, H, W).
    """
    moved = pooled(motion, stride) / stride  # (B, 2, H / stride, W / stride), in this level's pixels
    share = pooled(validity, stride)
    last = hidden.is_contiguous(memory_format=torch.channels_last)
    if last and by_rows(hidden):
        return warp_pixels(hidden, moved, share)
    warped = warp(hidden.float(), moved, outside="zeros").mul_(share)
    # in the network's memory layout, or its next convolution would copy more
    return warped.to(hidden.dtype, memory_format=torch.channels_last if last else torch.contiguous_format)
