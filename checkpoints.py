"""Checkpoints of train.py and released weights: loaded, averaged, saved. They are untrusted: none of their code runs.

python -m checkpoints runs/version_0/checkpoints/last.ckpt weights/default.safetensors

Released weights are a denoiser alone, small, in a file that holds tensors and text and nothing that could be executed.
Several checkpoints are averaged: the mean of the weights of runs that began with the same ones is often better than
each of them (Wortsman et al. 2022, "Model soups").
"""

import argparse
import json
import sys
import textwrap
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from files import InputError, atomic_file
from model import Denoiser, make_denoiser

SUFFIX = ".safetensors"
PREFIX = "denoiser."  # of the denoiser's weights in a checkpoint
LONGEST = 200  # characters of a file's contents in a message


# loading


def load_checkpoint(path: Path) -> dict:
    """The contents of a checkpoint of train.py, or of released weights, as plain tensors and values.

    Raises FileNotFoundError, or InputError if the file is not such a checkpoint.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint; train.py writes them to <log_dir>/version_*/checkpoints/")
    if path.suffix == SUFFIX:
        return read_weights(path)
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files raise almost anything
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].split(". ")[0]
        raise InputError(f"{path}: not a readable checkpoint ({reason}); expected a .ckpt file of train.py") from error
    saved = checkpoint if isinstance(checkpoint, dict) else {}
    hyper_parameters = saved.get("hyper_parameters")
    options = hyper_parameters.get("denoiser") if isinstance(hyper_parameters, dict) else None
    if not isinstance(options, dict) or not isinstance(saved.get("state_dict"), dict):
        raise InputError(f"{path}: no denoiser in this file; expected a .ckpt file of train.py")
    return checkpoint


def read_weights(path: Path) -> dict:
    """Released weights as a checkpoint has them: {"hyper_parameters": {"denoiser": ...}, "state_dict": {...}}.

    Raises InputError if the file is not one of this project's.
    """
    try:
        with safe_open(path, framework="pt") as file:
            options = json.loads((file.metadata() or {})["denoiser"])
            if not isinstance(options, dict):
                raise ValueError("its options are no table")
            weights = {PREFIX + name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not released weights of this project ({error!r}); download them again") from error
    return {"hyper_parameters": {"denoiser": options}, "state_dict": weights}


def load_denoiser(path: Path) -> Denoiser:
    """The denoiser of a checkpoint of train.py or of released weights, on the CPU and ready for inference.

    Raises FileNotFoundError, or InputError if the file is not such a checkpoint or its weights do not fit the network.
    """
    # the network
    checkpoint = load_checkpoint(path)
    options = checkpoint["hyper_parameters"]["denoiser"]
    shown = textwrap.shorten(str(options), LONGEST)
    try:
        with torch.device("meta"):  # without memory: the file may ask for any size
            denoiser = make_denoiser(options)
    except (TypeError, ValueError, ArithmeticError, RuntimeError, LookupError) as error:
        reason = textwrap.shorten(str(error), LONGEST)
        raise InputError(f"{path}: no network has the options {shown} ({reason}); train it again") from error
    # its weights
    weights = denoiser_weights(checkpoint)
    for name, weight in weights.items():
        if not is_weight(weight):
            raise InputError(f"{path}: {name} does not hold finite numbers; take an earlier checkpoint of the run")
    try:
        denoiser.load_state_dict({name: weight.float() for name, weight in weights.items()}, assign=True)
    except RuntimeError as error:
        reason = textwrap.shorten(str(error), LONGEST)
        raise InputError(f"{path}: weights do not fit the options {shown} ({reason}); train it again") from error
    return denoiser.eval().requires_grad_(False)


def is_weight(value: object) -> bool:
    """Whether a value of a checkpoint is a tensor of finite real numbers, in memory."""
    if not isinstance(value, torch.Tensor) or value.layout != torch.strided or value.device.type != "cpu":
        return False
    return value.is_floating_point() and bool(value.isfinite().all())


def denoiser_weights(checkpoint: dict) -> dict[str, torch.Tensor]:
    """The denoiser's part of a checkpoint's weights, under the denoiser's own names."""
    return {k.removeprefix(PREFIX): v for k, v in checkpoint["state_dict"].items() if str(k).startswith(PREFIX)}


def check_resumable(checkpoint: dict, path: Path) -> None:
    """Raises InputError if a checkpoint lacks what a training run needs to go on from it, beside the weights."""
    parts = {"epoch": int, "global_step": int, "loops": dict, "callbacks": dict, "pytorch-lightning_version": str}
    parts |= {"optimizer_states": list, "lr_schedulers": list}
    lacking = [name for name, kind in parts.items() if not isinstance(checkpoint.get(name), kind)]
    if lacking:
        raise InputError(f"{path}: no {', '.join(lacking)} in this file, so training cannot resume; give a whole .ckpt")


# averaging and saving


def as_checkpoint(denoiser: nn.Module) -> dict:
    """A denoiser as a checkpoint has it, see read_weights."""
    weights = {PREFIX + name: weight for name, weight in denoiser.state_dict().items()}
    return {"hyper_parameters": {"denoiser": denoiser.options}, "state_dict": weights}


def average(checkpoints: list[dict]) -> dict:
    """A checkpoint with the mean of the weights of checkpoints of one network. Raises InputError if they differ."""
    first, *others = checkpoints
    options = first["hyper_parameters"]["denoiser"]
    if any(other["hyper_parameters"]["denoiser"] != options for other in others):
        raise InputError("checkpoints of different networks cannot be averaged; give those of one network")
    stacked = {name: [c["state_dict"][name].float() for c in checkpoints] for name in first["state_dict"]}
    return first | {"state_dict": {name: sum(weights) / len(weights) for name, weights in stacked.items()}}


def write_weights(checkpoint: dict, path: Path) -> None:
    """Writes the denoiser of a checkpoint, in half precision, with its options. Raises OSError if it fails."""
    contents = {name: weight.half().contiguous() for name, weight in denoiser_weights(checkpoint).items()}
    metadata = {"denoiser": json.dumps(checkpoint["hyper_parameters"]["denoiser"])}
    with atomic_file(path) as temporary:
        temporary.write_bytes(save(contents, metadata))  # save_file would make a file that only its owner can read


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, nargs="+", help=f"a .ckpt file of train.py, or a {SUFFIX} file")
    parser.add_argument("weights", type=Path, help=f"the {SUFFIX} file to write")
    options = parser.parse_args()
    try:
        write_weights(average([as_checkpoint(load_denoiser(path)) for path in options.checkpoint]), options.weights)
    except (InputError, OSError) as error:
        sys.exit(f"checkpoints: {error}")


if __name__ == "__main__":
    main()
