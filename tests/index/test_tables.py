from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.index.library import filled, lance_table
from tests.methods import tiny

import vidsift
from vidsift.index import storage
from vidsift.index.schema import ROW_ID
from vidsift.index.storage import Store
from vidsift.index.tables import Table, age_of_unread

ROWS = 40


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return filled(tmp_path / "index", tiny.model(), [5] * ROWS, commits=ROWS)


def _pieces(store: Store) -> list[int]:
    row_ids = Table(store.folder, "segments").read(["segment_id"], row_ids=True)[ROW_ID]
    return sorted(np.unique(row_ids.to_numpy() >> 32, return_counts=True)[1].tolist())


def _rows(store: Store) -> pa.Table:
    return Table(store.folder, "segments").read().sort_by("segment_id")


def test_small_pieces_are_merged_and_large_ones_left_alone(store: Store) -> None:
    before = _rows(store)
    segments, reader = Table(store.folder, "segments"), store.segment_reader()
    assert segments.merge_small("segment_id") == ROWS
    assert _pieces(store) == [ROWS]
    assert _rows(store).equals(before)
    assert reader.read(before.schema.names).select(before.schema.names).sort_by("segment_id").equals(before)
    # Fifteen more are left alone; with the sixteenth they become one, and the piece of forty stays.
    more = before.slice(0, 16).to_pylist()
    for number, row in enumerate(more):
        assert segments.merge_small("segment_id") == 0
        row |= {"segment_id": f"new-{number}", "video_id": "new"}
        segments.add(pa.Table.from_pylist([row], schema=before.schema))
    assert len(_pieces(store)) == 17
    assert segments.merge_small("segment_id") == 16
    assert _pieces(store) == [16, ROWS]
    assert segments.merge_small("segment_id") == 0
    assert segments.count() == ROWS + 16


def test_rows_that_are_there_twice_are_not_touched(store: Store) -> None:
    segments = Table(store.folder, "segments")
    segments.add(segments.read().slice(0, 1))
    assert segments.merge_small("segment_id") == 0
    assert segments.count() == ROWS + 1


def test_old_versions_go_once_in_many_versions(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_KEEP_OLD_VERSIONS", timedelta(0))
    before = _rows(store)
    with store.writing():
        store.compact()
    assert len(lance_table(store.folder).list_versions()) > ROWS
    monkeypatch.setattr(storage, "_MANY_VERSIONS", store.version + 1)
    with store.writing():
        store.commit(before.slice(0, 1), [])
        store.compact()
    assert len(lance_table(store.folder).list_versions()) == 1
    assert _pieces(store) == [ROWS + 1]


def _made(*ages: timedelta) -> list[datetime]:
    """When versions of these ages were made, in local time without a zone, as LanceDB says it."""
    now = datetime.now()
    return [now - age for age in ages]


def test_the_age_of_a_version_counts_from_when_it_was_replaced() -> None:
    days, minutes, hour = timedelta(days=1), timedelta(minutes=1), timedelta(hours=1)
    seconds = timedelta(seconds=30)
    # Made two days ago, replaced ten minutes ago: a reader may still hold it.
    age = age_of_unread(_made(3 * days, 2 * days, 10 * minutes), hour)
    assert 2 * days < age < 2 * days + seconds
    age = age_of_unread(_made(3 * days, 70 * minutes, 50 * minutes), hour)
    assert 70 * minutes < age < 70 * minutes + seconds
    assert age_of_unread(_made(50 * minutes), hour) > hour
    assert age_of_unread(_made(3 * days), timedelta(0)) < timedelta(seconds=1)


def test_lancedb_is_spoken_in_one_file() -> None:
    """Its tables, queries and filters stay behind the store, so that one file changes when they do."""
    spoken = re.compile(r"\blancedb\b|\.(?:to_arrow|with_row_id|merge_insert|count_rows|open_table)\(")
    source = Path(vidsift.__file__).parent
    files = {path.relative_to(source).as_posix(): path for path in source.rglob("*.py")}
    speakers = {name for name, path in files.items() if spoken.search(path.read_text(encoding="utf-8"))}
    assert speakers == {"index/tables.py"}
    behind = re.compile(r"\bindex(?:\.| import )tables\b")
    outside = {name: path for name, path in files.items() if not name.startswith("index/")}
    assert not [name for name, path in outside.items() if behind.search(path.read_text(encoding="utf-8"))]
