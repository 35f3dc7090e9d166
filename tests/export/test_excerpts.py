from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.export.making import FILM, NTSC, NTSC_DOUBLE, PAL, RATES, excerpt

from vidsift.export.excerpts import Excerpt, conforming_notes, laid_out, timeline_rate
from vidsift.types import Span
from vidsift.video.frame_timing import FrameTiming


@given(st.integers(0, 199_999), st.integers(1, 5000), st.sampled_from(RATES), st.floats(0, 100))
def test_edges_on_pictures_are_kept_to_the_picture(
    first: int, length: int, rate: Fraction, first_seconds: float
) -> None:
    stop = min(first + length, 200_000)
    made = excerpt(first, stop, rate, first_seconds=first_seconds)
    assert (made.first, made.stop) == (first, stop)


@given(st.floats(0, 900), st.floats(0.2, 60), st.sampled_from(RATES))
def test_edges_between_pictures_move_by_half_a_picture_at_most(
    start: float, length: float, rate: Fraction
) -> None:
    made = Excerpt("/a.mp4", Span(start, start + length), FrameTiming(rate, False, 200_000), 1)
    for frame, seconds in ((made.first, start), (made.stop, start + length)):
        assert abs(frame / rate - Fraction(seconds)) <= Fraction(1, 2) / rate


def test_an_excerpt_stays_within_its_file_and_has_a_picture() -> None:
    timing = FrameTiming(PAL, True, 100)
    late = Excerpt("/a.mp4", Span(3.99, 4.3), timing, 1)  # the headers announced more than there is
    assert (late.first, late.stop) == (99, 100)
    short = Excerpt("/a.mp4", Span(1.0, 1.001), timing, 1)
    assert (short.first, short.stop) == (25, 26)
    before = Excerpt("/a.mp4", Span(0.0, 0.5), FrameTiming(PAL, True, 100, first_seconds=0.18), 1)
    assert (before.first, before.stop) == (0, 8)  # sound came before the first picture


def test_a_timeline_has_the_rate_of_most_of_its_excerpts() -> None:
    assert timeline_rate([excerpt(0, 9, PAL), excerpt(0, 9, NTSC), excerpt(0, 9, NTSC)]) == NTSC
    assert timeline_rate([excerpt(0, 9, FILM), excerpt(0, 9, PAL)]) == FILM
    # Pictures drawn at 8 a second, as of a screen: each lasts for three of a timeline's.
    assert timeline_rate([excerpt(0, 9, Fraction(8))]) == 24
    assert timeline_rate([excerpt(0, 9, Fraction(8)), excerpt(0, 9, PAL)]) == PAL
    assert timeline_rate([excerpt(0, 9, Fraction(28))]) == NTSC
    with pytest.raises(ValueError, match="at least one hit"):
        timeline_rate([])


def test_excerpts_of_the_timelines_rate_follow_each_other_picture_by_picture() -> None:
    placed = laid_out([excerpt(5, 12, NTSC), excerpt(1799, 1803, NTSC), excerpt(0, 1, NTSC)], NTSC)
    assert [(piece.offset, piece.length) for piece in placed] == [(0, 7), (7, 4), (11, 1)]


def test_another_rate_keeps_its_speed_in_whole_pictures_of_the_timeline() -> None:
    placed = laid_out(
        [excerpt(0, 60, NTSC_DOUBLE), excerpt(24, 48, FILM), excerpt(199_999, 200_000, NTSC_DOUBLE)], PAL
    )
    assert [(piece.offset, piece.length) for piece in placed] == [(0, 25), (25, 25), (50, 1)]
    # 1.5 pictures of 25 round to 2, for which the file is too short.
    short = excerpt(0, 3, Fraction(50), frames=3)
    assert [piece.length for piece in laid_out([short], PAL)] == [1]


def test_what_was_conformed_is_said() -> None:
    uneven = excerpt(0, 30, Fraction(30), constant=False, path="/films/phone\n.mp4")
    (note,) = conforming_notes([uneven, uneven], Fraction(30))
    assert note == (
        "phone_.mp4 has a variable frame rate; it is counted at 30 frames a second, so that edges are off by "
        "half a frame at most"
    )
    (note,) = conforming_notes([excerpt(0, 30, PAL), excerpt(0, 30, NTSC, path="/b.mp4")], PAL)
    assert note == (
        "the timeline has 25 frames a second; files of another rate (1) are played at their own speed, for "
        "whole frames of the timeline"
    )
    assert conforming_notes([excerpt(0, 30, PAL)], PAL) == []
