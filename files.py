"""Files that appear whole or not at all, and the error for input that cannot be used."""

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class InputError(ValueError):
    """What the user gave cannot be used; the message names it, what was found, what was expected, and the fix."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Gives a temporary name beside `path` to write to; renames it to `path` if all went well, else removes it."""
    temporary = path.with_name(f".{socket.gethostname()}-{os.getpid()}-{path.name}")  # several machines may share it
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Gives a temporary folder to write to, which becomes `folder` if all went well, and is removed if not.

    Where `folder` exists (some of its files were deleted), the new files take their places in it.
    """
    temporary = folder.parent / f".{folder.name}-{socket.gethostname()}-{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if folder.is_dir():
            for file in temporary.iterdir():
                os.replace(file, folder / file.name)
        else:
            temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
