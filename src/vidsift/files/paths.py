"""Paths as people name them: made whole, and compared as the system compares them.

Where a system takes small and large letters for the same, as Windows does, two spellings are one path. What
is stored and shown keeps the spelling that was met first.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

__all__ = [
    "above_of",
    "absolute",
    "caseless",
    "file_name",
    "inside",
    "name_order",
    "path_key",
    "path_keys",
    "typed_path",
    "under",
]

_QUOTES = {'"': '"', "'": "'", "\u201c": "\u201d", "\u2018": "\u2019", "\u00ab": "\u00bb", "\u201e": "\u201c"}


def absolute(path: str | Path) -> str:
    """Full path without ``..`` and ``~``; links keep their names, since people name what they see."""
    return os.path.abspath(Path(path).expanduser())  # noqa: PTH100 - resolve() would follow links


def typed_path(text: str) -> str:
    """Return the path that a person typed, pasted or dragged: without quotes, and of a ``file://`` address.

    Example:
        >>> typed_path(' "/home/me/My Films" '), typed_path("file:///home/me/My%20Films")
        ('/home/me/My Films', '/home/me/My Films')
    """
    path = text.strip()
    if len(path) > 1 and _QUOTES.get(path[0]) == path[-1]:
        path = path[1:-1].strip()
    if path.lower().startswith("file://"):
        # url2pathname knows the letters of disks and the names of machines on Windows.
        address = urlsplit(path)
        machine = "" if address.netloc.lower() in ("", "localhost") else f"//{address.netloc}"
        path = url2pathname(machine + address.path)
    return path


def file_name(path: str) -> str:
    """The last part of a path: the file's own name, with its ending."""
    return os.path.basename(path)  # noqa: PTH119 - text like the paths


def caseless(text: str) -> str:
    r"""What a text is compared by where small and large letters are the same.

    Accents too, however they are written: file systems differ in whether an "ü" is one character or two.

    Example:
        >>> caseless("U\u0308BUNG") == caseless("\u00fcbung")
        True
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def name_order(path: str) -> tuple[str | tuple[int, str], ...]:
    """What files are ordered by their names with, as people count: without case, 2 before 10.

    Example:
        >>> sorted(["/b/IMG_10.mp4", "/a/img_9.mp4", "/c/2.mp4"], key=name_order)
        ['/c/2.mp4', '/a/img_9.mp4', '/b/IMG_10.mp4']
    """
    # Texts and numbers take turns, so that like meets like.
    texts = re.split("([0-9]+)", caseless(file_name(path)))
    return tuple(_size(text) if place % 2 else text for place, text in enumerate(texts))


def _size(digits: str) -> tuple[int, str]:
    # Names may hold more digits than a number is read from; without its zeros the longer one is the larger.
    significant = digits.lstrip("0")
    return len(significant), significant


def path_key(path: str) -> str:
    """What two paths have in common if they are the same to the system."""
    return os.path.normcase(path)


def path_keys(paths: Iterable[str]) -> frozenset[str]:
    """The keys of paths, for :func:`inside`."""
    return frozenset(map(path_key, paths))


def under(path: str, place: str) -> bool:
    """Whether a path is a place or lies in it; both absolute.

    Example:
        >>> under("/a/b/c.mp4", "/a/b"), under("/a/bc.mp4", "/a/b")
        (True, False)
    """
    key = path_key(path)
    # The separator keeps "/a/b" from holding "/a/bc"; "/" has one already, which is not doubled.
    return key == path_key(place) or key.startswith(path_key(place.rstrip(os.sep) + os.sep))


def inside(path: str, places: Container[str]) -> bool:
    """Whether a path is one of the places or lies in one, as quickly for many places as for one.

    Args:
        path: absolute.
        places: their keys, see :func:`path_keys`.

    Example:
        >>> inside("/a/b/c.mp4", path_keys(["/x", "/a"])), inside("/ab/c.mp4", path_keys(["/a"]))
        (True, False)
    """
    return path_key(path) in places or any(path_key(above) in places for above in above_of(path))


def above_of(path: str) -> Iterator[str]:
    """The folders above a path, the nearest first.

    Example:
        >>> list(above_of("/a/b"))
        ['/a', '/']
    """
    above = os.path.dirname(path)  # noqa: PTH120 - text like the paths
    while above != path:
        yield above
        path, above = above, os.path.dirname(above)  # noqa: PTH120
