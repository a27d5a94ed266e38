"""Frames without motion get an estimate of it.

Shapes: B sequences, T frames, H rows, W columns. A frame is (B, 12, H, W), of the quantities in MOTION_INPUTS.
"""

import torch
import torch.nn.functional as F

from frames.channels import MOTION_INPUTS
from networks.autoencoder import pad_to_multiple
from networks.cpu import may_ask
from networks.features import MOTION, SURFACES, clamp_to_limits, with_motion
from networks.motion import LEVELS, estimate_motion
from networks.warping import motion_is_known


@torch.no_grad()  # surfaces come with the frames, so there is nothing to learn from them
def complete_frame(frame: torch.Tensor, then: torch.Tensor) -> torch.Tensor:
    """The frame, and further colors, with motion from networks/motion.py where it has none.

    then: (B, 7, H, W), the surfaces of the frame before. H, W: multiples of 2^LEVELS.
    """
    motion = frame[:, MOTION]
    known = motion_is_known(motion)
    if may_ask(frame) and known.all():
        return frame
    return with_motion(frame, motion.where(known, estimate_motion(then, frame[:, SURFACES])))


@torch.no_grad()
def complete_window(frames: torch.Tensor) -> torch.Tensor:
    """A (B, T, 12, H, W) window, of any size, whose frames need no complete_frame.

    Motion is estimated for all of them at once. Without motion, the first frame gets 0: a history that training gives
    it has the same camera.
    """
    shape = frames.shape[:2]
    frames = clamp_to_limits(frames.flatten(0, 1), MOTION_INPUTS)
    motion = frames[:, MOTION]
    known = motion_is_known(motion)  # (B T, 1, H, W)
    if may_ask(frames) and known.all():
        return frames.unflatten(0, shape)
    height, width = frames.shape[2:]
    surfaces = pad_to_multiple(frames[:, SURFACES], 2**LEVELS).unflatten(0, shape)
    found = estimate_motion(surfaces[:, :-1].flatten(0, 1), surfaces[:, 1:].flatten(0, 1))[..., :height, :width]
    found = F.pad(found.unflatten(0, (shape[0], -1)), (0, 0, 0, 0, 0, 0, 1, 0)).flatten(0, 1)  # (B T, 2, H, W)
    return with_motion(frames, motion.where(known, found)).unflatten(0, shape)
