"""Folders that other processes see whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["made_whole"]


@contextmanager
def made_whole(folder: Path) -> Iterator[Path]:
    """Fill a folder aside and put it in place at once; where another process was first, its folder stays.

    Files in it must be closed before the block ends: a folder of open files cannot be renamed everywhere.

    Args:
        folder: where it shall stand; folders above are made.

    Yields:
        The folder to fill.

    Raises:
        OSError: if it cannot be put in place, and nothing stands there.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        yield aside
        try:
            aside.replace(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
