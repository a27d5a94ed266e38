"""Pins EXR reading: channel names of every renderer, types, compressions, data windows, damage; and the transforms."""

import numpy as np
import OpenEXR
import pytest
import torch
from support import write_channels

from files import InputError, whole_file
from frames import exr as images
from frames import radiance
from frames.channels import QUANTITIES, find_channels

SIZE = (6, 9)
RNG = np.random.default_rng(0)


def planes(*names, dtype=np.float32):
    return {name: RNG.random(SIZE).astype(dtype) for name in names}


def group(layer, parts):
    """Channel names: `layer` and each letter of `parts`; without a layer, the parts alone."""
    return [f"{layer}.{part}" if layer else part for part in parts]


RGB = group("", "RGB")
RENDERERS = {
    "ours": {
        "color": RGB,
        "albedo": group("albedo", "RGB"),
        "normal": group("normal", "RGB"),
        "depth": ["depth.Z"],
        "motion": group("motion", "XY"),
    },
    "cycles, denoising passes": {
        "color": group("ViewLayer.Noisy Image", "RGB"),
        "albedo": group("ViewLayer.Denoising Albedo", "RGB"),
        "normal": group("ViewLayer.Denoising Normal", "XYZ"),
        "depth": ["ViewLayer.Denoising Depth.Z"],
        "motion": group("ViewLayer.Vector", "XY"),
    },
    "cycles, plain passes": {
        "color": group("My Layer.Combined", "RGB"),
        "albedo": group("My Layer.DiffCol", "RGB"),
        "normal": group("My Layer.Normal", "XYZ"),
        "depth": ["My Layer.Depth.Z"],
    },
    "pbrt": {"color": RGB, "albedo": group("Albedo", "RGB"), "normal": group("Ns", "XYZ"), "depth": ["P.Z"]},
    "pbrt, geometric normal": {"color": RGB, "normal": group("N", "XYZ"), "depth": ["P.Z"]},
    "pbrt, older": {"color": RGB, "normal": ["Nsx", "Nsy", "Nsz"], "depth": ["Pz"]},
    "mitsuba": {"color": RGB, "albedo": group("alb", "RGB"), "normal": group("nn", "XYZ"), "depth": ["dd.T"]},
    "mitsuba, odd names": {"color": RGB, "albedo": group("my albedo", "RGB"), "normal": group("foo", "XYZ")},
    "arnold": {"color": RGB, "albedo": group("denoise_albedo", "RGB"), "normal": group("N", "XYZ"), "depth": ["Z"]},
    "arnold, noice": {
        "color": RGB,
        "albedo": group("diffuse_albedo", "RGB"),
        "normal": group("N_noice", "XYZ"),
        "depth": ["Z_noice"],
    },
}
ALSO_THERE = {
    "cycles, denoising passes": [
        *group("ViewLayer.Combined", "RGBA"),
        *group("Composite.Combined", "RGBA"),
        *group("ViewLayer.Vector", "ZW"),
        *group("ViewLayer.Position", "XYZ"),
    ],
    "cycles, plain passes": [*group("Composite.Combined", "RGBA"), *group("My Layer.Position", "XYZ")],
    "pbrt": [*group("P", "XY"), *group("N", "XYZ"), "A"],
    "mitsuba": [*group("position", "XYZ"), *group("uv", "UV"), "A"],
    "mitsuba, odd names": [*group("position", "XYZ"), "A"],
}


@pytest.mark.parametrize("renderer", RENDERERS)
def test_channel_names_of(renderer, tmp_path):
    wanted = RENDERERS[renderer]
    channels = planes(*(c for names in wanted.values() for c in names), *ALSO_THERE.get(renderer, []))
    path = write_channels(tmp_path / "frame.exr", channels)
    quantities = images.read_exr(path, tuple(wanted))
    for name, names in wanted.items():
        assert np.array_equal(quantities[name], np.stack([channels[c] for c in names])), name


def test_absent_albedo_is_not_mistaken_for_another_layer(tmp_path):
    path = write_channels(tmp_path / "a.exr", planes(*"RGB", "normal.R", "normal.G", "normal.B", "depth.Z"))
    assert find_channels(images.read_header(path).channels, "albedo") is None


def test_two_view_layers_are_an_error(tmp_path):
    path = write_channels(tmp_path / "a.exr", planes(*(f"{v}.Combined.{c}" for v in ("Front", "Back") for c in "RGB")))
    with pytest.raises(ValueError, match=r"a.exr.*Back.Combined, Front.Combined"):
        images.read_exr(path, ("color",))


COMPRESSIONS = [
    n for n in dir(OpenEXR) if n.endswith("_COMPRESSION") and not n.startswith(("NUM", "B44", "DWA", "HT", "LJ"))
]


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_compressions_and_types(compression, dtype, tmp_path):
    channels = planes(*"BGR", "albedo.R", dtype=dtype)
    path = write_channels(tmp_path / "a.exr", channels, compression=getattr(OpenEXR, compression))
    color = images.read_exr(path, ("color",))["color"]
    assert color.dtype == np.float32 and color.shape == (3, *SIZE)
    tolerance = 1e-4 if compression == "PXR24_COMPRESSION" else 0
    assert np.allclose(color, np.stack([channels[c] for c in "RGB"]), rtol=tolerance, atol=0)


def test_a_data_window_may_start_anywhere(tmp_path):
    channels = planes(*"RGB")
    window = np.array([-5, 17], np.int32), np.array([-5 + SIZE[1] - 1, 17 + SIZE[0] - 1], np.int32)
    path = write_channels(tmp_path / "a.exr", channels, dataWindow=window)
    header = images.read_header(path)
    assert header.size == SIZE and header.window == (-5, 17, 3, 22)
    assert np.array_equal(images.read_exr(path, ("color",))["color"][0], channels["R"])


def test_multipart_files(tmp_path):
    color, depth = planes(*"RGB"), planes("Z")
    parts = [
        OpenEXR.Part({"type": OpenEXR.scanlineimage}, dict(color), "beauty"),
        OpenEXR.Part({"type": OpenEXR.scanlineimage}, dict(depth), "depth"),
    ]
    OpenEXR.File(parts).write(str(tmp_path / "parts.exr"))
    quantities = images.read_exr(tmp_path / "parts.exr", ("color", "depth"))
    assert np.array_equal(quantities["depth"][0], depth["Z"]) and np.array_equal(quantities["color"][1], color["G"])
    assert images.read_header(tmp_path / "parts.exr").channels[-1] == "depth.Z"


def test_a_missing_channel_names_file_channel_accepted_names_and_what_is_there(tmp_path):
    path = write_channels(tmp_path / "frame.exr", planes(*"RGB", "foo.A"))
    with pytest.raises(InputError) as error:
        images.read_exr(path, ("color", "normal"))
    for part in (str(path), "no channel for normal", "normal.R .G .B", "Denoising Normal.X .Y .Z", "B G R foo.A"):
        assert part in str(error.value)


@pytest.mark.parametrize("keep", [0, 10, 500, 0.5, 0.9])
def test_damaged_files_are_named(keep, tmp_path):
    path = write_channels(tmp_path / "frame.exr", {c: RNG.random((64, 64)).astype(np.float32) for c in "RGB"})
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if isinstance(keep, float) else keep])
    with pytest.raises(ValueError, match=r"frame.exr: .*again"):
        images.read_exr(path, ("color",))


def test_files_that_are_no_exr_or_not_there_are_named(tmp_path):
    (tmp_path / "text.exr").write_text("hello " * 100)
    for read in (images.read_header, lambda p: images.read_exr(p, ("color",))):
        with pytest.raises(ValueError, match=r"text.exr: not a readable EXR"):
            read(tmp_path / "text.exr")
        with pytest.raises(FileNotFoundError, match=r"none.exr"):
            read(tmp_path / "none.exr")


def test_misses_far_away_become_zero_depth(tmp_path):
    depth = np.array([[1e10, 3.0]], np.float32)
    path = write_channels(tmp_path / "a.exr", {"ViewLayer.Depth.Z": depth})
    assert images.read_exr(path, ("depth",))["depth"].tolist() == [[[0.0, 3.0]]]


def test_invalid_values_are_replaced_and_counted():
    values = np.array([np.nan, np.inf, 1.0, -np.inf, 2.0])
    assert images.replace_invalid(values) == 3
    assert values.tolist() == [0, 0, 1, 0, 2]


def test_written_files_read_back_and_nothing_else_is_left(tmp_path):
    wanted = {name: RNG.random((q.count, *SIZE)).astype(np.float32) for name, q in QUANTITIES.items()}
    wanted["color"][0, 0, 0] = 1e9
    images.write_exr(tmp_path / "a.exr", wanted)
    names = "B G R albedo.B albedo.G albedo.R depth.Z motion.X motion.Y normal.B normal.G normal.R"
    assert sorted(images.read_header(tmp_path / "a.exr").channels) == names.split()
    back = images.read_exr(tmp_path / "a.exr", tuple(wanted))
    assert back["color"][0, 0, 0] == 65504
    wanted["color"][0, 0, 0] = 65504
    assert all(np.array_equal(back[name], values.astype(np.float16)) for name, values in wanted.items())
    assert [p.name for p in tmp_path.iterdir()] == ["a.exr"]


def test_a_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "kept.json"
    path.write_text("old")
    with pytest.raises(RuntimeError), whole_file(path) as temporary:
        temporary.write_text("half of the n")
        raise RuntimeError("disk full")
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["kept.json"]


def test_tone_mapping_is_srgb():
    linear = torch.tensor([0, 0.001, 0.18, 0.5, 1.0, 7.0]).reshape(1, 1, -1).expand(3, 1, -1)
    wanted = torch.tensor([0, 0.01292, 0.46135, 0.73536, 1, 1])  # IEC 61966-2-1
    assert torch.allclose(radiance.tone_map(linear, 1.0)[0, 0], wanted, atol=1e-4)


def test_exposure_brings_the_log_average_to_the_key():
    color = torch.full((3, 4, 4), 0.7)
    color[:, 0, 0] = float("nan")
    average = float(torch.exp(radiance.log_luminance(color)))
    assert average == pytest.approx(0.7, rel=1e-3)
    assert average * radiance.exposure_for(average) == pytest.approx(0.18)
