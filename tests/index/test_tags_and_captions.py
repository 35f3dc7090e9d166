from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import pytest
from tests.index.library import filled, lance_table
from tests.methods import tiny

from vidsift.errors import IndexFolderError
from vidsift.index import storage, tables
from vidsift.index.schema import FileRecord
from vidsift.index.storage import Store
from vidsift.index.tables import Table
from vidsift.index.tags_and_captions import clean_tags
from vidsift.index.writing import write_lock

FIRST, SECOND = f"{0:032x}", f"{1:032x}"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return filled(tmp_path / "index", tiny.model(), [5, 4, 5])


def test_tags_belong_to_content_and_are_replaced_whole(store: Store) -> None:
    assert store.read_tags() == {}
    store.set_tags(FIRST, ["holiday", " it's 2019 ", "holiday", "été"])
    store.set_tags(SECOND, ["work"])
    assert Store.open(store.folder).read_tags() == {FIRST: {"holiday", "it's 2019", "été"}, SECOND: {"work"}}
    store.set_tags(FIRST, ["other"])
    store.set_tags(SECOND, [])
    assert Store.open(store.folder).read_tags() == {FIRST: {"other"}}


def test_tags_wait_for_a_video_that_goes_and_comes_back(store: Store) -> None:
    store.set_tags(FIRST, ["holiday"])
    store.drop_paths(["/videos/a/0.mp4"])
    assert store.drop_orphans() == 1
    assert store.read_tags() == {FIRST: {"holiday"}}
    with pytest.raises(ValueError, match="there is no video"):
        store.set_tags(FIRST, [])


def test_tags_can_be_given_while_an_indexing_run_writes(store: Store) -> None:
    with store.writing():
        store.commit(None, [FileRecord("/new.mp4", 1, 1, FIRST)])
        Store.open(store.folder).set_tags(FIRST, ["meanwhile"])
        store.commit(None, [FileRecord("/newer.mp4", 1, 1, FIRST)])
    assert Store.open(store.folder).read_tags() == {FIRST: {"meanwhile"}}


def test_many_at_once_lose_no_tag(store: Store) -> None:
    def give(number: int) -> None:
        Store.open(store.folder).set_tags((FIRST, SECOND)[number % 2], [f"tag {number // 2}"])

    threads = [threading.Thread(target=give, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tags = Store.open(store.folder).read_tags()
    assert set(tags) == {FIRST, SECOND}
    assert all(len(some) == 1 for some in tags.values())


@pytest.mark.parametrize("tag", ["", "  ", "x" * 101, "two\nlines", "\x1b[31m"])
def test_what_is_no_tag_is_refused(tag: str) -> None:
    with pytest.raises(ValueError, match="cannot be stored"):
        clean_tags(["fine", tag])


def test_too_many_tags_are_refused() -> None:
    with pytest.raises(ValueError, match="101 tags for one video"):
        clean_tags([str(number) for number in range(101)])


def test_captions_follow_their_files(store: Store) -> None:
    a, b = "/it's/captions.jsonl", "/b/captions.jsonl"
    assert (
        store.write_captions({a: {FIRST: ["a dog", "a cat"], SECOND: ["x"]}, b: {FIRST: ["a cat", "a bird"]}})
        == 2
    )
    assert Store.open(store.folder).read_captions() == {FIRST: ["a cat", "a bird", "a dog"], SECOND: ["x"]}
    version = lance_table(store.folder, "captions").version
    assert store.write_captions({a: {FIRST: ["a dog", "a cat"], SECOND: ["x"]}}) == 0
    assert lance_table(store.folder, "captions").version == version
    assert store.write_captions({a: {FIRST: ["a dog"]}}) == 1
    assert Store.open(store.folder).read_captions() == {FIRST: ["a cat", "a bird", "a dog"]}
    assert store.write_captions({}, gone=[b, "/never"]) == 1
    assert Store.open(store.folder).read_captions() == {FIRST: ["a dog"]}
    assert store.write_captions({a: {}}) == 1
    assert Store.open(store.folder).read_captions() == {}


@pytest.mark.parametrize("by_the_run", [True, False])
def test_tags_wait_while_their_pieces_are_merged(
    store: Store, monkeypatch: pytest.MonkeyPatch, by_the_run: bool
) -> None:
    """Whoever gives tags takes their lock; merging rewrites the table under it."""
    store.set_tags(FIRST, ["holiday"])
    free: dict[str, bool] = {}

    def look(table: Table, _keep: timedelta) -> None:
        try:
            with write_lock(store.folder, storage.TAGS_LOCK):
                free[table.name] = True
        except IndexFolderError:
            free[table.name] = False

    monkeypatch.setattr(Table, "merge_everything", look)
    monkeypatch.setattr(tables, "_MANY_SMALL_PIECES", 1)
    with store.writing():
        (store.compact if by_the_run else store.optimize)()
    assert free["tags"] is False
    assert free["files"] is True


def test_a_run_ends_though_somebody_is_giving_tags(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.set_tags(FIRST, ["holiday"])
    monkeypatch.setattr(storage, "TAGS_PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(tables, "_MANY_SMALL_PIECES", 1)
    with store.writing(), write_lock(store.folder, storage.TAGS_LOCK):
        store.compact()
        with pytest.raises(IndexFolderError, match="another process is writing"):
            store.optimize()
    assert store.read_tags() == {FIRST: {"holiday"}}
