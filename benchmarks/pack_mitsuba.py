"""Packs Mitsuba for a machine without a network: of its wheels, only the variants and plugins that render.py uses.

    pip download mitsuba --only-binary :all: --python-version 3.12 --platform manylinux_2_28_x86_64 -d wheels
    python -m benchmarks.pack_mitsuba wheels mitsuba.tar.xz
    tar -xf mitsuba.tar.xz && PYTHONPATH=packed python render.py ...      # on that machine

Other wheels in the folder (OpenEXR, tqdm, distributed, pyoidn ...) are packed in full.
"""

import argparse
import fnmatch
import io
import tarfile
import zipfile
from pathlib import Path

from rendering.variants import VARIANTS

PLUGINS = """
aov area bitmap blendbsdf box bumpmap checkerboard conductor constant cube cylinder d65 dielectric diffuse directional
disk envmap gaussian hdrfilm independent instance irregular mask merge normalmap null obj path perspective plastic ply
point principled principledthin rectangle regular roughconductor roughdielectric roughplastic shapegroup specfilm sphere
spot srgb sunsky thindielectric twosided uniform volpath
"""
LEFT_OUT = ("*/include/*", "*/cmake/*", "*/pkgconfig/*", "*.pyi")


def is_needed(name: str, variants: tuple[str, ...]) -> bool:
    """Whether a file of the mitsuba or drjit wheel is needed for these variants."""
    if any(fnmatch.fnmatch(name, pattern) for pattern in LEFT_OUT):
        return False
    stem = Path(name).name.partition(".")[0]
    if name.startswith("mitsuba/plugins/"):
        return stem in PLUGINS.split()
    is_variant = stem.startswith(("scalar_", "llvm_", "cuda_")) and name.endswith(".so")
    return not is_variant or stem in variants


def pack(wheels: list[Path], archive: Path, variants: tuple[str, ...]) -> int:
    """Writes what is needed of the wheels into a tar.xz, under `packed/`; returns its size in bytes when unpacked."""
    total = 0
    with tarfile.open(archive, "w:xz") as tar:
        for wheel in wheels:
            ours = wheel.name.startswith(("mitsuba", "drjit"))
            with zipfile.ZipFile(wheel) as contents:
                for entry in contents.infolist():
                    if entry.is_dir() or (ours and not is_needed(entry.filename, variants)):
                        continue
                    info = tarfile.TarInfo(f"packed/{entry.filename}")
                    info.size, info.mode = entry.file_size, 0o755
                    tar.addfile(info, io.BytesIO(contents.read(entry)))
                    total += entry.file_size
    return total


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheels", type=Path, help="folder of .whl files")
    parser.add_argument("archive", type=Path, help="the .tar.xz to write")
    parser.add_argument("--variants", nargs="+", default=VARIANTS, choices=VARIANTS)
    options = parser.parse_args()
    wheels = sorted(options.wheels.glob("*.whl"))
    if not any(wheel.name.startswith("mitsuba") for wheel in wheels):
        parser.error(f"{options.wheels}: no mitsuba wheel in this folder; pip download mitsuba -d {options.wheels}")
    total = pack(wheels, options.archive, tuple(options.variants))
    print(f"{options.archive}: {options.archive.stat().st_size / 2**20:.0f} MiB, unpacked {total / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
