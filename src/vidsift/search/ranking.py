"""Which segments are the best for a question, exactly: by a scan of all, or among candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidsift.index.compatibility import first_stage_of
from vidsift.interactions.batches import concatenate_features
from vidsift.methods.base import Method, TermSum
from vidsift.search.candidates import Preselection, all_segments
from vidsift.search.gallery import Gallery
from vidsift.search.questions import Question, mixing_of
from vidsift.search.rescore import Candidates, score_exactly
from vidsift.search.scan import scan, scanned_together
from vidsift.types import GroupBy

__all__ = ["Ranked", "Wanted", "rank", "rerank"]

_CANDIDATES, _CANDIDATES_A_HIT, _MOST_CANDIDATES = 32, 2, 4096
_KEPT, _KEPT_A_HIT = 512, 16


@dataclass(frozen=True)
class Ranked:
    """The answer to one question.

    Attributes:
        best: rows of the gallery with their exact scores, best first.
        candidates: how many segments a first stage left to be scored; None if all were.
    """

    best: list[tuple[int, float]]
    candidates: int | None = None


@dataclass(frozen=True, eq=False)
class _Leaders:
    """The segments that lead a scan, descending, and what is known of them."""

    rows: NDArray[np.int64]
    scanned: NDArray[np.floating[Any]]
    groups: NDArray[np.int64]

    @cached_property
    def best(self) -> NDArray[np.int64]:
        """Places of the best segment of each group, ascending."""
        return np.sort(np.unique(self.groups, return_index=True)[1])

    def first(self, k: int) -> NDArray[np.int64]:
        """Places of the segments that are scored exactly first, in the order in which they are read."""
        # The first of all too, whoever they belong to: with few videos the best of each are too few to tell
        # how far the scan is off.
        firsts = np.arange(min(_CANDIDATES, len(self.rows)))
        leading = np.union1d(self.best[: max(_CANDIDATES, _CANDIDATES_A_HIT * k)], firsts)
        return leading[np.argsort(self.rows[leading])]


@dataclass(frozen=True, eq=False)
class Wanted:
    """What is to be found.

    Attributes:
        k: how many segments at most.
        allowed: which may be found, bool ``(V,)``.
        group_by: "video" keeps the best segment of each video.
        preselect: which of the allowed are scanned.
    """

    k: int
    allowed: NDArray[np.bool_]
    group_by: GroupBy = "segment"
    preselect: Preselection = all_segments


def rank(gallery: Gallery, terms: TermSum, questions: Sequence[Question], wanted: Wanted) -> list[Ranked]:
    """Rank segments by terms that the gallery was read for.

    Args:
        gallery: what is searched.
        terms: a method, or the first stage of one.
        questions: of texts that the method prepared.
        wanted: what is to be found for each question.
    """
    ranked: list[Ranked] = []
    k, group_by = wanted.k, wanted.group_by
    for some in scanned_together([question.adapted(terms) for question in questions]):
        together = concatenate_features([text for question in some for text in question.texts])
        allowed = wanted.allowed & wanted.preselect(gallery, together)
        # The best segment of each video may stand anywhere: then the whole order is kept.
        keep = len(gallery) if group_by == "video" else max(_KEPT, _KEPT_A_HIT * k)
        scores, rows = scan(gallery, terms, together, allowed, keep, mixing=mixing_of(some))
        scanned = [
            _leaders(gallery, rows[place].cpu().numpy(), scores[place].cpu().numpy(), group_by)
            for place in range(len(some))
        ]
        candidates = Candidates(gallery, (row for one in scanned for row in one.rows[one.first(k)].tolist()))
        for question, leaders in zip(some, scanned, strict=True):
            best, bar = _exact(terms, question, leaders, k, candidates)
            most = min(int(allowed.sum()), _MOST_CANDIDATES)
            if len(leaders.rows) < most and bar <= leaders.scanned[-1]:
                best = _with_more(gallery, terms, question, allowed, k)
            ranked.append(Ranked(best))
    return ranked


def rerank(
    gallery: Gallery, method: Method, questions: Sequence[Question], wanted: Wanted, candidates: int
) -> list[Ranked]:
    """Score the segments that lead by a method's first stage.

    Args:
        gallery: what is searched.
        method: too dear to scan.
        questions: of texts that the method prepared.
        wanted: what is to be found for each question.
        candidates: how many segments are scored for each question: as many as there are, at least k, and
            where these are of fewer than k videos to group by, twice as many until they are not.

    Raises:
        NotSearchableError: the method declares no first stage.
    """
    stage = first_stage_of(method)
    possible = int(wanted.allowed.sum())

    def leading(some: Sequence[Question], count: int) -> list[list[int]]:
        if count >= possible:
            return [
                np.flatnonzero(wanted.allowed & _preselected(gallery, one, wanted)).tolist() for one in some
            ]
        ranked = rank(gallery, stage, some, replace(wanted, k=count, group_by="segment"))
        return [[row for row, _ in one.best] for one in ranked]

    answers: list[Ranked] = []
    least = max(wanted.k, candidates)
    by_video = wanted.group_by == "video"
    enough = min(wanted.k, len(set(gallery.video_numbers[wanted.allowed])))
    for question, first in zip(questions, leading(questions, least), strict=True):
        rows, count = first, least
        while by_video and len(set(gallery.video_numbers[rows])) < enough and count < possible:
            count *= 2
            rows = leading([question], count)[0]
        scores = score_exactly(method, Candidates(gallery), question, rows).numpy().astype(np.float64)
        leaders = _leaders(gallery, np.asarray(rows, np.int64), scores, wanted.group_by)
        best = [(int(leaders.rows[place]), float(scores[place])) for place in _best_first(leaders, scores)]
        answers.append(Ranked(best[: wanted.k], len(rows) if count < possible else None))
    return answers


def _preselected(gallery: Gallery, question: Question, wanted: Wanted) -> NDArray[np.bool_]:
    return wanted.preselect(gallery, concatenate_features(question.texts))


def _leaders(
    gallery: Gallery,
    rows: NDArray[np.int64],
    scanned: NDArray[np.floating[Any]],
    group_by: GroupBy = "segment",
) -> _Leaders:
    return _Leaders(rows, scanned, gallery.video_numbers[rows] if group_by == "video" else rows)


def _with_more(
    gallery: Gallery, terms: TermSum, question: Question, allowed: NDArray[np.bool_], k: int
) -> list[tuple[int, float]]:
    """Answer again from more leaders: many segments score nearly alike."""
    texts = concatenate_features(question.texts)
    scores, rows = scan(gallery, terms, texts, allowed, _MOST_CANDIDATES, mixing=mixing_of([question]))
    leaders = _leaders(gallery, rows[0].cpu().numpy(), scores[0].cpu().numpy())
    return _exact(terms, question, leaders, k, Candidates(gallery))[0]


def _exact(
    terms: TermSum, question: Question, leaders: _Leaders, k: int, candidates: Candidates
) -> tuple[list[tuple[int, float]], float]:
    """Score the leaders exactly until no other of them can be among the best.

    How far a scan may be off is taken from the candidates themselves: twice the largest difference seen.

    Returns:
        Rows and scores, best first, and the scan's score below which nothing can be among them.
    """
    scanned, groups = leaders.scanned.astype(np.float64), leaders.groups
    exact = np.full(len(scanned), np.nan)
    found = min(k, len(leaders.best))
    wanted = leaders.first(k)
    most = len(wanted) + _MOST_CANDIDATES
    best: list[int] = []
    bar = -np.inf
    while len(wanted):
        rows = leaders.rows[wanted].tolist()
        exact[wanted] = score_exactly(terms, candidates, question, rows).numpy()
        best = _best_first(leaders, exact)
        scored = ~np.isnan(exact)
        margin = 2 * float(np.abs(exact - scanned)[scored].max()) + 1e-6
        bar = exact[best[found - 1]] - margin if len(best) >= found else -np.inf
        own_best = np.full(int(groups.max()) + 1, -np.inf)
        own_best[groups[best]] = exact[best]
        wanted = np.flatnonzero(~scored & (scanned >= bar) & (scanned >= own_best[groups] - margin))
        wanted = wanted[: most - int(scored.sum())]
    return [(int(leaders.rows[place]), float(exact[place])) for place in best[:k]], bar


def _best_first(leaders: _Leaders, exact: NDArray[np.float64]) -> list[int]:
    """Places of the best scored segment of each group, best first."""
    scored = np.flatnonzero(~np.isnan(exact))
    # Rows ascend with segment ids, which settle equal scores.
    order = scored[np.lexsort((leaders.rows[scored], -exact[scored]))]
    first = np.sort(np.unique(leaders.groups[order], return_index=True)[1])
    return [int(place) for place in order[first]]
