"""A CLIP that nobody trained on video: what a new index makes of it; older indexes stay as they are."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.index.library import clip as video
from tests.index.library import library
from tests.methods import tiny

from vidsift.errors import IndexFolderError
from vidsift.index.build import build_index, update_index
from vidsift.index.plain_clip import SETTINGS, for_footage, load_for_index
from vidsift.index.storage import Store
from vidsift.methods.model import Model, is_plain_clip, load
from vidsift.search.searcher import Index


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """The folder of a plain CLIP."""
    tiny.model("zero_shot").save_backbone(tmp_path / "clip")
    return tmp_path / "clip"


def indexed_before(folder: Path, videos: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """An index as an earlier version made it: zero-shot, 12 frames, under the name of the CLIP."""
    with monkeypatch.context() as patch:
        patch.setattr("vidsift.index.plain_clip.SETTINGS", SETTINGS[1:])
        build_index([videos], folder, clip, workers=1)
    return Store.open(folder)


def test_a_new_index_of_a_plain_clip_finds_by_single_frames(tmp_path: Path, clip: Path) -> None:
    build_index([library(tmp_path / "videos", 2)], tmp_path / "index", clip, workers=1)
    manifest = Store.open(tmp_path / "index").manifest
    assert (manifest.method, manifest.model) == (SETTINGS[0].method, str(clip))
    assert manifest.reading["frames"] == SETTINGS[0].frames == manifest.sets["frame"].slots
    # Found again under its name, by a search and by who goes on indexing, with the name and without.
    index = Index.open(tmp_path / "index")
    assert index.model.arguments == dict(SETTINGS[0].applied_to(load(clip, "cpu")).arguments)
    assert len(index.search("a red circle")) == 2
    assert Index.open(tmp_path / "index", clip).search("a red circle") == index.search("a red circle")
    assert update_index(tmp_path / "index", workers=1).unchanged == 2
    assert build_index([tmp_path / "videos"], tmp_path / "index", clip, workers=1).unchanged == 2


def test_an_index_names_the_commit_of_the_hub_that_it_was_made_with(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = {"main": "a" * 40, "newer": "b" * 40}
    shutil.copytree(clip, tmp_path / "snapshots" / commits["main"])
    tiny.model("zero_shot", seed=5).save_backbone(tmp_path / "snapshots" / commits["newer"])
    main = commits["main"]

    def download(name: str, *, revision: str | None, **_options: object) -> str:
        assert name == "some/clip"
        return str(tmp_path / "snapshots" / (revision or main))

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    videos = library(tmp_path / "videos", 1)
    build_index([videos], tmp_path / "index", "some/clip", workers=1)
    assert Store.open(tmp_path / "index").manifest.model == f"some/clip@{commits['main']}"
    main = commits["newer"]  # somebody pushed
    assert update_index(tmp_path / "index", workers=1).unchanged == 1
    assert len(Index.open(tmp_path / "index").search("a red circle")) == 1
    with pytest.raises(IndexFolderError, match=f"another model: some/clip@{commits['main']} of fingerprint"):
        build_index([videos], tmp_path / "index", "some/clip", workers=1)
    pinned = f"some/clip@{commits['main']}"
    assert build_index([videos], tmp_path / "index", pinned, workers=1).unchanged == 1


def test_an_index_made_by_the_mean_frame_stays_as_it_is(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos = library(tmp_path / "videos", 1)
    made = indexed_before(tmp_path / "index", videos, clip, monkeypatch)
    assert (made.manifest.method, made.manifest.reading["frames"]) == ("zero_shot", 12)
    video(videos, "later", frames=20)
    report = build_index([videos], tmp_path / "index", clip, workers=1)
    assert (report.added, report.unchanged, report.failed) == (1, 1, [])
    for index in (Index.open(tmp_path / "index"), Index.open(tmp_path / "index", clip)):
        assert index.model.method_name == "zero_shot"
        assert index.model.fingerprint == made.manifest.fingerprint == load(clip, "cpu").fingerprint
        assert len(index.search("a red circle")) == 2


def test_another_clip_is_refused_as_before(tmp_path: Path, clip: Path) -> None:
    videos = library(tmp_path / "videos", 1)
    build_index([videos], tmp_path / "index", clip, workers=1)
    tiny.model("zero_shot", seed=5).save_backbone(tmp_path / "other")
    with pytest.raises(IndexFolderError, match=r"was made with another model: .*clip of .*other has"):
        build_index([videos], tmp_path / "index", tmp_path / "other", workers=1)
    with pytest.raises(IndexFolderError, match="was made with another model"):
        _ = Index.open(tmp_path / "index", tmp_path / "other").model


def test_only_a_plain_clip_becomes_another_method(tmp_path: Path, clip: Path) -> None:
    saved: Model = tiny.model("zero_shot")
    saved.save(tmp_path / "saved")
    assert (is_plain_clip(clip), is_plain_clip(tmp_path / "saved"), is_plain_clip("shapes")) == (
        True,
        False,
        False,
    )
    assert is_plain_clip("openai/clip-vit-base-patch32")
    assert load(clip, "cpu").method_name == "zero_shot"
    assert load_for_index(tmp_path / "saved", "cpu").fingerprint == saved.fingerprint
    assert for_footage(saved, tmp_path / "saved") is saved
    assert for_footage(saved, clip).method_name == SETTINGS[0].method
