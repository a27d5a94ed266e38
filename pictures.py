"""Pictures for people: noisy, reconstruction and target side by side, as arrays, PNG files and films.

Shapes: (3, H, W) images; radiance is linear, sRGB is in [0, 1].
"""

from pathlib import Path

import av
import torch
import torch.nn.functional as F
from torchvision.io import write_png
from torchvision.utils import make_grid

from images import tone_map, whole_file

GAP = 4  # pixels between pictures that stand side by side
FRAMES_PER_SECOND = 12


def side_by_side(images: list[torch.Tensor], exposure: float) -> torch.Tensor:
    """Linear (3, H, W) images of one size in a row, tone-mapped at one exposure: (3, H, W') sRGB. NaN is black."""
    shown = [tone_map(torch.nan_to_num(image.float().cpu(), 0.0, 0.0, 0.0), exposure) for image in images]
    return make_grid(shown, nrow=len(shown), padding=GAP, pad_value=1.0)[:, GAP:-GAP, GAP:-GAP]


def to_bytes(srgb: torch.Tensor) -> torch.Tensor:
    """(3, H, W) sRGB in [0, 1] to uint8."""
    return (srgb.clamp(0, 1) * 255).round().to(torch.uint8)


def save_png(path: Path, srgb: torch.Tensor) -> None:
    """Writes a (3, H, W) sRGB image as PNG; whole or not at all."""
    with whole_file(path) as temporary:
        write_png(to_bytes(srgb), str(temporary))


class Film:
    """An H.264 film, written frame by frame as they come; a context manager. Appears under its name when complete.

    Odd sizes get their last row or column twice, since the format demands even ones.
    """

    def __init__(self, path: Path):
        self.file = whole_file(path)
        self.container = None

    def __enter__(self) -> "Film":
        self.temporary = self.file.__enter__()
        return self

    def add(self, srgb: torch.Tensor) -> None:
        """The next frame, (3, H, W) sRGB; all of a film have one size."""
        srgb = F.pad(srgb, (0, srgb.shape[2] % 2, 0, srgb.shape[1] % 2), mode="replicate")
        if self.container is None:
            self.container = av.open(str(self.temporary), "w", format="mp4")
            self.stream = self.container.add_stream("libx264", rate=FRAMES_PER_SECOND, options={"crf": "16"})
            self.stream.height, self.stream.width = srgb.shape[1:]
            self.stream.pix_fmt = "yuv420p"
        pixels = to_bytes(srgb).permute(1, 2, 0).contiguous().numpy()
        self.container.mux(self.stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))

    def __exit__(self, kind, value, trace) -> None:
        if self.container is not None:
            if kind is None:
                self.container.mux(self.stream.encode())
            self.container.close()
        self.file.__exit__(kind, value, trace)
