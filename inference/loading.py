"""Loads the frames of a sequence, first to last and last to first, and reconstructs it while it loads.

Shapes: C input channels, H rows, W columns; L colors, the frame's own and further ones.
"""

import argparse
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from frames.sequences import Frame
from inference.reconstruct import reconstruct
from inference.reconstruction_options import arguments, has_backward_pass
from inference.threads import prefetch
from model import Denoiser, Engine
from networks.repetition import REMEDY, noise_repeats


class LoadedFrame(NamedTuple):
    """A frame for the network.

    source: the dataset's frame, or the file.
    planes: (C, H, W), the quantities that the network reads, then further colors.
    target: (3, H, W) linear radiance, if there is one and it is wanted.
    empty: of a file, (H, W) booleans: nothing is seen there, neither a surface nor a part of one.
    """

    source: Frame | Path
    planes: torch.Tensor
    target: torch.Tensor | None = None
    empty: np.ndarray | None = None


Load = Callable[[bool], Iterator[LoadedFrame]]  # backward: the last frame first, with motion to the frame after it


def reconstruct_loading(
    denoiser: Denoiser, load: Load, count: int, options: argparse.Namespace, engine: Engine, progress: tqdm
) -> Iterator[tuple[LoadedFrame, torch.Tensor]]:
    """Yields each frame with its (3 L, H, W) image. A thread of its own loads the next frames.

    load: gives the frames of a sequence.
    count: how many there are.
    options: of test.py.
    progress: moves by one for each frame of each direction.
    """
    loaded: deque[LoadedFrame] = deque()  # frames between loading and the network's result

    def forward() -> Iterator[torch.Tensor]:
        for frame in prefetch(load(False)):
            loaded.append(frame)  # itertools.tee would keep dozens of frames alive
            yield frame.planes

    def backward() -> Iterator[torch.Tensor]:
        for frame in prefetch(load(True)):
            yield frame.planes
            progress.update()

    behind = backward() if has_backward_pass(options, count) else None
    for _, image in reconstruct(denoiser, forward(), behind, engine=engine, **arguments(options)):
        yield loaded.popleft(), image
        progress.update()


def warn_of_repetition(frames: Iterable[torch.Tensor], label: str) -> None:
    """Says on stderr if the noise of successive (12, H, W) frames is alike. label: what they are, for the message."""
    if noise_repeats(list(frames)):
        tqdm.write(f"{label}: {REMEDY}", file=sys.stderr)
