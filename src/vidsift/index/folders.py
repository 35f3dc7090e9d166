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
from vidsift.index.manifest import FOLDERS
from vidsift.index.writing import write_json

__all__ = [
    "IndexedFolder",
    "merge_folders",
    "outermost_folders",
    "read_folders",
    "with_removed_paths",
    "write_folders",
]


@dataclass(frozen=True)
class IndexedFolder:
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


def read_folders(index: Path) -> list[IndexedFolder]:
    """Return what an index was asked to hold, in the order of paths; empty where nobody wrote it down.

    Raises:
        IndexFolderError: the file is damaged.
    """
    try:
        values = json.loads((index / FOLDERS).read_text(encoding="utf-8"))
        # Indexes of earlier versions say nothing of what was removed.
        return [
            IndexedFolder(
                value["path"],
                tuple(value["include"]),
                tuple(value["exclude"]),
                tuple(value.get("removed", ())),
            )
            for value in values
        ]
    except FileNotFoundError:
        return []
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise IndexFolderError(
            f"the index {index} is damaged: {FOLDERS} cannot be read ({plain_words(error)}); "
            "delete that file and name the folders again with vidsift index add"
        ) from error


def write_folders(index: Path, folders: Iterable[IndexedFolder]) -> None:
    """Write down what an index was asked to hold."""
    in_order = sorted(folders, key=lambda folder: folder.path)
    write_json(index / FOLDERS, [asdict(folder) for folder in in_order])


def merge_folders(
    before: Sequence[IndexedFolder], added: Sequence[IndexedFolder], alone: Container[str] = ()
) -> list[IndexedFolder]:
    """What to remember once more folders were asked for: those, and earlier ones that they do not cover.

    A folder with patterns covers nothing but itself; asked for again, it takes the new patterns. What was
    taken out of a folder stays out of it, and of every folder above, until that very path is asked for.

    Args:
        before: what was remembered.
        added: what is asked for now.
        alone: keys of files that are remembered by themselves, though a folder covers them.

    Example:
        >>> both = merge_folders(
        ...     [IndexedFolder("/a/b")], [IndexedFolder("/a"), IndexedFolder("/c", exclude=("drafts",))]
        ... )
        >>> [folder.path for folder in both]
        ['/a', '/c']
        >>> old = IndexedFolder("/a", removed=("/a/b", "/a/c"))
        >>> merge_folders([old], [IndexedFolder("/a"), IndexedFolder("/a/b")])
        [IndexedFolder(path='/a', include=(), exclude=(), removed=('/a/c',))]
    """
    latest = {path_key(folder.path): folder for folder in (*before, *added)}
    wanted = path_keys(folder.path for folder in added)
    removed = {
        path_key(path): path for folder in before for path in folder.removed if path_key(path) not in wanted
    }
    without_patterns = {key for key, folder in latest.items() if not (folder.include or folder.exclude)}
    merged = [
        folder
        for key, folder in sorted(latest.items())
        if key not in without_patterns or key in alone or not _covered(folder.path, without_patterns, removed)
    ]
    return with_removed_paths(merged, removed.values())


def with_removed_paths(folders: Sequence[IndexedFolder], removed: Iterable[str]) -> list[IndexedFolder]:
    """Say of each folder which of the removed paths lie below it, and no others."""
    below: dict[str, list[str]] = {}
    for path in removed:
        for above in above_of(path):
            below.setdefault(path_key(above), []).append(path)
    return [
        replace(folder, removed=tuple(sorted(below.get(path_key(folder.path), ())))) for folder in folders
    ]


def outermost_folders(paths: Iterable[str]) -> list[IndexedFolder]:
    """The folders in which files lie, without those that lie in others of them."""
    parents = {os.path.dirname(path) for path in paths}  # noqa: PTH120 - text like the paths
    keys = path_keys(parents)
    return [IndexedFolder(parent) for parent in sorted(parents) if not _covered(parent, keys, ())]


def _covered(path: str, folders: Container[str], removed: Container[str]) -> bool:
    """Whether a folder above holds a path, with no removed folder between them."""
    for above in above_of(path):
        if path_key(above) in folders:
            return True
        # The nearest decides: a folder that was indexed again below a removed one came first.
        if path_key(above) in removed:
            return False
    return False
