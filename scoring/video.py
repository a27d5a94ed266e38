"""H.264 videos of reconstructed sequences. Only test.py needs PyAV; training does without.

Shapes: images are (3, H, W), uint8 sRGB.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import torch
from tqdm import tqdm

from files import atomic_file

FRAMES_PER_SECOND = 12
ENCODER = {"crf": "16", "preset": "veryfast", "tune": "zerolatency"}  # the encoder holds no frames back
LONGEST = 16384  # pixels of a side that the encoder takes

# What the pixels mean, by the numbers of ITU-T H.273: without them, players guess by the size of the picture.
COLORS = {
    "color_primaries": 1,  # BT.709, which are those of sRGB
    "color_trc": 13,  # the curve of sRGB
    "colorspace": 1,  # the matrix of BT.709
    "color_range": 1,  # limited: 16 to 235
}


def encoded_size(height: int, width: int) -> tuple[int, int]:
    """The size (H', W') of an image as H.264: even, and scaled down evenly if a side is longer than 16384 pixels."""
    longest = max(height, width, LONGEST)
    return tuple(2 * -(-extent * LONGEST // (2 * longest)) for extent in (height, width))


@contextmanager
def open_video(path: Path) -> Iterator["Video"]:
    """A video to add frames to; it appears at `path` once complete. Raises OSError where it cannot be written."""
    with atomic_file(path) as temporary:
        video = Video(temporary)
        try:
            yield video
        finally:
            video.close()


class Video:
    """An H.264 video (MP4) that encodes each frame when it is added and keeps none.

    H.264 needs even sizes, so an odd last row or column is repeated. Images beyond its 16384 pixels are scaled down,
    and a line on stderr says so.
    """

    def __init__(self, path: Path):
        self.path = path
        self.container = self.stream = None

    def add(self, image: torch.Tensor) -> None:
        """Adds a frame, of the same size as those before."""
        # the first frame sets the size
        if self.container is None:
            self.start(*image.shape[1:])

        # even size, channels last
        bottom, right = (extent % 2 for extent in image.shape[1:])
        pixels = np.pad(image.permute(1, 2, 0).numpy(), ((0, bottom), (0, right), (0, 0)), mode="edge")  # (H', W', 3)

        # the colors that the stream is tagged with
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
            self.stream.width,
            self.stream.height,
            self.stream.pix_fmt,
            interpolation="AREA",
            dst_colorspace="ITU709",
            dst_color_range="MPEG",
        )
        self.container.mux(self.stream.encode(frame))

    def start(self, height: int, width: int) -> None:
        """Opens the file and the encoder for images of this size."""
        rows, columns = encoded_size(height, width)
        if max(height, width) > LONGEST:
            note = f"video scaled from {width}x{height} to {columns}x{rows}, since H.264 ends at {LONGEST} pixels"
            tqdm.write(f"{self.path.parent}: {note}", file=sys.stderr)
        self.container = av.open(str(self.path), "w", format="mp4")
        self.stream = self.container.add_stream("libx264", rate=FRAMES_PER_SECOND, options=ENCODER)
        self.stream.height, self.stream.width = rows, columns
        self.stream.pix_fmt = "yuv420p"
        for name, number in COLORS.items():
            setattr(self.stream.codec_context, name, number)

    def close(self) -> None:
        """Writes the frames that the encoder still holds, and the index."""
        if self.container is not None:
            with self.container:
                self.container.mux(self.stream.encode())
