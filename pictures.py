"""Pictures for people: noisy, reconstruction and target side by side, as arrays and PNG files.

Shapes: (3, H, W) images; radiance is linear, sRGB is in [0, 1].
"""

from pathlib import Path

import torch
from torchvision.io import encode_png
from torchvision.utils import make_grid

from images import whole_file
from radiance import tone_map

GAP = 4  # pixels between pictures that stand side by side


def side_by_side(images: list[torch.Tensor], exposure: float) -> torch.Tensor:
    """Linear (3, H, W) images of one size in a row, tone-mapped at one exposure: (3, H, W') sRGB. NaN is black."""
    shown = [tone_map(torch.nan_to_num(image.float().cpu(), 0.0, 0.0, 0.0), exposure) for image in images]
    return make_grid(shown, nrow=len(shown), padding=GAP, pad_value=1.0)[:, GAP:-GAP, GAP:-GAP]


def to_bytes(srgb: torch.Tensor) -> torch.Tensor:
    """(3, H, W) sRGB in [0, 1] to uint8."""
    return (srgb.clamp(0, 1) * 255).round().to(torch.uint8)


def save_png(path: Path, srgb: torch.Tensor) -> None:
    """Writes a (3, H, W) sRGB image as PNG; whole or not at all. Raises OSError where it cannot be written."""
    content = encode_png(to_bytes(srgb)).numpy().tobytes()  # torchvision's write_png is silent about a full disk
    with whole_file(path) as temporary:
        temporary.write_bytes(content)
