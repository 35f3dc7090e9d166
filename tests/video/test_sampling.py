from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidsift.types import Span
from vidsift.video.sampling import (
    cut,
    head,
    one_fps_linspace,
    pick_linspace,
    random_per_segment,
    random_within_seconds,
    uniform,
)


def test_uniform_takes_the_middle_of_each_part() -> None:
    np.testing.assert_allclose(uniform(Span(10.0, 40.0), 3), [15.0, 25.0, 35.0])
    np.testing.assert_allclose(uniform(Span(2.0, 2.0), 4), [2.0] * 4)


def test_one_fps_linspace_is_the_published_choice() -> None:
    # video7500.mp4 is 16.67 s long: 17 pictures at 1 fps, of which the released loader keeps these 12.
    seconds = one_fps_linspace(Span(0.0, 50 / 3), 12)
    assert seconds.tolist() == [0, 1, 2, 4, 5, 7, 8, 10, 11, 13, 14, 16]
    assert one_fps_linspace(Span(0.0, 10.0), 12).tolist() == list(range(10))
    assert one_fps_linspace(Span(2.5, 6.0), 12).tolist() == [2.5, 3.5, 4.5, 5.5]
    assert one_fps_linspace(Span(0.0, 0.2), 12).tolist() == [0.0]


def test_head_keeps_the_first_seconds() -> None:
    assert head(Span(0.0, 50.0), 4).tolist() == [0, 1, 2, 3]
    assert head(Span(1.0, 3.0), 4).tolist() == [1, 2]


def test_random_stays_in_its_part_and_follows_the_generator() -> None:
    span = Span(5.0, 17.0)
    edges = np.linspace(5.0, 17.0, 7)
    drawn = np.stack([random_per_segment(span, 6, np.random.default_rng(seed)) for seed in range(200)])
    assert (drawn >= edges[:-1]).all()
    assert (drawn <= edges[1:]).all()
    assert drawn.std(axis=0).min() > 0.4
    assert np.array_equal(drawn[3], random_per_segment(span, 6, np.random.default_rng(3)))


def test_without_jitter_training_looks_where_evaluation_does() -> None:
    span, rng = Span(1.0, 9.3), np.random.default_rng(0)
    assert np.array_equal(random_per_segment(span, 7, rng, 0.0), uniform(span, 7))
    for wanted in (head(span, 4), one_fps_linspace(span, 12)):
        assert np.array_equal(random_within_seconds(wanted, span, rng, 0.0), wanted)


@pytest.mark.parametrize("jitter", [0.25, 1.0])
def test_jitter_says_how_much_of_its_stretch_a_picture_may_take(jitter: float) -> None:
    span = Span(1.0, 4.5)
    many = [np.random.default_rng(seed) for seed in range(300)]
    middles = np.stack([random_per_segment(span, 5, rng, jitter) for rng in many]) - uniform(span, 5)
    assert np.abs(middles).max() == pytest.approx(jitter * 0.35, rel=0.02)
    wanted = one_fps_linspace(span, 12)
    seconds = np.stack([random_within_seconds(wanted, span, rng, jitter) for rng in many]) - wanted
    assert seconds.min() >= 0
    # The last second is half a one: no picture is asked for beyond the end.
    assert seconds.max(axis=0) == pytest.approx([jitter, jitter, jitter, jitter / 2], rel=0.02)


def test_all_give_float64_seconds() -> None:
    span = Span(0.0, 20.0)
    for seconds in (uniform(span, 3), one_fps_linspace(span, 3), head(span, 3)):
        assert seconds.dtype == np.float64
        assert seconds.shape == (3,)


@pytest.mark.parametrize("span", [Span(3.0, 2.0), Span(0.0, float("inf")), Span(float("nan"), 1.0)])
def test_a_span_that_is_none_is_named(span: Span) -> None:
    with pytest.raises(ValueError, match="span is"):
        uniform(span, 3)


def test_no_frames_is_named() -> None:
    with pytest.raises(ValueError, match="frames is 0"):
        head(Span(0.0, 1.0), 0)


def test_pick_linspace_rounds_down() -> None:
    assert pick_linspace(13, 12).tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12]
    assert pick_linspace(5, 12).tolist() == [0, 1, 2, 3, 4]


def test_windows_are_of_equal_length_and_at_most_thirty_seconds() -> None:
    assert cut(75.0) == [Span(0.0, 25.0), Span(25.0, 50.0), Span(50.0, 75.0)]
    assert cut(30.0) == [Span(0.0, 30.0)]
    assert len(cut(30.1)) == 2
    assert len(cut(90.000001)) == 3  # rounding in the file's clock is not another window


def test_none_and_seconds() -> None:
    assert cut(7200.0, None) == [Span(0.0, 7200.0)]
    assert cut(10.0, 4) == [Span(0.0, 10 / 3), Span(10 / 3, 20 / 3), Span(20 / 3, 10.0)]
    assert cut(0.0) == [Span(0.0, 0.0)]


@given(duration=st.floats(0.01, 20000.0), longest=st.floats(0.5, 500.0))
def test_windows_cover_the_video_without_gap(duration: float, longest: float) -> None:
    spans = cut(duration, longest)
    assert spans[0].start_seconds == 0.0
    assert spans[-1].end_seconds == duration
    assert all(left.end_seconds == right.start_seconds for left, right in pairwise(spans))
    assert max(span.duration_seconds for span in spans) <= longest * 1.00001


@pytest.mark.parametrize(
    ("duration", "segment"), [(-1.0, "auto"), (float("inf"), "auto"), (5.0, 0), (5.0, "half")]
)
def test_nonsense_is_named(duration: float, segment: str | float) -> None:
    with pytest.raises(ValueError, match="expected"):
        cut(duration, segment)  # type: ignore[arg-type]
