"""Ranked rows become hits: paths, moments, and what each frame gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vidsift.methods.base import TermSum
from vidsift.search.filters import page_of
from vidsift.search.gallery import Gallery
from vidsift.search.moments import NO_ACCOUNT, Looked, looks, moment_around
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
    ranked: Ranked,
    *,
    k: int,
    filter: Filter,
    paths: Mapping[str, str],
    with_shares: bool = True,
    confidences: Sequence[float | None] = (),
) -> list[Hit]:
    """Turn the page of a question that was asked for into hits.

    Args:
        gallery: holds the segments.
        terms: whose account gives the moments: a method, or a first stage that stands in for it; None for
            none, and the moment is the whole segment.
        question: what was asked.
        ranked: rows with their scores, best first.
        k: how many hits at most.
        filter: says which page of them.
        paths: the path to show for each video.
        with_shares: whether hits say what each second gave; not where the scores are not these terms'.
        confidences: of each row of the page.
    """
    page = page_of_rows(ranked, k, filter)
    looked = looks(terms, gallery, question, [row for row, _ in page])
    sure: Sequence[float | None] = confidences or [None] * len(page)
    return [
        hit_at(
            gallery,
            row,
            score,
            looked[place],
            rank=filter.skip + place + 1,
            path=paths[gallery.video_ids[row]],
            told=with_shares,
            candidates=ranked.candidates,
            confidence=sure[place],
        )
        for place, (row, score) in enumerate(page)
    ]


def hit_at(
    gallery: Gallery,
    row: int,
    score: float,
    looked: Looked,
    *,
    rank: int,
    path: str,
    told: bool,
    candidates: int | None = None,
    confidence: float | None = None,
    frame: int | None = None,
) -> Hit:
    """Build the hit of one row.

    Args:
        gallery: holds the segment.
        row: of the gallery.
        score: of the segment.
        looked: what each second gave, for the moment.
        rank: 1 for the best.
        path: to show.
        told: whether the hit tells what each second gave.
        candidates: see :class:`~vidsift.types.Hit`.
        confidence: likewise.
        frame: place in ``looked`` that the moment lies around; the best one when None.
    """
    segment = Span(*map(float, gallery.spans[row]))
    said = looked if told else NO_ACCOUNT
    return Hit(
        rank=rank,
        score=score,
        path=path,
        video_id=gallery.video_ids[row],
        segment=segment,
        moment=moment_around(looked.times_seconds, looked.shares, segment, frame, looked.matches),
        candidates=candidates,
        segment_id=gallery.segment_ids[row],
        confidence=confidence,
        times_seconds=tuple(said.times_seconds.tolist()),
        shares=tuple(said.shares.tolist()),
    )
