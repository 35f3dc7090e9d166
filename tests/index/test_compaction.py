from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.index.library import filled
from tests.methods import tiny

from vidsift.index import storage
from vidsift.index.compaction import age_of_unread, merge_small
from vidsift.index.storage import Store

ROWS = 40


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return filled(tmp_path / "index", tiny.model(), [5] * ROWS, commits=ROWS)


def _pieces(store: Store) -> list[int]:
    row_ids = store.segments.search().select(["segment_id"]).with_row_id(True).to_arrow()["_rowid"]
    return sorted(np.unique(row_ids.to_numpy() >> 32, return_counts=True)[1].tolist())


def _rows(store: Store) -> pa.Table:
    return store.segments.to_arrow().sort_by("segment_id")


def test_small_pieces_are_merged_and_large_ones_left_alone(store: Store) -> None:
    before = _rows(store)
    reader = Store.open(store.folder)
    reader.segments.checkout(reader.segments.version)
    assert merge_small(store.segments, "segment_id") == ROWS
    assert _pieces(store) == [ROWS]
    assert _rows(store).equals(before)
    assert _rows(reader).equals(before)
    # Fifteen more are left alone; with the sixteenth they become one, and the piece of forty stays.
    more = before.slice(0, 16).to_pylist()
    for number, row in enumerate(more):
        assert merge_small(store.segments, "segment_id") == 0
        row |= {"segment_id": f"new-{number}", "video_id": "new"}
        store.segments.add(pa.Table.from_pylist([row], schema=before.schema))
    assert len(_pieces(store)) == 17
    assert merge_small(store.segments, "segment_id") == 16
    assert _pieces(store) == [16, ROWS]
    assert merge_small(store.segments, "segment_id") == 0
    assert store.segments.count_rows() == ROWS + 16


def test_rows_that_are_there_twice_are_not_touched(store: Store) -> None:
    store.segments.add(store.segments.to_arrow().slice(0, 1))
    assert merge_small(store.segments, "segment_id") == 0
    assert store.segments.count_rows() == ROWS + 1


def test_old_versions_go_once_in_many_versions(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_KEEP_OLD_VERSIONS", timedelta(0))
    before = _rows(store)
    with store.writing():
        store.tidy()
    assert len(store.segments.list_versions()) > ROWS
    monkeypatch.setattr(storage, "_MANY_VERSIONS", store.segments.version + 1)
    with store.writing():
        store.segments.add(before.slice(0, 1))
        store.tidy()
    assert len(store.segments.list_versions()) == 1
    assert _pieces(store) == [ROWS + 1]


class _Versions:
    """A table whose versions were made so long ago."""

    def __init__(self, *ages: timedelta) -> None:
        self._ages = ages

    def list_versions(self) -> list[dict[str, Any]]:
        now = datetime.now()
        return [{"timestamp": now - age} for age in self._ages]


def test_the_age_of_a_version_counts_from_when_it_was_replaced() -> None:
    days, minutes, hour = timedelta(days=1), timedelta(minutes=1), timedelta(hours=1)
    seconds = timedelta(seconds=30)
    # Made two days ago, replaced ten minutes ago: a reader may still hold it.
    age = age_of_unread(_Versions(3 * days, 2 * days, 10 * minutes), hour)
    assert 2 * days < age < 2 * days + seconds
    age = age_of_unread(_Versions(3 * days, 70 * minutes, 50 * minutes), hour)
    assert 70 * minutes < age < 70 * minutes + seconds
    assert age_of_unread(_Versions(50 * minutes), hour) > hour
    assert age_of_unread(_Versions(3 * days), timedelta(0)) < timedelta(seconds=1)
