"""Sentences about clips: true, false of the hard negatives, of random subsets of the facts, word by word."""

from __future__ import annotations

import numpy as np
import pytest

from vidsift.shapes.captions import MAX_WORDS, count_tokens
from vidsift.shapes.clip_captions import MAX_PARAGRAPH_WORDS, describe_clip
from vidsift.shapes.clip_groups import clip_group
from vidsift.shapes.clips import ShapesClip
from vidsift.shapes.world import TAGS, Event, Thing, holds

A = Thing("disc", "red", "medium", "plain", 0.12)
B = Thing("star", "blue", "medium", "plain", 0.12)
ORDER = ShapesClip(
    "snow", (A, B), (Event("left", 0, None, 0.5, 2.0), Event("spin", 1, None, 2.5, 4.0)), "order", (),
    (0.0,) * 8, 5.0, (0, 1),
)  # fmt: skip


@pytest.mark.parametrize("paragraph", [False, True])
@pytest.mark.parametrize("tag", TAGS)
def test_what_is_said_is_true_of_its_clip_and_of_no_hard_negative(tag: str, paragraph: bool) -> None:
    rng = np.random.default_rng(6)
    limit = MAX_PARAGRAPH_WORDS if paragraph else MAX_WORDS
    for _ in range(20):
        group = clip_group(rng, "train", tag)
        for clip in group:
            caption = describe_clip(clip, rng, paragraph=paragraph)
            assert count_tokens(caption.text) <= limit
            assert [holds(caption.statement, other) for other in group] == [other is clip for other in group]
            for word in caption.words:
                text = caption.text[word.start : word.end]
                assert text
                if word.kind == "event":
                    event = clip.events[word.fact]
                    assert event.motion in [motion for motion, _, _ in caption.statement.events]
                if text == clip.background:
                    assert word.kind == "background"
                for thing in clip.things:
                    if text == thing.colour and word.kind == "appearance":
                        assert clip.things[word.fact].colour == text


def test_captions_name_other_facts_each_time() -> None:
    rng = np.random.default_rng(2)
    (clip, *_) = clip_group(rng, "train", "motion")
    statements = {describe_clip(clip, rng).statement for _ in range(30)}
    assert len(statements) > 10
    assert len({len(statement.mentions) for statement in statements}) > 1
    assert {bool(statement.background) for statement in statements} == {True, False}


def test_words_of_order_speak_of_the_event_that_they_place() -> None:
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(60):
        caption = describe_clip(ORDER, rng)
        facts = {caption.text[w.start : w.end]: w.fact for w in caption.words if w.kind == "order"}
        seen |= set(facts)
        assert facts
        assert all(fact == (0 if word in ("first", "before") else 1) for word, fact in facts.items())
        assert caption.statement.ordered
        assert [motion for motion, _, _ in caption.statement.events] == ["left", "spin"]
        nouns = {caption.text[w.start : w.end]: w.fact for w in caption.words if w.kind == "appearance"}
        assert nouns["red"] == 0
        assert nouns["blue"] == 1
    assert seen == {"first", "then", "before", "after"}


def test_words_that_say_nothing_seen_are_not_listed() -> None:
    rng = np.random.default_rng(1)
    pair = (Event("front", 0, 1, 0.5, 2.0),)
    clip = ShapesClip("bricks", (A, B), pair, "motion", (("background", -1),), (0.0,) * 8, 4.0, (0,))
    texts = [describe_clip(clip, rng) for _ in range(30)]
    listed = {c.text[w.start : w.end]: w.kind for c in texts for w in c.words}
    assert not {"a", "the", "of", "in", "with", "and"} & set(listed)
    # Where it passes is said by this word; "in front of a brick wall" is where all of it is.
    assert listed["front"] == "event"
    assert listed["brick"] == listed["bricks"] == listed["wall"] == "background"


def test_a_paragraph_says_most_of_it_in_several_sentences() -> None:
    rng = np.random.default_rng(3)
    clip = max(clip_group(rng, "train", "order"), key=lambda each: len(each.events))
    paragraph = describe_clip(clip, rng, paragraph=True)
    sentence = describe_clip(clip, rng)
    assert paragraph.text.count(".") >= 3
    assert len(paragraph.words) > len(sentence.words)
    assert "first" in paragraph.text or "then" in paragraph.text
