"""What is true of a clip is what its pictures show: when a thing is seen, and where."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vidsift.shapes.clip_groups import clip_group
from vidsift.shapes.clips import ShapesClip, event_span, seen_span, thing_boxes
from vidsift.shapes.render import render
from vidsift.shapes.world import SHAPES, TAGS, Event, Thing
from vidsift.types import Span

RED = Thing("disc", "red", "small", "plain", 0.1, 0.3, 0.4)
LOOK = (0.5,) * 8


def clip(*events: Event) -> ShapesClip:
    return ShapesClip("grass", (RED,), events, "motion", (), LOOK, 8.0)


def test_a_thing_is_seen_from_its_coming_to_its_going() -> None:
    assert seen_span(clip(), 0) == Span(0.0, 8.0)
    come, go = Event("appear", 0, None, 1.5, 2.5), Event("vanish", 0, None, 5.0, 6.0)
    assert seen_span(clip(come, go), 0) == Span(2.0, 5.5)
    assert seen_span(clip(go), 0) == Span(0.0, 5.5)
    assert seen_span(clip(Event("blink", 0)), 0) == Span(0.0, 8.0)


def test_an_event_ends_with_its_clip() -> None:
    assert event_span(clip(), Event("appear", 0, None, 7.5, 8.5)) == Span(7.5, 8.0)


def test_boxes_follow_a_thing_every_half_second() -> None:
    moving = clip(Event("right", 0, None, 1.0, 2.0, 0.1))
    boxes = thing_boxes(moving, [0], Span(0.9, 2.1))
    # A disc of radius 1 reaches 0.95 out.
    assert boxes == [
        [1.0, 0.105, 0.305, 0.295, 0.495],
        [1.5, 0.205, 0.305, 0.395, 0.495],
        [2.0, 0.305, 0.305, 0.495, 0.495],
    ]
    assert [box[0] for box in thing_boxes(moving, [0], Span(0.1, 0.3))] == [0.2]
    assert thing_boxes(clip(Event("appear", 0, None, 4.0, 5.0)), [0], Span(0.0, 4.0)) == []


@pytest.mark.parametrize("shape", SHAPES)
def test_a_box_is_the_smallest_around_a_thing_that_turns_and_grows(shape: str) -> None:
    thing = Thing(shape, "red", "large", "plain", 0.2, 0.5, 0.5)
    events = (Event("spin", 0, None, 0.0, 2.0), Event("shrink", 0, None, 2.0, 4.0))
    shown = ShapesClip("snow", (thing,), events, "motion", (), LOOK, 4.0)
    times = [0.0, 0.5, 1.0, 3.5]
    without = replace(shown, things=(replace(thing, radius=0.001),))
    changed = (
        np.abs(render(shown, times, 100).astype(np.int64) - render(without, times, 100)).sum(axis=-1) > 60
    )
    boxes = {box[0]: box[1:] for box in thing_boxes(shown, [0], Span(0.0, 4.0))}
    for time, picture in zip(times, changed, strict=True):
        rows, columns = np.nonzero(picture)
        around = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        # Corners are thinner than a pixel.
        assert np.array(boxes[time]) * 100 == pytest.approx(np.array(around), abs=1.6)


@pytest.mark.parametrize("tag", TAGS)
def test_the_pictures_show_each_thing_when_and_where_it_is_said_to_be(tag: str) -> None:
    """A thing is painted away: what changes lies in its box, and changes only while it is seen."""
    shown = clip_group(np.random.default_rng(4), "train", tag)[0]
    times = np.arange(0.0, shown.duration_seconds, 0.5)
    whole = render(shown, times, 48).astype(np.int64)
    for thing in range(len(shown.things)):
        without = [replace(each, radius=0.001) if i == thing else each for i, each in enumerate(shown.things)]
        changed = np.abs(whole - render(replace(shown, things=tuple(without)), times, 48)).sum(axis=-1) > 30
        span = seen_span(shown, thing)
        boxes = {box[0]: box[1:] for box in thing_boxes(shown, [thing], Span(0.0, shown.duration_seconds))}
        for time, picture in zip(times, changed, strict=True):
            # What fades is half there.
            if min(abs(time - span.start_seconds), abs(time - span.end_seconds)) < 0.1 and time > 0:
                continue
            assert (time in boxes) == (span.start_seconds <= time < span.end_seconds)
            assert picture.any() == (time in boxes) or tag == "motion"
            if picture.any():
                rows, columns = np.nonzero(picture)
                left, top, right, bottom = np.array(boxes[time]) * 48
                assert left - 2 <= columns.min()
                assert columns.max() <= right + 2
                assert top - 2 <= rows.min()
                assert rows.max() <= bottom + 2
