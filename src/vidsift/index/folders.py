"""What an index was asked to hold: the folders that it remembers, and the captions that lie in them."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace

from vidsift.data.folder import CAPTIONS_FILE, read_folder
from vidsift.errors import CaptionsError
from vidsift.files.paths import above_of, inside, path_key, path_keys
from vidsift.index.storage import FileRecord, Folder, Store

__all__ = ["captions_in", "folders_of", "remembered", "with_removed"]


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


def folders_of(store: Store) -> list[Folder]:
    """The folders that an index was asked to hold; where nobody wrote them down, those of its files."""
    known = store.read_folders()
    if known:
        return known
    parents = {os.path.dirname(path) for path in store.read_files()}  # noqa: PTH120 - text like the paths
    keys = path_keys(parents)
    tops = [one for one in parents if not _covered(one, keys, ())]
    return [Folder(one) for one in sorted(tops)]


def captions_in(
    places: Sequence[Folder], records: Mapping[str, FileRecord]
) -> tuple[dict[str, dict[str, list[str]]], list[tuple[str, str]]]:
    """Read the files of captions that lie in indexed folders.

    Args:
        places: folders that were walked.
        records: what the index holds.

    Returns:
        For each file of captions what it says of which video; and what is wrong with such files, by path.
    """
    sources: dict[str, dict[str, list[str]]] = {}
    problems: list[tuple[str, str]] = []
    known = {path_key(path): record for path, record in records.items()}
    for folder in sorted(_folders_with_videos(places, records)):
        file = os.path.join(folder, CAPTIONS_FILE)  # noqa: PTH118 - text like the paths
        if not os.path.isfile(file):  # noqa: PTH113 - Path.is_file raises where rights are missing
            continue
        wrong: list[str] = []
        said: dict[str, list[str]] = {}
        try:
            for entry in read_folder(folder, wrong.append):
                record = known.get(path_key(str(entry.path)))
                if record is not None and record.video_id is not None:
                    said.setdefault(record.video_id, []).extend(entry.captions)
        except CaptionsError as error:
            wrong.append(str(error))
        sources[file] = said
        if wrong:
            more = f" (and {len(wrong) - 1} more lines)" if len(wrong) > 1 else ""
            problems.append((file, wrong[0].removeprefix(f"{file}, ") + more))
    return sources, problems


def _folders_with_videos(places: Sequence[Folder], records: Mapping[str, FileRecord]) -> set[str]:
    """Folders at or below the places that hold a video, directly or further down."""
    found: set[str] = set()
    roots = path_keys(place.path for place in places)
    for path in records:
        folder = os.path.dirname(path)  # noqa: PTH120
        while folder not in found and inside(folder, roots):
            found.add(folder)
            folder = os.path.dirname(folder)  # noqa: PTH120
    return found
