"""Paths as people name them: made whole, and compared as the system compares them.

Where a system takes small and large letters for the same, as Windows does, two spellings are one path. What
is stored and shown keeps the spelling that was met first.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

__all__ = ["above_of", "absolute", "inside", "path_key", "path_keys", "typed_path", "under"]

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
