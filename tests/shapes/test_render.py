"""Pixels of the Shapes world, judged by what they show."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from vidsift.shapes.groups import hard_negative_group
from vidsift.shapes.render import render
from vidsift.shapes.world import (
    BACKGROUNDS,
    COLOURS,
    SHAPES,
    TAGS,
    TEXTURES,
    Event,
    Scene,
    Thing,
)

SIZE = 96
MIDDLES = (np.arange(8) + 0.5) / 2
LOOK = (0.3, 0.1, 0.7, 0.5, 0.2, 0.4, 0.6, 0.8)


def _scene(*events: Event, things: tuple[Thing, ...] = ()) -> Scene:
    red = Thing("square", "red", "medium", "plain", radius=0.12)
    return Scene("snow", things or (red,), events, "motion", (), LOOK)


def _red(pictures: NDArray[np.uint8]) -> NDArray[np.bool_]:
    r, g, b = (pictures[..., i].astype(int) for i in range(3))
    return (r > 150) & (g < 90) & (b < 90)


def _centres(pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the middle of the red pixels of each picture as fractions (x, y)."""
    return np.array([(np.argwhere(mask).mean(0)[::-1] + 0.5) / SIZE for mask in _red(pictures)])


@pytest.mark.parametrize(
    ("motion", "axis", "sign"), [("left", 0, -1), ("right", 0, 1), ("up", 1, -1), ("down", 1, 1)]
)
def test_things_move_where_the_word_says(motion: str, axis: int, sign: int) -> None:
    centres = _centres(render(_scene(Event(motion, 0, reach=0.25)), MIDDLES, SIZE))
    steps = np.diff(centres[:, axis]) * sign
    assert (steps[1:-1] > 0.03).all()
    assert abs(sign * (centres[-1, axis] - centres[0, axis]) - 0.5) < 0.03
    assert np.ptp(centres[:, 1 - axis]) < 0.01


def test_opposite_directions_show_the_same_pictures_in_reverse() -> None:
    left = render(_scene(Event("left", 0)), MIDDLES, SIZE).astype(int)
    right = render(_scene(Event("right", 0)), MIDDLES, SIZE).astype(int)
    assert np.abs(left - right[::-1]).max() <= 2
    assert np.abs(left - right).max() > 100


def test_growing_and_shrinking_change_the_area() -> None:
    grown = _red(render(_scene(Event("grow", 0)), MIDDLES, SIZE)).sum((1, 2))
    shrunk = _red(render(_scene(Event("shrink", 0)), MIDDLES, SIZE)).sum((1, 2))
    assert (np.diff(grown) >= 0).all()
    assert grown[-1] > 3 * grown[0]
    assert (np.diff(shrunk) <= 0).all()


def test_appearing_vanishing_and_blinking() -> None:
    def shown(motion: str) -> list[bool]:
        return [bool(mask.sum() > 50) for mask in _red(render(_scene(Event(motion, 0)), MIDDLES, SIZE))]

    assert shown("appear") == [False] * 4 + [True] * 4
    assert shown("vanish") == [True] * 4 + [False] * 4
    blinks = shown("blink")
    assert 2 <= sum(blinks) <= 6
    assert sum(a != b for a, b in pairwise(blinks)) >= 3


def test_circle_bounce_and_spin() -> None:
    circle = _centres(render(_scene(Event("circle", 0, reach=0.2)), np.linspace(0.4, 3.6, 40), SIZE))
    assert np.allclose(np.hypot(*(circle - 0.5).T), 0.2, atol=0.01)
    bounce = _centres(render(_scene(Event("bounce", 0, reach=0.2)), np.linspace(0.4, 3.6, 60), SIZE))[:, 1]
    turns = np.diff(np.sign(np.diff(bounce)))
    assert (turns != 0).sum() >= 5
    still, spun = (
        render(_scene(event), [1.0], SIZE).astype(int)
        for event in (Event("left", 0, reach=0.0), Event("spin", 0))
    )
    assert np.abs(still - spun).max() > 100
    assert np.allclose(_centres(spun.astype(np.uint8)), 0.5, atol=0.01)


def test_passing_behind_hides_and_passing_in_front_does_not() -> None:
    red = Thing("square", "red", "medium", "plain", radius=0.12)
    blue = Thing("disc", "blue", "medium", "plain", radius=0.13)
    area = {}
    for motion in ("behind", "front"):
        scene = _scene(Event(motion, 0, 1, reach=0.3), things=(red, blue))
        area[motion] = _red(render(scene, [0.4, 2.0], SIZE)).sum((1, 2))
    assert area["behind"][1] < 0.2 * area["behind"][0]
    assert area["front"][1] == pytest.approx(area["front"][0], rel=0.05)


def test_colliding_things_touch_and_part() -> None:
    red = Thing("square", "red", "medium", "plain", radius=0.12)
    blue = Thing("disc", "blue", "medium", "plain", radius=0.12)
    scene = _scene(Event("collide", 0, 1, reach=0.3), things=(red, blue))
    x = _centres(render(scene, [0.4, 2.0, 3.6], SIZE))[:, 0]
    assert x[0] == pytest.approx(0.8, abs=0.02)
    assert x[1] == pytest.approx(0.61, abs=0.02)
    assert x[2] == pytest.approx(x[0], abs=0.02)


def test_a_sequence_happens_in_its_order() -> None:
    first = Event("left", 0, start_seconds=0.1, end_seconds=1.9, reach=0.2)
    then = Event("up", 0, start_seconds=2.1, end_seconds=3.9, reach=0.2)
    x, y = _centres(render(_scene(first, then), MIDDLES, SIZE)).T
    assert x[0] - x[3] > 0.3
    assert np.ptp(x[4:]) < 0.01
    assert np.ptp(y[:4]) < 0.01
    assert y[4] - y[7] > 0.3


def test_every_value_has_its_own_look() -> None:
    def picture(background: str = "snow", **look: str) -> bytes:
        facts = {"shape": "star", "colour": "red", "size": "medium", "texture": "plain"} | look
        return render(Scene(background, (Thing(**facts),), (), "appearance", (), LOOK), [0.0], 48).tobytes()  # type: ignore[arg-type]

    assert len({picture(shape=shape) for shape in SHAPES}) == len(SHAPES)
    assert len({picture(colour=colour) for colour in COLOURS}) == len(COLOURS)
    assert len({picture(texture=texture) for texture in TEXTURES}) == len(TEXTURES)
    assert len({picture(background=name) for name in BACKGROUNDS}) == len(BACKGROUNDS)


@pytest.mark.parametrize("tag", TAGS)
def test_the_picture_depends_on_scene_and_time_alone(tag: str) -> None:
    for scene in hard_negative_group(np.random.default_rng(2), "train", tag):
        whole = render(scene, MIDDLES, 64)
        assert whole.shape == (8, 64, 64, 3)
        assert whole.dtype == np.uint8
        one_by_one = np.concatenate([render(scene, [t], 64) for t in MIDDLES])
        # Boxes of things that change size differ, so a rounding may.
        assert np.abs(whole.astype(int) - one_by_one).max() <= 1


def test_sizes_show_the_same_scene() -> None:
    scene = hard_negative_group(np.random.default_rng(4), "train", "detail")[0]
    large, small = render(scene, [1.0], 128)[0].astype(float), render(scene, [1.0], 64)[0].astype(float)
    halved = large.reshape(64, 2, 64, 2, 3).mean((1, 3))
    assert np.abs(halved - small).mean() < 4


def test_senseless_requests_are_refused() -> None:
    scene = _scene()
    with pytest.raises(ValueError, match="one or more times"):
        render(scene, [], 64)
    with pytest.raises(ValueError, match="size_px is 4: expected at least 8"):
        render(scene, [0.0], 4)
