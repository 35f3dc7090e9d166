"""Ranks of the right answers, honest about ties and about numbers that are none.

Items with equal scores share their places: every order of them is as likely as any other, so the rank of a
right answer is a distribution, and what is reported of it are expectations. For each question three counts
say it all: the items that score better than the best right answer, the items tied with it (itself
included), and how many of the tied ones are right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vidsift.errors import NonFiniteScoresError

__all__ = [
    "Ranks",
    "VideoToText",
    "choice_ranks",
    "ranks_of",
    "ranks_with_unanswered",
    "require_finite_scores",
    "text_to_video_ranks",
    "video_to_text_ranks",
]

VideoToText = Literal["closest_caption", "caption_groups"]


@dataclass(frozen=True, eq=False)
class Ranks:
    """Where the best right answer of each of N questions stands.

    Attributes:
        better: items with a higher score than every right answer, int64 ``(N,)``.
        tied: items with the score of the best right answer, itself included, int64 ``(N,)``.
        right: right answers among the tied, int64 ``(N,)``; where both are 0 the right answer is among no
            items at all: it is within no k, and its rank is one behind the ``better`` ones.
    """

    better: NDArray[np.int64]
    tied: NDArray[np.int64]
    right: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of questions."""
        return len(self.better)

    def __getitem__(self, chosen: NDArray[np.bool_] | NDArray[np.int64] | slice) -> Ranks:
        """Return the ranks of some of the questions."""
        return Ranks(self.better[chosen], self.tied[chosen], self.right[chosen])

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
    bad = ~np.isfinite(scores)
    if bad.any():
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
    # Equal bits are ties, as duplicate videos and captions have them; there is no tolerance.
    best_N1 = np.where(right, scores, -np.inf).max(axis=1, keepdims=True)
    ties = scores == best_N1
    return Ranks((scores > best_N1).sum(axis=1), ties.sum(axis=1), (ties & right).sum(axis=1))


def text_to_video_ranks(sim_QV: ArrayLike, video_of_text: ArrayLike) -> Ranks:
    """Rank the videos for each text; every caption is a question of its own.

    Args:
        sim_QV: finite similarities.
        video_of_text: the video that each text describes, int ``(Q,)``.
    """
    scores, owner_Q = _checked(sim_QV, video_of_text)
    # (Q, 1): one right video a caption, so the best right answer is it.
    right_Q1 = scores[np.arange(len(scores)), owner_Q][:, None]
    ties = (scores == right_Q1).sum(axis=1)
    return Ranks((scores > right_Q1).sum(axis=1), ties, np.ones(len(scores), np.int64))


def video_to_text_ranks(
    sim_QV: ArrayLike, video_of_text: ArrayLike, protocol: VideoToText = "closest_caption"
) -> Ranks:
    """Rank the texts for each video that has one.

    Args:
        sim_QV: finite similarities.
        video_of_text: the video that each text describes, int ``(Q,)``.
        protocol: "closest_caption" ranks all texts, and the first of the video's own counts (CE, QB-Norm).
            "caption_groups" gives each video the best score among its captions and ranks these
            groups (CLIP4Clip, DRL, X-CLIP, TS2-Net); its numbers look better with several captions a
            video, and the two are not comparable. With one caption each they are the same.

    Source: ArrowLuo/CLIP4Clip metrics.py:63-70 (groups); ioanacroi/qb-norm metric.py (closest).
    """
    scores, owner_Q = _checked(sim_QV, video_of_text)
    videos = np.unique(owner_Q)
    if protocol == "closest_caption":
        return ranks_of(scores.T[videos], owner_Q[None, :] == videos[:, None])
    if protocol != "caption_groups":
        known = ", ".join(get_args(VideoToText))
        raise ValueError(f"video-to-text protocol {protocol!r}: expected one of {known}")
    # (G, V): of each group of captions the best score, with every video.
    groups_GV = np.stack([scores[owner_Q == video].max(axis=0) for video in videos])
    return ranks_of(groups_GV.T[videos], np.eye(len(videos), dtype=bool))


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
    return Ranks(better, tied, right)


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
