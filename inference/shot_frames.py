"""Reads the frames of a shot as the network wants them, whatever the renderer's conventions.

Shapes: C input channels, H rows, W columns; L colors, the beauty and further ones.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from frames.channels import QUANTITIES, channel_count
from frames.exr import Header, check_pixels, read_pixels
from frames.layers import Channels, Layout
from frames.normalization import depth_scale, known
from frames.plausible import distances
from frames.repairs import repair, report_repairs
from frames.shots import Shot
from inference.conventions import MISSING, Convention, Pair, inverted_motion
from inference.loading import LoadedFrame
from inference.normals import fit_turn, normal_pairs

SURFACE = ("depth", "normal", "albedo")


class Meaning(NamedTuple):
    """What the frames' channels mean.

    motion: its channels, and their convention; None if motion is to be estimated. camera_normals: whether normals are
    in camera space, and not in world space.
    """

    motion: tuple[Channels, Convention] | None
    camera_normals: bool

    def reversed(self) -> "Meaning":
        """What they mean if the frames come in reverse order."""
        if self.motion is None:
            return self
        channels, convention = self.motion
        leads = "previous" if convention.leads == "next" else "next"
        return self._replace(motion=(channels, replace(convention, leads=leads)))


def stacked(header: Header, pixels: dict[str, np.ndarray | None], channels: Channels) -> np.ndarray:
    """These channels, (C, H, W) float32. Raises InputError where one has no real numbers for the frame's pixels."""
    for channel in channels:
        check_pixels(header, pixels, channel)
    return np.stack([pixels[channel] for channel in channels], dtype=np.float32)


def read_surface(header: Header, pixels: dict[str, np.ndarray | None], layout: Layout) -> dict[str, np.ndarray]:
    """Depth, normal and albedo, each (C, H, W), as stored, or their `missing` value.

    Depth is 0 where nothing is hit, and else above 0, whatever its sign in the file.
    """
    height, width = header.size
    surface = {}
    for name in SURFACE:
        if name in layout.surface:
            surface[name] = stacked(header, pixels, layout.surface[name])
        else:
            surface[name] = np.full((QUANTITIES[name].count, height, width), QUANTITIES[name].missing, np.float32)
    surface["depth"] = distances(surface["depth"])
    return surface


def as_tensor(surface: dict[str, np.ndarray]) -> torch.Tensor:
    """A surface as inference/conventions.py and normals.py have it, (7, H, W), NaN and Inf replaced by 0."""
    planes = np.concatenate([surface[name] for name in SURFACE])
    return torch.from_numpy(np.nan_to_num(planes, copy=False, posinf=0, neginf=0))


def load_pair(files: tuple[Path, Path], layout: Layout) -> list[Pair]:
    """Two successive frames: a Pair for each layer of vectors; without any, one Pair of unknown vectors."""
    surfaces, vectors, unit = [], [], None
    for path in files:
        header, pixels = read_pixels(path)
        surfaces.append(as_tensor(read_surface(header, pixels, layout)))
        unit = known(depth_scale(surfaces[0][None, :1])) if unit is None else unit  # that of the first frame
        surfaces[-1][0] /= unit
        found = [stacked(header, pixels, channels) for channels, _ in layout.motion]
        vectors.append(found or [np.full((2, *surfaces[0].shape[1:]), MISSING, np.float32)])
    return [Pair(tuple(surfaces), pair) for pair in zip(*vectors, strict=True)]


def load_frames(
    shot: Shot, layout: Layout, inputs: tuple[str, ...], meaning: Meaning, backward: bool = False
) -> Iterator[LoadedFrame]:
    """Loads each frame of a shot. inputs: the quantities that the network reads. backward: the last frame first.

    Values are repaired (frames.repairs.repair), reported on stderr unless backward. Where one color is NaN, or
    infinite though the frame's own is not, the pixel becomes 0 in all of them, so that they still add up.
    """
    surface = ahead = None  # of the frame before; ahead: where its pixels go
    turn = torch.eye(3)  # from a frame's camera space to the first frame's
    meaning = meaning.reversed() if backward else meaning
    for path in reversed(shot.files) if backward else shot.files:
        header, pixels = read_pixels(path)
        colors = np.concatenate([stacked(header, pixels, color.source) for color in layout.colors])  # (3 L, H, W)
        planes = {"color": colors[:3], **read_surface(header, pixels, layout)}
        then, surface = surface, as_tensor(planes)

        # motion to the frame before
        planes["motion"] = np.full((2, *colors.shape[1:]), MISSING, np.float32)
        if meaning.motion:
            channels, convention = meaning.motion
            vectors = convention.pixels(stacked(header, pixels, channels))
            if convention.leads == "previous":
                planes["motion"] = vectors
            elif then is not None:
                planes["motion"] = inverted_motion(ahead, then[0].numpy())
            ahead = vectors

        # normals in the space of the first frame
        if meaning.camera_normals:
            if then is not None:
                turn = turn @ fit_turn(*normal_pairs(then, surface, torch.from_numpy(planes["motion"])))
            planes["normal"] = torch.einsum("ij,jhw->ihw", turn, torch.from_numpy(planes["normal"])).numpy()

        # one tensor, finite
        stack = np.concatenate([*(planes[name] for name in inputs), colors[3:]])  # (C, H, W)
        lamp = np.isposinf(colors[:3]).any(0) & ~np.isnan(colors).any(0)
        known = np.isfinite(colors).all(0) | lamp
        repairs = repair(stack, inputs)
        if not backward:
            report_repairs(path, repairs)
        if not known.all():
            stack[:3] *= known
            stack[channel_count(inputs) :] *= known
        alpha = pixels.get(layout.alpha) if layout.alpha else None
        empty = (planes["depth"][0] == 0) & (alpha == 0) if alpha is not None else np.zeros(known.shape, bool)
        yield LoadedFrame(path, torch.from_numpy(stack), empty=empty)
