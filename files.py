"""Atomic files and folders, and the error for unusable input."""

import glob
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path


class InputError(ValueError):
    """Unusable input from the user. The message names the input, what was found, what was expected, and the fix."""


def check_folder(folder: Path, option: str) -> None:
    """Raises InputError, before any work, if a folder to write to cannot be one. option: where it was named."""
    for path in (folder, *folder.parents):
        if path.exists():
            if not path.is_dir():
                raise InputError(f"{option} {folder}: {path} is a file; choose another folder")
            if not os.access(path, os.W_OK):
                raise InputError(f"{option} {folder}: {path} cannot be written to; choose another folder")
            return


@lru_cache(256)
def delete_leftovers(folder: Path) -> None:
    """Deletes the temporary files in a folder of processes of this machine that were killed while they wrote.

    Once for each folder: looking for them takes long where there are many files.
    """
    host = f".{socket.gethostname()}-"
    for temporary in folder.glob(f"{glob.escape(host)}*-*"):
        process, _, _ = temporary.name.removeprefix(host).partition("-")
        if process.isdigit() and not runs(int(process)):
            temporary.unlink(missing_ok=True)


def runs(process: int) -> bool:
    """Whether a process of this id runs on this machine."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


@contextmanager
def atomic_file(path: Path, remedy: str = "free some space, or choose another folder") -> Iterator[Path]:
    """Yields a temporary path next to `path` to write to; then renames that file to `path`, or on an error deletes it.

    Host name and process id are in the temporary name, since several machines may write to one shared folder. What
    killed processes have left in the folder is deleted. Raises OSError, with the remedy, if the system cannot write.
    """
    delete_leftovers(path.parent)
    name = os.fsdecode(os.fsencode(path.name)[-100:])  # systems allow 255 bytes in all
    temporary = path.with_name(f".{socket.gethostname()}-{os.getpid()}-{name}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if str(error).startswith(str(path)):  # it names the file already
            raise
        raise OSError(f"{path}: not written ({error.strerror or error}); {remedy}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yields a temporary folder to write to; then renames it to `folder`, or on an error deletes it.

    If `folder` exists (for instance with some of its files deleted), the new files are moved into it and replace files
    of the same name; its other files stay. Raises FileNotFoundError where the folder above it does not exist.
    """
    # a fresh temporary folder next to it
    temporary = folder.parent / f".{folder.name}-{socket.gethostname()}-{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()

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
