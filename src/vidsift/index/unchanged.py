"""Which of a video's files is still what was indexed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vidsift.errors import QueryError
from vidsift.index.schema import FileRecord

__all__ = ["unchanged_record"]


def unchanged_record(records: Sequence[FileRecord]) -> FileRecord:
    """Return the first of a video's files that has not changed since it was indexed.

    Raises:
        QueryError: every file of the video has changed.
        OSError: none of the files is there.
    """
    away: OSError | None = None
    for record in records:
        try:
            status = Path(record.path).stat()
        except OSError as error:
            away = error
            continue
        if (status.st_size, status.st_mtime_ns) == (record.size_bytes, record.modified_ns):
            return record
    if away is not None:
        raise away
    named = records[0].path if records else "the file"
    raise QueryError(f"{named} is not the file that was indexed; index it again: vidsift index update")
