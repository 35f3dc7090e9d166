"""Writing to an index that others read: one writer at a time, whole files, a failing disk in words."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vidsift.errors import IndexFolderError, IndexWriteError
from vidsift.files.disk_errors import plain_words
from vidsift.files.locks import try_lock
from vidsift.files.whole import write_json_whole

__all__ = ["explained_writing", "not_writable", "put_aside", "write_json", "write_lock"]


def write_json(path: Path, values: Any) -> None:
    """Write JSON so that a reader meets the old file or the new one, and a loss of power neither half."""
    # One name, whoever writes: what a killed process left is written over by the next.
    write_json_whole(path, values, temporary=path.with_name(path.name + ".new"))


def put_aside(path: Path) -> Path:
    """Put a damaged file out of the way, so that people can go on; return where it is now."""
    return path.replace(path.with_name(f"{path.name}.damaged-{round(time.time())}"))


@contextmanager
def explained_writing(folder: Path) -> Iterator[None]:
    """Say in plain words what a failing disk means for an index.

    Raises:
        IndexWriteError: something could not be written.
    """
    try:
        yield
    except IndexFolderError:
        raise
    # LanceDB reports a disk that is full by any of these, depending on where it met it.
    except (OSError, RuntimeError, ValueError) as error:
        raise IndexWriteError(
            f"the index {folder} could not be written: {plain_words(error)}; what was committed before is "
            "whole: make room or repair the disk, and run the same command again"
        ) from error


@contextmanager
def write_lock(folder: Path, name: str, patience_seconds: float = 0.0) -> Iterator[None]:
    """Hold a lock of an index; it ends with the process, however that ends.

    Args:
        folder: of the index.
        name: of the lock's file.
        patience_seconds: how long to wait for another process that holds it.

    Raises:
        IndexFolderError: another process holds it for longer, or the folder may not be written.
    """
    until = time.monotonic() + patience_seconds
    # A lock file that may be written says nothing of the folder in which tables make new files.
    if not os.access(folder, os.W_OK):
        raise not_writable(folder)
    try:
        file = (folder / name).open("a+b")
    except PermissionError as error:
        raise not_writable(folder) from error
    with file:
        while not try_lock(file):
            if time.monotonic() >= until:
                raise IndexFolderError(
                    f"another process is writing the index {folder}; wait until it has finished, or stop it"
                )
            time.sleep(0.02)
        yield


def not_writable(folder: Path) -> IndexFolderError:
    """The error for an index that may not be written."""
    return IndexFolderError(
        f"the index {folder} may not be written by this user; give the folder write permission, or name "
        "another with --index"
    )
