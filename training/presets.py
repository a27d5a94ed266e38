"""The networks that `train.py --network` names, and how each kind is trained. No PyTorch, for a quick --help.

To add a network by name, add a line to PRESETS: its kind and arguments of its class (model.NETWORKS); to add a kind, a
line to KINDS too.
"""

from typing import NamedTuple

from frames.augmentation import AUGMENTATIONS, DIRECT_AUGMENTATIONS

RADII = (1, 2)
FINEST_RADII = (0, 1)
DETAILS = ("none", "small", "base")
LOSS_NAMES = ("paper", "picture")  # those of losses.LOSSES, which imports PyTorch
PRESETS = {
    "default": {"kind": "filtering", "channels": (32, 48, 64, 96, 128), "radius": 2},
    "fast": {"kind": "filtering", "channels": (16, 32, 48, 64, 96), "radius": 1, "finest_radius": 0},
    "paper": {"kind": "paper", "channels": (32, 43, 57, 76, 101, 101)},  # each 4/3 of the last (section 4.1)
}
PARTS = {"channels": (), "radius": 2, "finest_radius": 1, "detail": "none"}  # of a network, where a preset has no other


class Kind(NamedTuple):
    """What a kind of network takes, and what suits its training.

    parts: those of PARTS that are arguments of its class.
    loss, schedule, augment: defaults of these options.
    many_kernels: whether a step takes thousands of operations, so that replaying a CUDA graph pays.
    divides: whether the network divides by albedo wherever a frame has it; else train.py --albedo decides.
    """

    parts: tuple[str, ...]
    loss: str
    schedule: str
    augment: tuple[str, ...]
    many_kernels: bool
    divides: bool


KINDS = {
    "filtering": Kind(tuple(PARTS), "picture", "cosine", tuple(AUGMENTATIONS), True, True),
    "paper": Kind(("channels",), "paper", "paper", tuple(DIRECT_AUGMENTATIONS), False, False),
}


def network_options(kind: str, parts: dict, demodulate: bool) -> dict:
    """The options of model.make_denoiser. parts: values of PARTS. demodulate: divide by albedo, where that is asked."""
    kept = {name: parts[name] for name in KINDS[kind].parts if parts[name] != "none"}
    return {"network": kind} | kept | ({} if KINDS[kind].divides else {"demodulate": demodulate})
