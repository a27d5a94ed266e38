"""Checkpoints, written atomically."""

import io
from pathlib import Path

import torch
from lightning_fabric.plugins import TorchCheckpointIO

from files import atomic_file


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint under a temporary name in its own folder, then renames it.

    Lightning's own way begins in the system's temporary folder; where that is another disk, the rename becomes a copy,
    and a run killed meanwhile leaves half a checkpoint in the place of a good one.
    """

    def save_checkpoint(self, checkpoint: dict, path: str | Path, storage_options=None) -> None:
        """Saves it. Raises OSError, naming the file, if it cannot be written; an earlier checkpoint there stays."""
        path, content = Path(path), io.BytesIO()
        torch.save(checkpoint, content)  # to memory: to a full disk, it would not say what is wrong
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = "the earlier one is kept" if path.is_file() else "there is no earlier one"
        with atomic_file(path, f"{kept}; free some space, then resume") as temporary:
            temporary.write_bytes(content.getbuffer())
