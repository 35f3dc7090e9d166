from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.index.library import clip, lance_table, library, rows
from tests.methods import tiny

from vidsift.errors import IndexFolderError
from vidsift.index.build import Report, build_index, update_index
from vidsift.index.folders import IndexedFolder, merge_folders
from vidsift.index.maintenance import optimize_index, remove_paths
from vidsift.index.storage import Store


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Report]:
    def index(*names: str, **options: Any) -> Report:
        places = [tmp_path / name for name in names]
        return build_index(places, tmp_path / "index", tiny.model(), workers=1, **options)

    return index


def test_what_covers_another_is_remembered_alone() -> None:
    plain = [IndexedFolder("/a/b"), IndexedFolder("/c")]
    assert merge_folders(plain, [IndexedFolder("/a")]) == [IndexedFolder("/a"), IndexedFolder("/c")]
    assert merge_folders([IndexedFolder("/a")], [IndexedFolder("/a/b")]) == [IndexedFolder("/a")]
    some = IndexedFolder("/a", exclude=("x",))
    assert merge_folders(plain, [some]) == [some, *plain]
    assert merge_folders([some], [IndexedFolder("/a")]) == [IndexedFolder("/a")]
    assert merge_folders([IndexedFolder("/a"), IndexedFolder("/b")], [IndexedFolder("/")]) == [
        IndexedFolder("/")
    ]
    out = IndexedFolder("/a", removed=("/a/b",))
    assert merge_folders([out], [IndexedFolder("/a")]) == [out]
    assert merge_folders([out], [IndexedFolder("/a/b/c")]) == [out, IndexedFolder("/a/b/c")]
    assert merge_folders([out, IndexedFolder("/a/b/c")], [IndexedFolder("/a/b")]) == [IndexedFolder("/a")]
    assert merge_folders([out], [IndexedFolder("/")]) == [IndexedFolder("/", removed=("/a/b",))]
    many = [IndexedFolder(f"/many/{number}.mp4") for number in range(20_000)]
    assert len(merge_folders(many, many)) == 20_000


def test_an_update_reads_what_was_asked_for_and_no_more(tmp_path: Path, run: Callable[..., Report]) -> None:
    library(tmp_path / "one", 2)
    library(tmp_path / "two" / "drafts", 1)
    clip(tmp_path / "two", "kept", frames=20)
    run("one")
    assert run("two", exclude=("drafts",)).added == 1
    clip(tmp_path / "one", "new", frames=25)
    (tmp_path / "two" / "kept.mp4").rename(tmp_path / "one" / "moved.mp4")
    report = update_index(tmp_path / "index", tiny.model(), workers=1)
    assert (report.added, report.moved, report.unchanged, report.missing) == (1, 1, 2, [])
    assert report.frames == tiny.FRAMES
    names = {Path(path).name for path in Store.open(tmp_path / "index").read_files()}
    assert names == {"clip0.mp4", "clip1.mp4", "new.mp4", "moved.mp4"}


def test_a_folder_that_is_not_there_keeps_its_videos(tmp_path: Path, run: Callable[..., Report]) -> None:
    library(tmp_path / "drive", 1)
    clip(tmp_path / "here", "other", frames=20)
    run("drive", "here")
    before = rows(tmp_path / "index")
    (tmp_path / "drive").rename(tmp_path / "unplugged")
    report = update_index(tmp_path / "index", tiny.model(), workers=1)
    assert report.missing == [str(tmp_path / "drive")]
    assert rows(tmp_path / "index") == before
    (tmp_path / "here").rename(tmp_path / "gone too")
    assert len(update_index(tmp_path / "index", tiny.model()).missing) == 2
    assert rows(tmp_path / "index") == before


def test_an_index_without_folders_goes_by_its_files(tmp_path: Path, run: Callable[..., Report]) -> None:
    library(tmp_path / "one" / "deep", 1)
    clip(tmp_path / "one", "top", frames=20)
    run("one")
    (tmp_path / "index" / "folders.json").unlink()
    assert Store.open(tmp_path / "index").indexed_folders() == [IndexedFolder(str(tmp_path / "one"))]
    assert update_index(tmp_path / "index", tiny.model()).unchanged == 2


def test_a_file_that_was_named_by_itself_and_is_gone_is_removed(
    tmp_path: Path, run: Callable[..., Report]
) -> None:
    library(tmp_path / "one", 2)
    clip(tmp_path / "two", "other", frames=20)
    run("one/clip0.mp4", "one/clip1.mp4", "two")
    (tmp_path / "one" / "clip0.mp4").unlink()
    (tmp_path / "one" / "clip1.mp4").rename(tmp_path / "two" / "moved.mp4")
    report = update_index(tmp_path / "index", tiny.model(), workers=1)
    assert (report.removed, report.added, report.unchanged, report.frames) == (2, 1, 1, 0)
    assert report.missing == []
    store = Store.open(tmp_path / "index")
    assert {Path(path).name for path in store.read_files()} == {"other.mp4", "moved.mp4"}
    assert store.read_folders() == [IndexedFolder(str(tmp_path / "two"))]
    assert len(rows(tmp_path / "index")) == 2


def test_removing_takes_rows_captions_and_folders_out(tmp_path: Path, run: Callable[..., Report]) -> None:
    library(tmp_path / "one", 2)
    clip(tmp_path / "two", "other", frames=20)
    (tmp_path / "two" / "copy.mp4").write_bytes((tmp_path / "one" / "clip0.mp4").read_bytes())
    lines = [{"video": "clip1.mp4", "captions": ["one"]}]
    (tmp_path / "one" / "captions.jsonl").write_text("\n".join(map(json.dumps, lines)))
    run("one", "two")
    store = Store.open(tmp_path / "index")
    assert len(store.read_captions()) == 1
    assert remove_paths(tmp_path / "index", [tmp_path / "one"]) == 2
    assert (tmp_path / "one" / "clip0.mp4").exists()
    store = Store.open(tmp_path / "index")
    assert store.read_folders() == [IndexedFolder(str(tmp_path / "two"))]
    assert {Path(path).name for path in store.read_files()} == {"other.mp4", "copy.mp4"}
    assert len(rows(tmp_path / "index")) == 2
    assert store.read_captions() == {}
    with pytest.raises(IndexFolderError, match=r"nothing of the index .* lies under"):
        remove_paths(tmp_path / "index", [tmp_path / "one"])


def _update(home: Path) -> Report:
    return update_index(home / "index", tiny.model(), workers=1)


def _names(home: Path) -> list[str]:
    return sorted(str(Path(path).relative_to(home)) for path in Store.open(home / "index").read_files())


def test_what_was_removed_stays_out_until_it_is_asked_for(tmp_path: Path, run: Callable[..., Report]) -> None:
    library(tmp_path / "videos", 1)
    library(tmp_path / "videos" / "old" / "deep", 1)
    clip(tmp_path / "videos" / "other", "clip0", frames=20)
    run("videos")
    out = [tmp_path / "videos" / "old", tmp_path / "videos" / "clip0.mp4"]
    assert remove_paths(tmp_path / "index", out) == 2
    remaining = ["videos/other/clip0.mp4"]  # of the same name as one that was removed
    assert _names(tmp_path) == remaining
    assert _update(tmp_path).added == 0
    assert run("videos").added == 0  # the folder above brings nothing back
    assert run("videos", exclude=("drafts",)).added == 0
    clip(tmp_path / "videos" / "old", "new", frames=24)
    assert _update(tmp_path).added == 0
    assert _names(tmp_path) == remaining
    (folder,) = Store.open(tmp_path / "index").read_folders()
    assert folder == IndexedFolder(str(tmp_path / "videos"), (), ("drafts",), tuple(sorted(map(str, out))))

    # Within what was removed, what is named is taken, and the rest stays out.
    assert run("videos/old/deep").added == 1
    assert _update(tmp_path).added == 0
    assert run("videos/old").added == 1
    assert _update(tmp_path).added == 0
    assert _names(tmp_path) == [*sorted(["videos/old/deep/clip0.mp4", "videos/old/new.mp4"]), *remaining]
    assert run("videos/clip0.mp4").added == 1
    assert run("videos").unchanged == 4
    assert Store.open(tmp_path / "index").read_folders() == [IndexedFolder(str(tmp_path / "videos"))]


def test_a_removed_file_that_was_gone_already_may_come_back(
    tmp_path: Path, run: Callable[..., Report]
) -> None:
    library(tmp_path / "videos", 2)
    run("videos")
    (tmp_path / "videos" / "clip0.mp4").unlink()
    assert remove_paths(tmp_path / "index", [tmp_path / "videos" / "clip0.mp4"]) == 1
    clip(tmp_path / "videos", "clip0", frames=30)
    assert _update(tmp_path).added == 1


def test_what_lies_in_no_folder_any_more_is_remembered_nowhere(
    tmp_path: Path, run: Callable[..., Report]
) -> None:
    library(tmp_path / "videos" / "deep", 2)
    run("videos")
    remove_paths(tmp_path / "index", [tmp_path / "videos" / "deep" / "clip0.mp4"])
    remove_paths(tmp_path / "index", [tmp_path / "videos" / "deep"])
    (folder,) = Store.open(tmp_path / "index").read_folders()
    assert folder.removed == (str(tmp_path / "videos" / "deep"),)
    remove_paths(tmp_path / "index", [tmp_path / "videos"])
    assert Store.open(tmp_path / "index").read_folders() == []
    assert run("videos").added == 2


def test_removing_lasts_in_an_index_that_remembers_no_folder(
    tmp_path: Path, run: Callable[..., Report]
) -> None:
    library(tmp_path / "videos", 2)
    run("videos")
    (tmp_path / "index" / "folders.json").unlink()
    remove_paths(tmp_path / "index", [tmp_path / "videos" / "clip0.mp4"])
    assert _update(tmp_path).unchanged == 1
    assert _names(tmp_path) == ["videos/clip1.mp4"]


def test_captions_beside_the_videos_are_read_and_follow_changes(
    tmp_path: Path, run: Callable[..., Report]
) -> None:
    library(tmp_path / "videos" / "deep", 2)
    captions = tmp_path / "videos" / "captions.jsonl"
    captions.write_text(
        '{"video": "deep/clip0.mp4", "captions": ["a <b>dog</b>", "a cat"]}\n{"video": "lost.mp4"}\n'
    )
    report = run("videos")
    (problem,) = report.partial
    assert problem.path == str(captions)
    assert problem.reason.startswith("line 2: there is no file")
    store = Store.open(tmp_path / "index")
    (video,) = store.read_captions()
    assert store.read_captions() == {video: ["a <b>dog</b>", "a cat"]}
    assert store.read_files()[str(tmp_path / "videos" / "deep" / "clip0.mp4")].video_id == video

    (tmp_path / "videos" / "deep" / "clip0.mp4").rename(tmp_path / "videos" / "clip.mp4")
    captions.write_text('{"video": "clip.mp4", "captions": ["a bird"]}\n')
    assert run("videos").partial == []
    assert Store.open(tmp_path / "index").read_captions() == {video: ["a bird"]}
    captions.unlink()
    run("videos")
    assert Store.open(tmp_path / "index").read_captions() == {}


def test_optimizing_makes_one_piece_of_many_and_says_what_it_saved(
    tmp_path: Path, run: Callable[..., Report]
) -> None:
    library(tmp_path / "videos", 3)
    for path in sorted((tmp_path / "videos").iterdir()):
        build_index([path], tmp_path / "index", tiny.model(), workers=1)
    before = rows(tmp_path / "index")
    store = Store.open(tmp_path / "index")
    assert _pieces(store) == 3
    was, now = optimize_index(tmp_path / "index", keep_seconds=0)
    assert now < was
    store.refresh()
    assert _pieces(store) == 1
    assert rows(tmp_path / "index") == before


def _pieces(store: Store) -> int:
    statistics = lance_table(store.folder).stats()
    return int(statistics["fragment_stats"]["num_fragments"])
