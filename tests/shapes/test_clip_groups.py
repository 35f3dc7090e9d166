"""Groups of four clips: what all clips have, and that four differ in exactly one fact."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from vidsift.shapes.clip_groups import clip_group
from vidsift.shapes.clips import COMING_AND_GOING, ShapesClip, seen_span, thing_boxes
from vidsift.shapes.world import PAIR_MOTIONS, TAGS, unseen_combinations
from vidsift.types import Span

GROUPS = {
    tag: [clip_group(np.random.default_rng([seed, 3]), "train", tag) for seed in range(30)] for tag in TAGS
}
CLIPS = [clip for groups in GROUPS.values() for group in groups for clip in group]


def test_clips_last_4_to_16_seconds_and_show_two_to_five_things_that_come_and_go() -> None:
    assert {clip.duration_seconds for clip in CLIPS} > {4.5, 15.5}
    assert all(4 <= clip.duration_seconds <= 16 for clip in CLIPS)
    assert {len(clip.things) for clip in CLIPS} == {2, 3, 4, 5}
    for clip in CLIPS:
        assert any(event.motion in COMING_AND_GOING for event in clip.events)
        spans = [seen_span(clip, thing) for thing in range(len(clip.things))]
        assert all(span.duration_seconds > 0.9 for span in spans)
        for event in clip.events:
            span = spans[event.subject]
            if event.motion not in COMING_AND_GOING:  # and it is seen all the while
                assert span.start_seconds <= event.start_seconds
                assert event.end_seconds <= span.end_seconds
    acting = [sum(e.motion not in COMING_AND_GOING for e in clip.events) for clip in CLIPS]
    assert np.mean(acting) > 1.5
    # Appearance is local in time: half of the things are seen for less than half of their clip.
    shares = [
        seen_span(c, i).duration_seconds / c.duration_seconds for c in CLIPS for i in range(len(c.things))
    ]
    assert 0.4 < np.mean(np.array(shares) < 0.5) < 0.8


def test_events_of_things_happen_one_after_the_other() -> None:
    for clip in CLIPS:
        acts = [event for event in clip.events if event.motion not in COMING_AND_GOING]
        for first, second in combinations(acts, 2):
            assert first.end_seconds < second.start_seconds
            assert first.end_seconds - first.start_seconds >= 1.39


def test_things_that_are_seen_together_never_cover_each_other() -> None:
    for clip in CLIPS:
        pair = {
            frozenset((event.subject, event.partner)) for event in clip.events if event.motion in PAIR_MOTIONS
        }
        boxes = [
            {box[0]: box[1:] for box in thing_boxes(clip, [thing], Span(0.0, clip.duration_seconds))}
            for thing in range(len(clip.things))
        ]
        for first, second in combinations(range(len(clip.things)), 2):
            if {frozenset((first, second))} & pair:
                continue
            for time in boxes[first].keys() & boxes[second].keys():
                a, b = boxes[first][time], boxes[second][time]
                apart = a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1]
                # The edge of the picture cuts boxes.
                assert apart or min(a[2] - b[0], b[2] - a[0], a[3] - b[1], b[3] - a[1]) < 0.02, (clip, time)


@pytest.mark.parametrize("tag", ["appearance", "detail"])
def test_four_clips_differ_in_a_thing_or_the_background_alone(tag: str) -> None:
    for group in GROUPS[tag]:
        names = {name for name, _ in group[0].decisive}
        assert len({_without(clip, names) for clip in group}) == 1
        assert len({(clip.things, clip.background) for clip in group}) == 4


def _without(clip: ShapesClip, names: set[str]) -> ShapesClip:
    """A clip without the facts that decide."""
    changed: list[Any] = list(clip.things)
    for name, thing in clip.decisive:
        if thing >= 0:
            changed[thing] = replace(changed[thing], **{name: ""})
        if name == "size":
            changed[thing] = replace(changed[thing], radius=0.0)
        if name == "place":
            changed[thing] = replace(changed[thing], x=0.0, y=0.0)
    background = "" if "background" in names else clip.background
    return replace(clip, things=tuple(changed), background=background)


def test_four_clips_differ_in_what_a_thing_does_in_the_same_seconds() -> None:
    for group in GROUPS["motion"]:
        assert len({(clip.things, clip.background, clip.look) for clip in group}) == 1
        decisive = [clip.events[clip.decisive_events[0]] for clip in group]
        assert len({(event.motion, event.subject) for event in decisive}) == 4
        assert len({(event.start_seconds, event.end_seconds) for event in decisive}) == 1
        rest = {
            tuple(e for e in clip.events if e is not act) for clip, act in zip(group, decisive, strict=True)
        }
        assert len(rest) == 1


def test_four_clips_of_an_order_have_the_same_events_at_other_times_or_by_others() -> None:
    for group in GROUPS["order"]:
        decisive = [[clip.events[number] for number in clip.decisive_events] for clip in group]
        assert all(len(events) == 2 for events in decisive)
        assert len({frozenset(event.motion for event in events) for events in decisive}) == 1
        acts = {tuple((event.motion, event.subject) for event in events) for events in decisive}
        assert len(acts) == 4
        assert len({tuple(event.start_seconds for event in events) for events in decisive}) == 1


def test_training_never_shows_what_is_held_out() -> None:
    assert not any(unseen_combinations(clip) for clip in CLIPS)
    unseen = clip_group(np.random.default_rng(0), "test", "order", unseen=True)
    assert sum(bool(unseen_combinations(clip)) for clip in unseen) >= 2
    # Nothing but the random numbers tells a test group from a training group.
    again = clip_group(np.random.default_rng([7, 3]), "test", "order")
    assert again == GROUPS["order"][7]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("dev", "motion"), "split 'dev': expected one of train, val, test"),
        (("train", "colour"), "tag 'colour': expected one of appearance"),
    ],
)
def test_unknown_names_are_refused(arguments: tuple[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        clip_group(np.random.default_rng(0), *arguments)
    with pytest.raises(ValueError, match="split 'val' holds no unseen combinations"):
        clip_group(np.random.default_rng(0), "val", "motion", unseen=True)
