"""The facts of the Shapes world: groups, held-out combinations, truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vidsift.shapes.groups import GROUP_SIZE, draw_scene, hard_negative_group
from vidsift.shapes.world import (
    COLOURS,
    MOTIONS,
    SHAPES,
    TAGS,
    Event,
    Mention,
    Scene,
    Statement,
    Thing,
    held_out,
    holds,
    unseen_combinations,
)

RED_STAR = Thing("star", "red", "large", "plain", radius=0.17, x=0.3)
BLUE_DISC = Thing("disc", "blue", "small", "striped", radius=0.08, x=0.7)
SAID_STAR, SAID_DISC = Mention("star", "red"), Mention("disc", "blue")


def _scene(*events: Event) -> Scene:
    return Scene("sand", (RED_STAR, BLUE_DISC), events, "order", (), (0.0,) * 8)


def test_one_pair_of_each_shape_and_each_colour_is_held_out() -> None:
    pairs = [(s, c) for s in SHAPES for c in COLOURS if held_out(s, c)]
    assert sorted(s for s, _ in pairs) == sorted(SHAPES)
    assert sorted(c for _, c in pairs) == sorted(COLOURS)


def test_every_motion_is_seen_with_every_shape() -> None:
    for shape in SHAPES:
        for motion in MOTIONS:
            seen = sum(not held_out(shape, colour, motion) for colour in COLOURS)
            assert 4 <= seen < len(COLOURS)


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("split", ["train", "val"])
def test_training_and_validation_hold_no_unseen_combination(split: str, tag: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(40):
        assert not any(unseen_combinations(scene) for scene in hard_negative_group(rng, split, tag))


def test_unseen_groups_hold_unseen_combinations_and_others_none() -> None:
    rng = np.random.default_rng(0)
    for tag in TAGS:
        unseen = hard_negative_group(rng, "test", tag, unseen=True)
        assert sum(bool(unseen_combinations(scene)) for scene in unseen) >= 2
        seen = hard_negative_group(rng, "test", tag, unseen=False)
        assert not any(unseen_combinations(scene) for scene in seen)


def test_unseen_combination_of_a_motion_is_found_without_an_unseen_pair() -> None:
    shape, colour, motion = next(
        (s, c, m)
        for s in SHAPES
        for c in COLOURS
        for m in MOTIONS
        if held_out(s, c, m) and not held_out(s, c)
    )
    thing = Thing(shape, colour, "small", "plain")
    scene = Scene("sand", (thing,), (Event(motion, 0),), "motion", (), (0.0,) * 8)
    assert unseen_combinations(scene) == (f"{colour} {shape} {motion}",)
    assert unseen_combinations(replace(scene, events=())) == ()


@pytest.mark.parametrize("tag", TAGS)
def test_a_group_shares_everything_but_the_fact_of_its_tag(tag: str) -> None:
    rng = np.random.default_rng(3)
    for _ in range(30):
        group = hard_negative_group(rng, "train", tag)
        first = group[0]
        assert len(group) == GROUP_SIZE
        assert len({scene.look for scene in group}) == 1
        assert {scene.tag for scene in group} == {tag}
        if tag in ("motion", "order"):
            assert all(scene.things == first.things for scene in group)
            events = [tuple((e.motion, e.subject, e.partner) for e in scene.events) for scene in group]
            assert len(set(events)) == GROUP_SIZE
        else:
            assert all(scene.events == first.events for scene in group)
            assert len({(scene.things, scene.background) for scene in group}) == GROUP_SIZE
        if tag == "order":
            # All four use the same motions, so a bag of words cannot tell them apart.
            assert len({frozenset(e.motion for e in scene.events) for scene in group}) == 1
        if tag == "detail":
            assert all(scene.things[:-1] == first.things[:-1] for scene in group)
            assert all(scene.things[-1].size == "tiny" for scene in group)
        if tag == "appearance":
            assert all(scene.things[1:2] == first.things[1:2] for scene in group) or all(
                {name for name, _ in scene.decisive} == {"colour"} for scene in group
            )


def test_the_same_state_gives_the_same_group() -> None:
    for tag in TAGS:
        first = hard_negative_group(np.random.default_rng(5), "test", tag)
        again = hard_negative_group(np.random.default_rng(5), "test", tag)
        other = hard_negative_group(np.random.default_rng(6), "test", tag)
        assert first == again
        assert first != other


def test_unknown_names_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"split 'dev': expected one of train, val, test"):
        hard_negative_group(rng, "dev", "motion")
    with pytest.raises(ValueError, match=r"tag 'speed': expected one of appearance"):
        draw_scene(rng, "train", "speed")
    with pytest.raises(ValueError, match="only test does"):
        hard_negative_group(rng, "train", "motion", unseen=True)


def test_a_statement_holds_only_in_the_stated_order() -> None:
    scene = _scene(Event("left", 0, end_seconds=1.9), Event("grow", 1, start_seconds=2.1))
    both = (SAID_STAR, SAID_DISC)
    assert holds(Statement(both, (("left", 0, -1), ("grow", 1, -1))), scene)
    assert not holds(Statement(both, (("grow", 1, -1), ("left", 0, -1))), scene)
    assert not holds(Statement(both, (("left", 1, -1), ("grow", 0, -1))), scene)
    assert holds(Statement((SAID_DISC,), (("grow", 0, -1),)), scene)
    assert not holds(Statement((SAID_DISC,), (("left", 0, -1),)), scene)


def test_colliding_has_no_direction_but_passing_behind_has() -> None:
    hit, behind = _scene(Event("collide", 0, 1)), _scene(Event("behind", 0, 1))
    both = (SAID_STAR, SAID_DISC)
    assert holds(Statement(both, (("collide", 0, 1),)), hit)
    assert holds(Statement(both, (("collide", 1, 0),)), hit)
    assert holds(Statement(both, (("behind", 0, 1),)), behind)
    assert not holds(Statement(both, (("behind", 1, 0),)), behind)


def test_stated_attributes_must_all_fit_one_thing() -> None:
    scene = _scene(Event("left", 0))
    assert holds(Statement((Mention("disc", "blue", size="small", texture="striped"),)), scene)
    assert not holds(Statement((Mention("disc", "red"),)), scene)
    assert not holds(Statement((Mention("disc", "blue", texture="plain"),)), scene)
    assert not holds(Statement((SAID_STAR, SAID_STAR)), scene), "two mentions need two things"
    assert not holds(Statement((SAID_STAR,), (), "snow"), scene)


def test_what_grows_has_no_size() -> None:
    said = Statement((Mention("star", "red", size="large"),))
    assert holds(said, _scene(Event("left", 0)))
    assert not holds(said, _scene(Event("grow", 0)))
