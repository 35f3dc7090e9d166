"""Entries: parts of files, splits, and which videos are there."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from vidsift.data.entries import Entry, absent_videos, is_inside, of_split
from vidsift.errors import CaptionsError
from vidsift.types import Span

WHOLE = Entry(Path("a.mp4"), ("x",))
PART = Entry(Path("a.mp4"), ("x",), start_seconds=2.5, end_seconds=7.0)
REST = Entry(Path("a.mp4"), ("x",), start_seconds=7.0)


def test_a_part_is_a_stretch_of_its_file() -> None:
    assert [entry.is_part for entry in (WHOLE, PART, REST)] == [False, True, True]
    assert [entry.span(6.0) for entry in (WHOLE, PART)] == [Span(0.0, 6.0), Span(2.5, 6.0)]
    assert REST.span(60.0) == Span(7.0, 60.0)
    assert [entry.name for entry in (WHOLE, PART, REST)] == [
        "a.mp4", "a.mp4 (2.5 s to 7 s)", "a.mp4 (7 s to the end)"
    ]  # fmt: skip


@pytest.mark.parametrize(("start", "end"), [(3.0, 3.0), (4.0, 2.0), (-1.0, 2.0), (math.inf, math.inf)])
def test_a_part_that_is_none_is_refused(start: float, end: float) -> None:
    with pytest.raises(ValueError, match=r"a.mp4: a part from .* expected a start of at least 0"):
        Entry(Path("a.mp4"), ("x",), start_seconds=start, end_seconds=end)


def test_every_part_of_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "b.mp4").touch()
    entries = [
        Entry(tmp_path / name, ("x",), start_seconds=start)
        for name, start in (("a.mp4", 0.0), ("b.mp4", 1.0), ("a.mp4", 4.0))
    ]
    assert absent_videos(entries) == [
        (str(tmp_path / "a.mp4"), "there is no such file"),
        (f"{tmp_path / 'a.mp4'} (4 s to the end)", "there is no such file"),
    ]


def test_a_split_is_named_where_there_are_several() -> None:
    entries = [Entry(Path(name), ("x",), split=name) for name in ("train", "val", "train")]
    assert of_split(entries, "val", "here") == entries[1:2]
    assert of_split(entries[1:2], None, "here") == entries[1:2]
    with pytest.raises(CaptionsError, match=r"here holds several splits \('train', 'val'\); name one"):
        of_split(entries, None, "here")
    with pytest.raises(
        CaptionsError, match="no video of the split 'test'; splits named there: 'train', 'val'"
    ):
        of_split(entries, "test", "here")


@pytest.mark.parametrize(
    ("name", "inside"), [("a.mp4", True), ("b/a.mp4", True), ("../a.mp4", False), ("/a.mp4", False)]
)
def test_paths_in_annotations_stay_inside_their_folder(name: str, inside: bool) -> None:
    assert is_inside(name) is inside
