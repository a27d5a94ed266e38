"""Golden values: what a tiny dataset, tiny weights and the released ones give, and how to make them anew.

python -m tests.golden        # only when an output is meant to change; say why in the commit

tests/data/golden holds the dataset, three frames of 48x32, the weights of a small network of the paper's kind, and the
expected values: last images and a rendered block in expected.safetensors, numbers in expected.json.
"""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from checkpoints import load_denoiser, write_weights
from frames.channels import MOTION_INPUTS, channel_count
from frames.exr import load_noisy, load_target, read_exr
from frames.exr_writing import write_exr
from frames.radiance import encode_radiance, exposure_of, window_exposure
from frames.sequences import find_test_sequences
from losses import LOSSES, as_pictures
from model import denoise
from scoring.metrics import SequenceScore
from training.module import DenoisingModule

ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path(__file__).resolve().parent / "data" / "golden"
SCENE = FOLDER / "test" / "disc"
NETWORKS = {
    "default": ROOT / "weights" / "default.safetensors",
    "fast": ROOT / "weights" / "fast.safetensors",
    "paper": FOLDER / "paper.safetensors",
}
PAPER = {"network": "paper", "channels": [4, 4, 5, 5, 6, 6], "demodulate": True}  # as many levels as the paper's


def read(inputs: tuple[str, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """The dataset's noisy frames, (T, C, H, W), and targets, (T, 3, H, W)."""
    (sequence,), _ = find_test_sequences(FOLDER, inputs)
    noisy = [load_noisy(frame.noisy[0], inputs)[0] for frame in sequence.frames]
    targets = [load_target(frame.target)[0] for frame in sequence.frames]
    return torch.from_numpy(np.stack(noisy)), torch.from_numpy(np.stack(targets))


def images(name: str) -> torch.Tensor:
    """The reconstruction, (T, 3, H, W), by one of NETWORKS."""
    denoiser = load_denoiser(NETWORKS[name])
    return torch.stack([image for _, image in denoise(denoiser, read(denoiser.inputs)[0])])


def numbers(reconstruction: torch.Tensor) -> dict[str, dict[str, float]]:
    """Losses and metrics of a (T, 3, H, W) reconstruction."""
    _, targets = read(MOTION_INPUTS)
    score = SequenceScore(exposure_of(targets))
    for image, target in zip(reconstruction, targets, strict=True):
        score.update(image, target)
    paper = LOSSES["paper"].of(encode_radiance(reconstruction)[None], encode_radiance(targets)[None])
    pictures = as_pictures(reconstruction[None], targets[None], window_exposure(targets[None]))
    picture = LOSSES["picture"].of(pictures)
    found = {"metrics of the last frame": score.frames[-1], "paper loss": paper, "picture loss": picture}
    return {kind: {name: float(value) for name, value in values.items()} for kind, values in found.items()}


def gradients(name: str, loss: str) -> dict[str, float]:
    """The loss of a training step on the whole frames, and the norm of its gradient."""
    denoiser = load_denoiser(NETWORKS[name])
    module = DenoisingModule(denoiser.options, 1e-3, loss=loss)
    module.denoiser.load_state_dict(denoiser.state_dict())
    noisy, targets = read(denoiser.inputs)
    module.eval()  # two looks at the first frame, whatever the number of the step
    found = module.compare(module(noisy[None]), targets[None])["loss"]
    found.backward()
    norm = torch.nn.utils.get_total_norm([p.grad for p in module.parameters() if p.grad is not None])
    return {"loss": found.item(), "gradient": norm.item()}


def rendered(folder: Path) -> torch.Tensor:
    """8x8 pixels, (2, 3, 8, 8), of a noisy rendering and of a target by Mitsuba's scalar variant. Needs Mitsuba."""
    from rendering.renderer import render_frame
    from tests.small_scene import NAME, job, write_scene

    render_frame(job(write_scene(folder / NAME), folder / "out"))
    files = (folder / "out" / "frame-0001" / f"{name}.exr" for name in ("noisy-0", "target"))
    return torch.from_numpy(np.stack([read_exr(file, ("color",))["color"][:, 4:12, 8:16] for file in files]))


def expected() -> tuple[dict[str, torch.Tensor], dict]:
    """The golden last images, and the golden numbers."""
    return load_file(FOLDER / "expected.safetensors"), json.loads((FOLDER / "expected.json").read_text())


def main() -> None:
    """Makes everything anew."""
    import tempfile

    from benchmarks.steadiness import SCENES, make_frames

    # dataset and weights, unless they are there
    if not SCENE.is_dir():
        for number, (noisy, target) in enumerate(make_frames(3, SCENES["moving"], channel_count(MOTION_INPUTS))):
            folder = SCENE / f"frame-{number:04d}"
            folder.mkdir(parents=True)
            parts = np.split(noisy.numpy(), [3, 4, 7, 10])
            write_exr(folder / "noisy-0.exr", dict(zip(MOTION_INPUTS, parts, strict=True)))
            write_exr(folder / "target.exr", {"color": target.numpy()})
    if not NETWORKS["paper"].is_file():
        torch.manual_seed(0)
        module = DenoisingModule(PAPER, 1e-3)
        saved = {"hyper_parameters": {"denoiser": module.denoiser.options}, "state_dict": module.state_dict()}
        write_weights(saved, NETWORKS["paper"])
    # what they give
    reconstructions = {name: images(name) for name in NETWORKS}
    values = {name: numbers(reconstruction) for name, reconstruction in reconstructions.items()}
    values |= {f"step of {name}": gradients(name, loss) for name, loss in STEPS.items()}
    tensors = {name: reconstruction[-1] for name, reconstruction in reconstructions.items()}
    with tempfile.TemporaryDirectory() as folder:
        tensors["rendered"] = rendered(Path(folder))
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, FOLDER / "expected.safetensors")
    (FOLDER / "expected.json").write_text(json.dumps(values, indent=1) + "\n")


STEPS = {"fast": "picture", "paper": "paper"}

if __name__ == "__main__":
    main()
