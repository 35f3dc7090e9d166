"""Looking after an index: paths out of it, captions of a data set into it, the pieces of many runs merged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from vidsift.data.entries import Entry
from vidsift.errors import IndexFolderError
from vidsift.files.paths import absolute, inside, path_key, path_keys, under
from vidsift.index.availability import Availability, read_mounts
from vidsift.index.folders import with_removed_paths
from vidsift.index.manifest import index_folder
from vidsift.index.schema import FileRecord
from vidsift.index.storage import Store

__all__ = ["drop_places", "import_captions", "optimize_index", "remove_paths"]


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
    store = Store.open(index_folder(index))
    places = [absolute(path) for path in paths]
    with store.writing():
        known, folders = store.read_files(), store.indexed_folders()
        indexed = [*known, *(folder.path for folder in folders)]
        for place in places:
            if not any(under(path, place) for path in indexed):
                raise IndexFolderError(f"nothing of the index {store.folder} lies under {place}")
        availability = Availability([folder.path for folder in folders], mounts=read_mounts(store) or ())
        # What is gone need not be left out: a new file of that name is another file.
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
    store.drop_paths(gone)
    store.drop_orphans(known.values())
    left = {record.video_id for path, record in known.items() if not inside(path, roots)}
    with suppress(IndexFolderError):  # damaged captions, which a check reports
        store.write_captions({}, [source for source in store.caption_sources() if inside(source, roots)])
        # What a data set says lies in no file among the places: it goes with the videos.
        removed = {known[path].video_id for path in gone} - left
        store.drop_captions(sorted(store.read_captions().keys() & removed))
    store.compact()
    return len(gone)


def import_captions(index: str | Path, name: str, entries: Iterable[Entry]) -> int:
    """Store what a data set says of videos that an index holds, beside the captions of their folders.

    Args:
        index: its folder.
        name: of the data set and its split: what was stored under this name before is replaced.
        entries: what is said. A caption of a part of a video is stored for the video.

    Returns:
        Of how many videos something is said.

    Raises:
        IndexFolderError: it is damaged, or being written.
        IndexWriteError: the disk is full or fails.
    """
    store = Store.open(Path(index))
    with store.writing():
        video_ids = {path_key(path): record.video_id for path, record in store.read_files().items()}
        captions: dict[str, list[str]] = {}
        for entry in entries:
            video_id = video_ids.get(path_key(absolute(entry.path)))
            if video_id is not None:
                captions.setdefault(video_id, []).extend(entry.captions)
        store.write_captions({name: captions})
    return len(captions)


def optimize_index(index: str | Path | None = None, *, keep_seconds: float = 3600.0) -> tuple[int, int]:
    """Merge the small pieces that many runs left, and remove old versions.

    Args:
        index: its folder; the default one when None.
        keep_seconds: how long a version is kept after it was replaced, for those who still read it.

    Returns:
        Bytes on disk before and after.
    """
    store = Store.open(index_folder(index))
    with store.writing():
        before = store.bytes_on_disk()
        store.optimize(timedelta(seconds=keep_seconds))
    return before, store.bytes_on_disk()
