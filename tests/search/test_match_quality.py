"""The word for how good a match is: what it goes by, and what goes by it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidsift.search.confidence import MIN_CONFIDENCE
from vidsift.search.match_quality import GOOD_CONFIDENCE, GOOD_FROM, LEAD_COUNTS, anything_fits, match_of
from vidsift.types import Match

ORDER: list[Match | None] = ["unlikely", "possible match", "good match"]
CONFIDENCES = st.floats(0.0, 1.0) | st.floats(0.94, 1.0) | st.just(MIN_CONFIDENCE)
LEADS = st.none() | st.floats(0.0, 5.0)


def test_below_the_limit_no_lead_helps() -> None:
    assert match_of(math.nextafter(MIN_CONFIDENCE, 0), 1e6) == "unlikely"
    assert match_of(MIN_CONFIDENCE, 0.0) == match_of(MIN_CONFIDENCE, None) == "possible match"
    assert match_of(math.nextafter(GOOD_CONFIDENCE, 0), 1e6) == "possible match"
    assert match_of(None, 3.0) is None


def test_good_is_what_stands_far_above_chance_or_above_all_other_videos() -> None:
    at_the_limit = -math.log(-math.log(GOOD_CONFIDENCE))
    needed = (GOOD_FROM - at_the_limit) / LEAD_COUNTS
    assert match_of(GOOD_CONFIDENCE, needed + 1e-9) == "good match"
    assert match_of(GOOD_CONFIDENCE, needed - 1e-9) == "possible match"
    assert match_of(math.exp(-math.exp(-GOOD_FROM - 1e-6)), None) == "good match"
    assert match_of(math.exp(-math.exp(-GOOD_FROM + 1e-6)), None) == "possible match"
    assert match_of(1.0, 0.0) == "good match"


@given(CONFIDENCES, CONFIDENCES, LEADS, LEADS)
def test_a_surer_hit_has_no_weaker_word(
    confidence: float, other: float, lead: float | None, other_lead: float | None
) -> None:
    words = [match_of(confidence, lead), match_of(other, other_lead)]
    if confidence <= other and (lead or 0.0) <= (other_lead or 0.0):
        assert ORDER.index(words[0]) <= ORDER.index(words[1])
    assert anything_fits(words) is (max(confidence, other) >= MIN_CONFIDENCE)


@pytest.mark.parametrize(("matches", "expected"), [([], None), ([None], None), ([None, "unlikely"], False)])
def test_of_what_is_not_known_nothing_is_said(matches: list[Match | None], expected: bool | None) -> None:
    assert anything_fits(matches) is expected
