"""Ranked rows become hits: paths, moments, and what each frame gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vidsift.methods.base import TermSum
from vidsift.search.filters import page_of
from vidsift.search.gallery import Gallery
from vidsift.search.match_quality import UNKNOWN, Sureness
from vidsift.search.moments import NO_SHARES, FrameShares, moment_around, shares_by_frame
from vidsift.search.questions import Question
from vidsift.search.ranking import Ranked
from vidsift.types import Filter, Hit, Span

__all__ = ["hit_at", "hits_of", "page_of_rows"]


def page_of_rows(ranked: Ranked, k: int, filter: Filter) -> list[tuple[int, float]]:
    """Rows and scores of the page that was asked for."""
    return page_of(ranked.best, k, filter, lambda pair: pair[1])


def hits_of(
    gallery: Gallery,
    terms: TermSum | None,
    question: Question,
    page: Sequence[tuple[int, float]],
    *,
    first_rank: int,
    paths: Mapping[str, str],
    with_shares: bool = True,
    candidates: int | None = None,
    sureness: Sequence[Sureness] = (),
) -> list[Hit]:
    """Turn a page of the best segments for a question into hits.

    Args:
        gallery: holds the segments.
        terms: whose account gives the moments: a method, or a first stage that stands in for it; None for
            none, and the moment is the whole segment.
        question: what was asked.
        page: rows with their scores, best first.
        first_rank: of the first of them, 1 for the best of all.
        paths: the path to show for each video.
        with_shares: whether hits say what each second gave; not where the scores are not these terms'.
        candidates: see :class:`~vidsift.types.Hit`.
        sureness: of each row of the page.
    """
    by_frame = shares_by_frame(terms, gallery, question, [row for row, _ in page])
    return [
        hit_at(
            gallery,
            row,
            score,
            by_frame[place],
            rank=first_rank + place,
            path=paths[gallery.video_ids[row]],
            with_shares=with_shares,
            candidates=candidates,
            sureness=sureness[place] if sureness else UNKNOWN,
        )
        for place, (row, score) in enumerate(page)
    ]


def hit_at(
    gallery: Gallery,
    row: int,
    score: float,
    by_frame: FrameShares,
    *,
    rank: int,
    path: str,
    with_shares: bool,
    candidates: int | None = None,
    sureness: Sureness = UNKNOWN,
    frame: int | None = None,
) -> Hit:
    """Build the hit of one row.

    Args:
        gallery: holds the segment.
        row: of the gallery.
        score: of the segment.
        by_frame: what each second gave, for the moment.
        rank: 1 for the best.
        path: to show.
        with_shares: whether the hit tells what each second gave.
        candidates: see :class:`~vidsift.types.Hit`.
        sureness: of the hit.
        frame: place in ``by_frame`` that the moment lies around; the best one when None.
    """
    segment = Span(*map(float, gallery.spans[row]))
    # A first stage may find the moment, but what it gave is no part of the score that is shown.
    shown = by_frame if with_shares else NO_SHARES
    return Hit(
        rank=rank,
        score=score,
        path=path,
        video_id=gallery.video_ids[row],
        segment=segment,
        moment=moment_around(by_frame.times_seconds, by_frame.shares, segment, frame, by_frame.matches),
        candidates=candidates,
        segment_id=gallery.segment_ids[row],
        confidence=sureness.confidence,
        match=sureness.match,
        times_seconds=tuple(shown.times_seconds.tolist()),
        shares=tuple(shown.shares.tolist()),
    )
