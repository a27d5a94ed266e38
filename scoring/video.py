"""Films of reconstructed sequences. Of the project, only test.py needs PyAV: training does without.

Shapes: (3, H, W) images, uint8 sRGB.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import torch

from files import whole_file

FRAMES_PER_SECOND = 12
ENCODER = {"crf": "16", "preset": "veryfast", "tune": "zerolatency"}  # the encoder holds no frames back


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

    def add(self, image: torch.Tensor) -> None:
        """The next frame; all of a film have one size."""
        bottom, right = (extent % 2 for extent in image.shape[1:])
        pixels = np.pad(image.permute(1, 2, 0).numpy(), ((0, bottom), (0, right), (0, 0)), mode="edge")
        if self.container is None:
            self.container = av.open(str(self.path), "w", format="mp4")
            self.stream = self.container.add_stream("libx264", rate=FRAMES_PER_SECOND, options=ENCODER)
            self.stream.height, self.stream.width = pixels.shape[:2]
            self.stream.pix_fmt = "yuv420p"
        self.container.mux(self.stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))

    def close(self) -> None:
        """Writes what the encoder still holds, and the index."""
        if self.container is not None:
            with self.container:
                self.container.mux(self.stream.encode())
