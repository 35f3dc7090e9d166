"""Damaged tags and captions keep nobody from the videos, and are repaired as far as they can be read."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.index.library import lance_table, library
from tests.methods import tiny

from vidsift.errors import IndexFolderError, QueryError
from vidsift.index.build import build_index
from vidsift.index.check import check_index
from vidsift.index.library import Library, describe
from vidsift.index.maintenance import remove_paths
from vidsift.index.schema import TableName
from vidsift.index.storage import Store
from vidsift.search.searcher import Index

CLIPS = 3


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``videos`` with captions, ``model``, and the ``index`` of both in which every video has a tag."""
    home = tmp_path_factory.mktemp("made")
    library(home / "videos", CLIPS)
    (home / "videos" / "captions.jsonl").write_text('{"video": "clip0.mp4", "captions": ["a dog"]}\n')
    tiny.model().save(home / "model")
    build_index([home / "videos"], home / "index", home / "model", workers=1)
    store = Store.open(home / "index")
    for number, video in enumerate(sorted(store.video_ids())):
        store.set_tags(video, [f"tag {number}"])
    return home


@pytest.fixture
def index(made: Path, tmp_path: Path) -> Path:
    """A copy of the index that may be damaged."""
    shutil.copytree(made / "index", tmp_path / "index")
    return tmp_path / "index"


def _newest(folder: Path, pattern: str) -> Path:
    # Versions are named by a number that falls.
    return min(folder.glob(pattern), key=lambda path: path.name)


def _gone(table: Path) -> None:
    shutil.rmtree(table)


def _cut(table: Path) -> None:
    version = _newest(table, "_versions/*.manifest")
    version.write_bytes(version.read_bytes()[:30])


def _blank(table: Path) -> None:
    version = _newest(table, "_versions/*.manifest")
    version.write_bytes(bytes(version.stat().st_size))


def _one_piece_lost(table: Path) -> None:
    max(table.glob("data/*"), key=lambda path: path.stat().st_mtime_ns).unlink()


@pytest.mark.parametrize(
    ("name", "damage", "saved"),
    [
        ("tags", _gone, 0),
        ("tags", _cut, CLIPS - 1),
        ("tags", _blank, CLIPS - 1),
        ("tags", _one_piece_lost, CLIPS - 1),
        ("captions", _gone, 0),
        ("captions", _cut, 0),
        ("captions", _one_piece_lost, 0),
    ],
)
def test_damaged_tags_and_captions_block_nothing_and_are_repaired(
    made: Path, index: Path, name: TableName, damage: Callable[[Path], None], saved: int
) -> None:
    tags = Store.open(index).read_tags()
    damage(index / f"{name}.lance")

    # Searching, indexing and removing go on.
    assert len(Index.open(index, made / "model", device="cpu").search("circle", k=9)) == CLIPS
    report = build_index([made / "videos"], index, made / "model", workers=1)
    assert (report.unchanged, report.failed) == (CLIPS, [])
    assert [failure.reason.startswith("the captions of the index") for failure in report.partial] == (
        [True] if name == "captions" else []
    )
    assert len(Library.read(Store.open(index)).videos) == CLIPS
    assert describe(index)["tagged" if name == "tags" else "captioned"] == "damaged; see vidsift index check"
    read = Store.open(index).read_tags if name == "tags" else Store.open(index).read_captions
    with pytest.raises(IndexFolderError, match=rf"the {name} of the index .* check --repair"):
        read()

    (problem,) = check_index(index).problems
    assert (problem.kind, problem.what, problem.repaired) == ("table", name, False)
    assert problem.wrong.startswith("cannot be read: ")
    repaired = check_index(index, repair=True)
    assert repaired.whole
    assert check_index(index).problems == []
    store = Store.open(index)
    assert store.video_ids() == Store.open(made / "index").video_ids()
    if name == "tags":
        assert repaired.remarks == [f"the tags of {saved} videos could be saved"]
        saved_tags = store.read_tags()
        assert len(saved_tags) == saved
        assert saved_tags.items() <= tags.items()
        store.set_tags(min(tags), ["new"])
        assert Store.open(index).read_tags() == saved_tags | {min(tags): {"new"}}
    else:
        assert store.read_captions() == {}
        assert build_index([made / "videos"], index, made / "model", workers=1).partial == []
        assert Store.open(index).read_captions() == Store.open(made / "index").read_captions()
        assert store.read_tags() == tags


def test_asking_for_a_tag_says_that_tags_are_damaged(made: Path, index: Path) -> None:
    _gone(index / "tags.lance")
    with pytest.raises(IndexFolderError, match=r"the tags of the index .* cannot be read"):
        Index.open(index, made / "model", device="cpu").search("circle", tags=["tag 0"])
    with pytest.raises(IndexFolderError, match=r"the tags of the index .* cannot be read"):
        Store.open(index).set_tags(min(Store.open(index).video_ids()), ["new"])


def test_videos_can_be_removed_though_captions_are_damaged(made: Path, index: Path) -> None:
    _gone(index / "captions.lance")
    assert remove_paths(index, [made / "videos" / "clip0.mp4"]) == 1
    opened = Index.open(index, made / "model", device="cpu")
    assert len(opened) == CLIPS - 1
    with pytest.raises(QueryError, match="holds no video at"):
        opened.video_at(made / "videos" / "clip0.mp4")


def test_tags_with_other_columns_are_reported_and_left_as_they_are(index: Path) -> None:
    table = lance_table(index, "tags")
    table.add_columns({"later": "1"})
    for repair in (False, True):
        (problem,) = check_index(index, repair=repair).problems
        assert (problem.what, problem.repaired) == ("tags", False)
        assert problem.wrong == "its columns are not those of the format; index again"
    table.checkout_latest()
    assert table.count_rows() == CLIPS
