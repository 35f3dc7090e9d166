"""Folders that appear whole: filled aside, never half there, and the first one stays."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from vidsift.files.locks import try_lock
from vidsift.files.whole_folder import made_whole


def test_a_folder_appears_when_it_is_filled(tmp_path: Path) -> None:
    place = tmp_path / "above" / "folder"
    with made_whole(place) as aside:
        (aside / "file").write_text("one", encoding="utf-8")
        assert not place.exists()
    assert (place / "file").read_text("utf-8") == "one"
    assert [path.name for path in place.parent.iterdir()] == ["folder"]


def test_the_first_stays_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    place = tmp_path / "folder"
    with made_whole(place) as late:
        (late / "file").write_text("late", encoding="utf-8")
        with made_whole(place) as first:
            (first / "file").write_text("first", encoding="utf-8")
    assert (place / "file").read_text("utf-8") == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_fault_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), made_whole(tmp_path / "folder"):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def _left(folder: Path, name: str, age_seconds: float = 3600.0) -> Path:
    left = folder / name
    left.mkdir()
    (left / "half.npy").write_bytes(b"x")
    (left / ".making").write_bytes(b"")
    then = time.time() - age_seconds
    os.utime(left / ".making", (then, then))
    return left


def test_what_killed_processes_left_of_the_folder_is_removed(tmp_path: Path) -> None:
    killed = _left(tmp_path, "set.abcd1234")
    beside = [_left(tmp_path, "other.abcd1234"), _left(tmp_path, "set.long.abcd1234")]
    just_begun = _left(tmp_path, "set.abcd5678", age_seconds=0)
    no_rest = tmp_path / "set.keepthis"
    no_rest.mkdir()
    at_work = _left(tmp_path, "set.at_work_")
    with (at_work / ".making").open("r+b") as file:
        assert try_lock(file)
        with made_whole(tmp_path / "set") as aside:
            assert not killed.exists()
            assert (aside / ".making").is_file()
            (aside / "a").write_text("a", encoding="utf-8")
        assert [path.name for path in (tmp_path / "set").iterdir()] == ["a"]
        assert all(path.is_dir() for path in (*beside, just_begun, no_rest, at_work))
    with made_whole(tmp_path / "set"):
        assert not at_work.exists()


def test_two_that_fill_the_same_folder_leave_each_other_alone(tmp_path: Path) -> None:
    with made_whole(tmp_path / "set") as one:
        then = time.time() - 3600
        os.utime(one / ".making", (then, then))
        with made_whole(tmp_path / "set") as two:
            (two / "second").write_text("a", encoding="utf-8")
        (one / "first").write_text("a", encoding="utf-8")
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["second"]
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
