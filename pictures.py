"""Pictures for people: noisy, reconstruction and target side by side, as arrays, PNG files and films.

Shapes: (3, H, W) images; radiance is linear, sRGB is in [0, 1].
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import torch
import torch.nn.functional as F
from torchvision.io import encode_png
from torchvision.utils import make_grid

from images import tone_map, whole_file

GAP = 4  # pixels between pictures that stand side by side
FRAMES_PER_SECOND = 12
ENCODER = {"crf": "16", "preset": "veryfast", "tune": "zerolatency"}  # the encoder holds no frames back


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


@contextmanager
def open_film(path: Path) -> Iterator["Film"]:
    """A film to add frames to; it appears at `path` when it is complete. Raises OSError where it cannot be written."""
    with whole_file(path) as temporary:
        film = Film(temporary)
        try:
            yield film
        finally:
            film.close()


class Film:
    """An H.264 film (MP4), encoded frame by frame as they come, so that none is kept.

    Odd sizes get their last row or column twice, since the format demands even ones.
    """

    def __init__(self, path: Path):
        self.path = path
        self.container = self.stream = None

    def add(self, srgb: torch.Tensor) -> None:
        """The next frame, (3, H, W) sRGB; all of a film have one size."""
        srgb = F.pad(srgb, (0, srgb.shape[2] % 2, 0, srgb.shape[1] % 2), mode="replicate")
        if self.container is None:
            self.container = av.open(str(self.path), "w", format="mp4")
            self.stream = self.container.add_stream("libx264", rate=FRAMES_PER_SECOND, options=ENCODER)
            self.stream.height, self.stream.width = srgb.shape[1:]
            self.stream.pix_fmt = "yuv420p"
        pixels = to_bytes(srgb).permute(1, 2, 0).contiguous().numpy()
        self.container.mux(self.stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))

    def close(self) -> None:
        """Writes what the encoder still holds, and the index."""
        if self.container is not None:
            with self.container:
                self.container.mux(self.stream.encode())
