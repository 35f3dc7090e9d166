"""Files and folders that others see whole: as they were, or as they shall be, and never a half.

Everything is written beside its place first, under a temporary name, and renamed at the end, which a file
system does at once. Killed processes leave temporary files behind; :func:`remove_leftovers` and
:func:`whole_folder` remove them.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from vidsift.files.locks import try_lock, unlock

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

__all__ = [
    "array_file",
    "remove_leftovers",
    "temporary_path",
    "whole_file",
    "whole_files",
    "whole_folder",
    "write_json_whole",
    "write_text_whole",
]

_TEMPORARY = re.compile(r"\.(.+)\.\d+")

_FILLING = ".making"
"""File in a folder that is being filled, locked by the process that fills it."""

_SETTLED_SECONDS = 60.0
"""How old such a file has to be: a new one may stand there for a moment before it is locked."""


def temporary_path(path: Path) -> Path:
    """Return where this process writes what is to become ``path``; see :func:`remove_leftovers`."""
    return path.with_name(f".{path.name}.{os.getpid()}")


@contextmanager
def whole_file(path: Path, *, temporary: Path | None = None, previous: Path | None = None) -> Iterator[Path]:
    """Write a file, by whatever library, so that a reader meets the old one or the new one.

    A loss of power leaves one of them too: the bytes are on the disk before the name is.

    Args:
        path: the file.
        temporary: where it is written first, on the same disk; :func:`temporary_path` when None.
        previous: where the file that was there goes; it is replaced when None.

    Yields:
        Where to write; closed before the block ends.

    Raises:
        OSError: it cannot be written; the old file stays.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     place = Path(folder, "notes.txt")
        ...     with whole_file(place) as temporary:
        ...         _ = temporary.write_text("all of it", encoding="utf-8")
        ...     place.read_text(encoding="utf-8")
        'all of it'
    """
    temporary = temporary_path(path) if temporary is None else temporary
    try:
        yield temporary
        with temporary.open("r+b") as file:  # Windows flushes only what is open for writing
            os.fsync(file.fileno())
        if previous is not None:
            path.replace(previous)
        temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text_whole(path: Path, text: str, *, temporary: Path | None = None) -> None:
    """Write a text in UTF-8 by way of :func:`whole_file`.

    Raises:
        OSError: it cannot be written; the old file stays.
    """
    with whole_file(path, temporary=temporary) as file:
        file.write_text(text, encoding="utf-8")


def write_json_whole(
    path: Path, values: Any, *, indent: int | None = 2, temporary: Path | None = None
) -> None:
    """Write values as JSON by way of :func:`whole_file`.

    Raises:
        OSError: it cannot be written; the old file stays.
    """
    write_text_whole(path, json.dumps(values, indent=indent) + "\n", temporary=temporary)


@contextmanager
def whole_files(folder: Path, name: str, *, last: str) -> Iterator[Path]:
    """Replace several files of a folder together: all are written before the first one is put in place.

    Between the first and the last there is no file called ``last``, so whoever looks for that meets the old
    files, the new ones, or none.

    Args:
        folder: is there; its other files stay.
        name: under which :func:`remove_leftovers` knows what a killed process left.
        last: the file that says what the others are.

    Yields:
        The folder to write to.

    Raises:
        OSError: they cannot be written; unless they were being put in place, the old ones stay.
    """
    temporary = temporary_path(folder / name)
    shutil.rmtree(temporary, ignore_errors=True)  # of a killed process that had this one's number
    temporary.mkdir()
    try:
        yield temporary
        (folder / last).unlink(missing_ok=True)
        # False sorts before True: the file that says what the others are comes last.
        for file in sorted(temporary.iterdir(), key=lambda file: file.name == last):
            file.replace(folder / file.name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Fill a folder and put it in place at once; where another process was first, its folder stays.

    What killed processes left of the same folder is removed. Files in it must be closed before the block
    ends: a folder of open files cannot be renamed everywhere.

    Args:
        folder: where it shall stand; folders above are made.

    Yields:
        The folder to fill.

    Raises:
        OSError: if it cannot be put in place, and nothing stands there.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own ends with eight letters, see below.
    for leftover in folder.parent.glob(f"{folder.name}.????????"):
        _remove_unlocked(leftover)
    # By mkdir and not mkdtemp, whose folders others cannot read: it becomes the folder itself.
    temporary = folder.parent / f"{folder.name}.{secrets.token_hex(4)}"
    temporary.mkdir()
    try:
        with (temporary / _FILLING).open("w+b") as filling:
            locked = _lock(filling)
            try:
                yield temporary
            finally:
                if locked:
                    unlock(filling)
        (temporary / _FILLING).unlink(missing_ok=True)
        try:
            temporary.replace(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_leftovers(folder: Path, names: Sequence[str], *others: str) -> None:
    """Remove what killed processes left half written in a folder; only for the process that holds its lock.

    The folder may be anybody's, a home folder too: nothing else goes, however it is called.

    Args:
        folder: may be absent; folders in it are not looked into.
        names: of what is written there by way of :func:`temporary_path`; ``*`` stands for anything.
        others: names of further files that are such leftovers, as earlier versions named them.
    """
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        temporary = _TEMPORARY.fullmatch(entry.name)
        is_ours = temporary is not None and any(fnmatchcase(temporary[1], name) for name in names)
        if not is_ours and entry.name not in others:
            continue
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


@contextmanager
def array_file(
    path: Path, dtype: DTypeLike, shape: tuple[int, ...]
) -> Iterator[Callable[[NDArray[Any]], None]]:
    """Write an array of known shape to a ``.npy`` file, some rows after the other.

    Not through a map of the file: where the disk is full, writing to one kills the process.

    Args:
        path: the file, in a folder that :func:`whole_folder` is filling.
        dtype: type that all rows are stored in.
        shape: of the whole array; the caller adds as many rows.

    Yields:
        A function that takes the next row, or rows.

    Raises:
        OSError: the file cannot be written.
    """
    import numpy as np  # here: the client of the service needs the standard library alone

    about = {
        "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
        # Rows one after the other, so that they can be appended.
        "fortran_order": False,
        "shape": shape,
    }
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, about)

        def add(rows: NDArray[Any]) -> None:
            file.write(np.ascontiguousarray(rows, dtype).data)

        yield add


def _remove_unlocked(folder: Path) -> None:
    """Remove a folder that was being filled, if the process that filled it has ended."""
    with suppress(OSError):  # none of ours, just put in place, or not to be removed
        filling = folder / _FILLING
        if time.time() - filling.stat().st_mtime < _SETTLED_SECONDS:
            return
        with filling.open("r+b") as file:
            ended = _lock(file)
            if ended:
                unlock(file)
        if ended:
            shutil.rmtree(folder, ignore_errors=True)


def _lock(file: BinaryIO) -> bool:
    """Lock the file; False where another process holds it, or this file system knows no locks."""
    try:
        return try_lock(file)
    except OSError:
        return False
