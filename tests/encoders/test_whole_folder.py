"""Folders that appear whole: filled aside, never half there, and the first one stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from vidsift.encoders.whole_folder import made_whole


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
