"""Pins the channel names of every renderer in frames/channels.py, and the errors for missing and ambiguous ones."""

import numpy as np
import pytest
from support import write_channels

from files import InputError
from frames.channels import ALBEDO_INPUTS, QUANTITIES, channel_count, find_channels, split_planes
from frames.exr import read_exr, read_header

SIZE = (6, 9)
RNG = np.random.default_rng(0)


def planes(*names):
    return {name: RNG.random(SIZE).astype(np.float32) for name in names}


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
    quantities = read_exr(path, tuple(wanted))
    for name, names in wanted.items():
        assert np.array_equal(quantities[name], np.stack([channels[c] for c in names])), name


def test_absent_albedo_is_not_mistaken_for_another_layer(tmp_path):
    path = write_channels(tmp_path / "a.exr", planes(*"RGB", "normal.R", "normal.G", "normal.B", "depth.Z"))
    assert find_channels(read_header(path).channels, "albedo") is None


def test_two_view_layers_are_an_error(tmp_path):
    path = write_channels(tmp_path / "a.exr", planes(*(f"{v}.Combined.{c}" for v in ("Front", "Back") for c in "RGB")))
    with pytest.raises(ValueError, match=r"a.exr.*Back.Combined, Front.Combined"):
        read_exr(path, ("color",))


def test_a_missing_channel_names_file_channel_accepted_names_and_what_is_there(tmp_path):
    path = write_channels(tmp_path / "frame.exr", planes(*"RGB", "foo.A"))
    with pytest.raises(InputError) as error:
        read_exr(path, ("color", "normal"))
    for part in (str(path), "no channel for normal", "normal.R .G .B", "Denoising Normal.X .Y .Z", "B G R foo.A"):
        assert part in str(error.value)


def test_quantities_split_at_their_channel_counts():
    stacked = RNG.random((channel_count(ALBEDO_INPUTS), *SIZE)).astype(np.float32)
    parts = split_planes(stacked, ALBEDO_INPUTS)
    assert channel_count(ALBEDO_INPUTS) == 10 and tuple(parts) == ALBEDO_INPUTS
    assert all(len(part) == QUANTITIES[name].count for name, part in parts.items())
    assert np.array_equal(np.concatenate(list(parts.values())), stacked)
