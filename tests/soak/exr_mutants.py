"""Damaged EXR files by the thousand, read in a process that may die: `python exr_mutants.py FOLDER FIRST COUNT`.

Prints a line of JSON for each case, before and after it: {"case": number} and {"case": number, "outcome": ...}. The
outcome is `right`, `error` for one clear error that names the file, or a text that says what went wrong.
"""

import json
import os
import random
import resource
import signal
import sys
import time
from pathlib import Path

import numpy as np
import OpenEXR

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from files import InputError
from frames.exr import read_header, read_pixels
from frames.exr_header import Contents, read_contents

MEMORY = 2**30  # bytes, beyond what the process has when it begins: far above the bound of frames/exr.py
SLOW = 10  # seconds, after which a case is taken for a hang
COMPRESSIONS = ("NO", "RLE", "ZIPS", "ZIP", "PIZ", "PXR24", "B44", "B44A", "DWAA", "DWAB")
FIELDS = (b"dataWindow\0box2i\0", b"displayWindow\0box2i\0", b"tiles\0tiledesc\0", b"channels\0chlist\0")
NUMBERS = (0, 1, -1, 2, 7, 255, 256, 65535, 2**20, 2**26, 2**30, 2**31 - 1, -(2**31))


def whole_files(folder: Path) -> list[bytes]:
    """Small files of every compression: scan lines, tiles, two parts, deep."""
    rng = np.random.default_rng(0)
    half = {name: rng.random((20, 9)).astype(np.float16) for name in ("R", "G", "B", "albedo.R")}
    single = {"depth.Z": rng.random((20, 9)).astype(np.float32), "id": np.ones((20, 9), np.uint32)}
    deep = np.empty((4, 5), object)
    for index in np.ndindex(4, 5):
        deep[index] = rng.random(3).astype(np.float32)
    tiles = OpenEXR.TileDescription()
    tiles.xSize = tiles.ySize = 16
    files = [[({"type": OpenEXR.deepscanline, "compression": OpenEXR.ZIPS_COMPRESSION}, {"Z": deep})]]
    for name in COMPRESSIONS:
        header = {"compression": getattr(OpenEXR, f"{name}_COMPRESSION"), "owner": "somebody"}
        lines, tiled = {"type": OpenEXR.scanlineimage}, {"type": OpenEXR.tiledimage, "tiles": tiles}
        files += [[(header | lines, half | single)], [(header | tiled, half)]]
        files += [[(header | lines, half), (header | tiled, single)]]
    contents = []
    for parts in files:
        parts = [OpenEXR.Part(dict(h), dict(c), f"part{i}" if len(parts) > 1 else "") for i, (h, c) in enumerate(parts)]
        OpenEXR.File(parts).write(str(folder / "whole.exr"))
        contents.append((folder / "whole.exr").read_bytes())
    return contents


def damaged(content: bytes, rng: random.Random) -> bytes:
    """The file with bits, bytes, numbers or fields changed, with parts cut out or put in, or cut short."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        place = rng.randrange(min(len(data), rng.choice((64, 400, 900, len(data)))))
        kind = rng.randrange(7)
        if kind == 0:
            data[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[place] = rng.choice((0, 1, 127, 128, 255))
        elif kind == 2:
            data[place : place + 4] = rng.choice(NUMBERS).to_bytes(4, "little", signed=True)
        elif kind == 3:
            del data[place : place + rng.choice((1, 4, 8, 100))]
        elif kind == 4:
            data[place:place] = rng.randbytes(rng.choice((1, 4, 8)))
        elif kind == 5 and (start := data.find(rng.choice(FIELDS))) >= 0:
            start = data.find(b"\0", data.find(b"\0", start) + 1) + 5 + 4 * rng.randrange(4)
            data[start : start + 4] = rng.choice(NUMBERS).to_bytes(4, "little", signed=True)
        elif kind == 6 and rng.random() < 0.3:
            del data[rng.randrange(len(data)) :]
        if len(data) < 8:
            break
    return bytes(data)


def outcome_of(path: Path) -> str:
    """What reading the file gives."""
    try:
        header = read_header(path)
        found, pixels = read_pixels(path)
    except (InputError, OSError) as error:
        text = str(error)
        return "error" if str(path) in text and "\n" not in text else f"unclear: {text}"
    except BaseException as error:
        return f"trace: {error!r}"
    if found.window != header.window or sorted(found.channels) != sorted(header.channels):
        return f"the header is {header}, the pixels are of {found}"
    return "right" if same_as_openexr(read_contents(path), path) and pixels else "another header than OpenEXR's"


def same_as_openexr(contents: Contents, path: Path) -> bool:
    """Whether OpenEXR reads the same windows and channels from a header. (It refuses text that is not UTF-8.)"""
    if contents.foreign:
        return True
    file = OpenEXR.File(str(path), separate_channels=True, header_only=True)
    for index, part in enumerate(contents.parts):
        header = file.header(index)
        window = [int(v) for corner in header["dataWindow"] for v in corner]
        same = window == list(part.window) and header.get("name", "") == part.name
        if not same or sorted(c.name for c in header["channels"]) != sorted(c.name for c in part.channels):
            return False
    return True


def main() -> None:
    """The command line."""
    folder, first, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    files = whole_files(folder)
    # OpenEXR writes to stdout and stderr what it dislikes; only the outcomes shall be there
    report = os.fdopen(os.dup(1), "w")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    if sys.platform == "linux":
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    for case in range(first, first + count):
        rng = random.Random(case)
        path = folder / "damaged.exr"
        path.write_bytes(damaged(rng.choice(files), rng))
        print(json.dumps({"case": case}), file=report, flush=True)
        signal.alarm(3 * SLOW)
        began = time.process_time()
        outcome = outcome_of(path)
        if time.process_time() - began > SLOW:
            outcome = f"slow: {time.process_time() - began:.0f} s"
        print(json.dumps({"case": case, "outcome": outcome}), file=report, flush=True)


if __name__ == "__main__":
    main()
