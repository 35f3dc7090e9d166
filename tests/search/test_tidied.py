"""An index that was opened long ago, and tidied since: questions are answered all the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from tests.index.library import filled, lance_table
from tests.methods import tiny

from vidsift.errors import IndexFolderError, IndexVersionGoneError
from vidsift.index.encode import segment_id
from vidsift.index.storage import Store
from vidsift.methods.model import Model
from vidsift.search.gallery import Gallery
from vidsift.search.searcher import Index
from vidsift.types import Span

COUNTS = [5, 1, 3, 5, 4, 2]
QUERY = "a red circle moves left"
FIRST_VIDEO = f"{0:032x}"
FIRST_SEGMENT = segment_id(FIRST_VIDEO, Span(0.0, 6.0))
REMEDY = r"was tidied meanwhile.* call refresh\(\)"

Ask = Callable[[Index], object]


ASKED: dict[str, Ask] = {
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
        for table in (lance_table(store.folder, name) for name in store.opened()):
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
    opened = {name: Index.open(store.folder, model) for name in ASKED}
    for index in opened.values():
        if read_before:
            assert len(index.gallery) == len(COUNTS)
    expected = {name: ask(Index.open(store.folder, model)) for name, ask in ASKED.items()}
    tidied(store)
    assert {name: ask(opened[name]) for name, ask in ASKED.items()} == expected


def test_who_wants_one_version_is_told(store: Store, model: Model) -> None:
    index = Index.open(store.folder, model)
    index.renews = False
    assert len(index.search(QUERY, k=3)) == 3
    assert index.reopened().renews is False
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
