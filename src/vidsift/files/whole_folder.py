"""Folders that other processes see whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from vidsift.files.locks import let_go, try_lock

__all__ = ["made_whole"]

_MAKING = ".making"
"""File in a folder that is being filled, held by who fills it; where nobody does, who filled it is gone."""

_SETTLED_SECONDS = 60.0
"""How old such a file has to be: a new one may stand there for a moment before it is held."""


@contextmanager
def made_whole(folder: Path) -> Iterator[Path]:
    """Fill a folder aside and put it in place at once; where another process was first, its folder stays.

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
    for left in folder.parent.glob(f"{folder.name}.????????"):
        _sweep(left)
    aside = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        with (aside / _MAKING).open("w+b") as making:
            held = _hold(making)
            try:
                yield aside
            finally:
                if held:
                    let_go(making)
        (aside / _MAKING).unlink(missing_ok=True)
        try:
            aside.replace(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _sweep(left: Path) -> None:
    """Remove a folder that was being filled, if who filled it is gone."""
    with suppress(OSError):  # not one of ours, just put in place, or not to be removed
        making = left / _MAKING
        if time.time() - making.stat().st_mtime < _SETTLED_SECONDS:
            return
        with making.open("r+b") as file:
            gone = _hold(file)
            if gone:
                let_go(file)
        if gone:
            shutil.rmtree(left, ignore_errors=True)


def _hold(file: BinaryIO) -> bool:
    """Lock the file; False where somebody else holds it, or this file system knows no locks."""
    try:
        return try_lock(file)
    except OSError:
        return False
