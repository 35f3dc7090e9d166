"""Which word is true when: seconds and boxes of every word of a caption."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vidsift.data.grounding import parse_grounding
from vidsift.shapes.captions import Caption, describe_scene
from vidsift.shapes.clip_captions import describe_clip
from vidsift.shapes.clips import ShapesClip
from vidsift.shapes.grounding import caption_span, ground_caption
from vidsift.shapes.sentence_parts import CaptionWord
from vidsift.shapes.world import Event, Scene, Statement, Thing
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


SQUARE = Thing("square", "red", "medium", "plain", 0.12, 0.3, 0.3)
DISC = Thing("disc", "blue", "small", "striped", 0.08, 0.7, 0.7)


def scene_of_version_1(*events: Event) -> Scene:
    return Scene("grass", (SQUARE, DISC), events, "order", (), (0.0,) * 8)


def spans_in(text: str, scene: Scene, fullness: float = 0.5) -> list[tuple[str, str, float, float]]:
    """Draw captions of a scene until it is the one that is looked for, and return what is true of it."""
    rng = np.random.default_rng(0)
    caption = next(said for _ in range(20_000) if (said := describe_scene(scene, rng, fullness)).text == text)
    (words,) = parse_grounding([ground_caption(scene, caption)], [text], "here")
    return [(word.text, word.kind, *word.spans[0]) for word in words]


def test_in_version_1_words_of_the_first_clause_are_true_in_the_first_part() -> None:
    scene = scene_of_version_1(Event("left", 0, None, 0.2, 1.8), Event("grow", 1, None, 2.2, 3.8))
    first, then = (0.0, 2.0), (2.0, 4.0)
    assert spans_in("first the red square moves left, then the blue disc grows on grass", scene) == [
        ("first", "order", 0.2, 1.8),
        ("red", "appearance", *first), ("square", "appearance", *first),
        ("moves", "event", 0.2, 1.8), ("left", "event", 0.2, 1.8),
        ("then", "order", 2.2, 3.8),
        ("blue", "appearance", *then), ("disc", "appearance", *then), ("grows", "event", 2.2, 3.8),
        ("grass", "background", 0.0, 4.0),
    ]  # fmt: skip
    # Whatever is named first in the sentence.
    assert spans_in("blue disc grows after red square slides left", scene) == [
        ("blue", "appearance", *then), ("disc", "appearance", *then), ("grows", "event", 2.2, 3.8),
        ("after", "order", 2.2, 3.8),
        ("red", "appearance", *first), ("square", "appearance", *first),
        ("slides", "event", 0.2, 1.8), ("left", "event", 0.2, 1.8),
    ]  # fmt: skip


def test_in_version_1_a_thing_that_comes_is_seen_from_the_middle_of_its_event_on() -> None:
    alone = scene_of_version_1(Event("appear", 0, None, 0.3, 3.7))
    assert spans_in("a red square appears with a striped blue disc", alone) == [
        ("red", "appearance", 2.0, 4.0), ("square", "appearance", 2.0, 4.0), ("appears", "event", 0.3, 3.7),
        ("striped", "appearance", 0.0, 4.0), ("blue", "appearance", 0.0, 4.0),
        ("disc", "appearance", 0.0, 4.0),
    ]  # fmt: skip
    goes = scene_of_version_1(Event("spin", 0, None, 0.2, 1.8), Event("vanish", 1, None, 2.2, 3.8))
    words = spans_in("the red square spins before the blue disc vanishes", goes)
    assert [word for word in words if word[1] == "appearance"] == [
        ("red", "appearance", 0.0, 2.0), ("square", "appearance", 0.0, 2.0),
        ("blue", "appearance", 2.0, 3.0), ("disc", "appearance", 2.0, 3.0),
    ]  # fmt: skip
    # Who is spoken of again is meant in both parts.
    comes = scene_of_version_1(Event("left", 0, None, 0.2, 1.8), Event("appear", 0, None, 2.2, 3.8))
    assert spans_in("a red square moves left, then appears", comes)[:2] == [
        ("red", "appearance", 3.0, 4.0), ("square", "appearance", 3.0, 4.0)
    ]  # fmt: skip
    goes_on = scene_of_version_1(Event("left", 0, None, 0.2, 1.8), Event("grow", 0, None, 2.2, 3.8))
    assert spans_in("a red square moves left and then it grows", goes_on)[0] == (
        "red",
        "appearance",
        0.0,
        4.0,
    )


def test_of_three_things_that_follow_each_other_the_second_has_the_middle_part() -> None:
    events = (*EVENTS[::2], Event("bounce", 0, None, 5.0, 6.0))
    clip = replace(CLIP, things=(A, replace(B, place="top left")), events=events, decisive_events=(0, 1, 2))
    rng = np.random.default_rng(1)
    said = next(c for _ in range(200) if len((c := describe_clip(clip, rng)).statement.events) == 3)
    spans = {
        (word["word"], tuple(word["spans"][0]))
        for word in ground_caption(clip, said)
        if word["kind"] == "appearance"
    }
    # The star spins from 3.5 to 5 s, the disc moves until 2 s and bounces from 5 s on.
    assert spans >= {
        ("red", (0.0, 2.75)),
        ("disc", (0.0, 2.75)),
        ("blue", (2.75, 5.0)),
        ("star", (2.75, 5.0)),
    }
    boxes = next(word["boxes"] for word in ground_caption(clip, said) if word["word"] == "blue")
    assert [boxes[0][0], boxes[-1][0]] == [0.0, 6.0]  # where it is seen, not only where it is meant
