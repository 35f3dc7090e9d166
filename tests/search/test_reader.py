"""One version of an index: what newer ones share with it, and what becomes of questions once it is gone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.index.library import filled, lance_table
from tests.methods import tiny

from vidsift.errors import IndexFolderError, IndexVersionGoneError
from vidsift.index.encode import segment_id
from vidsift.index.manifest import write_manifest
from vidsift.index.storage import Store
from vidsift.methods.model import Model
from vidsift.search.gallery import Gallery
from vidsift.search.reader import IndexReader, ask_again
from vidsift.search.searcher import Index
from vidsift.types import Filter, Span

COUNTS = [5, 1, 3, 5, 4, 2]
QUERY = "a red circle moves left"
FIRST_VIDEO = f"{0:032x}"
FIRST_SEGMENT = segment_id(FIRST_VIDEO, Span(0.0, 6.0))
REMEDY = r"the version that was read is cleaned up; call refresh\(\)"

Ask = Callable[[Index], object]


REQUESTS: dict[str, Ask] = {
    "search": lambda index: index.search(QUERY, k=3),
    "in order": lambda index: index.search([QUERY, "circle"], k=3),
    "similar": lambda index: index.similar(FIRST_SEGMENT, k=3),
    "in_video": lambda index: index.in_video(QUERY, FIRST_VIDEO),
    "explain": lambda index: index.explain(QUERY, FIRST_SEGMENT).to_dict(),
    "captions": lambda index: index.captions_for(FIRST_VIDEO),
    "thumbnail": lambda index: index.thumbnail(FIRST_SEGMENT),
    "path": lambda index: index.video_at("/videos/a/0.mp4"),
    "tags": lambda index: index.search(QUERY, k=3, tags=["holiday"]),
}


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny.model()


def tidied(store: Store) -> None:
    """Write everything anew, and clean up all but the newest version, as an hour later."""
    with store.writing():
        for table in (lance_table(store.folder, name) for name in store.readable_tables()):
            if table.count_rows():
                table.update(values_sql={table.schema.names[0]: table.schema.names[0]})
            # A version of its own, even of a table in which nothing is.
            table.add_columns({"later": "1"})
            table.drop_columns(["later"])
        store.refresh()
        store.optimize(timedelta(0))


@pytest.fixture
def store(model: Model, tmp_path: Path) -> Store:
    made = filled(tmp_path / "index", model, COUNTS)
    made.set_tags(FIRST_VIDEO, ["holiday"])
    made.write_captions({"/videos/a/0.txt": {FIRST_VIDEO: ["a red circle"]}})
    return made


@pytest.mark.parametrize("read_before", [True, False], ids=["read", "opened"])
def test_questions_are_answered_by_the_index_as_it_is_now(
    store: Store, model: Model, read_before: bool
) -> None:
    opened = {name: Index.open(store.folder, model) for name in REQUESTS}
    for index in opened.values():
        if read_before:
            assert len(index.gallery) == len(COUNTS)
    expected = {name: ask(Index.open(store.folder, model)) for name, ask in REQUESTS.items()}
    tidied(store)
    assert {name: ask(opened[name]) for name, ask in REQUESTS.items()} == expected


def test_who_wants_one_version_is_told(store: Store, model: Model) -> None:
    index = Index.open(store.folder, model)
    index.auto_refresh = False
    assert len(index.search(QUERY, k=3)) == 3
    assert index.reopened().auto_refresh is False
    tidied(store)
    with pytest.raises(IndexVersionGoneError, match=REMEDY):
        index.search(QUERY, k=3)
    with pytest.raises(IndexVersionGoneError, match=REMEDY):
        index.thumbnail(FIRST_SEGMENT)
    index.refresh()
    assert len(index.search(QUERY, k=3)) == 3


def test_a_gallery_says_which_of_its_troubles_it_is(store: Store, model: Model) -> None:
    gallery = Gallery.read(Store.open(store.folder), model.method, "fp32")
    late = Store.open(store.folder)
    tidied(store)
    for read in (
        lambda: gallery.exact([0, 2]),
        lambda: gallery.columns([1], ["thumbnail"]),
        lambda: gallery.held_for(model.method, "int8"),
        lambda: Gallery.read(late, model.method, "fp32"),
    ):
        with pytest.raises(IndexVersionGoneError, match=REMEDY):
            read()
    newest = Gallery.read(Store.open(store.folder), model.method, "fp32")
    for file in (store.folder / "segments.lance" / "data").iterdir():
        file.unlink()
    with pytest.raises(IndexFolderError, match="is damaged") as damaged:
        newest.exact([0])
    assert not isinstance(damaged.value, IndexVersionGoneError)


def test_a_question_is_asked_again_once_where_its_version_is_gone() -> None:
    calls: list[str] = []

    def gone_at_first() -> int:
        calls.append("ask")
        if len(calls) == 1:
            raise IndexVersionGoneError("cleaned up")
        return len(calls)

    assert ask_again(gone_at_first, lambda: calls.append("refresh")) == 3
    assert calls == ["ask", "refresh", "ask"]

    def always_gone() -> int:
        raise IndexVersionGoneError("cleaned up again")

    with pytest.raises(IndexVersionGoneError, match="again"):
        ask_again(always_gone, lambda: None)


def test_versions_of_the_same_segments_share_what_was_read_of_them(store: Store, model: Model) -> None:
    reader = IndexReader(store, model)
    unread = reader.newest(share_segments=True)
    assert unread.segments is not reader.segments  # nothing was read that could be shared
    assert len(reader.gallery) == len(COUNTS)
    assert reader.paths[FIRST_VIDEO] == ["/videos/a/0.mp4"]
    Store.open(store.folder).set_tags(FIRST_VIDEO, ["sea"])
    retagged = reader.newest(share_segments=True)
    assert retagged.segments is reader.segments
    sea = Filter(tags=["sea"])
    assert list(retagged.allowed(sea)[0]) == [FIRST_VIDEO]
    assert list(reader.allowed(sea)[0]) == []  # its tags are those of its own version
    assert reader.newest(share_segments=False).segments is not reader.segments
    with store.writing():
        store.drop_videos([FIRST_VIDEO])
    assert reader.newest(share_segments=True).segments is not reader.segments


def test_a_reader_refuses_the_model_of_another_index(store: Store) -> None:
    with pytest.raises(IndexFolderError, match="was made with another model"):
        IndexReader(store, tiny.model(seed=1))


def test_an_index_made_anew_with_another_model_is_refused(store: Store, model: Model) -> None:
    index = Index.open(store.folder, model)
    write_manifest(store.folder, replace(store.manifest, fingerprint="0" * 64))
    for reopen in (index.refresh, index.reopened):
        with pytest.raises(IndexFolderError, match="was made with another model"):
            reopen()
    assert len(index.search(QUERY, k=3)) == 3  # what is open stays


def test_a_question_is_encoded_once_for_its_hits_accounts_and_strips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny.model()
    index = Index.open(filled(tmp_path / "index", model, [3, 5, 3]).folder, model)
    index.calibration  # noqa: B018 - encodes unrelated questions
    encoded: list[list[str]] = []
    really = type(model).encode_text

    def noting(self: Model, sentences: list[str]) -> Any:
        encoded.append(list(sentences))
        return really(self, sentences)

    monkeypatch.setattr(type(model), "encode_text", noting)
    hits = index.search("a red circle", k=3)
    for hit in hits:
        assert index.explain("a red circle", hit).score == hit.score
        index.in_video("a red circle", hit.video_id)
    assert encoded == [["a red circle"]]
    assert index.search("a blue circle", k=3) != hits
    assert len(encoded) == 2
