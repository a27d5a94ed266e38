"""Pins which channels are read and written: view layers, Cycles' noisy image, light groups, normals, motion."""

from pathlib import Path

import pytest

from files import InputError
from frames.channels import MOTION_INPUTS
from frames.exr import Header
from frames.layers import Choice, find_layout


def layers(view, *names):
    """Channel names of Cycles' layers: `Name.XYZ` becomes view.Name.X and so on."""
    return [f"{view}.{layer}.{part}" for layer, _, parts in (name.rpartition(".") for name in names) for part in parts]


def cycles(view):
    passes = ("Combined.RGBA", "Noisy Image.RGBA", "Denoising Normal.XYZ", "Normal.XYZ", "Denoising Albedo.RGB")
    return layers(view, *passes, "Depth.Z", "Vector.XYZW", "Combined_key.RGB", "Combined_fill.RGB")


def layout(channels, layer=None, also=()):
    header = Header(Path("shot_1.exr"), tuple(sorted(channels)), (0, 0, 9, 9))
    return find_layout(header, MOTION_INPUTS, Choice(layer, tuple(also)))


def test_cycles_noisy_image_is_denoised_and_combined_receives_it():
    found = layout(cycles("VL"))
    assert found.colors[0].source == ("VL.Noisy Image.R", "VL.Noisy Image.G", "VL.Noisy Image.B")
    assert found.colors[0].result == ("VL.Combined.R", "VL.Combined.G", "VL.Combined.B")
    assert found.alpha == "VL.Combined.A"
    assert found.motion == ((("VL.Vector.X", "VL.Vector.Y"), "previous"), (("VL.Vector.Z", "VL.Vector.W"), "next"))


def test_world_space_normals_come_before_camera_space_ones():
    channels = cycles("VL")
    assert layout(channels).surface["normal"] == ("VL.Normal.X", "VL.Normal.Y", "VL.Normal.Z")
    without = [c for c in channels if not c.startswith("VL.Normal.")]
    assert layout(without).surface["normal"][0] == "VL.Denoising Normal.X"


def test_several_view_layers_need_a_choice():
    channels = cycles("Front") + cycles("Back Plate") + layers("Composite", "Combined.RGBA")
    with pytest.raises(InputError, match=r"several view layers \(Back Plate, Front\); choose one with --layer"):
        layout(channels)
    found = layout(channels, "Back Plate", ["Combined_key"])
    assert {channel.partition(".")[0] for channel in found.read} == {"Back Plate"}
    with pytest.raises(InputError, match=r"no --layer Middle; the file has: Back Plate, Front"):
        layout(channels, "Middle")
    no_depth = [c for c in channels if c != "Front.Depth.Z"]
    with pytest.raises(InputError, match=r"no channel for depth in --layer Front, only in another"):
        layout(no_depth, "Front")


def test_a_layer_without_auxiliary_channels_takes_the_files():
    channels = [*layers("beauty", "RGBA"), *layers("rim", "RGBA"), "R", "G", "B", "Z", "N.X", "N.Y", "N.Z"]
    channels += ["beauty.R", "beauty.G", "beauty.B", "rim.R", "rim.G", "rim.B"]
    found = layout(channels, "rim")
    assert found.colors[0].result == ("rim.R", "rim.G", "rim.B")
    assert found.surface == {"depth": ("Z",), "normal": ("N.X", "N.Y", "N.Z")}
    assert layout(channels).colors[0].result == ("R", "G", "B")


def test_further_colors_by_name_and_by_pattern():
    found = layout(cycles("VL"), also=["Combined_*", "Combined_key"])
    assert [color.source[0] for color in found.colors[1:]] == ["VL.Combined_fill.R", "VL.Combined_key.R"]
    with pytest.raises(
        InputError, match=r"no layer for --also Combined_rim; the file has: Combined_fill, Combined_key"
    ):
        layout(cycles("VL"), also=["Combined_rim"])
    with pytest.raises(InputError, match=r"--also Combined;"):
        layout(cycles("VL"), also=["Combined"])  # it receives the beauty's result


def test_a_missing_quantity_is_named():
    with pytest.raises(InputError, match=r"no channel for normal .*the file has: .*VL.Depth.Z"):
        layout([c for c in cycles("VL") if "Normal" not in c])
