"""What is out of reach for now stays in the index; what is gone for good does not."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.index.library import clip, library, rows
from tests.methods import tiny

from vidsift.index.availability import Availability, drive_mounts, read_mounts
from vidsift.index.build import Report, build_index, update_index
from vidsift.index.storage import Store


class _Mounts:
    """Which folders count as mounted, beside those that are."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.there: set[str] = set()
        really = os.path.ismount
        monkeypatch.setattr(os.path, "ismount", lambda path: str(path) in self.there or really(path))


@pytest.fixture
def mounts(monkeypatch: pytest.MonkeyPatch) -> _Mounts:
    return _Mounts(monkeypatch)


def _index(home: Path) -> Report:
    return build_index([home / "videos"], home / "index", tiny.model(), workers=1)


def _paths(home: Path) -> set[str]:
    return {Path(path).name for path in Store.open(home / "index").read_files()}


def _close(monkeypatch: pytest.MonkeyPatch, folder: Path, code: int) -> None:
    """Nothing in a folder can be looked at, as where rights are missing or a network drive has hung up."""

    def refusing(real: Any) -> Any:
        def look(path: Any, *arguments: Any, **named: Any) -> Any:
            if isinstance(path, str | Path) and folder in (Path(path), *Path(path).parents):
                raise OSError(code, os.strerror(code), str(path))
            return real(path, *arguments, **named)

        return look

    for name in ("scandir", "lstat", "stat"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name)))


@pytest.mark.parametrize("code", [errno.EACCES, errno.ESTALE])
def test_a_folder_that_cannot_be_opened_keeps_its_videos_and_captions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    closed = library(tmp_path / "videos" / "closed", 2)
    (closed / "captions.jsonl").write_text(json.dumps({"video": "clip0.mp4", "captions": ["a dog"]}))
    clip(tmp_path / "videos", "open", frames=20)
    _index(tmp_path)
    before, captions = rows(tmp_path / "index"), Store.open(tmp_path / "index").read_captions()
    assert list(captions.values()) == [["a dog"]]
    with monkeypatch.context() as patch:
        _close(patch, closed, code)
        report = _index(tmp_path)
    assert (report.removed, report.unchanged, report.missing) == (0, 1, [str(closed)])
    assert rows(tmp_path / "index") == before
    assert _paths(tmp_path) == {"clip0.mp4", "clip1.mp4", "open.mp4"}
    assert Store.open(tmp_path / "index").read_captions() == captions


def test_an_empty_mount_point_keeps_its_videos_until_the_drive_is_back(
    tmp_path: Path, mounts: _Mounts
) -> None:
    drive = library(tmp_path / "videos" / "drive", 2)
    clip(tmp_path / "videos", "here", frames=20)
    mounts.there.add(str(drive))
    _index(tmp_path)
    assert str(drive) in (read_mounts(Store.open(tmp_path / "index")) or ())
    before = rows(tmp_path / "index")

    mounts.there.clear()
    drive.rename(tmp_path / "unplugged")
    drive.mkdir()
    for _ in range(2):
        report = _index(tmp_path)
        assert (report.removed, report.missing) == (0, [str(drive)])
        assert rows(tmp_path / "index") == before
    drive.rmdir()
    assert update_index(tmp_path / "index", tiny.model(), workers=1).missing == [str(drive)]
    assert rows(tmp_path / "index") == before

    (tmp_path / "unplugged").rename(drive)
    mounts.there.add(str(drive))
    (drive / "clip0.mp4").unlink()
    report = _index(tmp_path)
    assert (report.removed, report.missing, report.frames) == (1, [], 0)
    assert _paths(tmp_path) == {"clip1.mp4", "here.mp4"}


def test_a_link_to_a_drive_that_is_away_keeps_its_videos(tmp_path: Path) -> None:
    drive = library(tmp_path / "drive", 2)
    clip(tmp_path / "videos", "here", frames=20)
    (tmp_path / "videos" / "link").symlink_to(drive)
    assert _index(tmp_path).added == 3
    drive.rename(tmp_path / "unplugged")
    report = _index(tmp_path)
    assert (report.removed, report.missing) == (0, [str(tmp_path / "videos" / "link")])
    assert len(rows(tmp_path / "index")) == 3
    (tmp_path / "videos" / "link").unlink()
    assert _index(tmp_path).removed == 2


def test_a_folder_that_was_deleted_is_gone(tmp_path: Path) -> None:
    library(tmp_path / "videos" / "old", 2)
    clip(tmp_path / "videos", "here", frames=20)
    _index(tmp_path)
    shutil.rmtree(tmp_path / "videos" / "old")
    report = _index(tmp_path)
    assert (report.removed, report.missing) == (2, [])
    assert _paths(tmp_path) == {"here.mp4"}


def test_a_place_that_vanishes_during_the_walk_takes_nothing_with_it(tmp_path: Path) -> None:
    absence = Availability({str(tmp_path / "place")})
    assert absence.state(str(tmp_path / "place" / "deep" / "a.mp4")) == "out of reach"
    assert absence.missing == {str(tmp_path / "place")}
    (tmp_path / "place").write_text("a file now")
    assert Availability({str(tmp_path)}).state(str(tmp_path / "place" / "a.mp4")) == "gone"


def test_mounts_are_recorded_followed_and_forgotten(tmp_path: Path, mounts: _Mounts) -> None:
    drive = tmp_path / "drive"
    (drive / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(drive)
    real = drive_mounts([str(drive / "a.mp4")], {}, [], [])
    mounts.there.add(str(drive))
    met = [str(tmp_path / "link" / "deep" / "a.mp4")]
    assert drive_mounts(met, {}, [], ["/gone"]) == {str(drive), "/gone"}
    # Copied into the folder itself: no longer a drive.
    mounts.there.clear()
    assert drive_mounts(met, {}, [], [str(drive)]) == real


def test_an_index_that_never_recorded_mounts_takes_an_empty_place_for_one(tmp_path: Path) -> None:
    library(tmp_path / "videos", 2)
    _index(tmp_path)
    (tmp_path / "index" / "mounts.json").unlink()
    (tmp_path / "videos").rename(tmp_path / "unplugged")
    (tmp_path / "videos").mkdir()
    for _ in range(2):
        assert _index(tmp_path).missing == [str(tmp_path / "videos")]
        assert len(rows(tmp_path / "index")) == 2


def test_a_folder_in_another_spelling_is_the_same_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system takes small and large letters for the same, as on Windows."""
    absence = Availability([str(tmp_path / "Drive")])
    path = str(tmp_path / "drive" / "deep" / "a.mp4")
    assert absence.state(path) == "gone"
    monkeypatch.setattr(os.path, "normcase", str.lower)
    absence = Availability([str(tmp_path / "Drive")])
    assert absence.state(path) == "out of reach"
    assert absence.missing == {str(tmp_path / "drive")}
