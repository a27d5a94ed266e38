"""Which convention the motion in a renderer's frames follows, decided by the frames themselves.

A convention is right if fetching the previous frame's surfaces along the motion gives this frame's surfaces. Depth,
normals and albedo have next to no noise, so a wrong sign or direction shows.

Shapes: H rows, W columns. Vectors: (2, H, W) as stored. Motion: (2, H, W) pixels to where the surface point was in the
previous frame, x right, y down. A surface: (7, H, W) depth, normal, albedo.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F

from files import InputError
from networks.motion import LARGEST_DIFFERENCE, features_of
from networks.warping import MISSING, invert_motion, pixel_grid

WORDS = {"leads": ("previous", "next"), "x": ("right", "left"), "y": ("down", "up"), "unit": ("pixels", "fractions")}
POINTS = 65_536  # pixels of a frame that are compared, about
COMPARED = 0.75
STILL = 0.05  # pixels; shorter motion tells nothing
CLEARLY = 0.9  # an error below this share of another is clearly better


@dataclass(frozen=True)
class Convention:
    """What stored vectors mean; the first word of each is this project's own.

    leads: to where the point was in the previous frame, or will be in the next. x, y: where positive values point.
    unit: pixels, or fractions of the frame's width and height.
    """

    leads: str = "previous"
    x: str = "right"
    y: str = "down"
    unit: str = "pixels"

    def __str__(self) -> str:
        return ",".join((self.leads, self.x, self.y, self.unit))

    def pixels(self, vectors: np.ndarray) -> np.ndarray:
        """Vectors in pixels, x right, y down. Where they are not finite, or beyond any motion, they are MISSING."""
        height, width = vectors.shape[1:]
        signs = np.array([1 if self.x == "right" else -1, 1 if self.y == "down" else -1], np.float32)
        scale = signs * ([width, height] if self.unit == "fractions" else [1, 1])
        known = (np.isfinite(vectors) & (np.abs(vectors) < MISSING / 2)).all(0)
        return np.where(known, np.where(known, vectors, 0) * scale[:, None, None], MISSING).astype(np.float32)


def parse_convention(text: str) -> Convention:
    """The convention of a --motion option: words of WORDS, joined by commas, in any order; the rest as by default.

    Raises InputError.
    """
    chosen = {}
    for word in text.split(","):
        kinds = [kind for kind, words in WORDS.items() if word in words]
        if not kinds or kinds[0] in chosen:
            expected = ", ".join("|".join(words) for words in WORDS.values())
            raise InputError(f"--motion {text}: expected auto, none, or words of {expected}, joined by commas")
        chosen[kinds[0]] = word
    return Convention(**chosen)


def candidates(leads: str) -> list[Convention]:
    """All conventions of vectors that lead to the frame `leads`, or if that is "", to either; likelier ones first."""
    tried = [leads] if leads else WORDS["leads"]
    return [Convention(*words) for words in product(tried, WORDS["x"], WORDS["y"], WORDS["unit"])]


def inverted_motion(ahead: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """invert_motion of one frame, in NumPy: (2, H, W) vectors and (H, W) depth to (2, H, W) motion."""
    return invert_motion(torch.from_numpy(ahead)[None], torch.from_numpy(depth)[None, None])[0].numpy()


def misfit(then: torch.Tensor, now: torch.Tensor, motion: torch.Tensor) -> float:
    """How badly the surfaces of `then`, fetched along the motion, fit those of `now`: a mean difference of features.

    On about POINTS pixels. Of these the share COMPARED that fits best counts: what comes into view fits nothing.
    """
    height, width = motion.shape[1:]
    step = max(1, round((height * width / POINTS) ** 0.5))
    x, y = (places[::step, ::step] for places in pixel_grid(motion))
    moved = motion[:, ::step, ::step]
    known = moved.abs().amax(0) < MISSING / 2
    places = torch.stack((((x + moved[0]) * 2 + 1) / width - 1, ((y + moved[1]) * 2 + 1) / height - 1), -1)
    fetched = F.grid_sample(features_of(then[None]), places[None], padding_mode="border", align_corners=False)[0]
    difference = (fetched - features_of(now[None])[0, :, ::step, ::step]).abs().clamp(max=LARGEST_DIFFERENCE)
    errors = difference.mean(0).where(known, LARGEST_DIFFERENCE).flatten()
    return float(errors.topk(max(1, round(errors.numel() * COMPARED)), largest=False).values.mean())


@dataclass(frozen=True)
class Pair:
    """Two successive frames: their surfaces, and the vectors of one layer in both."""

    surfaces: tuple[torch.Tensor, torch.Tensor]
    vectors: tuple[np.ndarray, np.ndarray]

    @property
    def longest(self) -> float:
        """The largest component of the vectors, in pixels, whatever their unit."""
        both = np.stack([Convention(unit="fractions").pixels(v) for v in self.vectors])
        return float(np.abs(both).max(initial=0, where=np.abs(both) < MISSING / 2))

    def motion(self, convention: Convention) -> np.ndarray:
        """The motion of the second frame, if the vectors follow this convention."""
        if convention.leads == "previous":
            return convention.pixels(self.vectors[1])
        return inverted_motion(convention.pixels(self.vectors[0]), self.surfaces[0][0].numpy())

    def misfit(self, motion: np.ndarray) -> float:
        """The `misfit` of this motion."""
        return misfit(*self.surfaces, torch.from_numpy(motion))


@dataclass(frozen=True)
class Verdict:
    """The layer (its index) and the convention that fit best, or None if none fits, and why, for the user."""

    layer: int
    convention: Convention | None
    reason: str


def decide(layers: list[tuple[list[Convention], list[Pair]]]) -> Verdict:
    """Tries every convention of every layer on the same pairs of frames.

    layers: for each layer of vectors, the conventions to try and the pairs. The first convention that fits best wins;
    a later one must be clearly better. Vectors that are nearly 0 everywhere fit any convention, and the first is taken.
    """
    still = sum(pair.misfit(np.zeros_like(pair.vectors[1])) for pair in layers[0][1]) / len(layers[0][1])
    scores = []
    for index, (conventions, pairs) in enumerate(layers):
        for convention in conventions:
            error = sum(pair.misfit(pair.motion(convention)) for pair in pairs) / len(pairs)
            scores.append((error, index, convention))

    # the first of those that fit as well as the best
    best = min(error for error, *_ in scores)
    error, index, convention = next(score for score in scores if score[0] * CLEARLY <= best)
    if max(pair.longest for _, pairs in layers for pair in pairs) < STILL:
        return Verdict(index, convention, "nothing moves in the frames looked at, so this is only likely")
    if error > CLEARLY * still:
        return Verdict(index, None, f"no convention fits: error {error:.4f} at best, {still:.4f} without motion")
    others = [e for e, i, c in scores if e * CLEARLY > best]
    rest = f", {min(others):.4f} with the next best" if others and min(others) < still else ""
    return Verdict(index, convention, f"error {error:.4f}, {still:.4f} without motion{rest}")
