"""The history that earlier frames leave: fetched along the motion, and kept only where it shows the same surface.

Shapes: B sequences, H rows, W columns, N = H W pixels. A history is one tensor (B, HISTORY, H, W), float32; the slices
below name its channels. With further colors, L in all, it has 3 L channels of previous images, 6 L sums, and the others
once. For a detail stage, OUTPUT more channels follow the weight. Motion is in pixels, from a pixel of this frame to
where its surface point was in the previous frame, x right, y down.
"""

import torch

from frames.channels import HALF_MAX
from networks.pooling import mean_around, pooled
from networks.recording import is_recording
from networks.rows import goes_by_rows, in_rows
from networks.warping import local_maximum, pixel_grid, pixels_around, warp, warp_pixels

PREVIOUS = slice(0, 3)  # the previous image, divided by albedo
SUMS = slice(3, 9)  # sums of confidence times radiance: radiance divided by albedo, and plain radiance
WEIGHT = slice(9, 10)  # the sum of the confidences: how many samples the sums stand for
BRIGHTNESS = slice(-8, -7)  # mean of the previous image's channels, not divided
SURFACE = slice(-7, None)  # what the pixel showed: depth, shading normal, albedo
HISTORY = 18  # channels
PER_COLOR = 9  # of these are there once more for every further color
OUTPUT = 3  # channels: the previous frame's final output, divided by albedo

MAX_WEIGHT = 32.0  # older samples fade beyond this sum
DEPTH_TOLERANCE = 0.1  # relative to the larger depth
EDGE_DEPTH_TOLERANCE = 0.02  # the same, from a rim to where there is none
DEPTH_EDGE = 0.02  # a rim is where a pixel's depth differs by this share from the mean of 3x3 pixels
NORMAL_TOLERANCE = 0.8  # smallest cosine
ALBEDO_TOLERANCE = 0.15  # largest difference of a channel
EDGE_ALBEDO_TOLERANCE = 0.02  # the same, from the border of what has no albedo to where there is none
NO_ALBEDO = 1e-3  # where no channel is above this (mirrors, emitters, background), radiance is not divided
AGREEMENT = 2.0  # largest factor by which division and multiplication by albedo may change the previous image
BLACK = 1e-6  # radiance, below which factors could overflow


def split_history(history: torch.Tensor, colors: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Previous images, (B, 3 L, ...), and samples, (B, 6 L + 1, ...), of a history.

    Samples are the sums of every color, then their one weight.
    """
    return history[:, : 3 * colors], history[:, 3 * colors : PER_COLOR * colors + 1]


def previous_output(history: torch.Tensor) -> torch.Tensor:
    """The previous output, (B, OUTPUT, ...), of a history that has one."""
    return history[:, BRIGHTNESS.start - OUTPUT : BRIGHTNESS.start]


def weight_channel(history: torch.Tensor) -> int:
    """The index of the weight among the channels of a history of any number of colors."""
    return (history.shape[1] + BRIGHTNESS.start) // PER_COLOR * PER_COLOR


def rescaled(history: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """A history in other units. factors: (B, 2), by which radiance and depth are multiplied.

    Clamped to HALF_MAX, as the frames are.
    """
    radiance, depth = factors.unbind(1)
    by_channel = history.new_ones(history.shape[:2])  # (B, HISTORY)
    by_channel[:, : BRIGHTNESS.stop] = radiance[:, None]
    by_channel[:, weight_channel(history)] = 1
    by_channel[:, SURFACE.start] = depth
    return (history * by_channel[:, :, None, None]).clamp(max=HALF_MAX)


def depth_edges(depth: torch.Tensor) -> torch.Tensor:
    """1 where a (B, 1, H, W) depth breaks off, else 0: pixels that may show two surfaces, and those beside them."""
    return ((depth - mean_around(depth)).abs() > DEPTH_EDGE * depth).to(depth.dtype)


def albedo_edges(albedo: torch.Tensor) -> torch.Tensor:
    """1 where a (B, 3, H, W) albedo is there, but not at a neighbor, else 0: the pixel may show a little of a lamp."""
    missing = (albedo.amax(1, keepdim=True) <= NO_ALBEDO).to(albedo.dtype)
    return local_maximum(missing) - missing


def length_of(surface: torch.Tensor) -> torch.Tensor:
    """The length of the normals of (B, 7, N) surfaces, (B, N)."""
    return dot(surface, surface).sqrt_()


def dot(then: torch.Tensor, now: torch.Tensor) -> torch.Tensor:
    """The scalar products of the normals of (B, 7, N) surfaces, (B, N): plane by plane, for time."""
    (x, y, z), (right, up, forward) = (surface[:, 1:4].unbind(1) for surface in (then, now))
    return (x * right).addcmul_(y, up).addcmul_(z, forward)


def same_surface(
    then: torch.Tensor,
    now: torch.Tensor,
    depth_tolerance: torch.Tensor,
    least_cosine: torch.Tensor,
    albedo_tolerance: torch.Tensor,
) -> torch.Tensor:
    """Whether (B, 7, N) depth, normal, albedo of two frames belong to one surface: (B, N) booleans. Two misses do.

    The others are (B, N). depth_tolerance: how much depths may differ, relative to the larger. least_cosine: of their
    normals, times the lengths of both, since averaged normals are shorter than 1, and on a miss both are 0.
    albedo_tolerance: how much a channel of albedo may differ.
    """
    near = (then[:, 0] - now[:, 0]).abs_() <= depth_tolerance * torch.maximum(then[:, 0], now[:, 0])
    alike = (then[:, 4:7] - now[:, 4:7]).abs_().amax(1) <= albedo_tolerance
    return near & alike & (dot(then, now) >= least_cosine)


def reproject(
    history: torch.Tensor, motion: torch.Tensor, surface: torch.Tensor, divisor: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Moves a history along the motion: (B, HISTORY, H, W) with this frame's surface, and validity, (B, 1, H, W).

    history: (B, HISTORY, H, W) of the previous frame. motion: (B, 2, H, W). surface: (B, 7, H, W) of this frame.
    divisor: (B, 3, H, W), the albedo by which this frame's radiance is divided.
    Each pixel takes the four history pixels around its previous place, weighted bilinearly; pixels outside the picture
    or on another surface are dropped, and the rest is renormalized. Validity, in [0, 1], is the weight that remained.
    Where it is 0, previous image, sums and weight are 0.

    A pixel on a rim has the mean depth of two surfaces, but a sample of one. What is farther from the rim takes nothing
    from there, or the samples of a lamp would trail behind it along the wall, unless depths are hardly different. The
    same at the border of what has no albedo, unless albedos are hardly different.
    """
    planes = history.flatten(2)  # (B, HISTORY, N)
    rims = edges_of(history[:, SURFACE].detach()).flatten(2)
    marks = torch.cat((rims, length_of(planes[:, SURFACE].detach())[:, None]), 1)  # (B, 3, N)
    inner = 1 - edges_of(surface)  # (B, 2, H, W)
    x, y = pixel_grid(motion)
    places = torch.stack((x + motion[:, 0], y + motion[:, 1]), 1)  # (B, 2, H, W): where each pixel was

    def fetch_rows(top: int, end: int) -> tuple[torch.Tensor, ...]:
        rows = (part[:, :, top:end].flatten(2) for part in (places, surface, inner, divisor))
        return tuple(part.unflatten(2, (end - top, -1)) for part in fetch(planes, marks, history.shape[-2:], *rows))

    return in_rows(motion, fetch_rows)


def edges_of(surface: torch.Tensor) -> torch.Tensor:
    """Where a (B, 7, H, W) surface is depth_edges, and where it is albedo_edges, (B, 2, H, W)."""
    return torch.cat((depth_edges(surface[:, :1]), albedo_edges(surface[:, 4:])), 1)


def fetch(
    planes: torch.Tensor,
    marks: torch.Tensor,
    size: tuple[int, int],
    places: torch.Tensor,
    now: torch.Tensor,
    inner: torch.Tensor,
    divisor: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """`reproject` for n of the pixels: (B, HISTORY, n), and the weight that remained, (B, 1, n).

    planes: (B, HISTORY, N) of a history of `size` (H, W). marks: (B, 3, N), its edges_of, and lengths of its normals.
    places: (B, 2, n) columns and rows in it. now: (B, 7, n) surface. inner: (B, 2, n), 0 on its edges, else 1. divisor:
    (B, 3, n).
    """
    least_length = NORMAL_TOLERANCE * length_of(now)
    total = kept = planes.new_zeros(())
    for index, share in pixels_around(places, *size):  # (B, n) each
        tap, (rim, border, length) = gathered(planes, index), gathered(marks, index).unbind(1)
        depth_tolerance = torch.where(rim * inner[:, 0] > 0, EDGE_DEPTH_TOLERANCE, DEPTH_TOLERANCE)
        albedo_tolerance = torch.where(border * inner[:, 1] > 0, EDGE_ALBEDO_TOLERANCE, ALBEDO_TOLERANCE)
        same = same_surface(tap[:, SURFACE].detach(), now, depth_tolerance, length * least_length, albedo_tolerance)
        share = (share * same)[:, None]  # (B, 1, n)
        total, kept = torch.addcmul(total, tap[:, : SURFACE.start], share), kept + share
    found = total / kept.clamp(min=1e-4)
    colors = int(found.shape[1]) // PER_COLOR  # L; int, or an exporter would record the number of channels as unknown
    images, brightness = [found[:, : 3 * colors], found[:, PER_COLOR * colors + 1 : -1]], found[:, -1:]
    previous, output = (in_agreement(image, brightness, divisor) if image.shape[1] else image for image in images)
    samples = found[:, 3 * colors : PER_COLOR * colors + 1]
    return torch.cat((previous, samples, output, brightness, now), 1), kept.clamp(max=1)


def in_agreement(previous: torch.Tensor, brightness: torch.Tensor, divisor: torch.Tensor) -> torch.Tensor:
    """The previous image, divided by albedo; multiplied again, at most AGREEMENT times as bright or as dark as before.

    What metal reflects does not follow its albedo. Where that falls to nothing within a few pixels, an image divided by
    one pixel's and multiplied by the next one's would be many times too bright, and stay so.
    previous: (B, 3 L, n). brightness: (B, 1, n), before it was divided. divisor: (B, 3, n), which will multiply it.
    """
    with torch.no_grad():
        divided = (previous[:, :3] * divisor).mean(1, keepdim=True)  # (B, 1, n)
        within = torch.minimum(torch.maximum(divided, brightness / AGREEMENT), brightness * AGREEMENT)
        factor = torch.where(divided > BLACK, within / divided.clamp(min=BLACK), 1)
    return previous * factor


def gathered(planes: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """The values of (B, C, N) planes at (B, n) pixels: (B, C, n)."""
    return planes.gather(2, index[:, None].expand(-1, planes.shape[1], -1))


def works_in_place() -> bool:
    """Whether a history's tensor becomes the next one's: new memory takes longer than what is computed."""
    return not (torch.is_grad_enabled() or is_recording())


def add_samples(
    earlier: torch.Tensor, trust: torch.Tensor, measured: torch.Tensor, confidence: torch.Tensor
) -> torch.Tensor:
    """A history's samples and this frame's, (B, 6 L + 1, H, W): in the memory of `earlier` if it works_in_place.

    trust, confidence: (B, 1, H, W), how much of either counts.
    """
    kept = earlier.mul_(trust) if works_in_place() else earlier * trust
    return kept.addcmul_(confidence, measured)


def next_history(
    history: torch.Tensor, image: torch.Tensor, divisor: torch.Tensor, samples: torch.Tensor
) -> torch.Tensor:
    """The history that this frame leaves, (B, HISTORY, H, W); sums beyond MAX_WEIGHT fade.

    history: reprojected to this frame; its surface and the previous output stay. image: (B, 3 L, H, W). divisor:
    (B, 3, H, W), the albedo by which it is divided. samples: (B, 6 L + 1, H, W), sums and weight.
    """
    output = history[:, weight_channel(history) + 1 : BRIGHTNESS.start]
    parts = previous_of(image, divisor), samples * fade_of(samples), output, brightness_of(image), history[:, SURFACE]
    return torch.cat(parts, 1)


def finish_history(history: torch.Tensor, image: torch.Tensor, divisor: torch.Tensor) -> None:
    """Makes a history with this frame's samples and surface the next_history, in place: new memory takes time."""
    previous, samples = split_history(history, image.shape[1] // 3)
    previous.copy_(previous_of(image, divisor))
    history[:, BRIGHTNESS].copy_(brightness_of(image))
    samples.mul_(fade_of(samples))


def with_output(history: torch.Tensor, image: torch.Tensor, divisor: torch.Tensor) -> torch.Tensor:
    """A history with this (B, 3, H, W) image as the previous output, in place if it works_in_place.

    Detached, so that training the detail stage alone does not backpropagate through the filter.
    """
    output = (image / divisor).detach()
    if works_in_place():
        previous_output(history).copy_(output)
        return history
    return torch.cat((history[:, : BRIGHTNESS.start - OUTPUT], output, history[:, BRIGHTNESS.start :]), 1)


def previous_of(image: torch.Tensor, divisor: torch.Tensor) -> torch.Tensor:
    """The image as the history has it."""
    colors = image.shape[1] // 3
    return image / (divisor if colors == 1 else divisor.repeat(1, colors, 1, 1))


def brightness_of(image: torch.Tensor) -> torch.Tensor:
    """The mean of the channels of a (B, 3 L, H, W) image's own color, (B, 1, H, W)."""
    return image[:, :3].mean(1, keepdim=True)


def fade_of(samples: torch.Tensor) -> torch.Tensor:
    """By what samples are multiplied so that their weight is MAX_WEIGHT at most: (B, 1, H, W)."""
    return MAX_WEIGHT / samples[:, -1:].clamp(min=MAX_WEIGHT)


def warp_hidden(hidden: torch.Tensor, motion: torch.Tensor, validity: torch.Tensor, stride: int) -> torch.Tensor:
    """Moves a level's hidden state by its mean motion, and multiplies it by its mean validity.

    hidden: (B, C, H / stride, W / stride). motion: (B, 2, H, W) pixels. validity: (B, 1, H, W).
    """
    moved = pooled(motion, stride) / stride  # (B, 2, H / stride, W / stride), in this level's pixels
    share = pooled(validity, stride)
    last = hidden.is_contiguous(memory_format=torch.channels_last)
    if last and goes_by_rows(hidden):
        return warp_pixels(hidden, moved, share)
    warped = warp(hidden.float(), moved, outside="zeros").mul_(share)
    # in the network's memory layout, or its next convolution would copy more
    return warped.to(hidden.dtype, memory_format=torch.channels_last if last else torch.contiguous_format)
