"""One picture of many scenes: the target of each scene's first frame, each at its own exposure.

python -m scoring.contact_sheet DATASET/train sheet.png
"""

import argparse
import math
import sys
from pathlib import Path

import torch
from torchvision.transforms.v2.functional import center_crop, resize
from torchvision.utils import make_grid
from tqdm import tqdm

from files import InputError
from frames.exr import load_target
from frames.radiance import exposure_of, tone_map
from frames.sequences import find_sequences
from machine import positive
from scoring.pictures import save_png, to_bytes


def contact_sheet(folder: Path, columns: int, most: int, width: int | None = None) -> torch.Tensor:
    """(3, rows * H, columns * W) sRGB bytes of at most `most` scenes, evenly spaced over a folder.

    W is `width`, None for that of the first scene, and W / H the first scene's; pictures are scaled and cropped to
    that. Raises InputError if there are none.
    """
    sequences, _ = find_sequences(folder, need_target=True)
    sequences = (
        [sequences[index * len(sequences) // most] for index in range(most)] if most < len(sequences) else sequences
    )
    height, own = sequences[0].size
    height, width = (height, own) if width is None else (round(height * width / own), width)
    pictures = []
    for sequence in tqdm(sequences, desc="scenes", delay=1):
        target = torch.from_numpy(load_target(sequence.frames[0].target)[0])  # (3, H, W)
        picture = to_bytes(tone_map(target, exposure_of(target)))
        scale = max(height / picture.shape[1], width / picture.shape[2])
        scaled = resize(picture, [math.ceil(scale * n) for n in picture.shape[1:]], antialias=True)
        pictures.append(center_crop(scaled, [height, width]))
    return make_grid(pictures, nrow=columns, padding=0)  # (3, rows * H, columns * W)


def main() -> None:
    """The command line. Folders that cannot be used end it with one clear line."""
    parser = argparse.ArgumentParser(
        prog="python -m scoring.contact_sheet",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="a folder of scenes, such as DATASET/train")
    parser.add_argument("picture", type=Path, help="the .png to write")
    parser.add_argument("--columns", type=positive, default=6, help="scenes per row; default: %(default)s")
    parser.add_argument(
        "--most", type=positive, default=24, help="largest number of scenes, evenly spread; default: %(default)s"
    )
    parser.add_argument("--width", type=positive, help="tile width in pixels; default: that of the first scene")
    options = parser.parse_args()
    try:
        save_png(options.picture, contact_sheet(options.folder, options.columns, options.most, options.width))
    except (InputError, OSError) as error:
        sys.exit(f"contact_sheet: {error}")


if __name__ == "__main__":
    main()
