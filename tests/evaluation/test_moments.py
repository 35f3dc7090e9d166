"""How right a moment is: overlaps, recalls at thresholds, and what chance gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidsift.data.entries import Entry, Moment
from vidsift.evaluation.moments import (
    TimedSentence,
    best_iou,
    chance_of_moments,
    moment_summary,
    timed_sentences,
)
from vidsift.types import Span

seconds = st.floats(0, 100, allow_nan=False)
stretches = st.tuples(seconds, st.floats(1e-2, 100)).map(lambda drawn: Span(drawn[0], drawn[0] + drawn[1]))


@pytest.mark.parametrize(
    ("stretch", "spans", "expected"),
    [
        ((2.0, 6.0), [Span(2.0, 6.0)], 1.0),
        ((2.0, 6.0), [Span(4.0, 8.0)], 2 / 6),
        ((2.0, 6.0), [Span(6.0, 8.0)], 0.0),  # they touch
        ((2.0, 6.0), [Span(20.0, 30.0)], 0.0),
        ((0.0, 10.0), [Span(4.0, 5.0)], 0.1),
        ((4.0, 5.0), [Span(0.0, 10.0)], 0.1),
        ((3.0, 3.0), [Span(0.0, 10.0)], 0.0),  # of no length
        ((2.0, 6.0), [Span(20.0, 30.0), Span(3.0, 7.0), Span(4.0, 8.0)], 3 / 5),  # any of several
    ],
)
def test_overlap_is_intersection_over_union(
    stretch: tuple[float, float], spans: list[Span], expected: float
) -> None:
    assert float(best_iou(*stretch, spans)) == pytest.approx(expected)


@given(stretches, stretches, st.floats(0.1, 10), st.floats(0, 50))
def test_overlap_depends_on_neither_side_nor_scale_nor_start(
    left: Span, right: Span, scale: float, shift: float
) -> None:
    def moved(span: Span) -> Span:
        return Span(span.start_seconds * scale + shift, span.end_seconds * scale + shift)

    overlap = float(best_iou(left.start_seconds, left.end_seconds, [right]))
    assert 0 <= overlap <= 1
    assert float(best_iou(right.start_seconds, right.end_seconds, [left])) == pytest.approx(overlap, abs=1e-9)
    there = moved(left)
    again = float(best_iou(there.start_seconds, there.end_seconds, [moved(right)]))
    assert again == pytest.approx(overlap, abs=1e-6)


@pytest.mark.parametrize(
    ("stretch", "spans", "message"),
    [
        ((6.0, 2.0), [Span(0.0, 1.0)], "an end that is not before the start"),
        ((np.nan, 2.0), [Span(0.0, 1.0)], "an end that is not before the start"),
        ((0.0, 1.0), [], "at least one"),
        ((0.0, 1.0), [Span(3.0, 3.0)], "with an end after its start"),
    ],
)
def test_what_is_no_stretch_is_refused(stretch: tuple[float, float], spans: list[Span], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        best_iou(*stretch, spans)


def test_recalls_count_moments_at_the_threshold() -> None:
    assert moment_summary([1.0, 0.7, 0.5, 0.3, 0.1, 0.0, 0.0, 0.0]) == {
        "R@1 IoU 0.3": 50.0,
        "R@1 IoU 0.5": 37.5,
        "R@1 IoU 0.7": 25.0,
        "mIoU": pytest.approx(32.5),
        "sentences": 8,
    }
    # 7 of 10 seconds whose ends are sums of frames' seconds
    rounded = best_iou(0.0, sum([0.1] * 70), [Span(0.0, 10.0)])
    assert float(rounded) < 0.7
    assert moment_summary([rounded])["R@1 IoU 0.7"] == 100.0


@pytest.mark.parametrize("ious", [[], [[0.1]], [np.nan], [1.2], [-0.1]])
def test_what_is_no_overlap_is_refused(ious: list[float]) -> None:
    with pytest.raises(ValueError, match="overlap"):
        moment_summary(ious)


def test_chance_is_what_random_stretches_get() -> None:
    sentence = TimedSentence("a dog", Path("a.mp4"), (Span(2.0, 6.0),))
    chance = chance_of_moments([sentence], [10.0])
    ends = np.sort(np.random.default_rng(0).uniform(0, 10, (200_000, 2)), axis=1)
    drawn = moment_summary(best_iou(ends[:, 0], ends[:, 1], sentence.spans))
    for name in ("R@1 IoU 0.3", "R@1 IoU 0.5", "R@1 IoU 0.7", "mIoU"):
        assert chance["random_stretch"][name] == pytest.approx(drawn[name], abs=1.0)
    assert chance["whole_video"]["mIoU"] == pytest.approx(40.0)
    with pytest.raises(ValueError, match="expected 1 numbers of seconds above 0"):
        chance_of_moments([sentence], [0.0])


def test_a_sentence_that_stands_twice_with_a_video_has_two_right_spans() -> None:
    moments = (Moment("a dog", 0.0, 2.0), Moment("a cat", 1.0, 3.0), Moment("a dog", 5.0, 6.0))
    first = Entry(Path("a.mp4"), ("a dog. a cat. a dog",), moments=moments)
    # Another part of the same file, with one that is known already; and another file.
    second = Entry(Path("a.mp4"), ("x",), start_seconds=4.0, moments=(Moment("a cat", 1.0, 3.0),))
    third = Entry(Path("b.mp4"), ("a dog",), moments=(Moment("a dog", 0.0, 1.0),))
    assert timed_sentences([first, second, third, Entry(Path("c.mp4"), ("none",))]) == [
        TimedSentence("a dog", Path("a.mp4"), (Span(0.0, 2.0), Span(5.0, 6.0))),
        TimedSentence("a cat", Path("a.mp4"), (Span(1.0, 3.0),)),
        TimedSentence("a dog", Path("b.mp4"), (Span(0.0, 1.0),)),
    ]
