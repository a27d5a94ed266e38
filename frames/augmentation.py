"""Augmentation: what the loading processes draw for a sample, and what the device then does to whole batches.

Shapes: B samples, T frames, C input channels (in the order of `inputs`), H rows, W columns. The work on a batch never
branches on a tensor's value, so a GPU does not wait for the host.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from frames.channels import MAX_WEIGHT, QUANTITIES, first_channel

if TYPE_CHECKING:  # the options of train.py come from this module, and --help should not wait for PyTorch
    import torch

DIRECT_AUGMENTATIONS = ("reverse", "stop", "flip", "rotate", "modulate")  # the paper's, and flips
AUGMENTATIONS = (*DIRECT_AUGMENTATIONS, "expose", "orient", "average", "drop", "history")
STOP_PROBABILITY = 0.2
REVERSE_PROBABILITY = 0.5
REVERSE_WITH_MOTION = 0.15  # lower, because a window played backwards has no motion
EXPOSURE = 8.0  # all color channels are scaled by at most this, at least by its inverse
AVERAGE_PROBABILITY = 0.25
DROP_PROBABILITY = 0.12
HISTORY_PROBABILITY = 0.3
MODULATION = 2.0  # the largest factor on a color channel; the smallest is its inverse


def draw_order(
    rng: np.random.Generator, length: int, augment: tuple[str, ...], reverse: float = REVERSE_PROBABILITY
) -> list[int]:
    """Offsets of the frames to show: in order, perhaps reversed, perhaps repeating one frame to the end.

    reverse: the probability that they are reversed.
    """
    order = list(range(length))
    if "reverse" in augment and rng.random() < reverse:
        order.reverse()
    if "stop" in augment and rng.random() < STOP_PROBABILITY:
        stop = int(rng.integers(length - 1))
        order[stop:] = [order[stop]] * (length - stop)
    return order


def draw_noisy(rng: np.random.Generator, order: list[int], counts: list[int]) -> list[int]:
    """Draws a noisy rendering for each frame shown; a frame that repeats the previous one gets a different rendering.

    counts: how many renderings each frame of the window has.
    """
    drawn = []
    for position, offset in enumerate(order):
        if position and order[position - 1] == offset and counts[offset] > 1:
            drawn.append(int(drawn[-1] + 1 + rng.integers(counts[offset] - 1)) % counts[offset])
        else:
            drawn.append(int(rng.integers(counts[offset])))
    return drawn


def draw_average(rng: np.random.Generator, augment: tuple[str, ...]) -> int:
    """How many renderings to average for each frame: mostly 1, at times 2 or 3, as if there were more samples."""
    averages = "average" in augment and rng.random() < AVERAGE_PROBABILITY
    return int(rng.integers(2, 4)) if averages else 1


def draw_dropped(rng: np.random.Generator, augment: tuple[str, ...]) -> list[str]:
    """Which quantities to leave out of a sample, as if the renderer had not written them."""
    if "drop" not in augment:
        return []
    return [name for name in ("albedo", "motion") if rng.random() < DROP_PROBABILITY]


def draw_history(rng: np.random.Generator, augment: tuple[str, ...], order: list[int]) -> tuple[int, float, float]:
    """What a window finds of the frames before it: how many renderings of its first frame (0: nothing, as at a
    sequence's start), how many samples they pass for, and how close the previous image is to the target, from 0 to 1.

    Windows in reverse, which have no motion, never find anything.
    """
    if "history" not in augment or rng.random() >= HISTORY_PROBABILITY or order[0] > order[-1]:
        return 0, 0.0, 0.0
    count = int(rng.integers(1, 8))
    return count, float(rng.uniform(count, MAX_WEIGHT)), float(rng.random())


def change_motion(motion: np.ndarray, order: list[int]) -> None:
    """Makes the (T, H, W, 2) motion of frames shown in this order right, in place.

    A frame that repeats the previous one has not moved. Frames in reverse have no motion: their files hold the motion
    from the frame that is now the next one.
    """
    if order[0] > order[-1]:
        motion[:] = QUANTITIES["motion"].missing
        return
    for position in range(1, len(order)):
        if order[position] == order[position - 1]:
            motion[position] = np.where(motion[position] < QUANTITIES["motion"].missing, 0, motion[position])


def draw_transform(rng: np.random.Generator, augment: tuple[str, ...]) -> dict[str, bool | int | np.ndarray]:
    """For all frames of a sample: whether to `flip`, how many quarter `turns`, and float32 (3,) `gains` of R, G, B.

    With "orient", also a random orthogonal (3, 3) matrix `orient` for the normals: other axes of the world.
    """
    flip = "flip" in augment and rng.random() < 0.5
    turns = rng.integers(4) if "rotate" in augment else 0
    gains = MODULATION ** rng.uniform(-1, 1, 3) if "modulate" in augment else np.ones(3)
    if "expose" in augment:
        gains = gains * EXPOSURE ** rng.uniform(-1, 1)
    drawn = {"flip": bool(flip), "turns": int(turns), "gains": gains.astype(np.float32)}
    if "orient" in augment:
        drawn["orient"] = np.linalg.qr(rng.normal(size=(3, 3)))[0].astype(np.float32)
    return drawn


def augment_batch(batch: dict, inputs: tuple[str, ...]) -> dict:
    """Turns a loaded batch into what the network is trained on, on the batch's device.

    Takes {"noisy": (B, T, H, W, C), "target": (B, T, H, W, 3)} as float16, with the draws of draw_transform or without.
    Returns {"noisy": (B, T, C, H, W), "target": (B, T, 3, H, W)} as float32, channels innermost in memory; `start`, the
    history that the windows begin with (dataset.py), moves and scales with them: (B, H, W, 7) to (B, 7, H, W). The
    batch's other entries stay.

    World-space normals: turning the picture is rolling the camera, which leaves them unchanged. A flipped picture
    is a mirrored world seen by a mirrored camera; if both are mirrored along the world's x axis, normals change the
    sign of x.
    """
    batch = dict(batch)
    noisy, target = (batch.pop(name).float().movedim(-1, 2) for name in ("noisy", "target"))  # (B, T, C, H, W)
    if "flip" in batch:
        # move pixels
        flip, turns, gains = (batch.pop(name) for name in ("flip", "turns", "gains"))  # (B,), (B,), (B, 3)
        if "start" in batch:
            start = flip_and_turn(batch["start"].float().movedim(-1, 1)[:, None], flip, turns)[:, 0]  # (B, 7, H, W)
            start[:, :3] *= gains[..., None, None]
            start[:, 3:6] *= gains[..., None, None]
            batch["start"] = start
        noisy, target = (flip_and_turn(pixels, flip, turns) for pixels in (noisy, target))
        # scale colors, mirror normals
        factors = noisy.new_ones(noisy.shape[0], noisy.shape[2])  # (B, C)
        color, normal = first_channel(inputs, "color"), first_channel(inputs, "normal")
        factors[:, color : color + 3] = gains
        factors[:, normal] = 1 - 2 * flip.float()
        noisy = noisy * factors[:, None, :, None, None]
        target = target * gains[:, None, :, None, None]
        # turn normals and motion
        if "orient" in batch:
            normals = noisy[:, :, normal : normal + 3]
            turned = batch.pop("orient")[:, None] @ normals.flatten(3)  # (B, T, 3, H W)
            noisy[:, :, normal : normal + 3] = turned.unflatten(3, normals.shape[3:])
        if "motion" in inputs:
            first = first_channel(inputs, "motion")
            noisy[:, :, first : first + 2] = flip_and_turn_vectors(noisy[:, :, first : first + 2], flip, turns)
    return batch | {"noisy": noisy, "target": target}


def flip_and_turn(pixels: torch.Tensor, flip: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Mirrors each sample left to right if (B,) `flip`, then turns it (B,) `turns` quarters counterclockwise.

    pixels: (B, T, C, N, N), squares.
    """

    def select(condition: torch.Tensor, changed: torch.Tensor, unchanged: torch.Tensor) -> torch.Tensor:
        return changed.where(condition[:, None, None, None, None], unchanged)

    pixels = select(flip, pixels.flip(-1), pixels)
    pixels = select(turns >= 2, pixels.flip(-1, -2), pixels)
    return select(turns % 2 == 1, pixels.transpose(-1, -2).flip(-2), pixels)


def flip_and_turn_vectors(motion: torch.Tensor, flip: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """The vectors, (B, T, 2, N, N), of a picture that flip_and_turn has mirrored and turned.

    Missing motion stays missing: its absolute value does not change.
    """
    flip, turns = (x[:, None, None, None] for x in (flip, turns))
    x, y = motion.unbind(2)  # (B, T, N, N)
    x = (-x).where(flip, x)
    x, y = (-x).where(turns >= 2, x), (-y).where(turns >= 2, y)
    x, y = y.where(turns % 2 == 1, x), (-x).where(turns % 2 == 1, y)
    turned = motion.new_empty(motion.shape)
    turned[:, :, 0], turned[:, :, 1] = x, y
    return turned
