"""Files that others meet whole or as they were, and the rests that killed processes leave of them."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

__all__ = ["aside_of", "sweep", "write_text_whole"]

_ASIDE = re.compile(r"\..+\.\d+")


def aside_of(path: Path) -> Path:
    """Return where this process writes what is to become ``path``; :func:`sweep` knows such names."""
    return path.with_name(f".{path.name}.{os.getpid()}")


def write_text_whole(path: Path, text: str) -> None:
    """Write a text so that a reader meets the old file or the new one.

    Raises:
        OSError: it cannot be written; the old file stays.
    """
    aside = aside_of(path)
    try:
        with aside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def sweep(folder: Path, *others: str) -> None:
    """Remove what killed processes left half written in a folder; only for who holds its lock.

    Args:
        folder: may be absent; folders in it are not looked into.
        others: names of further files that are such rests, as earlier versions named them.
    """
    if not folder.is_dir():
        return
    for left in folder.iterdir():
        if left.name not in others and not _ASIDE.fullmatch(left.name):
            continue
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)
