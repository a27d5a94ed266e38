"""Pins EXR files: types, compressions, data windows, parts, damage, invalid values, and that written ones read back."""

import numpy as np
import OpenEXR
import pytest
from support import write_channels

from frames import exr, exr_writing
from frames.channels import QUANTITIES
from frames.repairs import Repairs, repair

SIZE = (6, 9)
RNG = np.random.default_rng(0)


def planes(*names, dtype=np.float32):
    return {name: RNG.random(SIZE).astype(dtype) for name in names}


COMPRESSIONS = [
    n for n in dir(OpenEXR) if n.endswith("_COMPRESSION") and not n.startswith(("NUM", "B44", "DWA", "HT", "LJ"))
]


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_compressions_and_types(compression, dtype, tmp_path):
    channels = planes(*"BGR", "albedo.R", dtype=dtype)
    path = write_channels(tmp_path / "a.exr", channels, compression=getattr(OpenEXR, compression))
    color = exr.read_exr(path, ("color",))["color"]
    assert color.dtype == np.float32 and color.shape == (3, *SIZE)
    tolerance = 1e-4 if compression == "PXR24_COMPRESSION" else 0
    assert np.allclose(color, np.stack([channels[c] for c in "RGB"]), rtol=tolerance, atol=0)


def test_a_data_window_may_start_anywhere(tmp_path):
    channels = planes(*"RGB")
    window = np.array([-5, 17], np.int32), np.array([-5 + SIZE[1] - 1, 17 + SIZE[0] - 1], np.int32)
    path = write_channels(tmp_path / "a.exr", channels, dataWindow=window)
    header = exr.read_header(path)
    assert header.size == SIZE and header.window == (-5, 17, 3, 22)
    assert np.array_equal(exr.read_exr(path, ("color",))["color"][0], channels["R"])


def test_multipart_files(tmp_path):
    color, depth = planes(*"RGB"), planes("Z")
    parts = [
        OpenEXR.Part({"type": OpenEXR.scanlineimage}, dict(color), "beauty"),
        OpenEXR.Part({"type": OpenEXR.scanlineimage}, dict(depth), "depth"),
    ]
    OpenEXR.File(parts).write(str(tmp_path / "parts.exr"))
    quantities = exr.read_exr(tmp_path / "parts.exr", ("color", "depth"))
    assert np.array_equal(quantities["depth"][0], depth["Z"]) and np.array_equal(quantities["color"][1], color["G"])
    assert exr.read_header(tmp_path / "parts.exr").channels[-1] == "depth.Z"


@pytest.mark.parametrize("keep", [0, 10, 500, 0.5, 0.9])
def test_damaged_files_are_named(keep, tmp_path):
    path = write_channels(tmp_path / "frame.exr", {c: RNG.random((64, 64)).astype(np.float32) for c in "RGB"})
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if isinstance(keep, float) else keep])
    with pytest.raises(ValueError, match=r"frame.exr: .*again"):
        exr.read_exr(path, ("color",))


def test_files_that_are_no_exr_or_not_there_are_named(tmp_path):
    (tmp_path / "text.exr").write_text("hello " * 100)
    for read in (exr.read_header, lambda p: exr.read_exr(p, ("color",))):
        with pytest.raises(ValueError, match=r"text.exr: not a readable EXR"):
            read(tmp_path / "text.exr")
        with pytest.raises(FileNotFoundError, match=r"none.exr"):
            read(tmp_path / "none.exr")


def test_misses_far_away_become_zero_depth(tmp_path):
    depth = np.array([[1e10, 3.0]], np.float32)
    path = write_channels(tmp_path / "a.exr", {"ViewLayer.Depth.Z": depth})
    assert exr.read_exr(path, ("depth",))["depth"].tolist() == [[[0.0, 3.0]]]


def test_invalid_values_are_replaced_and_counted():
    values = np.array([np.nan, np.inf, 1.0, -np.inf, -2.0, 1e6, np.inf, -3.0]).reshape(4, 1, 2)
    assert repair(values, ("color", "depth")) == Repairs(4, 1)
    assert values.ravel().tolist() == [0, 1e6, 1, 0, 0, 1e6, 0, -3]
    lamp = np.array([np.inf, 1.0, 0.0]).reshape(3, 1, 1)
    repair(lamp, ("color",))
    assert lamp[0] == 65504, "where nothing is brighter than half floats go"
    target = np.array([np.nan, np.inf, -1.0]).reshape(3, 1, 1)
    repair(target, ("color",), np.nan)
    assert np.isnan(target[:2]).all() and target[2] == 0, "what a target does not know counts for nothing"


def test_written_files_read_back_and_nothing_else_is_left(tmp_path):
    wanted = {name: RNG.random((q.count, *SIZE)).astype(np.float32) for name, q in QUANTITIES.items()}
    wanted["color"][0, 0, 0] = 1e9
    exr_writing.write_exr(tmp_path / "a.exr", wanted)
    names = "B G R albedo.B albedo.G albedo.R depth.Z motion.X motion.Y normal.B normal.G normal.R"
    assert sorted(exr.read_header(tmp_path / "a.exr").channels) == names.split()
    back = exr.read_exr(tmp_path / "a.exr", tuple(wanted))
    assert back["color"][0, 0, 0] == 65504
    wanted["color"][0, 0, 0] = 65504
    assert all(np.array_equal(back[name], values.astype(np.float16)) for name, values in wanted.items())
    assert [p.name for p in tmp_path.iterdir()] == ["a.exr"]


LOSSLESS = ("NO", "RLE", "ZIPS", "ZIP", "PIZ", "PXR24", "B44", "B44A")  # the last three: once


@pytest.mark.parametrize("compression", [*LOSSLESS, "DWAA", "DWAB"])
def test_replaced_channels_leave_the_others_bit_equal_whatever_the_compression(compression, tmp_path):
    rng = np.random.default_rng(0)
    kind = getattr(OpenEXR, f"{compression}_COMPRESSION")
    channels = {name: rng.random((40, 50)).astype(np.float16) for name in ("R", "G", "B", "A", "key.R")}
    channels |= {"Z": rng.random((40, 50)).astype(np.float32), "id": rng.integers(99, size=(40, 50), dtype=np.uint32)}
    source = write_channels(tmp_path / "a.exr", channels, compression=kind)
    before = exr.read_pixels(source)[1]
    exr_writing.replace_channels(source, tmp_path / "b.exr", {"R": np.full((40, 50), 1e6)})
    after = exr.read_pixels(tmp_path / "b.exr")[1]
    assert (after["R"] > 6e4).all() and after["R"].dtype == np.float16
    assert all(np.array_equal(before[name], after[name]) for name in before if name != "R")
    written = OpenEXR.File(str(tmp_path / "b.exr"), header_only=True).header()["compression"]
    assert written == (kind if compression in LOSSLESS else OpenEXR.ZIP_COMPRESSION)
