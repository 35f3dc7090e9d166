"""Which of a video's files is still what was indexed."""

from __future__ import annotations

from pathlib import Path

import pytest

from vidsift.errors import QueryError
from vidsift.index.schema import FileRecord
from vidsift.index.unchanged import unchanged_file


def record_of(path: Path) -> FileRecord:
    path.write_bytes(b"film")
    status = path.stat()
    return FileRecord(str(path), status.st_size, status.st_mtime_ns)


def test_the_first_file_that_is_as_it_was_is_taken(tmp_path: Path) -> None:
    gone, changed, same = (record_of(tmp_path / name) for name in ("gone", "changed", "same"))
    Path(gone.path).unlink()
    Path(changed.path).write_bytes(b"another film")
    assert unchanged_file([gone, changed, same]) == (same.path, same.size_bytes, same.modified_ns)
    with pytest.raises(FileNotFoundError):
        unchanged_file([gone, changed])
    with pytest.raises(QueryError, match=r"changed is not the file that was indexed; index it again"):
        unchanged_file([changed])
