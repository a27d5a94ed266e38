"""Released weights: a denoiser alone, small, in a file that holds tensors and text and nothing that could be executed.

python -m training.weights runs/version_0/checkpoints/last.ckpt weights/default.safetensors
"""

import argparse
import json
import sys
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from files import InputError, whole_file

SUFFIX = ".safetensors"


def read_weights(path: Path) -> dict:
    """A released file as a checkpoint has it: {"hyper_parameters": {"denoiser": ...}, "state_dict": {...}}.

    Raises InputError if the file is not one of this project's.
    """
    try:
        with safe_open(path, framework="pt") as file:
            options = json.loads((file.metadata() or {})["denoiser"])
            weights = {f"denoiser.{name}": file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, ValueError) as error:
        raise InputError(f"{path}: not released weights of this project ({error!r}); download them again") from error
    return {"hyper_parameters": {"denoiser": options}, "state_dict": weights}


def write_weights(checkpoint: dict, path: Path) -> None:
    """Writes the denoiser of a checkpoint, in half precision, with its options. Raises OSError if it fails."""
    prefix = "denoiser."
    weights = {k.removeprefix(prefix): v.half() for k, v in checkpoint["state_dict"].items() if k.startswith(prefix)}
    contents = {name: weight.contiguous() for name, weight in weights.items()}
    metadata = {"denoiser": json.dumps(checkpoint["hyper_parameters"]["denoiser"])}
    with whole_file(path) as temporary:
        save_file(contents, temporary, metadata)


def main() -> None:
    """The command line."""
    from training.checkpoints import load_checkpoint

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="a .ckpt file of train.py")
    parser.add_argument("weights", type=Path, help=f"the {SUFFIX} file to write")
    options = parser.parse_args()
    try:
        write_weights(load_checkpoint(options.checkpoint), options.weights)
    except (InputError, OSError) as error:
        sys.exit(f"training.weights: {error}")


if __name__ == "__main__":
    main()
