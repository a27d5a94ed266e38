"""One picture of many scenes: the targets of their first frames side by side, each at its own exposure.

python contact_sheet.py DATASET/train sheet.png
"""

import argparse
import sys
from pathlib import Path

import torch
from torchvision.utils import make_grid
from tqdm import tqdm

from files import InputError
from frames.exr import load_target
from frames.radiance import exposure_of, tone_map
from frames.sequences import find_sequences
from scoring.pictures import save_png, to_bytes


def contact_sheet(folder: Path, columns: int, most: int) -> torch.Tensor:
    """(3, H, W) sRGB bytes of the first `most` scenes of a folder, all of one size.

    Raises InputError where there are none, or where their sizes differ.
    """
    sequences, _ = find_sequences(folder, need_target=True)
    sequences = sequences[:most]
    if len({sequence.size for sequence in sequences}) > 1:
        raise InputError(f"{folder}: the scenes differ in size; a contact sheet needs them of one size")
    pictures = []
    for sequence in tqdm(sequences, desc="scenes", delay=1):
        target = torch.from_numpy(load_target(sequence.frames[0].target))
        pictures.append(to_bytes(tone_map(target, exposure_of(target))))
    return make_grid(pictures, nrow=columns, padding=0)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a folder of scenes, such as DATASET/train")
    parser.add_argument("picture", type=Path, help="the .png to write")
    parser.add_argument("--columns", type=int, default=6)
    parser.add_argument("--most", type=int, default=24, help="scenes at most, in the order of their names")
    options = parser.parse_args()
    try:
        save_png(options.picture, contact_sheet(options.folder, options.columns, options.most))
    except (InputError, OSError) as error:
        sys.exit(f"contact_sheet.py: {error}")


if __name__ == "__main__":
    main()
