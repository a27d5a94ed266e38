"""What two successive frames tell: whether motion fits, whether noise is new in every frame, how noisy targets are.

Shapes: H rows, W columns. Motion is in pixels, as networks/history.py has it.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from checking.problems import Problem
from files import InputError
from frames.channels import MOTION_INPUTS, QUANTITIES, first_channel
from frames.exr import load_noisy, load_target
from frames.radiance import luminance
from frames.sequences import Frame, Sequence
from networks.motion import LEVELS, estimate_motion, features_of
from networks.repetition import FLAT
from networks.repetition import verdict as verdict_of_noise
from networks.warping import motion_is_known, pixel_grid, warp

MOST_PAIRS = 3  # of each scene
SURFACE = slice(first_channel(MOTION_INPUTS, "depth"), first_channel(MOTION_INPUTS, "motion"))
ALBEDO = slice(first_channel(MOTION_INPUTS, "albedo"), SURFACE.stop)
SIGNS = {  # ways to read motion: factors on x and y
    "as it is": (1, 1),
    "without": (0, 0),
    "opposite": (-1, -1),
    "x opposite": (-1, 1),
    "y opposite": (1, -1),
}
MOVES = 0.5  # pixels; what moves less tells nothing about motion
ENOUGH_PIXELS = 200  # that move
LARGEST_DIFFERENCE = 0.5  # of a feature: what appears from behind something counts no more than this
ALIKE = 0.3  # correlation; of independent noise it is below 0.05
NOISY_TARGET = 0.1  # median difference from the neighbors, relative to their mean; about 100 samples per pixel
BRIGHTNESS = 2.0  # largest ratio of noisy to target, or the other way round


@dataclass(frozen=True)
class Pair:
    """The mean over a scene's pairs of frames; NaN where there is nothing to tell it from.

    motion: for each of SIGNS, how much the surfaces of two frames differ along the motion read in this way.
    moving: the share of pixels that move.
    missed: pixels by which surfaces move although motion says that few do.
    across_frames, across_renderings, across_pixels: correlation of the noise with that of the frame before, of another
        rendering, of the neighboring pixel.
    noise, target_noise: median difference of a pixel of a flat surface from its neighbors, relative.
    brightness: noisy over target.
    repeats: where there are no targets, the share of pairs whose noise is alike.
    """

    motion: dict[str, float]
    moving: float
    missed: float = math.nan
    across_frames: float = math.nan
    across_renderings: float = math.nan
    across_pixels: float = math.nan
    noise: float = math.nan
    target_noise: float = math.nan
    brightness: float = math.nan
    repeats: float = math.nan


def pairs_of(sequences: list[Sequence]) -> list[tuple[Frame, Frame]]:
    """At most MOST_PAIRS pairs of successive frames, spread over a scene's sequences."""
    pairs = [pair for s in sequences for pair in zip(s.frames, s.frames[1:], strict=False)]
    step = max(1, math.ceil(len(pairs) / MOST_PAIRS))
    return pairs[step // 2 :: step]


def compare_scene(sequences: list[Sequence]) -> Pair | None:
    """What the pairs of a scene tell together; None if there are none that can be read."""
    found = []
    for before, after in pairs_of(sequences):
        try:
            found.append(compare(before, after))
        except (InputError, OSError):  # named already
            continue
    if not found:
        return None
    means = {name: mean([getattr(p, name) for p in found]) for name in Pair.__dataclass_fields__ if name != "motion"}
    return Pair(motion={sign: mean([p.motion[sign] for p in found]) for sign in SIGNS}, **means)


def mean(values: list[float]) -> float:
    """The mean of those that are not NaN; NaN if there are none."""
    values = [value for value in values if not math.isnan(value)]
    return sum(values) / len(values) if values else math.nan


def compare(before: Frame, after: Frame) -> Pair:
    """What two successive frames tell. Raises InputError or OSError if one cannot be read."""
    # surfaces and motion
    then, now = (torch.from_numpy(load_noisy(frame.noisy[0], MOTION_INPUTS)[0]) for frame in (before, after))
    features = [features_of(frame[None, SURFACE]) for frame in (then, now)]  # (1, 7, H, W)
    hit = now[SURFACE.start] > 0  # depth; what is not hit shows nothing
    errors, moving = motion_errors(*features, now[None, first_channel(MOTION_INPUTS, "motion") :], hit)

    facts = {}
    if math.isnan(errors["as it is"]) and not math.isnan(moving):
        facts["missed"] = missed_motion(*(frame[None, SURFACE] for frame in (then, now)))

    # noise, where there is a target to compare with, or surfaces show that it repeats
    if not before.target or not after.target:
        unknown = torch.full_like(now[10:12], QUANTITIES["motion"].missing)  # a renderer's motion may mean anything
        repeats = verdict_of_noise(then[None], torch.cat((now[:10], unknown))[None])
        facts["repeats"] = math.nan if repeats is None else float(repeats)
    else:
        targets = [torch.from_numpy(load_target(frame.target)[0]) for frame in (before, after)]
        noise = [noise_of(frame[:3], target) for frame, target in zip((then, now), targets, strict=True)]
        facts["across_frames"] = correlation(*noise)
        facts["across_pixels"] = correlation(noise[1][:, 1:], noise[1][:, :-1])
        if len(after.noisy) > 1:
            other = torch.from_numpy(load_noisy(after.noisy[1], ("color",))[0])
            facts["across_renderings"] = correlation(noise[1], noise_of(other, targets[1]))
        flat = is_flat(features[1]) & (now[ALBEDO] > 0).any()  # without albedo, texture would pass for noise
        facts["noise"], facts["target_noise"] = (roughness(image, flat) for image in (now[:3], targets[1]))
        light = [float(luminance(image).nan_to_num(0, 0, 0).mean()) for image in (now[:3], targets[1])]
        facts["brightness"] = light[0] / light[1] if min(light) > 0 else math.nan
    return Pair(errors, moving, **facts)


def motion_errors(
    then: torch.Tensor, now: torch.Tensor, motion: torch.Tensor, hit: torch.Tensor
) -> tuple[dict[str, float], float]:
    """How much (1, 7, H, W) features of two frames differ along (1, 2, H, W) motion, for each of SIGNS; and the share
    of pixels that move. Over those that move, are `hit`, and stay inside the picture in either direction; NaN if that
    leaves few."""
    known = motion_is_known(motion)[0, 0]
    motion = motion.where(known, 0)
    x, y = pixel_grid(motion)
    moving = known & hit & (motion[0].norm(dim=0) > MOVES)
    inside = moving
    for sign in (-1, 1):
        column, row = x + sign * motion[0, 0], y + sign * motion[0, 1]
        inside = inside & (column >= 0) & (column <= x.max()) & (row >= 0) & (row <= y.max())
    if not known.any() or int(inside.sum()) < ENOUGH_PIXELS:
        return dict.fromkeys(SIGNS, math.nan), float(moving.float().mean()) if known.any() else math.nan
    errors = {}
    for name, factors in SIGNS.items():
        moved = warp(then, motion * motion.new_tensor(factors)[:, None, None])
        difference = (moved - now).abs().clamp(max=LARGEST_DIFFERENCE).sum(1)[0]  # (H, W)
        errors[name] = float(difference[inside].mean())
    return errors, float(moving.float().mean())


def missed_motion(then: torch.Tensor, now: torch.Tensor) -> float:
    """By how many pixels (1, 7, H, W) surfaces move, as networks/motion.py sees it; 0 if that explains little."""
    height, width = (extent >> LEVELS << LEVELS for extent in now.shape[-2:])
    if not height or not width:
        return 0.0
    then, now = (frame[..., :height, :width] for frame in (then, now))
    motion = estimate_motion(then, now)
    features = [features_of(frame) for frame in (then, now)]
    stays, moves = (
        float((warp(features[0], m) - features[1]).abs().clamp(max=LARGEST_DIFFERENCE).sum(1).mean())
        for m in (torch.zeros_like(motion), motion)
    )
    return float(motion.norm(dim=1).median()) if moves < 0.6 * stays else 0.0


def is_flat(features: torch.Tensor) -> torch.Tensor:
    """Where (1, 7, H, W) features of a surface hardly vary over 3x3 pixels: (H, W) booleans."""
    span = F.max_pool2d(features, 3, 1, 1) + F.max_pool2d(-features, 3, 1, 1)
    return span.amax(1)[0] < FLAT


def local_mean(plane: torch.Tensor, size: int) -> torch.Tensor:
    """The mean of an (H, W) plane over the square of `size` pixels around each pixel."""
    return F.avg_pool2d(plane[None, None], size, 1, size // 2, count_include_pad=False)[0, 0]


def roughness(image: torch.Tensor, flat: torch.Tensor) -> float:
    """The median difference of (3, H, W) radiance from its neighbors, relative to their mean, where it is `flat`."""
    light = luminance(image).nan_to_num(0, 0, 0)
    around = local_mean(light, 3)
    seen = flat & (around > 0)
    return float(((light - around).abs() / around)[seen].median()) if int(seen.sum()) > ENOUGH_PIXELS else math.nan


def noise_of(noisy: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The noise of (3, H, W) radiance, (H, W): relative to the target, clamped, without its local mean."""
    noisy, target = (luminance(image).nan_to_num(0, 0, 0) for image in (noisy, target))
    relative = ((noisy - target) / (target + 0.05 * target.mean() + 1e-6)).clamp(-1, 3)
    return relative - local_mean(relative, 9)


def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    """The correlation of two (H, W) planes whose mean is about 0; NaN if one is 0."""
    size = float((a.square().mean() * b.square().mean()).sqrt())
    return float((a * b).mean()) / size if a.shape == b.shape and size > 1e-6 else math.nan


def verdict(pair: Pair) -> str:
    """Whether the motion fits, in a few words."""
    if math.isnan(pair.moving):
        return "none"
    if math.isnan(pair.motion["as it is"]):
        return "hardly any"
    return "fits" if best_sign(pair) == "as it is" else "does not fit"


def best_sign(pair: Pair) -> str:
    """The way to read motion that fits best; `as it is` also if another one is hardly better."""
    best = min(pair.motion, key=pair.motion.get)
    return best if pair.motion[best] < 0.9 * pair.motion["as it is"] else "as it is"


def pair_problems(pair: Pair, sequences: list[Sequence], label: str) -> list[Problem]:
    """What is wrong with a scene by what its pairs of frames tell. NaN is never wrong."""
    folder = sequences[0].frames[0].folder.parent
    problems = []

    def add(kind: str, found: str) -> None:
        problems.append(Problem(kind, folder, found, label))

    if verdict(pair) == "does not fit":
        errors = ", ".join(f"{sign} {error:.3f}" for sign, error in pair.motion.items())
        add("motion", f"the surfaces of two frames differ by: {errors}; it fits best {best_sign(pair)}")
    if pair.missed > 2 * MOVES:
        add("motion", f"motion is 0, but surfaces move by about {pair.missed:.1f} pixels")
    if pair.across_frames > ALIKE:
        add("pattern", f"the noise of successive frames is alike (correlation {pair.across_frames:.2f})")
    if pair.repeats > 0.5:
        add("pattern", "the noise of successive frames is alike")
    if pair.across_renderings > ALIKE:
        add("identical", f"the noise of two renderings of a frame is alike (correlation {pair.across_renderings:.2f})")
    if pair.across_pixels > ALIKE:
        add("filtered", f"the noise of neighboring pixels is alike (correlation {pair.across_pixels:.2f})")
    if pair.target_noise > NOISY_TARGET:
        add("noise", f"pixels of targets differ from their neighbors by {pair.target_noise:.0%}")
    if not 1 / BRIGHTNESS <= pair.brightness <= BRIGHTNESS and not math.isnan(pair.brightness):
        add("brightness", f"noisy renderings are {pair.brightness:.3g} times as bright as targets")
    return problems
