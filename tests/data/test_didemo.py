"""DiDeMo: which videos are the gallery, paragraphs, and the moments on which people agree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.data.annotated import shared, source_with

from vidsift.data.catalog import open_source
from vidsift.data.didemo import Didemo, agreed_span
from vidsift.data.entries import Moment
from vidsift.errors import CaptionsError

SAID: list[dict[str, Any]] = [
    {"video": "x_1.mov", "description": "a bug flies.", "times": [[1, 1], [1, 2], [1, 1], [0, 0]]},
    {"video": "y_2.avi", "description": "it rains.", "times": [[0, 5]]},
    {"video": "x_1.mp4", "description": "it lands.", "times": [[4, 5], [4, 5]]},
    {"video": "x_1.mov", "description": "the end.", "times": [[5, 5], [5, 5]]},
]


@pytest.mark.parametrize(
    ("split", "listed", "named", "sentences", "left_out"),
    [("val", 1065, 1094, 4180, 71), ("test", 1004, 1037, 4021, 89)],
)
def test_the_gallery_is_the_list_and_the_json_names_some_of_it_twice(
    tmp_path: Path, split: str, listed: int, named: int, sentences: int, left_out: int
) -> None:
    folder = shared("didemo")
    entries = open_source("didemo", str(tmp_path), str(folder)).entries(split)
    said = json.loads((folder / f"{split}_data.json").read_text("utf-8"))
    assert len({remark["video"] for remark in said}) == named
    assert len({remark["video"].rpartition(".")[0] for remark in said}) == listed
    assert len(entries) == len({entry.path for entry in entries}) == listed
    # One paragraph a video, of the sentences under its listed name; every sentence has its moment.
    assert {len(entry.captions) for entry in entries} == {1}
    assert sum(len(entry.moments) for entry in entries) == len(said) == sentences
    names = {entry.id for entry in entries}
    assert sum(remark["video"] not in names for remark in said) == left_out
    assert {entry.span(60).end_seconds for entry in entries} == {31.0}
    assert all(
        0 <= moment.start_seconds < moment.end_seconds <= 30 for entry in entries for moment in entry.moments
    )


def test_a_paragraph_holds_what_is_said_under_the_listed_name(tmp_path: Path) -> None:
    files = {"val_data.json": SAID, "val_list.txt": "x_1.mov\ny_2.avi\n"}
    first, second = source_with(tmp_path, "didemo", files).entries("val")
    assert first.captions == ("a bug flies. the end.",)
    assert first.moments == (
        Moment("a bug flies.", 5.0, 10.0), Moment("it lands.", 20.0, 30.0), Moment("the end.", 25.0, 30.0)
    )  # fmt: skip
    assert (first.start_seconds, first.end_seconds) == (0.0, 31.0)
    assert second.captions == ("it rains.",)


def test_without_a_list_a_paragraph_holds_all_sentences(tmp_path: Path) -> None:
    first, second = source_with(tmp_path, "didemo", {"val_data.json": SAID}).entries("val")
    assert (first.id, first.captions) == ("x_1.mov", ("a bug flies. it lands. the end.",))
    assert second.id == "y_2.avi"


def test_files_may_have_been_compressed_to_another_kind(tmp_path: Path) -> None:
    (tmp_path / "videos" / "train").mkdir(parents=True)
    (tmp_path / "videos" / "train" / "x_1.mp4").touch()
    said = [*SAID, {"video": "z_3.", "description": "a cat.", "times": [[0, 0]]}]
    (tmp_path / "videos" / "z_3.mp4").touch()
    source = source_with(
        tmp_path, "didemo", {"train_data.json": said, "train_list.txt": "x_1.mov\nz_3.\ny_2.avi\n"}
    )
    paths = [entry.path.relative_to(tmp_path / "videos").as_posix() for entry in source.entries("train")]
    assert paths == ["train/x_1.mp4", "z_3.mp4", "y_2.avi"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"val_list.txt": "nowhere.mp4\n"}, "val_data.json has no description of nowhere.mp4"),
        ({"val_data.json": [SAID[0] | {"times": []}]}, "expected the first and the last piece"),
        ({"val_data.json": [SAID[0] | {"times": [[2, 1]]}]}, "expected the first and the last piece"),
        ({"val_data.json": {"x": 1}}, "not in the format"),
    ],
)
def test_what_cannot_be_understood_is_refused(tmp_path: Path, change: dict[str, Any], problem: str) -> None:
    files = {"val_data.json": SAID, "val_list.txt": "x_1.mov\n"} | change
    with pytest.raises(CaptionsError, match=problem):
        source_with(tmp_path, "didemo", files).entries("val")


def test_the_agreed_span_is_the_one_most_people_marked() -> None:
    assert agreed_span([[4, 4], [4, 4], [0, 0], [4, 4]]) == (20.0, 25.0)
    # Two against two: the span that overlaps more with the others.
    assert agreed_span([[1, 2], [1, 1], [2, 3], [1, 2]]) == (5.0, 15.0)
    assert agreed_span([[3, 3], [1, 1]]) == (5.0, 10.0)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)).map(sorted), min_size=1, max_size=7))
def test_the_agreed_span_is_one_of_those_marked_in_any_order(times: list[list[int]]) -> None:
    start, end = agreed_span(times)
    assert [int(start // 5), int(end // 5) - 1] in times
    assert agreed_span(times[::-1]) == (start, end)


def test_it_says_how_papers_use_it() -> None:
    assert (Didemo.caption_protocol, Didemo.max_words, Didemo.frames) == ("paragraph", 64, 64)
    assert Didemo.validation_split == "val"
