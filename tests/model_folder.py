"""A folder of models and environment maps for the tests of scenes with artists' models: cubes under many names."""

from pathlib import Path

import numpy as np
import OpenEXR

NAMES = {"chair": (50, 50, 90), "sofa": (160, 80, 80), "table": (120, 80, 75), "cabinet": (100, 40, 90)}
NAMES |= {"man": (50, 30, 175), "dog": (30, 60, 50), "car": (180, 400, 150), "plant": (40, 40, 60)}
NAMES |= {"cup": (9, 9, 10), "book": (15, 20, 3), "table lamp": (25, 25, 50), "floor lamp": (40, 40, 150)}
NAMES |= {"pendant": (40, 40, 40), "picture": (60, 3, 50), "rug": (200, 140, 1), "tree": (150, 150, 400)}
CUBE = "".join(f"v {x} {y} {z}\n" for x in (0, 1) for y in (0, 1) for z in (0, 1))
CUBE += "f 1 2 4 3\nf 5 7 8 6\nf 1 5 6 2\nf 3 4 8 7\nf 1 3 7 5\nf 2 6 8 4\n"
BROKEN = {f"{name.replace(' ', '-')}0.obj" for name in NAMES} | {"broken.exr"}


def write_models(root: Path) -> Path:
    """Writes a dozen cubes of each of NAMES, one of them broken, with a catalogue; two environment maps, one broken."""
    rows = ["obj\tname\tcategory\twidth_cm\tdepth_cm\theight_cm"]
    for name, (width, depth, height) in NAMES.items():
        for number in range(12):
            path = f"{name.replace(' ', '-')}{number}.obj"
            (root / path).write_text(CUBE if number else "f 1 2 3\n")
            rows.append(f"{path}\t{name}\tAny\t{width}\t{depth}\t{height}")
    (root / "catalogue.tsv").write_text("\n".join(rows) + "\n")

    maps = root / "skies"
    maps.mkdir()
    sky = np.full((8, 16, 3), 0.5, np.float32)
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {"RGB": sky}).write(str(maps / "even.exr"))
    (maps / "broken.exr").write_bytes(b"no EXR file")
    return root
