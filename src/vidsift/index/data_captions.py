"""What a data set says of videos that an index holds; its annotations may lie anywhere."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from vidsift.data.entries import Entry
from vidsift.files.paths import absolute, path_key
from vidsift.index.storage import Store

__all__ = ["keep_captions"]


def keep_captions(index: str | Path, name: str, entries: Iterable[Entry]) -> int:
    """Keep captions of the videos that an index holds, as those of a ``captions.jsonl`` among them are kept.

    Args:
        index: folder of the index.
        name: of the data set and its split: what was kept under this name before is replaced.
        entries: what is said. A caption of a part of a video is kept for the video.

    Returns:
        How many of the videos the index holds.

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
