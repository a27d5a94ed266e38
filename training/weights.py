"""Released weights: a denoiser alone, small, in a file that holds tensors and text and nothing that could be executed.

python -m training.weights runs/version_0/checkpoints/last.ckpt weights/default.safetensors

Weights of earlier networks (networks/upgrades.py) become those of the network as it is. Several checkpoints are
averaged: the mean of the weights of runs that began with the same ones is often better than each of them (Wortsman et
al. 2022, "Model soups").
"""

import argparse
import json
import sys
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from files import InputError, atomic_file

SUFFIX = ".safetensors"


def read_weights(path: Path) -> dict:
    """A released file as a checkpoint has it: {"hyper_parameters": {"denoiser": ...}, "state_dict": {...}}.

    Raises InputError if the file is not one of this project's.
    """
    try:
        with safe_open(path, framework="pt") as file:
            options = json.loads((file.metadata() or {})["denoiser"])
            if not isinstance(options, dict):
                raise ValueError("its options are no table")
            weights = {f"denoiser.{name}": file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not released weights of this project ({error!r}); download them again") from error
    return {"hyper_parameters": {"denoiser": options}, "state_dict": weights}


def write_weights(checkpoint: dict, path: Path) -> None:
    """Writes the denoiser of a checkpoint, in half precision, with its options. Raises OSError if it fails."""
    prefix = "denoiser."
    weights = {k.removeprefix(prefix): v.half() for k, v in checkpoint["state_dict"].items() if k.startswith(prefix)}
    contents = {name: weight.contiguous() for name, weight in weights.items()}
    metadata = {"denoiser": json.dumps(checkpoint["hyper_parameters"]["denoiser"])}
    with atomic_file(path) as temporary:
        temporary.write_bytes(save(contents, metadata))  # save_file would make a file that only its owner can read


def as_checkpoint(denoiser: nn.Module) -> dict:
    """A denoiser as a checkpoint has it, see read_weights."""
    weights = {f"denoiser.{name}": weight for name, weight in denoiser.state_dict().items()}
    return {"hyper_parameters": {"denoiser": denoiser.options}, "state_dict": weights}


def average(checkpoints: list[dict]) -> dict:
    """A checkpoint with the mean of the weights of checkpoints of one network. Raises InputError if they differ."""
    first, *others = checkpoints
    options = first["hyper_parameters"]["denoiser"]
    shapes = [{name: weight.shape for name, weight in c["state_dict"].items()} for c in checkpoints]
    other_options = any(other["hyper_parameters"]["denoiser"] != options for other in others)
    if other_options or any(found != shapes[0] for found in shapes):  # kernels were squares once
        raise InputError("checkpoints of different networks cannot be averaged; give those of one network")
    stacked = {name: [c["state_dict"][name].float() for c in checkpoints] for name in first["state_dict"]}
    return first | {"state_dict": {name: sum(weights) / len(weights) for name, weights in stacked.items()}}


def main() -> None:
    """The command line."""
    from training.checkpoints import load_denoiser

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, nargs="+", help=f"a .ckpt file of train.py, or a {SUFFIX} file")
    parser.add_argument("weights", type=Path, help=f"the {SUFFIX} file to write")
    options = parser.parse_args()
    try:
        write_weights(average([as_checkpoint(load_denoiser(path)) for path in options.checkpoint]), options.weights)
    except (InputError, OSError) as error:
        sys.exit(f"training.weights: {error}")


if __name__ == "__main__":
    main()
