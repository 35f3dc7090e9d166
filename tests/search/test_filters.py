"""Which videos may be found, and which of the hits are given."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from tests.index.library import filled
from tests.methods import tiny

from vidsift.errors import QueryError
from vidsift.index.schema import FileRecord
from vidsift.index.storage import Store
from vidsift.methods.model import Model
from vidsift.search.filters import shown_paths
from vidsift.search.searcher import Index
from vidsift.types import Filter, FilterFields

COUNTS = [5, 1, 3, 5, 4, 5, 2, 5, 5, 3]
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny.model()


@pytest.fixture(scope="module")
def store(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = filled(tmp_path_factory.mktemp("filters") / "index", model, COUNTS)
    second = round(NOON.timestamp() * 1e9)
    # Video n was written n hours after noon; video 4 has a copy that was written later, elsewhere.
    records = [
        FileRecord(path, 1, second + int(record.video_id or "0", 16) * 3600 * 10**9, record.video_id)
        for path, record in store.read_files().items()
    ]
    store.commit(None, [*records, FileRecord("/else/copy.mp4", 1, second + 10**15, f"{4:032x}")])
    return store


@pytest.fixture
def index(store: Store, model: Model) -> Index:
    return Index.open(store.folder, model)


def _videos(index: Index, **conditions: object) -> set[int]:
    hits = index.search("circle", k=100, **conditions)  # type: ignore[arg-type]
    return {int(hit.video_id, 16) for hit in hits}


def test_dates_keep_the_videos_with_a_file_of_that_time(index: Index) -> None:
    later = NOON + timedelta(hours=4)
    everything = {0, 1, 3, 4, 6, 7, 9}
    assert _videos(index) == everything
    assert _videos(index, modified_after=later) == {4, 6, 7, 9}
    assert _videos(index, modified_before=later) == {0, 1, 3}
    assert _videos(index, modified_after=later, modified_before=later + timedelta(seconds=1)) == {4}
    assert _videos(index, modified_after=NOON + timedelta(days=8)) == {4}
    (copy,) = {hit.path for hit in index.search("circle", modified_after=NOON + timedelta(days=8))}
    assert copy == "/else/copy.mp4"
    # One file has to fit every condition: the copy in this folder is too late, the other not in it.
    assert _videos(index, modified_before=later + timedelta(hours=1), under="/else") == set()


def test_a_date_without_a_zone_is_local_time(index: Index) -> None:
    local = NOON.astimezone().replace(tzinfo=None)
    assert _videos(index, modified_before=local) == set()
    assert _videos(index, modified_after=local) == {0, 1, 3, 4, 6, 7, 9}


def test_videos_carry_all_of_the_tags(store: Store, index: Index) -> None:
    store.set_tags(f"{1:032x}", ["holiday", "sea"])
    store.set_tags(f"{3:032x}", ["holiday"])
    index.refresh()
    assert _videos(index, tags=["holiday"]) == {1, 3}
    assert _videos(index, tags=["holiday", "sea"]) == {1}
    assert _videos(index, tags=["work"]) == set()
    with pytest.raises(QueryError, match=r"tags is 'sea', expected a list of tags: \['sea'\]"):
        index.search("circle", tags="sea")


def test_the_first_path_that_fits_is_shown() -> None:
    paths = {"one": ["/a/1.mp4", "/b/1.mp4"]}
    records = {path: FileRecord(path, 1, 1, "one") for path in paths["one"]}
    assert shown_paths(Filter(), paths, records, {}) == {"one": "/a/1.mp4"}
    assert shown_paths(Filter(under="/b"), paths, records, {}) == {"one": "/b/1.mp4"}


def test_names_are_compared_without_case_and_however_accents_are_written() -> None:
    names = {"one": "/a/U\u0308bung 1.MP4", "two": "/\u00fcbung/2.mp4", "three": "/a/Stra\u00dfe.mov"}
    paths = {video: [path] for video, path in names.items()}
    records = {path: FileRecord(path, 1, 1, video) for video, path in names.items()}

    def called(name: str, **conditions: str) -> list[str]:
        return list(shown_paths(Filter(name=name, **conditions), paths, records, {}))  # type: ignore[arg-type]

    assert called("\u00dcBUNG") == ["one"]  # of the file, not of its folders
    assert called("strasse") == ["three"]
    assert called(".mp4") == ["one", "two"]
    assert called("/") == []
    # One file has to fit every condition, and what is shown is that one.
    paths, records = {"one": [names["one"], names["three"]]}, {path: records[path] for path in records}
    assert shown_paths(Filter(name="stra"), paths, records, {}) == {"one": names["three"]}
    assert called("stra", under="/\u00fcbung") == []


def test_pages_are_the_whole_list_cut(index: Index) -> None:
    every = index.search("a red circle", k=10)
    pages = [index.search("a red circle", k=3, skip=skip) for skip in (0, 3, 6, 9, 12)]
    assert [hit for page in pages for hit in page] == every
    assert [hit.rank for hit in pages[1]] == [4, 5, 6]
    grouped = index.search("a red circle", k=10, group_by="video")
    assert index.search("a red circle", k=2, skip=2, group_by="video") == grouped[2:4]


def test_none_is_worse_than_the_least_score(index: Index) -> None:
    every = index.search("a red circle", k=10)
    assert index.search("a red circle", k=10, min_score=every[3].score) == every[:4]
    assert index.search("a red circle", k=2, skip=3, min_score=every[3].score) == every[3:4]
    assert index.search("a red circle", k=10, min_score=9) == []


def test_values_that_make_no_sense_are_refused(index: Index) -> None:
    with pytest.raises(QueryError, match="skip is -1, expected 0 or more"):
        index.search("circle", skip=-1)
    with pytest.raises(QueryError, match="min_score is nan, expected a number"):
        index.search("circle", min_score=float("nan"))
    with pytest.raises(QueryError, match="k is 0, expected at least 1"):
        index.search("circle", k=0)
    with pytest.raises(QueryError, match="no video of the index lies under"):
        index.search("circle", under="/nowhere")


CONDITIONS: list[FilterFields] = [
    {"under": "/videos/a"},
    {"name": "3"},
    {"min_duration_seconds": 4.0},
    {"max_duration_seconds": 4.0},
    {"modified_after": NOON + timedelta(hours=4)},
    {"modified_before": NOON + timedelta(hours=4)},
    {"min_score": 0.0},
    {"group_by": "video"},
    {"skip": 2},
]


@pytest.mark.parametrize("conditions", CONDITIONS, ids=lambda conditions: next(iter(conditions)))
def test_a_filter_and_its_fields_by_name_narrow_alike(index: Index, conditions: FilterFields) -> None:
    query = "a red circle"
    segment = index.search(query, k=1)[0].segment_id
    filter = Filter(**conditions)
    by_name = index.search(query, k=4, **conditions)
    assert by_name == index.search(query, k=4, filter=filter)
    assert by_name == index.search_many(["a star", query], k=4, filter=filter)[1]
    # What is given by name stands in the place of the filter's own.
    other = Filter(skip=7, under="/else")
    neutral: FilterFields = {"skip": 0, "under": None}
    assert by_name == index.search(query, k=4, filter=other, **(neutral | conditions))
    in_order = [query, "a star"]
    assert index.search(in_order, k=4, **conditions) == index.search(in_order, k=4, filter=filter)
    assert index.similar(segment, k=4, **conditions) == index.similar(segment, k=4, filter=filter)
