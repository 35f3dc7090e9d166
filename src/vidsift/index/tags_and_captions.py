"""What is said of videos beside what they show: the tables ``tags`` and ``captions`` of an index.

Both belong to a video's content, so they follow it when its file is moved, copied or renamed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vidsift.data.folder import CAPTIONS_FILE, read_folder
from vidsift.errors import CaptionsError
from vidsift.files.paths import inside, path_key, path_keys
from vidsift.index.folders import IndexedFolder
from vidsift.index.schema import FileRecord

__all__ = ["captions_by_source", "captions_by_video", "captions_in", "clean_tags", "tags_by_video"]

_LONGEST_TAG = 100
_MOST_TAGS = 100


def clean_tags(tags: Iterable[str]) -> list[str]:
    """Return tags without spaces around them, each once, sorted.

    Raises:
        ValueError: one is empty, too long or holds control characters, or there are too many.
    """
    clean = sorted({tag.strip() for tag in tags})
    for tag in clean:
        if not tag or len(tag) > _LONGEST_TAG or not tag.isprintable():
            raise ValueError(
                f"the tag {tag!r} cannot be stored; expected 1 to {_LONGEST_TAG} printable letters"
            )
    if len(clean) > _MOST_TAGS:
        raise ValueError(f"{len(clean)} tags for one video, expected at most {_MOST_TAGS}")
    return clean


def tags_by_video(rows: Iterable[Mapping[str, Any]]) -> dict[str, set[str]]:
    """Return the tags of every video that has any, from rows of the table of tags."""
    return {row["video_id"]: set(row["tags"]) for row in rows if row["tags"]}


def captions_by_video(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the captions of every video that has any, each once, in the order of their files."""
    captions: dict[str, dict[str, None]] = {}
    for row in sorted(rows, key=lambda row: str(row["source"])):
        # A dictionary in the place of a set: the order of the files stays.
        captions.setdefault(row["video_id"], {}).update(dict.fromkeys(row["captions"]))
    return {video: list(texts) for video, texts in captions.items()}


def captions_by_source(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, list[str]]]:
    """Return what each file of captions says of each video."""
    sources: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        sources.setdefault(row["source"], {})[row["video_id"]] = row["captions"]
    return sources


def captions_in(
    folders: Sequence[IndexedFolder], records: Mapping[str, FileRecord]
) -> tuple[dict[str, dict[str, list[str]]], list[tuple[str, str]]]:
    """Read the files of captions that lie in indexed folders.

    Args:
        folders: that were walked.
        records: what the index holds.

    Returns:
        For each file of captions what it says of which video; and what is wrong with such files, by path.
    """
    sources: dict[str, dict[str, list[str]]] = {}
    problems: list[tuple[str, str]] = []
    by_key = {path_key(path): record for path, record in records.items()}
    for folder in sorted(_folders_with_videos(folders, records)):
        file = os.path.join(folder, CAPTIONS_FILE)  # noqa: PTH118 - text like the paths
        if not os.path.isfile(file):  # noqa: PTH113 - Path.is_file raises where rights are missing
            continue
        wrong: list[str] = []
        captions: dict[str, list[str]] = {}
        try:
            for entry in read_folder(folder, wrong.append):
                record = by_key.get(path_key(str(entry.path)))
                if record is not None and record.video_id is not None:
                    captions.setdefault(record.video_id, []).extend(entry.captions)
        except CaptionsError as error:
            wrong.append(str(error))
        sources[file] = captions
        if wrong:
            more = f" (and {len(wrong) - 1} more lines)" if len(wrong) > 1 else ""
            problems.append((file, wrong[0].removeprefix(f"{file}, ") + more))
    return sources, problems


def _folders_with_videos(folders: Sequence[IndexedFolder], records: Mapping[str, FileRecord]) -> set[str]:
    """Folders at or below the indexed ones that hold a video, directly or further down."""
    holding: set[str] = set()
    roots = path_keys(folder.path for folder in folders)
    for path in records:
        parent = os.path.dirname(path)  # noqa: PTH120
        while parent not in holding and inside(parent, roots):
            holding.add(parent)
            parent = os.path.dirname(parent)  # noqa: PTH120
    return holding
