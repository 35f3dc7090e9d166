"""Which of a video's files is still what was indexed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from vidsift.errors import QueryError, VideoChangedError
from vidsift.index.schema import FileRecord
from vidsift.video.indexed_file import IndexedFile, check_unchanged

__all__ = ["unchanged_file"]


def unchanged_file(records: Sequence[FileRecord]) -> IndexedFile:
    """Return the first of a video's files that has not changed since it was indexed.

    Raises:
        QueryError: every file of the video has changed.
        OSError: none of the files is there.
    """
    away: OSError | None = None
    for record in records:
        file = IndexedFile(record.path, record.size_bytes, record.modified_ns)
        try:
            with suppress(VideoChangedError):
                check_unchanged(file)
                return file
        except OSError as error:
            away = error
    if away is not None:
        raise away
    named = records[0].path if records else "the file"
    raise QueryError(f"{named} is not the file that was indexed; index it again: vidsift index update")
