"""What a program has to know to use an exported file, as texts to keep inside it."""

import json

from exporting.step import NamedStep
from frames.channels import QUANTITIES

FIRST_FRAME = (
    "Before a sequence's first frame, every state is zeros, of (1, channels, height, width), with height and width "
    "rounded up to multiples of `multiple`, then divided by `stride`; of (1, channels) where stride is 0. A cut or "
    "another size starts a new sequence."
)
SECOND_LOOK = (
    " Run the first frame twice: with second_look false, then with second_look true and the state of the first run; "
    "use the second image and state. second_look is false for all other frames."
)


def about(step: NamedStep, precision: str) -> dict[str, str]:
    """The texts by name; `frame` and `state` are JSON objects with an entry for each input, in order.

    frame: the channels' names in this project's EXR files, in order, the unit, and what stands for the quantity where
    there is none, null if it must be there. state: channels, stride (0 where it has no height and width), multiple and
    NumPy type. smallest: of model.pad_to_smallest.
    """
    # what goes in: the frame, and the state
    frame = {
        name: {"channels": QUANTITIES[name].stored, "unit": QUANTITIES[name].unit, "missing": QUANTITIES[name].missing}
        for name in step.denoiser.inputs
    }
    state = {
        name: {
            "channels": part.shape[1],
            "stride": step.sized_states.get(name, 0),
            "multiple": step.denoiser.multiple,
            "type": str(part.dtype).removeprefix("torch."),
        }
        for name, part in step.first_state(1, 1).items()
    }
    # the texts
    return {
        "frame": json.dumps(frame),
        "state": json.dumps(state),
        "smallest": json.dumps(step.denoiser.smallest),
        "image": "(1, 3, height, width) float32 linear radiance, R G B",
        "first_frame": FIRST_FRAME + (SECOND_LOOK if step.looks_twice else ""),
        "next_frame": "The output next_NAME is the input NAME of the next frame.",
        "precision": precision,
    }
