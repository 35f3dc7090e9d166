from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidsift.types import Span
from vidsift.video.segments import cut


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
