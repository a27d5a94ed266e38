"""The options of test.py and check.py that say what the channels of numbered EXR frames mean. Imports no PyTorch."""

import argparse

from frames.layers import Choice


def chosen_layer(text: str) -> tuple[str, str]:
    """The argparse type of QUANTITY=LAYER. Raises ArgumentTypeError."""
    quantity, _, layer = text.partition("=")
    if quantity not in ("depth", "normal", "albedo", "motion") or not layer:
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected QUANTITY=LAYER, such as albedo=diffuse_albedo, of depth, normal, albedo or motion"
        )
    return quantity, layer


def add_frame_options(group: argparse._ArgumentGroup) -> None:
    """What the channels of numbered frames mean, and which are denoised."""
    add = group.add_argument
    # which colors
    add("--layer", help="the view layer, view or part to denoise; needed if the frames have several")
    add(
        "--also",
        nargs="+",
        default=[],
        metavar="LAYER",
        help="further color layers to denoise with the same kernels, such as light groups, so that they still add up; "
        "names or patterns, like 'Combined_*'",
    )
    # which layers hold the other quantities
    add(
        "--use",
        nargs="+",
        default=[],
        type=chosen_layer,
        metavar="QUANTITY=LAYER",
        help="the layer with depth, normal, albedo or motion, where names do not tell, like albedo=diffuse_albedo; "
        "albedo=none and motion=none do without",
    )
    # what motion and normals mean
    add(
        "--motion",
        default="auto",
        help="auto: try every convention on a few frames and take the one that fits; none: estimate motion; or what "
        "the vectors mean, like previous,right,up,pixels: to the previous or next frame, positive x right or left, "
        "positive y down or up, in pixels or fractions of the frame; default: %(default)s",
    )
    add(
        "--normals",
        choices=("auto", "world", "camera"),
        default="auto",
        help="the space of the normals; auto: camera if the camera turns them, as far as the frames show; "
        "default: %(default)s",
    )


def choice_of(options: argparse.Namespace) -> Choice:
    """The layers that the options choose."""
    return Choice(options.layer, tuple(options.also), dict(options.use))
