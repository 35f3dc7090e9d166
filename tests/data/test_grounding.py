"""Which word is true when and where: read from captions.jsonl, every fault by its line and in plain words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vidsift.data.entries import Entry, joined_entries
from vidsift.data.folder import read_folder
from vidsift.data.grounding import Box, GroundedWord, parse_grounding
from vidsift.errors import CaptionsError
from vidsift.types import Span

CAPTION = "a red disc spins"
RED: dict[str, Any] = {
    "word": "red", "start": 2, "end": 5, "kind": "appearance", "spans": [[2.0, 7.5], [9, 10]],
    "boxes": [[2.0, 0.1, 0.2, 0.3, 0.4]],
}  # fmt: skip
SPINS: dict[str, Any] = {"word": "spins", "start": 11, "end": 16, "kind": "event", "spans": [[3, 4]]}
GROUNDED_RED = GroundedWord(
    "red", 2, 5, "appearance", (Span(2.0, 7.5), Span(9.0, 10.0)), (Box(2.0, 0.1, 0.2, 0.3, 0.4),)
)
GROUNDED_SPINS = GroundedWord("spins", 11, 16, "event", (Span(3.0, 4.0),))


def write(tmp_path: Path, *rows: dict[str, Any]) -> Path:
    text = "".join(json.dumps({"video": "a.mp4", **row}) + "\n" for row in rows)
    (tmp_path / "captions.jsonl").write_text(text, encoding="utf-8")
    return tmp_path


def test_a_folder_may_say_which_word_is_true_when_and_where(tmp_path: Path) -> None:
    captions = [CAPTION, "something else"]
    (entry,) = read_folder(write(tmp_path, {"captions": captions, "grounding": [[SPINS, RED], []]}))
    # In the order of the sentence, whatever the order of the file.
    assert entry.grounding == ((GROUNDED_RED, GROUNDED_SPINS), ())
    (silent,) = read_folder(write(tmp_path, {"captions": captions}))
    assert silent.grounding == ()


def test_rows_of_a_video_keep_the_grounding_of_their_own_caption(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"caption": "nobody says"}, {"caption": CAPTION, "grounding": [[RED]]}]
    (entry,) = read_folder(write(tmp_path, *rows))
    assert entry.grounding == ((), (GROUNDED_RED,))
    first = Entry(Path("a"), (CAPTION,), grounding=((GROUNDED_RED,),))
    (joined,) = joined_entries([first, Entry(Path("a"), ("b", "c"))])
    assert joined.captions == (CAPTION, "b", "c")
    assert joined.grounding == ((GROUNDED_RED,), (), ())


def test_an_entry_has_grounding_for_every_caption_or_for_none() -> None:
    with pytest.raises(ValueError, match="grounding of 1 captions, expected one for each of its 2"):
        Entry(Path("a"), ("b", "c"), grounding=((),))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"start": 3}, "the characters 3 to 5 of 'a red disc spins' are 'ed', the grounding says 'red'"),
        ({"end": 99}, "the characters 2 to 99 of 'a red disc spins' are none"),
        ({"start": True}, "the characters True to 5"),
        ({"word": 3}, "are 'red', the grounding says 3"),
        ({"kind": "colour"}, "the kind of 'red' is 'colour', expected one of appearance, event, order"),
        ({"kind": ["event"]}, "the kind of 'red' is ['event'], expected one of"),
        ({"spans": []}, "the spans of 'red' are [], expected at least one [start, end]"),
        ({"spans": [[3, 3]]}, "the spans of 'red' are [[3, 3]], expected at least one [start, end]"),
        ({"spans": [[0, 1, 2]]}, "spans of 'red' holds [0, 1, 2], expected [start, end]"),
        ({"spans": [[0, float("nan")]]}, "spans of 'red' holds [0, nan], expected [start, end]"),
        ({"spans": [[0, 10**400]]}, "expected [start, end]"),
        ({"spans": "0-1"}, "spans of 'red' is '0-1', expected a list of [start, end]"),
        ({"boxes": [[0, 0.5, 0, 0.2, 1]]}, "a box of 'red' is [0.0, 0.5, 0.0, 0.2, 1.0], expected"),
        ({"boxes": [[0, 10, 10, 50, 50]]}, "in fractions of the picture, 0 to 1"),
        ({"colour": "red"}, "has 'word', 'start', 'end', 'kind', 'spans', 'boxes', 'colour', expected an"),
    ],
)
def test_what_is_no_grounding_is_refused(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(CaptionsError) as refused:
        parse_grounding([[RED | changed]], [CAPTION], "f, line 7")
    assert str(refused.value).startswith("f, line 7: ")
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "grounding is {}, expected a list with a list of words for each of the 1 captions"),
        ([[], []], "grounding is a list of 2, expected a list with a list of words for each of the 1"),
        (["red"], "the grounding of 'a red disc spins' is 'red', expected a list of words"),
        ([["red"]], "a word of the grounding is 'red', expected an object"),
        ([[RED, RED]], "the words 'red' and 'red' of 'a red disc spins' overlap"),
    ],
)
def test_grounding_fits_its_captions(values: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(CaptionsError, match="line 1: ") as refused:
        read_folder(write(tmp_path, {"captions": [CAPTION], "grounding": values}))
    assert words in str(refused.value)
