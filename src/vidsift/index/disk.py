"""Writing to a folder that others read: whole files, one writer, and plain words for a failing disk."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from vidsift.errors import IndexFolderError, IndexWriteError
from vidsift.files.disk_errors import plain_words
from vidsift.files.locks import try_lock
from vidsift.files.whole import write_json_whole

__all__ = [
    "locked",
    "refuse_rows",
    "telling",
    "tried",
    "unwritable",
    "write_whole",
]


T = TypeVar("T")


def write_whole(path: Path, values: Any) -> None:
    """Write JSON so that a reader meets the old file or the new one, and a loss of power neither half."""
    # One name, whoever writes: what a killed process left is written over by the next.
    write_json_whole(path, values, temporary=path.with_name(path.name + ".new"))


@contextmanager
def telling(folder: Path) -> Iterator[None]:
    """Say in plain words what a failing disk means for the index."""
    try:
        yield
    except IndexFolderError:
        raise
    except (OSError, RuntimeError, ValueError) as error:
        raise IndexWriteError(
            f"the index {folder} could not be written: {plain_words(error)}; what was committed before is "
            "whole: make room or mend the disk, and run the same command again"
        ) from error


@contextmanager
def locked(folder: Path, name: str, patience_seconds: float = 0.0) -> Iterator[None]:
    """Hold a lock that ends with the process; wait for it as long as asked.

    Raises:
        IndexFolderError: another process holds it for longer, or the folder may not be written.
    """
    until = time.monotonic() + patience_seconds
    if not os.access(folder, os.W_OK):
        raise unwritable(folder)
    try:
        file = (folder / name).open("a+b")
    except PermissionError as error:
        raise unwritable(folder) from error
    with file:
        while not try_lock(file):
            if time.monotonic() >= until:
                raise IndexFolderError(
                    f"another process is writing the index {folder}; wait until it has finished, or stop it"
                )
            time.sleep(0.02)
        yield


def tried(read: Callable[[], T]) -> T | str:
    """What can be read, or why it cannot."""
    try:
        return read()
    except (KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError):  # say nothing of the table
        raise
    except BaseException as error:  # damage makes the store panic, which is no Exception
        return plain_words(error)


def refuse_rows(folder: Path, tables: Iterable[str]) -> None:
    """Refuse tables in which something was ever written: their index was finished and lost its manifest.

    Raises:
        IndexFolderError: one of the tables holds data.
    """
    for name in tables:
        if any((folder / f"{name}.lance").glob("data/*")):
            raise IndexFolderError(
                f"the index {folder} is damaged: index.json is gone, its tables hold rows; put the file "
                "back, or name another folder with --index, or delete this one and index again"
            )


def unwritable(folder: Path) -> IndexFolderError:
    """The error for an index that may not be written."""
    return IndexFolderError(
        f"the index {folder} may not be written by this user; give the folder write permission, or name "
        "another with --index"
    )
