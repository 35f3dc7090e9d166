"""Which segments are the best for a question, exactly: by a scan of all, or among candidates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vidsift.interactions.batches import concatenate_features
from vidsift.methods.base import TermSum
from vidsift.search.gallery import Gallery
from vidsift.search.questions import Question, mixing_of
from vidsift.search.rescore import PrefetchedTokens, score_exactly
from vidsift.search.scan import scan, scanned_together
from vidsift.types import Features, GroupBy

__all__ = ["Preselection", "Ranked", "Wanted", "all_segments", "best_first", "leaders_of", "rank"]

_SCORED, _SCORED_A_HIT, _MOST_SCORED = 32, 2, 4096
"""Leaders of a scan that are scored exactly: at first for any question, for each hit, and at most."""

_HELD, _HELD_A_HIT = 512, 16
"""Leaders that a scan holds: for any question, and for each hit."""

Preselection: TypeAlias = Callable[[Gallery, Features], NDArray[np.bool_]]
"""Prepared texts to the segments that are scanned for any of them: bool ``(V,)``.

Nearest pooled vectors or an approximate index would be another function of this form; what follows it (scan,
exact scores, filters) does not change.
"""


def all_segments(gallery: Gallery, _texts: Features) -> NDArray[np.bool_]:
    """Every segment: the scan is complete."""
    return np.ones(len(gallery), np.bool_)


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
class Leaders:
    """The segments that lead a scan, descending, and what is known of them.

    Attributes:
        rows: of the gallery.
        scanned: the scan's scores.
        groups: what each belongs to: its video where each gives one hit, else itself.
    """

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
        firsts = np.arange(min(_SCORED, len(self.rows)))
        leading = np.union1d(self.best[: max(_SCORED, _SCORED_A_HIT * k)], firsts)
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
    for batch in scanned_together([question.adapted(terms) for question in questions]):
        together = concatenate_features([text for question in batch for text in question.texts])
        allowed = wanted.allowed & wanted.preselect(gallery, together)
        # The best segment of each video may stand anywhere: then the whole order is kept.
        keep = len(gallery) if group_by == "video" else max(_HELD, _HELD_A_HIT * k)
        scores, rows = scan(gallery, terms, together, allowed, keep, mixing=mixing_of(batch))
        scanned = [
            leaders_of(gallery, rows[place].cpu().numpy(), scores[place].cpu().numpy(), group_by)
            for place in range(len(batch))
        ]
        firsts = (row for leaders in scanned for row in leaders.rows[leaders.first(k)].tolist())
        tokens = PrefetchedTokens(gallery, firsts)
        for question, leaders in zip(batch, scanned, strict=True):
            best, bar = _exact(terms, question, leaders, k, tokens)
            most = min(int(allowed.sum()), _MOST_SCORED)
            # Others that the scan did not hold may score as much as the last of the best.
            if len(leaders.rows) < most and bar <= leaders.scanned[-1]:
                best = _with_more(gallery, terms, question, allowed, k)
            ranked.append(Ranked(best))
    return ranked


def leaders_of(
    gallery: Gallery,
    rows: NDArray[np.int64],
    scanned: NDArray[np.floating[Any]],
    group_by: GroupBy = "segment",
) -> Leaders:
    """Name what each leader belongs to, by what hits are grouped by."""
    return Leaders(rows, scanned, gallery.video_numbers[rows] if group_by == "video" else rows)


def _with_more(
    gallery: Gallery, terms: TermSum, question: Question, allowed: NDArray[np.bool_], k: int
) -> list[tuple[int, float]]:
    """Answer again from more leaders: many segments score nearly alike."""
    texts = concatenate_features(question.texts)
    scores, rows = scan(gallery, terms, texts, allowed, _MOST_SCORED, mixing=mixing_of([question]))
    leaders = leaders_of(gallery, rows[0].cpu().numpy(), scores[0].cpu().numpy())
    return _exact(terms, question, leaders, k, PrefetchedTokens(gallery))[0]


def _exact(
    terms: TermSum, question: Question, leaders: Leaders, k: int, tokens: PrefetchedTokens
) -> tuple[list[tuple[int, float]], float]:
    """Score the leaders exactly until no other of them can be among the best.

    How far a scan may be off is taken from the exact scores themselves: twice the largest difference seen.

    Returns:
        Rows and scores, best first, and the scan's score below which nothing can be among them.
    """
    scanned, groups = leaders.scanned.astype(np.float64), leaders.groups
    exact = np.full(len(scanned), np.nan)
    wanted_groups = min(k, len(leaders.best))
    unscored = leaders.first(k)
    most = len(unscored) + _MOST_SCORED
    best: list[int] = []
    bar = -np.inf
    # Most questions need one round; more only where the scan puts many close to the last hit.
    while len(unscored):
        rows = leaders.rows[unscored].tolist()
        exact[unscored] = score_exactly(terms, tokens, question, rows).numpy()
        best = best_first(leaders, exact)
        # NaN stands for what was not scored yet.
        scored = ~np.isnan(exact)
        # What is scored already tells how far the scan is off; twice that is safe for the others too.
        margin = 2 * float(np.abs(exact - scanned)[scored].max()) + 1e-6
        bar = exact[best[wanted_groups - 1]] - margin if len(best) >= wanted_groups else -np.inf
        # A segment matters only if it may beat the worst hit, and the best of its own video too.
        best_of_group = np.full(int(groups.max()) + 1, -np.inf)
        best_of_group[groups[best]] = exact[best]
        unscored = np.flatnonzero(~scored & (scanned >= bar) & (scanned >= best_of_group[groups] - margin))
        unscored = unscored[: most - int(scored.sum())]
    return [(int(leaders.rows[place]), float(exact[place])) for place in best[:k]], bar


def best_first(leaders: Leaders, exact: NDArray[np.float64]) -> list[int]:
    """Places of the best scored segment of each group, best first."""
    scored = np.flatnonzero(~np.isnan(exact))
    # Rows ascend with segment ids, which settle equal scores.
    order = scored[np.lexsort((leaders.rows[scored], -exact[scored]))]
    first = np.sort(np.unique(leaders.groups[order], return_index=True)[1])
    return [int(place) for place in order[first]]
