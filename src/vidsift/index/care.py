"""Looking after an index: taking folders and files out of it, and merging what many runs left."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from vidsift.index.paths import absolute, inside, under
from vidsift.index.storage import IndexFolderError, Store, default_folder

__all__ = ["optimize_index", "remove_paths"]


def remove_paths(index: str | Path | None, paths: Iterable[str | Path]) -> int:
    """Take folders and files out of an index; the files themselves stay where they are.

    Args:
        index: its folder; the default one when None.
        paths: folders and files, which need not exist any more.

    Returns:
        How many paths were taken out. What lies at another path too stays, with that path.

    Raises:
        IndexFolderError: there is no index, it may not be written, or nothing of it lies there.
    """
    store = Store.open(default_folder() if index is None else Path(index).expanduser())
    places = [absolute(one) for one in paths]
    roots = set(places)
    with store.writing():
        known, folders = store.read_files(), store.read_folders()
        gone = [path for path in known if inside(path, roots)]
        kept = [one for one in folders if not inside(one.path, roots)]
        for place in places:
            held = any(under(path, place) for path in (*gone, *(one.path for one in folders)))
            if not held:
                raise IndexFolderError(f"nothing of the index {store.folder} lies under {place}")
        store.write_folders(kept)
        store.forget(gone)
        store.drop_orphans(known.values())
        store.write_captions({}, [one for one in store.caption_sources() if inside(one, roots)])
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
