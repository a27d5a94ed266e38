"""Unpacks libraries of Sweet Home 3D furniture (.sh3f) into a folder of models with a catalogue.

python -m rooms.sweethome FOLDER LIBRARY.sh3f ...
"""

import argparse
import re
import sys
import zipfile
from pathlib import Path

from files import InputError, atomic_file
from rooms.models import CATALOGUE, CATALOGUE_COLUMNS

PROPERTIES = "PluginFurnitureCatalog.properties"
KEYS = {"name": "name", "category": "category", "creator": "creator", "width_cm": "width", "depth_cm": "depth"}
KEYS |= {"height_cm": "height", "elevation_cm": "elevation", "door_or_window": "doorOrWindow"}
KEYS |= {"model_rotation": "modelRotation"}  # columns of the catalogue, and Sweet Home's names for them
MOST_BYTES = 4 * 2**30  # of an unpacked library


def read_properties(content: bytes) -> dict[str, str]:
    """Keys and values of a Java properties file, in UTF-8 or Latin-1."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    values = {}
    for line in re.sub(r"\\\r?\n\s*", "", text).splitlines():
        if match := re.match(r"\s*([^#!\s=:][^=:\s]*)\s*[=:\s]\s*(.*)", line):
            value = re.sub(r"\\u([0-9a-fA-F]{4})", lambda code: chr(int(code[1], 16)), match[2])
            values[match[1]] = " ".join(re.sub(r"\\(.)", r"\1", value).split())  # no tabs, as in the catalogue
    return values


def unpack(library: Path, folder: Path) -> list[dict[str, str]]:
    """Unpacks a library into a folder of its name below `folder`; returns rows of the catalogue.

    Raises InputError where it is no such library.
    """
    # its list of models
    try:
        with zipfile.ZipFile(library) as archive:
            properties = read_properties(archive.read(PROPERTIES))
            if sum(entry.file_size for entry in archive.infolist()) > MOST_BYTES:
                raise InputError(f"{library}: unpacks to more than {MOST_BYTES >> 30} GiB; unpack it by hand")
            archive.extractall(folder / library.stem)  # which keeps every file below
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{library}: no library of Sweet Home 3D ({error}); expected a .sh3f file") from error

    # rows
    rows = []
    for key, model in properties.items():
        if number := re.fullmatch(r"model#(\d+)", key):
            row = {column: properties.get(f"{name}#{number[1]}", "") for column, name in KEYS.items()}
            license = properties.get(f"license#{number[1]}") or properties.get("license", "")
            rows.append(row | {"obj": f"{library.stem}/{model.lstrip('/')}", "licence": license})
    return rows


def main() -> None:
    """Unpacks the libraries of the command line, and writes the catalogue of all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder to unpack to; its catalogue is written anew")
    parser.add_argument("libraries", type=Path, nargs="+", help=".sh3f files")
    arguments = parser.parse_args()

    # unpack
    arguments.folder.mkdir(parents=True, exist_ok=True)
    try:
        rows = [row for library in arguments.libraries for row in unpack(library, arguments.folder)]
    except InputError as error:
        sys.exit(str(error))

    # catalogue
    lines = ["\t".join(CATALOGUE_COLUMNS)]
    lines += ["\t".join(row[column] for column in CATALOGUE_COLUMNS) for row in rows]
    with atomic_file(arguments.folder / CATALOGUE) as temporary:
        temporary.write_text("\n".join(lines) + "\n", "utf-8")
    print(f"{arguments.folder / CATALOGUE}: {len(rows)} models")


if __name__ == "__main__":
    main()
