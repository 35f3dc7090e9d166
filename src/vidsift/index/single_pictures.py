"""Files with a single picture: no videos where a folder is walked, read where somebody names them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from vidsift.index.paths import path_key
from vidsift.index.storage import FileRecord, Folder, Store
from vidsift.video.find import VIDEO_EXTENSIONS

__all__ = ["kept_places", "named_files", "stored_pictures"]


def stored_pictures(store: Store) -> frozenset[str]:
    """Videos of an index that may have one picture, by length and rate; earlier versions took photos in."""
    names = ["video_id", "duration_seconds", "fps"]
    found: set[str] = set()
    for row in store.segments.search().select(names).to_arrow().to_pylist():
        pictures = row["duration_seconds"] * (row["fps"] or 1.0)
        if pictures < 1.5:
            found.add(row["video_id"])
    return frozenset(found)


def named_files(places: Iterable[Folder]) -> frozenset[str]:
    """Keys of those places that are files: each was asked for by itself."""
    return frozenset(path_key(one.path) for one in places if not Path(one.path).is_dir())


def kept_places(
    places: Iterable[Folder], records: Mapping[str, FileRecord], pictures: Iterable[str]
) -> frozenset[str]:
    """Keys of files that were asked for by themselves and that walking their folder does not give.

    Args:
        places: what was ever asked for.
        records: what the index knows.
        pictures: see :func:`stored_pictures`.
    """
    some = set(pictures)
    photos = {path_key(path) for path, one in records.items() if one.single_picture or one.video_id in some}
    return frozenset(
        key
        for key in named_files(places)
        if os.path.splitext(key)[1].lower() not in VIDEO_EXTENSIONS or key in photos  # noqa: PTH122
    )
