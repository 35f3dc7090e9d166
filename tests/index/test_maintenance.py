"""What a data set says of videos that an index holds: stored, and replaced, by the files of the videos."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.index.library import library
from tests.methods import tiny

from vidsift.data.entries import Entry
from vidsift.index.build import build_index, update_index
from vidsift.index.maintenance import import_captions, remove_paths
from vidsift.index.storage import Store


def test_captions_of_a_data_set_stay_until_they_are_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = sorted(library(tmp_path / "videos", 2).iterdir())
    build_index([tmp_path / "videos"], tmp_path / "index", tiny.model(), workers=1, device="cpu")
    monkeypatch.chdir(tmp_path)
    entries = [
        Entry(Path("videos") / first.name, ("whole",)),
        Entry(first, ("a part",), start_seconds=0.1),
        Entry(tmp_path / "elsewhere" / second.name, ("of no video here",)),
    ]
    assert import_captions(tmp_path / "index", "kitchen test", entries) == 1
    store = Store.open(tmp_path / "index")
    video_id = store.read_files()[str(first)].video_id
    assert store.read_captions() == {video_id: ["whole", "a part"]}
    update_index(tmp_path / "index", tiny.model(), workers=1, device="cpu")
    assert Store.open(tmp_path / "index").read_captions() == {video_id: ["whole", "a part"]}
    assert import_captions(tmp_path / "index", "kitchen test", [Entry(second, ("now this one",))]) == 1
    (captions,) = Store.open(tmp_path / "index").read_captions().values()
    assert captions == ["now this one"]


def test_captions_of_a_data_set_go_with_the_videos_that_are_removed(tmp_path: Path) -> None:
    index, videos = tmp_path / "index", library(tmp_path / "videos", 2)
    first, second = sorted(videos.iterdir())
    (tmp_path / "copies").mkdir()
    copy = shutil.copy(second, tmp_path / "copies")
    build_index([videos, tmp_path / "copies"], index, tiny.model(), workers=1, device="cpu")
    import_captions(index, "kitchen test", [Entry(first, ("one",)), Entry(second, ("two",))])
    remove_paths(index, [first])
    store = Store.open(index)
    # The second one lies elsewhere too.
    remove_paths(index, [videos])
    store.refresh()
    assert store.read_captions() == {store.read_files()[str(copy)].video_id: ["two"]}
    remove_paths(index, [tmp_path / "copies"])
    store.refresh()
    assert store.read_captions() == {}
    build_index([videos], index, tiny.model(), workers=1, device="cpu")
    store.refresh()
    assert store.read_captions() == {}
