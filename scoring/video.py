"""H.264 videos of reconstructed sequences. Only test.py needs PyAV; training does without.

Shapes: images are (3, H, W), uint8 sRGB.
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
def open_video(path: Path) -> Iterator["Video"]:
    """A video to add frames to; it appears at `path` once complete. Raises OSError where it cannot be written."""
    with whole_file(path) as temporary:
        video = Video(temporary)
        try:
            yield video
        finally:
            video.close()


class Video:
    """An H.264 video (MP4) that encodes each frame when it is added and keeps none.

    H.264 needs even sizes, so an odd last row or column is repeated.
    """

    def __init__(self, path: Path):
        self.path = path
        self.container = self.stream = None

    def add(self, image: torch.Tensor) -> None:
        """Adds a frame, of the same size as those before."""
        # even size, channels last
        bottom, right = (extent % 2 for extent in image.shape[1:])
        pixels = np.pad(image.permute(1, 2, 0).numpy(), ((0, bottom), (0, right), (0, 0)), mode="edge")  # (H', W', 3)

        # the first frame sets the size
        if self.container is None:
            self.container = av.open(str(self.path), "w", format="mp4")
            self.stream = self.container.add_stream("libx264", rate=FRAMES_PER_SECOND, options=ENCODER)
            self.stream.height, self.stream.width = pixels.shape[:2]
            self.stream.pix_fmt = "yuv420p"

        self.container.mux(self.stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))

    def close(self) -> None:
        """Writes the frames that the encoder still holds, and the index."""
        if self.container is not None:
            with self.container:
                self.container.mux(self.stream.encode())
