"""Denoises a sequence of EXR frames with an exported model, with numpy, OpenEXR and onnxruntime alone.

    python denoise_onnx.py model.onnx FOLDER OUTPUT

FOLDER: frame-0000/noisy-0.exr and so on, or one EXR file per frame, with the channels that docs/export.md names.
"""

import json
import re
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import OpenEXR

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
metadata = session.get_modelmeta().custom_metadata_map
quantities, parts, smallest = (json.loads(metadata[key]) for key in ("frame", "state", "smallest"))
looks_twice = "second_look" in [i.name for i in session.get_inputs()]
folder, output = Path(sys.argv[2]), Path(sys.argv[3])
output.mkdir(parents=True, exist_ok=True)


def in_order(path: Path) -> list:
    """Sorts by the numbers in a name, not by their text: frame 10 comes after frame 9."""
    return [int(text) if text.isdigit() else text for text in re.split(r"(\d+)", str(path))]


state = {}
for path in sorted([*folder.glob("frame-*/noisy-0.exr")] or folder.glob("*.exr"), key=in_order):
    # the frame; what it may lack has a value that says so
    pixels = {name: c.pixels for name, c in OpenEXR.File(str(path), separate_channels=True).channels().items()}
    size, inputs = pixels["R"].shape, {}
    # what is too small is padded by reflection at its last row and column
    places = (np.arange(max(extent, smallest)) - extent + 1 for extent in size)
    rows, columns = np.ix_(*(np.maximum(extent - 1 - abs(p), 0) for extent, p in zip(size, places, strict=True)))
    for name, quantity in quantities.items():
        if quantity["missing"] is not None and not set(quantity["channels"]) <= set(pixels):
            pixels |= dict.fromkeys(quantity["channels"], np.full(size, quantity["missing"]))
        inputs[name] = np.stack([pixels[c] for c in quantity["channels"]])[None][:, :, rows, columns].astype(np.float32)
    # the step: the first frame starts from zeros, and is seen twice
    looks = [False] if state or not looks_twice else [False, True]
    for name, part in {} if state else parts.items():
        padded = [-(-extent // part["multiple"]) * part["multiple"] for extent in (rows.size, columns.size)]
        size_of_part = [extent // part["stride"] for extent in padded] if part["stride"] else []
        state[name] = np.zeros((1, part["channels"], *size_of_part), part["type"])
    for look in looks:
        image, *left = session.run(None, inputs | state | ({"second_look": np.array(look)} if looks_twice else {}))
        state = dict(zip(parts, left, strict=True))
    # the image, (1, 3, H, W) linear radiance
    channels = dict(zip("RGB", np.clip(image[0, :, : size[0], : size[1]], 0, 65504).astype(np.float16), strict=True))
    name = path.parent.name if path.name == "noisy-0.exr" else path.stem
    OpenEXR.File({"type": OpenEXR.scanlineimage}, channels).write(str(output / f"{name}.exr"))
