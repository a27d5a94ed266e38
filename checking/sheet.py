"""A picture for people to check by eye: a row for each scene, with every buffer of one of its frames.

Shapes: images are (3, H, W), uint8 sRGB.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torchvision.transforms.functional import resize

from files import InputError
from frames.channels import MOTION_INPUTS, split_planes
from frames.exr import load_noisy, load_target
from frames.radiance import exposure_of, tone_map
from frames.sequences import Frame, Sequence
from networks.warping import motion_is_known
from scoring.pictures import GAP, letterbox, save_png, side_by_side, to_bytes

TILE = (144, 256)  # pixels, (H, W)
TITLE = 16  # pixels, above each row
MOST_ROWS = 48
COLUMNS = ("noisy", "target", "albedo", "normal", "depth", "motion")


def save_sheet(path: Path, scenes: dict[str, list[Sequence]]) -> None:
    """Writes the sheet of these scenes, by label, without those whose frame cannot be read.

    Raises InputError if that leaves none, OSError if the file cannot be written.
    """
    rows = []
    for label, sequences in list(scenes.items())[:MOST_ROWS]:
        frames = sequences[0].frames
        frame = frames[len(frames) // 2]
        try:
            rows += [title(f"{label}/{frame.folder.name}", bool(frame.target)), row_of(frame)]
        except (InputError, OSError):  # named already
            continue
    if not rows:
        raise InputError(f"{path}: not written: no scene has a frame that can be read; correct the errors above first")
    save_png(path, torch.cat(rows, 1))


def row_of(frame: Frame) -> torch.Tensor:
    """The buffers of a frame side by side, in the order of COLUMNS; black where it lacks one."""
    planes = torch.from_numpy(load_noisy(frame.noisy[0], MOTION_INPUTS)[0])
    target = torch.from_numpy(load_target(frame.target)[0]) if frame.target else torch.zeros_like(planes[:3])
    quantities = {n: torch.from_numpy(p) for n, p in split_planes(planes.numpy(), MOTION_INPUTS).items()}
    exposure = exposure_of(target if frame.target else quantities["color"])
    pictures = [tone_map(image.nan_to_num(0, 0, 0), exposure) for image in (quantities["color"], target)]
    pictures += [
        tone_map(quantities["albedo"], 1),
        quantities["normal"] / 2 + 0.5,
        depth_picture(quantities["depth"]),
        motion_picture(quantities["motion"]),
    ]
    return side_by_side([fit(to_bytes(picture)) for picture in pictures])


def depth_picture(depth: torch.Tensor) -> torch.Tensor:
    """(1, H, W) depth to (3, H, W) in [0, 1]: near is bright, the background black."""
    hit = depth > 0
    if not hit.any():
        return torch.zeros(3, *depth.shape[1:])
    near = float(np.quantile(depth[hit].numpy(), 0.02))
    return torch.where(hit, near / depth.clamp(min=1e-6), 0).clamp(0, 1).sqrt().expand(3, -1, -1)


def motion_picture(motion: torch.Tensor) -> torch.Tensor:
    """(2, H, W) motion to (3, H, W) in [0, 1]: right is red, down is green, none is gray; black where it is unknown."""
    known = motion_is_known(motion[None])[0]
    lengths = motion.norm(dim=0)[known[0]]
    scale = float(np.quantile(lengths.numpy(), 0.99)) if known.any() else 1.0
    picture = torch.cat((motion / (2 * max(scale, 1.0)), torch.zeros_like(motion[:1]))) + 0.5
    return torch.where(known, picture.clamp(0, 1), 0)


def fit(image: torch.Tensor) -> torch.Tensor:
    """An image scaled to fit into TILE, in the middle of it, on black."""
    height, width = image.shape[1:]
    scale = min(TILE[0] / height, TILE[1] / width)
    return letterbox(resize(image, [max(1, round(height * scale)), max(1, round(width * scale))], antialias=True), TILE)


def title(name: str, has_target: bool) -> torch.Tensor:
    """The frame's name and what each column shows, black on white, as wide as a row."""
    width = TILE[1] + GAP
    strip = Image.new("RGB", (width * len(COLUMNS) - GAP, TITLE), "white")
    for index, column in enumerate(COLUMNS):
        text = name if index == 0 else "no target" if column == "target" and not has_target else column
        ImageDraw.Draw(strip).text((index * width + 2, 2), text, "black")
    return torch.from_numpy(np.array(strip)).movedim(2, 0)
