"""Augmentation: what is drawn for a sample, by the processes that load it, and what is done to a batch, on the device.

Shapes: B samples, T frames, C input channels (in the order of `inputs`), H rows, W columns. What is done to a batch is
done without a branch on its values, so that a GPU need not wait for the host.
"""

import numpy as np
import torch

from frames.channels import QUANTITIES

AUGMENTATIONS = ("reverse", "stop", "flip", "rotate", "modulate")
STOP_PROBABILITY = 0.2
MODULATION = 2.0  # a colour channel is scaled by at most this, at least its inverse


def draw_order(rng: np.random.Generator, length: int, augment: tuple[str, ...]) -> list[int]:
    """Offsets of the frames to show: in order, perhaps reversed, perhaps stopping (repeating one) to the end."""
    order = list(range(length))
    if "reverse" in augment and rng.random() < 0.5:
        order.reverse()
    if "stop" in augment and rng.random() < STOP_PROBABILITY:
        stop = int(rng.integers(length - 1))
        order[stop:] = [order[stop]] * (length - stop)
    return order


def draw_noisy(rng: np.random.Generator, order: list[int], counts: list[int]) -> list[int]:
    """A noisy rendering for each frame shown, independently; a frame shown twice in a row gets another one.

    counts: how many renderings each frame of the window has.
    """
    drawn = []
    for shown, offset in enumerate(order):
        if shown and order[shown - 1] == offset and counts[offset] > 1:
            drawn.append(int(drawn[-1] + 1 + rng.integers(counts[offset] - 1)) % counts[offset])
        else:
            drawn.append(int(rng.integers(counts[offset])))
    return drawn


def draw_transform(rng: np.random.Generator, augment: tuple[str, ...]) -> dict[str, torch.Tensor]:
    """For all frames of a sample: whether to `flip`, how many quarter `turns`, and (3,) `gains` of the colours."""
    flip = "flip" in augment and rng.random() < 0.5
    turns = rng.integers(4) if "rotate" in augment else 0
    gains = MODULATION ** rng.uniform(-1, 1, 3) if "modulate" in augment else np.ones(3)
    return {
        "flip": torch.tensor(bool(flip)),
        "turns": torch.tensor(int(turns)),
        "gains": torch.tensor(gains, dtype=torch.float32),
    }


def augment_batch(batch: dict, inputs: tuple[str, ...]) -> dict:
    """A batch as it was loaded to what the network is trained on, on the device where it is.

    From {"noisy": (B, T, H, W, C) float16, "target": (B, T, H, W, 3) float16} with what draw_transform drew, if it did,
    to {"noisy": (B, T, C, H, W), "target": (B, T, 3, H, W)} float32, channels innermost in memory; the rest as it is.

    World-space normals: rotating the picture is rolling the camera, which leaves them as they are. A flipped picture
    is a mirrored world seen by a mirrored camera; mirrored along the world's x axis, normals change the sign of x.
    """
    batch = dict(batch)
    noisy, target = (batch.pop(name).float().movedim(-1, 2) for name in ("noisy", "target"))
    if "flip" in batch:
        flip, turns, gains = (batch.pop(name) for name in ("flip", "turns", "gains"))
        noisy, target = (rearrange(pixels, flip, turns) for pixels in (noisy, target))
        factors = noisy.new_ones(noisy.shape[0], noisy.shape[2])
        color, normal = first_channel(inputs, "color"), first_channel(inputs, "normal")
        factors[:, color : color + 3] = gains
        factors[:, normal] = torch.where(flip, -1.0, 1.0)
        noisy = noisy * factors[:, None, :, None, None]
        target = target * gains[:, None, :, None, None]
    return batch | {"noisy": noisy, "target": target}


def rearrange(pixels: torch.Tensor, flip: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Squares, (B, T, C, N, N): each sample mirrored left to right where (B,) `flip`, then turned (B,) `turns`
    quarters against the clock."""

    def where(condition: torch.Tensor, changed: torch.Tensor, unchanged: torch.Tensor) -> torch.Tensor:
        return torch.where(condition[:, None, None, None, None], changed, unchanged)

    pixels = where(flip, pixels.flip(-1), pixels)
    pixels = where(turns >= 2, pixels.flip(-1, -2), pixels)
    return where(turns % 2 == 1, pixels.transpose(-1, -2).flip(-2), pixels)


def first_channel(inputs: tuple[str, ...], name: str) -> int:
    """Where quantity `name` begins among the stacked channels of `inputs`."""
    return sum(QUANTITIES[n].count for n in inputs[: inputs.index(name)])
