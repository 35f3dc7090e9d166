"""Looking after an index: taking folders and files out of it, and merging what many runs left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from vidsift.errors import IndexFolderError
from vidsift.files.paths import absolute, inside, path_keys, under
from vidsift.index.availability import Availability, read_mounts
from vidsift.index.folders import with_removed_paths
from vidsift.index.manifest import default_folder
from vidsift.index.schema import FileRecord
from vidsift.index.storage import Store

__all__ = ["drop_places", "optimize_index", "remove_paths"]


def remove_paths(index: str | Path | None, paths: Iterable[str | Path]) -> int:
    """Take folders and files out of an index for good; the files themselves stay where they are.

    What lies in a folder that stays in the index is left out from now on, until that very path is indexed
    again by name. What is gone from the disk already is not: a new file in its place is a new file.

    Args:
        index: its folder; the default one when None.
        paths: folders and files, which need not exist any more.

    Returns:
        How many paths were taken out. What lies at another path too stays, with that path.

    Raises:
        IndexFolderError: there is no index, it may not be written, or nothing of it lies there.
    """
    store = Store.open(default_folder() if index is None else Path(index).expanduser())
    places = [absolute(path) for path in paths]
    with store.writing():
        known, folders = store.read_files(), store.indexed_folders()
        indexed = [*known, *(folder.path for folder in folders)]
        for place in places:
            if not any(under(path, place) for path in indexed):
                raise IndexFolderError(f"nothing of the index {store.folder} lies under {place}")
        availability = Availability([folder.path for folder in folders], mounts=read_mounts(store) or ())
        lasting = [place for place in places if availability.state(place) != "gone"]
        roots = path_keys(places)
        earlier = {path for folder in folders for path in folder.removed if not inside(path, roots)}
        staying = [folder for folder in folders if not inside(folder.path, roots)]
        store.write_folders(with_removed_paths(staying, earlier | set(lasting)))
        return drop_places(store, known, places)


def drop_places(store: Store, known: Mapping[str, FileRecord], places: Iterable[str]) -> int:
    """Drop what an index has of some places; while writing.

    Args:
        store: the index.
        known: what it knows.
        places: full paths of folders and files.

    Returns:
        How many paths that were.
    """
    roots = path_keys(places)
    gone = [path for path in known if inside(path, roots)]
    store.forget(gone)
    store.drop_orphans(known.values())
    with suppress(IndexFolderError):  # damaged captions, which a check reports
        store.write_captions({}, [source for source in store.caption_sources() if inside(source, roots)])
    store.tidy()
    return len(gone)


def optimize_index(index: str | Path | None = None, *, keep_seconds: float = 3600.0) -> tuple[int, int]:
    """Merge the small pieces that many runs left, and remove old versions.

    Args:
        index: its folder; the default one when None.
        keep_seconds: how long a version is kept after it was replaced, for those who still read it.

    Returns:
        Bytes on disk before and after.
    """
    store = Store.open(default_folder() if index is None else Path(index).expanduser())
    with store.writing():
        before = store.bytes_on_disk()
        store.optimize(timedelta(seconds=keep_seconds))
    return before, store.bytes_on_disk()
