"""The block of a picture that shows how far the score falls without each word."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vidsift.search.canvas import Pasted, Rectangle, Written, text_width
from vidsift.search.explain import Explanation
from vidsift.search.explain_falls import columns_of_falls
from vidsift.search.explain_layout import shown_number
from vidsift.search.explain_maps import GAVE, TOOK
from vidsift.search.explain_picture import draw_explanation, write_picture
from vidsift.search.leaving_out import MEANING, LeavingOut, WordFall
from vidsift.types import Frames

FALLS = {"red": [0.2, -0.05, 0.0], "ring": [-0.4, 0.1, 0.0]}
WORDS = [
    WordFall("red", 0, 3, "red ring", 1.0, "ring", sum(FALLS["red"]), np.array(FALLS["red"])),
    WordFall("ring", 4, 8, "red ring", 1.0, "red", sum(FALLS["ring"]), np.array(FALLS["ring"])),
]
FRAMES = LeavingOut(WORDS, np.array([1.0, 2.0, 3.0]))


def texts(falls: LeavingOut, frames: Frames | None = None) -> list[str]:
    drawn = draw_explanation(Explanation("red ring", 0.5, [], leaving_out=falls), frames)
    written = [mark for mark in drawn.marks if isinstance(mark, Written)]
    share = {"left": 1.0, "middle": 0.5, "right": 0.0}
    for mark in written:
        assert mark.x >= 0
        assert mark.x + share[mark.align] * text_width(mark.text, mark.points) <= drawn.width, mark.text
    return [mark.text for mark in written]


def test_it_says_what_it_is_and_every_number() -> None:
    shown = texts(FRAMES)
    assert MEANING in " ".join(shown)
    assert shown[-10:] == [
        *("red", "0.1500", ".200", "-.050", ".000"),
        *("ring", "-0.3000", "-.400", ".100", ".000"),
    ]
    assert [text for text in shown if text.endswith(" s")] == ["1.00 s", "2.00 s", "3.00 s"]
    assert columns_of_falls(FRAMES) == 3
    # Nothing stands outside of the page where every word makes the score rise.
    assert "the score falls by" in texts(LeavingOut(WORDS[1:], FRAMES.times_seconds))


def test_the_larger_the_fall_the_longer_the_bar_and_the_stronger_the_colour() -> None:
    drawn = draw_explanation(Explanation("red ring", 0.5, [], leaving_out=FRAMES))
    filled = [mark for mark in drawn.marks if isinstance(mark, Rectangle)]
    bars = {mark.fill: mark.box[2] - mark.box[0] for mark in filled if mark.fill in (GAVE, TOOK)}
    assert bars[GAVE] / bars[TOOK] == pytest.approx(0.15 / 0.3)
    cells = [mark.fill for mark in filled if mark.fill not in (GAVE, TOOK, (0, 0, 0), None)]
    pale, strong = cells[0], cells[3]
    assert len(cells) == 6
    assert cells[2] == cells[5] == (255, 255, 255)
    assert pale is not None
    assert strong is not None
    # Red-brown where a share rises without the word, teal where it falls.
    assert strong[0] > strong[2]
    assert pale[0] < pale[2]
    assert sum(strong) < sum(pale)


def test_frames_stand_above_and_tokens_without_a_time_have_a_column() -> None:
    pixels = np.zeros((3, 4, 4, 3), np.uint8)
    frames = Frames(pixels, np.array([1.0, 2.0, 3.0]))
    untimed = LeavingOut([replace(word, untimed_fall=0.01) for word in WORDS], FRAMES.times_seconds)
    assert columns_of_falls(untimed) == 4
    drawn = draw_explanation(Explanation("red ring", 0.5, [], leaving_out=untimed), frames)
    pasted = [mark for mark in drawn.marks if isinstance(mark, Pasted)]
    written = {mark.text: mark.x for mark in drawn.marks if isinstance(mark, Written)}
    middles = [(mark.box[0] + mark.box[2]) / 2 for mark in pasted]
    assert middles == pytest.approx([written[f"{time}.00 s"] for time in (1, 2, 3)])
    assert written["no time"] > max(middles)
    assert written["no time"] == pytest.approx(written[".010"])


def test_bars_alone_where_frames_are_missing_and_what_has_no_fall() -> None:
    bare = [replace(word, frame_falls=None) for word in WORDS]
    alone = WordFall("dot", 0, 3, "dot", -0.5, "", None)
    shown = texts(LeavingOut([*bare, alone], None, "the model cannot say it"))
    assert "the model cannot say it" in shown
    assert shown[-9:] == [
        *("the score falls by", "of “red ring”, counts 1 times", "red", "0.1500", "ring", "-0.3000"),
        *("of “dot”, counts -0.5 times", "dot", "the only word"),
    ]
    assert texts(LeavingOut([], FRAMES.times_seconds))[-1] == "the question has no word of letters or digits"


def test_a_sentence_that_stands_twice_is_shown_twice() -> None:
    """In "red ring - red ring" each has the sign that it counts with, and its own words."""
    less = [replace(word, weight=-1.0, frame_falls=None) for word in WORDS]
    falls = LeavingOut([*WORDS, *WORDS, *less])
    assert [[word.word for word in of] for of in falls.by_sentence] == [["red", "ring"]] * 3
    titles = [text for text in texts(falls) if text.startswith("of ")]
    assert titles == [
        "of “red ring”, counts 1 times",
        "of “red ring”, counts 1 times",
        "of “red ring”, counts -1 times",
    ]
    # One word twice.
    assert len(LeavingOut([WORDS[0], replace(WORDS[0], weight=-1.0)]).by_sentence) == 2
    assert LeavingOut([]).by_sentence == []


def test_many_frames_have_colours_and_no_numbers(tmp_path: Path) -> None:
    times = np.arange(40.0)
    word = replace(WORDS[0], frame_falls=np.linspace(-0.1, 0.1, 40))
    explanation = Explanation("red ring", 0.5, [], leaving_out=LeavingOut([word], times))
    picture = tmp_path / "new folder" / "why.svg"
    write_picture(explanation, picture)
    drawing = picture.read_text(encoding="utf-8")
    assert not re.search(r">-?\.\d{3}<", drawing)
    assert drawing.count("<rect") > 40
    assert shown_number(-0.00001, 3) == "0.000"
