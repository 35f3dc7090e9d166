"""Files with a single picture: no videos where a folder is walked, read where somebody names them."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Mapping

import numpy as np
import pyarrow as pa

from vidsift.files.paths import path_key, path_keys
from vidsift.index.folders import Folder
from vidsift.index.schema import FileRecord
from vidsift.index.storage import Store
from vidsift.video.find import VIDEO_EXTENSIONS

__all__ = ["kept_places", "named_files", "stored_pictures"]


_TWO_PICTURES = 1.5
"""What length times rate is below for one picture, and above for two."""


def stored_pictures(store: Store) -> frozenset[str]:
    """Videos of an index that may have one picture, by length and rate; earlier versions took photos in."""
    table = store.facts(["video_id", "duration_seconds", "fps"])
    rates = np.asarray(table["fps"].to_numpy(), np.float64)
    pictures = table["duration_seconds"].to_numpy() * np.where(rates > 0, rates, 1.0)
    return frozenset(table["video_id"].filter(pa.array(pictures < _TWO_PICTURES)).to_pylist())


def named_files(places: Iterable[Folder], known: Container[str]) -> frozenset[str]:
    """Keys of those places that are files: each was asked for by itself.

    Args:
        places: of which some may be away just now, as on a drive.
        known: keys of the files that the index knows.
    """
    keys = {path_key(one.path): one.path for one in places}
    return frozenset(key for key, path in keys.items() if key in known or os.path.isfile(path))  # noqa: PTH113


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
        for key in named_files(places, path_keys(records))
        if os.path.splitext(key)[1].lower() not in VIDEO_EXTENSIONS or key in photos  # noqa: PTH122
    )
