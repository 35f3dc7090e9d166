from __future__ import annotations

import math
import time
from pathlib import Path

import pytest
from tests.index.library import filled, manifest_of
from tests.methods import tiny

from vidsift.errors import MissingSavedError
from vidsift.index import moment_collections
from vidsift.index.manifest import write_manifest
from vidsift.index.moment_collections import CollectedMoment, MomentCollection, MomentCollections

VIDEO = f"{0:032x}"


@pytest.fixture
def index(tmp_path: Path) -> Path:
    (tmp_path / "index").mkdir()
    write_manifest(tmp_path / "index", manifest_of(tiny.model()))
    return tmp_path / "index"


def moment(start: float, end: float, note: str = "", video: str = VIDEO) -> CollectedMoment:
    return CollectedMoment("", video, "/videos/a/0.mp4", start, end, note)


def spans(collection: MomentCollection) -> list[tuple[float, float, str]]:
    return [(moment.start_seconds, moment.end_seconds, moment.note) for moment in collection.moments]


def test_moments_are_added_in_order_and_never_twice(index: Path) -> None:
    collections = MomentCollections(index)
    made = collections.add("best of")
    assert made.moments == ()
    collections.add_moments(made.entry_id, [moment(4, 5, " été "), moment(1, 2)])
    after = collections.add_moments(made.entry_id, [moment(1, 2, "again"), moment(1, 2.5), moment(1, 2.5)])
    assert spans(after) == [(4, 5, "été"), (1, 2, ""), (1, 2.5, "")]
    assert len({moment.moment_id for moment in after.moments}) == 3
    assert all(abs(moment.added_seconds - time.time()) < 60 for moment in after.moments)
    assert MomentCollections(index).read() == [after]


def test_moments_and_collections_are_taken_away(index: Path) -> None:
    collections = MomentCollections(index)
    first, second = collections.add("a"), collections.add("b")
    held = collections.add_moments(first.entry_id, [moment(0, 1), moment(1, 2)])
    left = collections.remove_moment(first.entry_id, held.moments[0].moment_id)
    assert spans(left) == [(1, 2, "")]
    with pytest.raises(MissingSavedError, match="no moment of the collection 'a' has the identity"):
        collections.remove_moment(first.entry_id, held.moments[0].moment_id)
    with pytest.raises(MissingSavedError, match="none of the collections"):
        collections.add_moments("nothing", [moment(0, 1)])
    renamed = collections.rename(first.entry_id, "c")
    assert (renamed.name, renamed.moments) == ("c", left.moments)
    collections.remove(second.entry_id)
    assert collections.read() == [renamed]


def test_a_moment_outlives_its_video(tmp_path: Path) -> None:
    store = filled(tmp_path / "index", tiny.model(), [5, 4])
    collections = MomentCollections(store.folder)
    made = collections.add("best of")
    before = collections.add_moments(made.entry_id, [moment(0, 1)])
    store.drop_paths(["/videos/a/0.mp4"])
    assert store.drop_orphans() == 1
    assert MomentCollections(store.folder).find(made.entry_id) == before


def test_there_is_room_for_so_many(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moment_collections, "MOST_MOMENTS", 3)
    monkeypatch.setattr(moment_collections, "MOST_IN_ALL", 4)
    collections = MomentCollections(index)
    first, second = collections.add("a"), collections.add("b")
    full = collections.add_moments(first.entry_id, [moment(at, at + 1) for at in range(3)])
    with pytest.raises(ValueError, match="the collection 'a' would hold 4 moments, expected at most 3"):
        collections.add_moments(first.entry_id, [moment(7, 8)])
    with pytest.raises(ValueError, match="all collections together would hold 5 moments, expected at most 4"):
        collections.add_moments(second.entry_id, [moment(0, 1), moment(1, 2)])
    assert collections.read() == [full, second]


@pytest.mark.parametrize(
    ("start", "end", "note"),
    [
        (1, 1, ""),
        (2, 1, ""),
        (-1, 1, ""),
        (0, math.inf, ""),
        (math.nan, 1, ""),
        (0, 1, "x" * 501),
        (0, 1, "\n.\n."),
    ],
)
def test_what_is_no_moment_is_refused(index: Path, start: float, end: float, note: str) -> None:
    made = MomentCollections(index).add("a")
    with pytest.raises(ValueError, match="cannot be saved; "):
        MomentCollections(index).add_moments(made.entry_id, [moment(start, end, note)])
