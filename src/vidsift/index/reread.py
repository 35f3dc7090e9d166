"""Files that an earlier version of the reader may have read with wrong times: they are looked at once more.

Beside the tables lies which version of the reader the index was read by, and which files a newer one has
still to look at. A file is read anew only where its length, which is stored, is not the one found now.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from vidsift.index.disk import telling, write_whole
from vidsift.index.manifest import READER
from vidsift.index.schema import FileRecord
from vidsift.index.storage import Store
from vidsift.video.find import VIDEO_EXTENSIONS
from vidsift.video.joined import starts_of_parts
from vidsift.video.timed import may_start_again

__all__ = ["READER_VERSION", "stored_seconds", "to_look_at", "write_looked_at"]

READER_VERSION = 2
"""Raised when files that are as they were are to be looked at once more.

2: one clock for files whose own starts again; the end of files that start late.
"""

_LENGTHS_TELL = frozenset({".avi", ".divx", ".mkv", ".webm"})
_ALL_IS_IN_THE_NAME = VIDEO_EXTENSIONS - {
    *(".m2ts", ".m2v", ".mod", ".mpe", ".mpeg", ".mpg", ".mts", ".tod", ".ts", ".vob"),
}


def to_look_at(store: Store, records: Mapping[str, FileRecord]) -> set[str]:
    """Paths of the index that this version of the reader has not seen, and may read otherwise; while writing.

    Args:
        store: open.
        records: what it knows of files.
    """
    try:
        written = json.loads((store.folder / READER).read_text(encoding="utf-8"))
        version, waiting = int(written["version"]), {str(path) for path in written["waiting"]}
    except (OSError, ValueError, TypeError, KeyError):
        version, waiting = 1, set()
    if version < READER_VERSION:
        waiting = {one.path for one in records.values() if one.video_id is not None and _suspect(one)}
        _write(store, waiting)
    return {path for path in waiting if path in records}


def write_looked_at(store: Store, waiting: set[str], paths: Iterable[str]) -> None:
    """Remember which files need not be looked at again, and take them out of ``waiting``; while writing."""
    done = waiting.intersection(paths)
    if done:
        waiting -= done
        _write(store, waiting)


def stored_seconds(store: Store, video_ids: Collection[str]) -> dict[str, float]:
    """How long videos are, as the index has it."""
    table = store.facts(["video_id", "duration_seconds"], video_ids)
    return dict(zip(table["video_id"].to_pylist(), table["duration_seconds"].to_pylist(), strict=True))


def _suspect(record: FileRecord) -> bool:
    if record.damage is not None and "may be cut off" in record.damage:
        return True
    path = Path(record.path)
    suffix = path.suffix.lower()
    try:
        if suffix in _LENGTHS_TELL:
            return len(starts_of_parts(path)) > 1
        if suffix in _ALL_IS_IN_THE_NAME:
            return False
        return may_start_again(path)
    except OSError:
        return suffix in VIDEO_EXTENSIONS  # away just now, as on a drive


def _write(store: Store, waiting: set[str]) -> None:
    with telling(store.folder):
        write_whole(store.folder / READER, {"version": READER_VERSION, "waiting": sorted(waiting)})
