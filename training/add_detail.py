"""Adds a detail stage (networks/detail.py) with Open Image Denoise's published weights to a filtering network.

python -m training.add_detail weights/default.safetensors started.safetensors --detail base

The weights (Apache-2.0) are in every copy of the library, and in .tza files. Without --library, those of the package
pyoidn are taken.
"""

import argparse
import re
import struct
import sys
from importlib.util import find_spec
from pathlib import Path

import torch

from checkpoints import SUFFIX, as_checkpoint, load_denoiser, write_weights
from files import InputError
from model import Denoiser, make_denoiser
from networks.detail import ENCODERS, DetailStage

ARCHIVE = b"\xd7\x41\x02"  # how a TZA archive begins: its number, and version 2
TYPES = {"f": torch.float32, "h": torch.float16}
GUIDES = ("noisy", "clean")  # the order of the library's archives: alb_nrm, then calb_cnrm
MOST_DIMENSIONS = 4


def read_archive(data: bytes, start: int) -> dict[str, torch.Tensor]:
    """The tensors of the TZA archive that begins there. Raises various errors if there is none."""
    # names, shapes, types and places
    (table,) = struct.unpack_from("<Q", data, start + 4)
    (count,) = struct.unpack_from("<I", data, start + table)
    place, found = start + table + 4, {}
    for _ in range(count):
        (length,) = struct.unpack_from("<H", data, place)
        name = data[place + 2 : place + 2 + length].decode()
        place += 2 + length
        dimensions = data[place]
        if dimensions > MOST_DIMENSIONS:
            raise ValueError(f"{dimensions} dimensions")
        shape = struct.unpack_from(f"<{dimensions}I", data, place + 1)
        place += 1 + 5 * dimensions  # sizes, and a letter for each
        kind = TYPES.get(chr(data[place]))
        (offset,) = struct.unpack_from("<Q", data, place + 1)
        place += 9
        if kind is None:
            raise ValueError("another type")
        # values
        size = torch.Size(shape).numel()
        values = torch.frombuffer(bytearray(data[start + offset :][: size * kind.itemsize]), dtype=kind)
        found[name] = values.reshape(shape).float()
    return found


def find_weights(library: Path, stage: DetailStage, guides: str) -> dict[str, torch.Tensor]:
    """The weights of the library's network for HDR color, albedo and normals, of the stage's size.

    library: the library's file, or a .tza file, which has one set of weights. guides: "noisy" or "clean". Raises
    InputError if there is none.
    """
    try:
        data = library.read_bytes()
    except OSError as error:
        raise InputError(f"{library}: {error.strerror}; expected libOpenImageDenoise_core or a .tza file") from error
    fitting = []
    for match in re.finditer(re.escape(ARCHIVE), data):
        try:
            found = read_archive(data, match.start())
        except (ValueError, ArithmeticError, LookupError, RuntimeError, struct.error):
            continue  # a false match
        if stage.fits(found):
            fitting.append(found)
    if not fitting:
        raise InputError(
            f"{library}: no weights of Open Image Denoise 2 for color, albedo and normals that fit --detail; expected "
            "the file libOpenImageDenoise_core of a release, or a .tza file like rt_hdr_calb_cnrm.tza"
        )
    return fitting[min(GUIDES.index(guides), len(fitting) - 1)]


def installed_library() -> Path:
    """The library in the package pyoidn. Raises InputError if it is not installed."""
    package = find_spec("pyoidn")
    files = sorted(Path(package.origin).parent.rglob("*OpenImageDenoise_core*")) if package else []
    if not files:
        raise InputError("Open Image Denoise is not installed; pip install pyoidn, or give --library FILE")
    return files[0]


def with_detail(denoiser: Denoiser, size: str, guides: str, library: Path) -> Denoiser:
    """A denoiser with the same filter and a new detail stage. Raises InputError if there are no weights for it."""
    found = make_denoiser(denoiser.options | {"detail": size})
    found.load_state_dict({k: v for k, v in denoiser.state_dict().items() if not k.startswith("detail.")}, strict=False)
    found.detail.begin_with(find_weights(library, found.detail, guides))
    return found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "checkpoint", type=Path, help="a checkpoint of a filtering network; a detail stage that it has is replaced"
    )
    parser.add_argument("weights", type=Path, help=f"the {SUFFIX} file to write, for train.py --checkpoint")
    parser.add_argument("--detail", choices=tuple(ENCODERS), default="base", help="default: %(default)s")
    parser.add_argument(
        "--guides",
        choices=GUIDES,
        default="noisy",
        help="whether they were trained on noisy or clean albedo and normals; default: %(default)s",
    )
    parser.add_argument("--library", type=Path, help="libOpenImageDenoise_core (.so, .dylib, .dll), or a .tza file")
    options = parser.parse_args()
    try:
        denoiser = load_denoiser(options.checkpoint)
        if not denoiser.has_history:
            raise InputError(
                f"{options.checkpoint}: not a filtering network; expected one like weights/default.safetensors"
            )
        library = options.library or installed_library()
        write_weights(as_checkpoint(with_detail(denoiser, options.detail, options.guides, library)), options.weights)
    except (InputError, OSError) as error:
        sys.exit(f"training.add_detail: {error}")


if __name__ == "__main__":
    main()
