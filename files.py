"""Files and folders that appear whole or not at all, and the error for unusable input."""

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class InputError(ValueError):
    """Unusable input from the user. The message names the input, what was found, what was expected, and the fix."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yields a temporary path next to `path` to write to; then renames that file to `path`, or on an error deletes it.

    Host name and process id are in the temporary name, since several machines may write to one shared folder.
    """
    name = os.fsdecode(os.fsencode(path.name)[-100:])  # systems allow 255 bytes in all
    temporary = path.with_name(f".{socket.gethostname()}-{os.getpid()}-{name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yields a temporary folder to write to; then renames it to `folder`, or on an error deletes it.

    If `folder` exists (for instance with some of its files deleted), the new files are moved into it and replace files
    of the same name; its other files stay.
    """
    # a fresh temporary folder next to it
    temporary = folder.parent / f".{folder.name}-{socket.gethostname()}-{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)

    # in place only if the caller succeeds
    try:
        yield temporary
        if folder.is_dir():
            for file in temporary.iterdir():
                os.replace(file, folder / file.name)
        else:
            temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
