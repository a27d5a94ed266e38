"""Loading checkpoints of train.py and released weights. They are untrusted input: no code in them is executed."""

import textwrap
from pathlib import Path

import torch

from files import InputError
from model import Denoiser, make_denoiser
from networks.filtering import FilteringDenoiser
from networks.upgrades import is_earlier, upgraded
from training.weights import SUFFIX, read_weights

LONGEST = 200  # characters of a file's contents in a message


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
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{path}: not a readable checkpoint ({reason}); expected a .ckpt file of train.py") from error
    saved = checkpoint if isinstance(checkpoint, dict) else {}
    hyper_parameters = saved.get("hyper_parameters")
    options = hyper_parameters.get("denoiser") if isinstance(hyper_parameters, dict) else None
    if not isinstance(options, dict) or not isinstance(saved.get("state_dict"), dict):
        raise InputError(f"{path}: no denoiser in this file; expected a .ckpt file of train.py")
    return checkpoint


def is_weight(value: object) -> bool:
    """Whether a value of a checkpoint is a tensor of finite real numbers, in memory."""
    if not isinstance(value, torch.Tensor) or value.layout != torch.strided or value.device.type != "cpu":
        return False
    return value.is_floating_point() and bool(value.isfinite().all())


def denoiser_weights(checkpoint: dict) -> dict[str, torch.Tensor]:
    """The denoiser's part of a checkpoint's weights, under the denoiser's own names."""
    prefix = "denoiser."
    return {k.removeprefix(prefix): v for k, v in checkpoint["state_dict"].items() if str(k).startswith(prefix)}


def check_resumable(checkpoint: dict, path: Path) -> None:
    """Raises InputError if a checkpoint lacks what a training run needs to go on from it, beside the weights."""
    parts = {"epoch": int, "global_step": int, "loops": dict, "callbacks": dict, "pytorch-lightning_version": str}
    parts |= {"optimizer_states": list, "lr_schedulers": list}
    if is_earlier(checkpoint["hyper_parameters"]["denoiser"], denoiser_weights(checkpoint)):
        raise InputError(
            f"{path}: of an earlier network, so training cannot resume; fine-tune its weights: "
            f"python -m training.weights {path} old.safetensors, then --checkpoint old.safetensors"
        )
    lacking = [name for name, kind in parts.items() if not isinstance(checkpoint.get(name), kind)]
    if lacking:
        raise InputError(f"{path}: no {', '.join(lacking)} in this file, so training cannot resume; give a whole .ckpt")


def load_denoiser(path: Path) -> Denoiser | FilteringDenoiser:
    """The denoiser of a checkpoint of train.py, on the CPU and ready for inference.

    Raises FileNotFoundError, or InputError if the file is not such a checkpoint or its weights do not fit the network.
    """
    checkpoint = load_checkpoint(path)
    options = checkpoint["hyper_parameters"]["denoiser"]
    said = textwrap.shorten(str(options), LONGEST)
    try:
        with torch.device("meta"):  # without memory: the file may ask for any size
            denoiser = make_denoiser(options)
    except (TypeError, ValueError, ArithmeticError, RuntimeError, LookupError) as error:
        reason = textwrap.shorten(str(error), LONGEST)
        raise InputError(f"{path}: no network has the options {said} ({reason}); train it again") from error
    weights = denoiser_weights(checkpoint)
    for name, weight in weights.items():
        if not is_weight(weight):
            raise InputError(f"{path}: {name} does not hold finite numbers; take an earlier checkpoint of the run")
    try:
        weights = upgraded(options, weights)
        denoiser.load_state_dict({name: weight.float() for name, weight in weights.items()}, assign=True)
    except (RuntimeError, IndexError) as error:
        reason = textwrap.shorten(str(error), LONGEST)
        raise InputError(f"{path}: weights do not fit the options {said} ({reason}); train it again") from error
    return denoiser.eval().requires_grad_(False)
