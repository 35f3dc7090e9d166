"""Sentences about scenes: true, telling, natural."""

from __future__ import annotations

import re

import numpy as np
import pytest

from vidsift.shapes.captions import MAX_WORDS, VERBS, describe_scene, draw_captions
from vidsift.shapes.groups import hard_negative_group
from vidsift.shapes.world import COLOURS, SHAPES, TAGS, Event, Scene, Thing, holds


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("fullness", [0.0, 0.5, 1.0])
def test_a_caption_holds_of_its_scene_and_of_no_hard_negative(tag: str, fullness: float) -> None:
    rng = np.random.default_rng(11)
    for _ in range(25):
        group = hard_negative_group(rng, "test", tag)
        for i, scene in enumerate(group):
            caption = describe_scene(scene, rng, fullness)
            truth = [holds(caption.statement, other) for other in group]
            assert truth == [j == i for j in range(4)], caption.text
            assert len(caption.text.split()) <= MAX_WORDS


FUNCTION_WORDS = {
    "a", "an", "the", "in", "on", "of", "to", "and", "with", "at", "it", "is", "there", "into", "next",
    "beside", "video", "scene",
}  # fmt: skip


@pytest.mark.parametrize("tag", TAGS)
def test_every_word_says_which_fact_it_speaks_of(tag: str) -> None:
    rng = np.random.default_rng(4)
    for _ in range(25):
        for scene in hard_negative_group(rng, "test", tag):
            caption = describe_scene(scene, rng, 0.7)
            listed = [(caption.text[word.start : word.end], word) for word in caption.words]
            # "Front" says where a thing passes, and nothing of a wall.
            said = [text for text in re.findall(r"[a-z-]+", caption.text) if text not in FUNCTION_WORDS]
            assert [text for text, _ in listed if text != "front"] == [
                text for text in said if text != "front"
            ]
            for text, word in listed:
                if word.kind == "appearance":
                    thing = scene.things[word.fact]
                    assert text not in COLOURS or text == thing.colour
                    assert text not in SHAPES or text == thing.shape
                    assert all(scene.events[number].subject == word.fact for number in word.clauses)
                elif word.kind == "event":
                    verbs = " ".join(" ".join(forms) for forms in VERBS[scene.events[word.fact].motion])
                    assert text in verbs.split()
                elif word.kind == "order":
                    assert word.fact == (0 if text in ("first", "before") else 1)
            assert {number for _, word in listed for number in word.clauses} == (
                {0, 1} if tag == "order" else set()
            )


def test_captions_of_a_scene_differ() -> None:
    scene = hard_negative_group(np.random.default_rng(0), "train", "order")[0]
    texts = draw_captions(scene, np.random.default_rng(1), 6)
    assert len(set(texts)) == 6
    assert texts == draw_captions(scene, np.random.default_rng(1), 6)


def test_people_would_say_it_so() -> None:
    scene = Scene(
        "grass", (Thing("square", "red", "medium", "plain"),), (Event("left", 0),), "motion", (), (0.0,) * 8
    )
    rng = np.random.default_rng(0)
    said = {describe_scene(scene, rng, 0.3).text for _ in range(600)}
    assert {"a red square moves left", "the red square moves to the left", "red square moving left"} <= said


def test_two_events_are_told_in_several_ways() -> None:
    things = (Thing("square", "red", "medium", "plain"), Thing("disc", "blue", "medium", "plain"))
    events = (Event("left", 0, end_seconds=1.9), Event("grow", 1, start_seconds=2.1))
    scene = Scene("grass", things, events, "order", (), (0.0,) * 8)
    rng = np.random.default_rng(0)
    said = {describe_scene(scene, rng, 0.0).text for _ in range(1500)}
    assert "the red square moves left, then the blue disc grows" in said
    assert "the blue disc grows after the red square moves left" in said
    assert "a red square moves left before a blue disc grows" in said


def test_an_before_orange_only() -> None:
    rng = np.random.default_rng(0)
    for colour, article in (("orange", "an orange"), ("red", "a red")):
        scene = Scene("sand", (Thing("star", colour, "medium", "plain"),), (), "appearance", (), (0.0,) * 8)
        said = [describe_scene(scene, rng, 0.0).text for _ in range(60)]
        assert any(text.startswith(f"{article} star") for text in said)
        assert not any("a orange" in text for text in said)
