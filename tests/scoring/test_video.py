"""Pins videos: even and scaled sizes, colors and what they are tagged as, and pictures in the middle of larger ones."""

import av
import numpy as np
import pytest
import torch

from scoring.pictures import letterbox
from scoring.video import encoded_size, open_video

# Rec. ITU-R BT.709, limited range: luma and chroma of 8-bit R'G'B'
PATCHES = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (128, 128, 128), (200, 100, 50)]
LUMA = (0.2126, 0.7152, 0.0722)


def bt709(color):
    """Y, Cb and Cr of an 8-bit color."""
    red, _, blue = rgb = np.array(color) / 255
    luma = np.dot(LUMA, rgb)
    return 16 + 219 * luma, 128 + 224 * (blue - luma) / 1.8556, 128 + 224 * (red - luma) / 1.5748


def film(path, *images):
    """Writes a video and reads it back: the stream's tags, and the frames."""
    with open_video(path) as video:
        for image in images:
            video.add(image)
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        tags = [context.color_primaries, context.color_trc, context.colorspace, context.color_range]
        return [int(tag) for tag in tags], list(container.decode(video=0))


def test_colors_are_converted_as_they_are_tagged(tmp_path):
    patches = torch.tensor(PATCHES, dtype=torch.uint8).T  # (3, patches)
    tags, (frame, *_) = film(tmp_path / "a.mp4", patches[:, None].repeat_interleave(32, 2).repeat(1, 32, 1))
    assert tags == [1, 13, 1, 1]  # ITU-T H.273: BT.709, sRGB, BT.709; libavutil: limited range
    planes = [np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:, : plane.width] for plane in frame.planes]
    for place, color in enumerate(PATCHES):
        middle = (place + 0.5) / len(PATCHES)  # of the patch, in fractions of the width
        found = [int(plane[len(plane) // 2, int(middle * plane.shape[1])]) for plane in planes]
        assert found == pytest.approx(bt709(color), abs=1.5), color


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (17, 23), (24, 33), (25, 32)])
def test_odd_sizes(tmp_path, size):
    image = torch.full((3, *size), 128, dtype=torch.uint8)
    _, frames = film(tmp_path / "a.mp4", image, image)
    assert [(f.height, f.width) for f in frames] == [tuple(extent + extent % 2 for extent in size)] * 2
    assert np.abs(frames[1].to_ndarray(format="rgb24").astype(int) - 128).max() <= 3


@pytest.mark.parametrize("size", [(8, 18008), (18008, 8), (7, 16385)])
def test_what_is_too_large_is_scaled_evenly_and_said(tmp_path, capsys, size):
    image = torch.zeros(3, *size, dtype=torch.uint8)
    image[:, size[0] // 2 if size[0] > size[1] else 0 :, size[1] // 2 if size[1] > size[0] else 0 :] = 200
    _, (frame,) = film(tmp_path / "a.mp4", image)
    expected = encoded_size(*size)
    assert (frame.height, frame.width) == expected and max(expected) == 16384
    pixels = frame.to_ndarray(format="rgb24")
    assert pixels[0, 0].max() <= 4 and pixels[-1, -1].min() >= 196  # all of it is there
    line = f"{tmp_path}: video scaled from {size[1]}x{size[0]} to {expected[1]}x{expected[0]}, since H.264"
    assert capsys.readouterr().err.startswith(line)


def test_proportions_stay():
    assert encoded_size(3375, 18008) == (3072, 16384) and encoded_size(16384, 16384) == (16384, 16384)
    assert encoded_size(17, 23) == (18, 24) and encoded_size(1, 100000) == (2, 16384)


def test_an_error_leaves_no_video(tmp_path):
    with pytest.raises(ValueError, match="of the network"), open_video(tmp_path / "a.mp4") as video:
        video.add(torch.zeros(3, 16, 16, dtype=torch.uint8))
        raise ValueError("of the network")
    assert not list(tmp_path.iterdir())


def test_letterbox_keeps_every_pixel():
    image = torch.randint(1, 256, (3, 4, 5), dtype=torch.uint8)
    boxed = letterbox(image, (7, 9))
    assert torch.equal(boxed[:, 1:5, 2:7], image) and boxed.sum() == image.sum()
    assert torch.equal(letterbox(image, (4, 5)), image)
