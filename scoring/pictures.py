"""Images for people to look at: sRGB bytes, images side by side, PNG files.

Shapes: images are (3, H, W), uint8 sRGB except for the input of `to_bytes`.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torchvision.io import encode_png
from torchvision.utils import make_grid

from files import atomic_file

PNG_COMPRESSION = 1  # of 9; the usual 6 takes ten times as long for a file 15 percent smaller
GAP = 4  # pixels between images side by side


def to_bytes(srgb: torch.Tensor) -> torch.Tensor:
    """Converts (3, H, W) sRGB in [0, 1] to uint8 on the CPU. NaN becomes black."""
    return srgb.float().nan_to_num(0.0).clamp_(0, 1).mul_(255).round_().to(torch.uint8).cpu()


def letterbox(image: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The image in the middle of a black one of `size` (H, W), which must be at least its own."""
    below, beside = (wanted - extent for wanted, extent in zip(size, image.shape[1:], strict=True))
    return F.pad(image, (beside // 2, beside - beside // 2, below // 2, below - below // 2))  # (3, H, W)


def side_by_side(images: list[torch.Tensor]) -> torch.Tensor:
    """Images of one size in a row, (3, H, W'), with white gaps between them."""
    return make_grid(images, nrow=len(images), padding=GAP, pad_value=255)[:, GAP:-GAP, GAP:-GAP]


def save_png(path: Path, image: torch.Tensor) -> None:
    """Writes an image as PNG; the file appears only when complete. Raises OSError where it cannot be written."""
    content = encode_png(image.contiguous(), PNG_COMPRESSION)  # write_png would not report a full disk
    with atomic_file(path) as temporary:
        temporary.write_bytes(content.numpy().tobytes())
