"""Ranks of the right answers, honest about ties and about numbers that are none.

Items with equal scores share their places: every order of them is as likely as any other, so the rank of a
right answer is a distribution, and what is reported of it are expectations. For each question three counts
say it all: the items that score better than the best right answer, the items tied with it (itself
included), and how many of the tied ones are right. A fourth number, nDCG@10, looks at every right answer.

Matrices are gone through in blocks: 60,000 captions of 3,000 videos take seconds, and little memory beside
the similarities themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vidsift.errors import NonFiniteScoresError

__all__ = [
    "DISCOUNTED",
    "Ranks",
    "RightVideos",
    "VideoToText",
    "choice_ranks",
    "ranks_of",
    "ranks_with_unanswered",
    "require_finite_scores",
    "text_to_video_ranks",
    "video_to_text_ranks",
]

VideoToText = Literal["closest_caption", "caption_groups"]
RightVideos = Sequence[Sequence[int]]
"""For each text the videos that are right for it, by number."""

DISCOUNTED = 10
"""How many of the first places nDCG looks at."""

# Sums of the discounts 1 / log2(place + 1) of the first 0, 1, ..., 10 places.
_DISCOUNTS = 1.0 / np.log2(np.arange(2, DISCOUNTED + 2))
_SUMMED = np.concatenate([[0.0], np.cumsum(_DISCOUNTS)])

_AT_ONCE = 8_000_000
"""Scores that a block holds."""


@dataclass(frozen=True, eq=False)
class Ranks:
    """Where the best right answer of each of N questions stands.

    Attributes:
        better: items with a higher score than every right answer, int64 ``(N,)``.
        tied: items with the score of the best right answer, itself included, int64 ``(N,)``.
        right: right answers among the tied, int64 ``(N,)``; where both are 0 the right answer is among no
            items at all: it is within no k, and its rank is one behind the ``better`` ones.
        ndcg_at_10: expected nDCG@10 of each, float64 ``(N,)``, 0 to 1. Where it is not given, the tied right
            answers are taken for all that there are, which it follows from.
    """

    better: NDArray[np.int64]
    tied: NDArray[np.int64]
    right: NDArray[np.int64]
    ndcg_at_10: NDArray[np.float64] = field(default=None)  # type: ignore[arg-type] # filled in below

    def __post_init__(self) -> None:
        """Fill in nDCG@10."""
        if self.ndcg_at_10 is None:
            # The class is frozen; this is part of making it.
            object.__setattr__(self, "ndcg_at_10", self._ndcg_of_the_best())

    def _ndcg_of_the_best(self) -> NDArray[np.float64]:
        first, last = np.minimum(self.better, DISCOUNTED), np.minimum(self.better + self.tied, DISCOUNTED)
        # Each of the tied places holds a right answer with the same probability.
        gain_N = self.right * (_SUMMED[last] - _SUMMED[first]) / np.maximum(self.tied, 1)
        return np.asarray(gain_N / np.maximum(_SUMMED[np.minimum(self.right, DISCOUNTED)], 1e-9))

    def __len__(self) -> int:
        """Return the number of questions."""
        return len(self.better)

    def __getitem__(self, chosen: NDArray[np.bool_] | NDArray[np.int64] | slice) -> Ranks:
        """Return the ranks of some of the questions."""
        return Ranks(self.better[chosen], self.tied[chosen], self.right[chosen], self.ndcg_at_10[chosen])

    def expected(self) -> NDArray[np.float64]:
        """Return the mean rank of the first right answer over all orders of the tied, from 1, ``(N,)``.

        Of n tied items of which m are right, the first right one stands at ``(n + 1) / (m + 1)`` on average.
        """
        return self.better + (self.tied + 1) / (self.right + 1)

    def within(self, k: int) -> NDArray[np.float64]:
        """Return the probability that a right answer is among the first k, ``(N,)``.

        Of n tied items of which m are right, all right ones miss the first j places in ``C(n - j, m)`` of
        ``C(n, m)`` ways.
        """
        # Of the first k places, those that are left to the tied.
        places = np.clip(k - self.better, 0, self.tied)
        missed = np.ones(len(self))
        for i in range(int(self.right.max(initial=0))):
            counts = i < self.right
            # That the i-th right one misses too, given the ones before: a factor of C(n - j, m) / C(n, m).
            remaining = np.maximum(self.tied - places - i, 0)
            # At least 1: rows with fewer right ones divide too before they are left out.
            missed[counts] *= (remaining / np.maximum(self.tied - i, 1))[counts]
        return 1.0 - missed


def require_finite_scores(sim_QV: ArrayLike) -> NDArray[np.floating]:
    """Return the matrix as an array; refuse one with a NaN or an infinity, naming the first row that has one.

    Raises:
        NonFiniteScoresError: if there is such a value.
        ValueError: if it is no matrix with at least one row and one column.
    """
    scores = np.asarray(sim_QV)
    if scores.ndim != 2 or scores.size == 0:
        raise ValueError(f"similarities have shape {scores.shape}, expected (texts, videos), neither empty")
    # Block by block where all is well: of a large matrix no second one of its size is made.
    if not all(np.isfinite(scores[rows]).all() for rows in _blocks(scores.shape)):
        bad = ~np.isfinite(scores)
        row = int(bad.any(axis=1).argmax())
        column = int(bad[row].argmax())
        raise NonFiniteScoresError(
            f"the similarity of text {row} with video {column} is {scores[row, column]}; "
            f"{int(bad.any(axis=1).sum())} of {len(scores)} rows hold such values and have no ranks: "
            "find out which encoder gave them"
        )
    return scores


def ranks_of(scores_NM: ArrayLike, right_NM: ArrayLike) -> Ranks:
    """Rank M items for each of N questions; the best right answer counts.

    Args:
        scores_NM: finite.
        right_NM: bool, True at right answers; at least one in each row.

    Raises:
        ValueError: if scores are not finite, shapes differ, or a question has no right answer.
    """
    scores, right = require_finite_scores(scores_NM), np.asarray(right_NM, bool)
    if scores.shape != right.shape:
        raise ValueError(f"scores have shape {scores.shape}, right answers {right.shape}; give both alike")
    if not right.any(axis=1).all():
        raise ValueError(f"question {int((~right.any(axis=1)).argmax())} has no right answer; leave it out")
    return _in_blocks(scores.shape, lambda rows: (scores[rows], right[rows]))


def text_to_video_ranks(
    sim_QV: ArrayLike, video_of_text: ArrayLike, also_right: RightVideos | None = None
) -> Ranks:
    """Rank the videos for each text; every caption is a question of its own.

    Args:
        sim_QV: finite similarities.
        video_of_text: the video that each text describes, int ``(Q,)``.
        also_right: for each text the other videos that are right too, where some are; the best right one
            counts.
    """
    scores, owner_Q = _checked(sim_QV, video_of_text)
    videos = np.arange(scores.shape[1])

    def block(rows: slice) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        right = owner_Q[rows, None] == videos
        for row, others in enumerate(also_right[rows] if also_right else ()):
            right[row, list(others)] = True
        return scores[rows], right

    return _in_blocks(scores.shape, block)


def video_to_text_ranks(
    sim_QV: ArrayLike,
    video_of_text: ArrayLike,
    protocol: VideoToText = "closest_caption",
    also_right: RightVideos | None = None,
) -> Ranks:
    """Rank the texts for each video that has one.

    Args:
        sim_QV: finite similarities.
        video_of_text: the video that each text describes, int ``(Q,)``.
        protocol: "closest_caption" ranks all texts, and the first of the video's own counts (CE, QB-Norm).
            "caption_groups" gives each video the best score among its captions and ranks these
            groups (CLIP4Clip, DRL, X-CLIP, TS2-Net); its numbers look better with several captions a
            video, and the two are not comparable. With one caption each they are the same.
        also_right: for each text the other videos that it is right for. Then the first right text of a video
            counts, or the first group that holds one.

    Source: ArrowLuo/CLIP4Clip metrics.py:63-70 (groups); ioanacroi/qb-norm metric.py (closest).
    """
    scores, owner_Q = _checked(sim_QV, video_of_text)
    if protocol not in get_args(VideoToText):
        known = ", ".join(get_args(VideoToText))
        raise ValueError(f"video-to-text protocol {protocol!r}: expected one of {known}")
    videos, item_Q = np.unique(owner_Q, return_inverse=True)
    if protocol == "closest_caption":
        # Items are captions, of groups of their own.
        item_Q, items = np.arange(len(owner_Q)), len(owner_Q)
    else:
        scores, items = _best_of_groups(scores, item_Q), len(videos)
    right_items: list[set[int]] = [set() for _ in range(int(videos[-1]) + 1)]
    for text, owner in enumerate(owner_Q):
        right_items[owner].add(int(item_Q[text]))
    for text, others in enumerate(also_right or ()):
        for video in others:
            if video < len(right_items):
                right_items[video].add(int(item_Q[text]))

    def block(rows: slice) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        asked_V = videos[rows]
        right = np.zeros((len(asked_V), items), bool)
        for row, video in enumerate(asked_V):
            right[row, list(right_items[video])] = True
        return np.ascontiguousarray(scores[:, asked_V].T), right

    return _in_blocks((len(videos), items), block)


def _best_of_groups(scores_QV: NDArray[Any], group_Q: NDArray[np.int64]) -> NDArray[Any]:
    """Return of each group of texts the best score with every video, ``(G, V)``."""
    order = np.argsort(group_Q, kind="stable")
    starts = np.searchsorted(group_Q[order], np.arange(int(group_Q.max()) + 1))
    if (order[1:] > order[:-1]).all():  # in order already, as annotations give them: nothing is copied
        return np.maximum.reduceat(scores_QV, starts, axis=0)
    return np.maximum.reduceat(scores_QV[order], starts, axis=0)


def _blocks(shape: tuple[int, int]) -> list[slice]:
    """Part the rows of a matrix so that each part holds so many values."""
    rows = max(1, _AT_ONCE // shape[1])
    return [slice(first, min(first + rows, shape[0])) for first in range(0, shape[0], rows)]


def _in_blocks(
    shape: tuple[int, int], block: Callable[[slice], tuple[NDArray[Any], NDArray[np.bool_]]]
) -> Ranks:
    """Rank block by block; a block gives scores and right answers of some questions."""
    parts = [_ranked(*block(rows)) for rows in _blocks(shape)]
    return Ranks(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def _ranked(scores_NM: NDArray[Any], right_NM: NDArray[np.bool_]) -> tuple[NDArray[Any], ...]:
    # Equal bits are ties, as duplicate videos and captions have them; there is no tolerance.
    best_N1 = np.where(right_NM, scores_NM, -np.inf).max(axis=1, keepdims=True)
    ties = scores_NM == best_N1
    better, tied = (scores_NM > best_N1).sum(axis=1), ties.sum(axis=1)
    ranks = Ranks(better, tied, (ties & right_NM).sum(axis=1))
    rights = right_NM.sum(axis=1)
    # Where the tied ones are all right answers, Ranks knows nDCG already.
    several = rights > ranks.right
    if several.any():
        ranks.ndcg_at_10[several] = _ndcg(scores_NM[several], right_NM[several], rights[several])
    return ranks.better, ranks.tied, ranks.right, ranks.ndcg_at_10


def _ndcg(
    scores_NM: NDArray[Any], right_NM: NDArray[np.bool_], rights_N: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the expected nDCG@10 over all orders of the tied: in a tie every place has the tie's mean gain.

    Source: Jaervelin and Kekaelaeinen 2002 (discount ``1 / log2(place + 1)``, as trec_eval's ndcg_cut);
        McSherry and Najork 2008, Computing information retrieval performance measures efficiently in the
        presence of tied scores (ties).
    """
    places = min(DISCOUNTED, scores_NM.shape[1])
    top_NK = np.argpartition(scores_NM, scores_NM.shape[1] - places, axis=1)[:, -places:]
    best_NK = np.take_along_axis(scores_NM, top_NK, axis=1)
    order = np.argsort(-best_NK, axis=1, kind="stable")
    best_NK = np.take_along_axis(best_NK, order, axis=1)
    gain_NK = np.take_along_axis(np.take_along_axis(right_NM, top_NK, axis=1), order, axis=1).astype(float)
    equal_NKK = best_NK[:, :, None] == best_NK[:, None, :]
    gain_NK = (equal_NKK * gain_NK[:, None, :]).sum(axis=2) / equal_NKK.sum(axis=2)
    # The last tie may go on behind the places that were taken: its gain is that of all its items.
    last_NM = scores_NM == best_NK[:, -1:]
    last_gain_N = (last_NM & right_NM).sum(axis=1) / last_NM.sum(axis=1)
    gain_NK = np.where(equal_NKK[:, :, -1], last_gain_N[:, None], gain_NK)
    return np.asarray(gain_NK @ _DISCOUNTS[:places] / _SUMMED[np.minimum(rights_N, DISCOUNTED)])


def ranks_with_unanswered(ranks: Ranks, answered: ArrayLike, items: int) -> Ranks:
    """Put questions that had no right answer to find between those that had one.

    Args:
        ranks: of the M questions with an answer, in order.
        answered: bool ``(N,)``, True M times.
        items: how many things the others are behind; their rank is one more, and they are within no k.

    Returns:
        The ranks of all N.
    """
    answered_N = np.asarray(answered, bool)
    # Tied and right are 0: within no k, and expected at items + (0 + 1) / (0 + 1).
    better, tied, right = np.full(len(answered_N), items), *np.zeros((2, len(answered_N)), np.int64)
    better[answered_N], tied[answered_N], right[answered_N] = ranks.better, ranks.tied, ranks.right
    ndcg = np.zeros(len(answered_N))
    ndcg[answered_N] = ranks.ndcg_at_10
    return Ranks(better, tied, right, ndcg)


def choice_ranks(
    sim_QV: ArrayLike, video_of_text: ArrayLike, group_of_video: ArrayLike
) -> tuple[Ranks, NDArray[np.int64]]:
    """Rank, for each text, only the videos of its own group of hard negatives.

    Args:
        sim_QV: finite similarities.
        video_of_text: the video that each text describes, int ``(Q,)``.
        group_of_video: int ``(V,)``.

    Returns:
        The ranks within the groups, and the size of the group of each text ``(Q,)``.
    """
    scores, owner_Q = _checked(sim_QV, video_of_text)
    group_V = np.asarray(group_of_video)
    right_Q1 = scores[np.arange(len(scores)), owner_Q][:, None]
    # (Q, V): which videos are in the group of the caption's own video.
    among_QV = group_V[None, :] == group_V[owner_Q][:, None]
    better = ((scores > right_Q1) & among_QV).sum(axis=1)
    ties = ((scores == right_Q1) & among_QV).sum(axis=1)
    return Ranks(better, ties, np.ones(len(scores), np.int64)), among_QV.sum(axis=1)


def _checked(sim_QV: ArrayLike, video_of_text: ArrayLike) -> tuple[NDArray[np.floating], NDArray[np.int64]]:
    scores, owner_Q = require_finite_scores(sim_QV), np.asarray(video_of_text, np.int64)
    texts, videos = scores.shape
    if owner_Q.shape != (texts,) or owner_Q.min() < 0 or owner_Q.max() >= videos:
        raise ValueError(
            f"video_of_text has shape {owner_Q.shape} and values up to {owner_Q.max(initial=-1)}; expected "
            f"one for each of {texts} texts, from 0 to {videos - 1}"
        )
    return scores, owner_Q
