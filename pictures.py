"""Pictures for people: noisy, reconstruction and target side by side, as arrays and PNG files.

Shapes: (3, H, W) images, sRGB in [0, 1].
"""

from pathlib import Path

import torch
from torchvision.io import encode_png
from torchvision.utils import make_grid

from images import whole_file

PNG_COMPRESSION = 1  # of 9; 6, the usual, takes ten times as long for a file 15 percent smaller
GAP = 4  # pixels between pictures that stand side by side


def side_by_side(images: list[torch.Tensor]) -> torch.Tensor:
    """(3, H, W) sRGB images of one size in a row: (3, H, W'). NaN is black."""
    shown = [torch.nan_to_num(image.float().cpu(), 0.0) for image in images]
    return make_grid(shown, nrow=len(shown), padding=GAP, pad_value=1.0)[:, GAP:-GAP, GAP:-GAP]


def to_bytes(srgb: torch.Tensor) -> torch.Tensor:
    """(3, H, W) sRGB in [0, 1] to uint8."""
    return (srgb.clamp(0, 1) * 255).round().to(torch.uint8)


def save_png(path: Path, srgb: torch.Tensor) -> None:
    """Writes a (3, H, W) sRGB image as PNG; whole or not at all. Raises OSError where it cannot be written."""
    content = (
        encode_png(to_bytes(srgb), PNG_COMPRESSION).numpy().tobytes()
    )  # torchvision's write_png is silent about a full disk
    with whole_file(path) as temporary:
        temporary.write_bytes(content)
