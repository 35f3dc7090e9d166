"""Files that others meet whole or as they were, and the rests that killed processes leave of them."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["array_file", "aside_of", "sweep", "write_text_whole"]

_ASIDE = re.compile(r"\.(.+)\.\d+")


def aside_of(path: Path) -> Path:
    """Return where this process writes what is to become ``path``; :func:`sweep` removes such rests."""
    return path.with_name(f".{path.name}.{os.getpid()}")


def write_text_whole(path: Path, text: str, *, aside: Path | None = None) -> None:
    """Write a text so that a reader meets the old file or the new one, and a loss of power neither half.

    Args:
        path: the file.
        text: all of it.
        aside: where it is written first; :func:`aside_of` when None.

    Raises:
        OSError: it cannot be written; the old file stays.
    """
    aside = aside_of(path) if aside is None else aside
    try:
        with aside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def sweep(folder: Path, names: Sequence[str], *others: str) -> None:
    """Remove what killed processes left half written in a folder; only for who holds its lock.

    The folder may be anybody's, a home folder too: nothing else goes, however it is called.

    Args:
        folder: may be absent; folders in it are not looked into.
        names: of what is written there by way of :func:`aside_of`; ``*`` stands for anything.
        others: names of further files that are such rests, as earlier versions named them.
    """
    if not folder.is_dir():
        return
    for left in folder.iterdir():
        aside = _ASIDE.fullmatch(left.name)
        ours = aside is not None and any(fnmatchcase(aside[1], name) for name in names)
        if not ours and left.name not in others:
            continue
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


@contextmanager
def array_file(
    path: Path, dtype: DTypeLike, shape: tuple[int, ...]
) -> Iterator[Callable[[NDArray[Any]], None]]:
    """Write an array of known shape to a ``.npy`` file, some rows after the other.

    Not through a map of the file: where the disk is full, writing to one kills the process.

    Args:
        path: the file.
        dtype: type that all rows are stored in.
        shape: of the whole array; who uses this adds as many rows.

    Yields:
        A function that takes the next row, or rows.

    Raises:
        OSError: the file cannot be written.
    """
    about = {
        "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
        "fortran_order": False,
        "shape": shape,
    }
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, about)

        def add(rows: NDArray[Any]) -> None:
            file.write(np.ascontiguousarray(rows, dtype).data)

        yield add
