"""Files for people, put beside what is there under a name that is still free: nothing is overwritten."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["place_new", "portable_name"]

# What Windows, or a stick that it formatted, refuses in names, and what would steer a terminal.
_REFUSED = re.compile(r'[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff<>:"/\\|?*]')
_MOST_BYTES = 180  # of 255: numbers, suffixes and the marks of temporary files come on top


def portable_name(text: str) -> str:
    """Turn text into the stem of a file's name that every system takes; never empty.

    Example:
        >>> portable_name('what? "this"'), portable_name("..")
        ('what_ _this_', 'video')
    """
    name = _REFUSED.sub("_", text).strip(" .")
    # Cut between characters: half of one is no UTF-8.
    return name.encode()[:_MOST_BYTES].decode(errors="ignore").strip(" .") or "video"


def place_new(temporary: Path, target: Path) -> Path:
    """Give a written file its name, or where that is taken the first free one: ``film (2).mp4``.

    Args:
        temporary: the file, closed, in the folder of ``target``.
        target: how it shall be called.

    Returns:
        How it is called.

    Raises:
        OSError: it cannot be put there.
    """
    for name in _numbered(target):
        if _moved(temporary, name):
            return name
    raise AssertionError("numbers do not end")


def _numbered(path: Path) -> Iterator[Path]:
    yield path
    number = 2
    while True:
        yield path.with_name(f"{path.stem} ({number}){path.suffix}")
        number += 1


def _moved(temporary: Path, name: Path) -> bool:
    """Rename a file unless the name is taken, also by somebody who takes it at this moment."""
    if name.exists():
        return False
    try:
        os.link(temporary, name)
    except FileExistsError:
        return False
    except OSError:  # a file system without links, as on sticks
        temporary.rename(name)
    else:
        temporary.unlink()
    return True
