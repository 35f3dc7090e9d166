"""Which word is true when: seconds and boxes of every word of a caption."""

from __future__ import annotations

import numpy as np

from vidsift.data.grounding import parse_grounding
from vidsift.shapes.captions import Caption, CaptionWord
from vidsift.shapes.clip_captions import describe_clip
from vidsift.shapes.clips import ShapesClip
from vidsift.shapes.grounding import caption_span, ground_caption
from vidsift.shapes.world import Event, Statement, Thing
from vidsift.types import Span

A = Thing("disc", "red", "medium", "plain", 0.1, 0.3, 0.3)
B = Thing("star", "blue", "medium", "plain", 0.1, 0.7, 0.7)
EVENTS = (
    Event("left", 0, None, 0.5, 2.0, 0.1),
    Event("appear", 1, None, 2.0, 3.0),
    Event("spin", 1, None, 3.5, 5.0),
)
CLIP = ShapesClip("snow", (A, B), EVENTS, "order", (), (0.0,) * 8, 6.0, (0, 2))
TEXT = "red disc moves before star spins on snow"


def word(text: str, kind: str, fact: int) -> CaptionWord:
    return CaptionWord(TEXT.index(text), TEXT.index(text) + len(text), kind, fact)


def test_every_word_has_the_seconds_and_the_places_of_what_it_speaks_of() -> None:
    words = (
        word("red", "appearance", 0), word("before", "order", 0), word("star", "appearance", 1),
        word("spins", "event", 2), word("snow", "background", -1),
    )  # fmt: skip
    caption = Caption(TEXT, Statement(()), words)
    (grounding,) = parse_grounding([ground_caption(CLIP, caption, 10.0)], [TEXT], "here")
    assert [(each.text, each.kind, each.spans) for each in grounding] == [
        ("red", "appearance", (Span(10.0, 16.0),)),
        ("before", "order", (Span(10.5, 12.0),)),
        ("star", "appearance", (Span(12.5, 16.0),)),
        ("spins", "event", (Span(13.5, 15.0),)),
        ("snow", "background", (Span(10.0, 16.0),)),
    ]
    red, before, star, spins, snow = (each.boxes for each in grounding)
    assert (before, snow) == ((), ())
    assert red[0] == (10.0, 0.305, 0.205, 0.495, 0.395)  # before it moves left, it stands to the right
    assert red[-1] == (16.0, 0.105, 0.205, 0.295, 0.395)
    assert [box.seconds for box in spins] == [13.5, 14.0, 14.5, 15.0]
    assert star[-1][1:] == (0.598, 0.589, 0.81, 0.797)  # turned by 150 degrees
    assert caption_span(CLIP, caption) == Span(3.5, 5.0)
    assert caption_span(CLIP, Caption(TEXT, Statement(()), words[:1])) is None


def test_the_words_of_first_a_then_b_are_true_in_their_parts() -> None:
    caption = describe_clip(CLIP, np.random.default_rng(0))
    grounding = ground_caption(CLIP, caption)
    assert {tuple(each["spans"][0]) for each in grounding if each["kind"] == "event"} >= {
        (0.5, 2.0),
        (3.5, 5.0),
    }
    assert caption_span(CLIP, caption) == Span(0.5, 5.0)
