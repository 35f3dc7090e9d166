"""Which folders an index was asked to hold, and which of their files; ``folders.json`` remembers them."""

from __future__ import annotations

import json
import os
from collections.abc import Container, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from vidsift.errors import IndexFolderError
from vidsift.files.disk_errors import plain_words
from vidsift.files.paths import above_of, path_key, path_keys
from vidsift.index.disk import write_whole
from vidsift.index.manifest import FOLDERS

__all__ = ["Folder", "outermost_folders", "read_folders", "remembered", "with_removed", "write_folders"]


@dataclass(frozen=True)
class Folder:
    """A place that was asked to be indexed, and which of its files.

    Attributes:
        path: absolute; a folder or a file.
        include, exclude: patterns, see :class:`~vidsift.video.find.Patterns`.
        removed: paths in it that were taken out of the index and stay out until they are asked for.
    """

    path: str
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


def read_folders(index: Path) -> list[Folder]:
    """Return what an index was asked to hold, in the order of paths; empty where nobody wrote it down.

    Raises:
        IndexFolderError: the file is damaged.
    """
    try:
        values = json.loads((index / FOLDERS).read_text(encoding="utf-8"))
        # Indexes of earlier versions say nothing of what was removed.
        return [
            Folder(one["path"], tuple(one["include"]), tuple(one["exclude"]), tuple(one.get("removed", ())))
            for one in values
        ]
    except FileNotFoundError:
        return []
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise IndexFolderError(
            f"the index {index} is damaged: {FOLDERS} cannot be read ({plain_words(error)}); "
            "delete that file and name the folders again with vidsift index add"
        ) from error


def write_folders(index: Path, folders: Iterable[Folder]) -> None:
    """Write down what an index was asked to hold."""
    write_whole(index / FOLDERS, [asdict(one) for one in sorted(folders, key=lambda one: one.path)])


def remembered(
    before: Sequence[Folder], asked: Sequence[Folder], kept_keys: Container[str] = ()
) -> list[Folder]:
    """What to remember once more places were asked for: new ones, and old ones that they do not cover.

    A place with patterns covers nothing but itself; asked for again, it takes the new patterns. What was
    taken out of a folder stays out of it, and of every folder above, until that very path is asked for. A
    file of ``kept_keys`` is remembered by itself, though a place covers it.

    Example:
        >>> both = remembered([Folder("/a/b")], [Folder("/a"), Folder("/c", exclude=("drafts",))])
        >>> [one.path for one in both]
        ['/a', '/c']
        >>> remembered([Folder("/a", removed=("/a/b", "/a/c"))], [Folder("/a"), Folder("/a/b")])
        [Folder(path='/a', include=(), exclude=(), removed=('/a/c',))]
    """
    latest = {path_key(one.path): one for one in (*before, *asked)}
    wanted = path_keys(one.path for one in asked)
    removed = {path_key(path): path for one in before for path in one.removed if path_key(path) not in wanted}
    plain = {key for key, one in latest.items() if not (one.include or one.exclude)}
    kept = [
        one
        for key, one in sorted(latest.items())
        if key not in plain or key in kept_keys or not _covered(one.path, plain, removed)
    ]
    return with_removed(kept, removed.values())


def with_removed(places: Sequence[Folder], removed: Iterable[str]) -> list[Folder]:
    """Say of each place which of the removed paths lie below it, and no others."""
    below: dict[str, list[str]] = {}
    for path in removed:
        for above in above_of(path):
            below.setdefault(path_key(above), []).append(path)
    return [replace(one, removed=tuple(sorted(below.get(path_key(one.path), ())))) for one in places]


def _covered(path: str, places: Container[str], removed: Container[str]) -> bool:
    """Whether a place above holds a path, with no removed folder between them."""
    for above in above_of(path):
        if path_key(above) in places:
            return True
        if path_key(above) in removed:
            return False
    return False


def outermost_folders(paths: Iterable[str]) -> list[Folder]:
    """The folders in which files lie, without those that lie in others of them."""
    parents = {os.path.dirname(path) for path in paths}  # noqa: PTH120 - text like the paths
    keys = path_keys(parents)
    return [Folder(parent) for parent in sorted(parents) if not _covered(parent, keys, ())]
