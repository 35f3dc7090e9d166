"""Similarities and what is true -> the numbers of a report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vidsift.data.entries import Entry
from vidsift.evaluation.metrics import recall, rsum, summary
from vidsift.evaluation.ranks import (
    Ranks,
    RightVideos,
    VideoToText,
    choice_ranks,
    ranks_with_unanswered,
    require_finite_scores,
    text_to_video_ranks,
    video_to_text_ranks,
)

__all__ = ["POSITIVES_RULE", "BothWays", "both_ways", "retrieval_metrics", "video_of_caption"]

POSITIVES_RULE = (
    "several videos may be right for a caption: the best-ranked right one counts in R@K and in the ranks, "
    "nDCG takes all of them; asked for its captions, a video is answered by every caption it is right for"
)
"""What scoring with several right videos means; part of the protocol."""


class BothWays(NamedTuple):
    """Where the right answers stand.

    Attributes:
        text_to_video: a question for each caption, ``(Q,)``.
        video_to_text: a question for each video, ``(V,)``.
    """

    text_to_video: Ranks
    video_to_text: Ranks


def video_of_caption(entries: Sequence[Entry]) -> NDArray[np.int64]:
    """Return for each caption, video by video, the number of its video, ``(Q,)``."""
    return np.repeat(np.arange(len(entries)), [len(entry.captions) for entry in entries])


def both_ways(
    to_video_QV: ArrayLike,
    owner_Q: NDArray[np.int64],
    *,
    video_to_text: VideoToText = "closest_caption",
    present: NDArray[np.bool_] | None = None,
    positives: RightVideos | None = None,
    to_text_QV: ArrayLike | None = None,
) -> BothWays:
    """Rank the videos for every caption, and the captions for every video.

    Args:
        to_video_QV: similarities, compared within a row.
        owner_Q: the video of each caption, see :func:`video_of_caption`; every video has one at least.
        video_to_text: see :func:`~vidsift.evaluation.ranks.video_to_text_ranks`.
        present: bool ``(V,)``, see :func:`retrieval_metrics`.
        positives: for each caption the videos that are right for it beside its own.
        to_text_QV: similarities, compared within a column, where they are others (post-processing gives each
            direction its own).

    Raises:
        NonFiniteScoresError: if a similarity is NaN or infinite.
    """
    there, back = np.asarray(to_video_QV), np.asarray(to_video_QV if to_text_QV is None else to_text_QV)
    present_V = np.ones(there.shape[1], bool) if present is None else np.asarray(present, bool)
    if not present_V.all():
        # Zeros where nothing was measured: no rank below reads them.
        there, back = np.where(present_V, there, 0.0), np.where(present_V, back, 0.0)
    return BothWays(
        _text_to_video(there, owner_Q, present_V, positives),
        _video_to_text(back, owner_Q, present_V, video_to_text, positives),
    )


def retrieval_metrics(
    sim_QV: ArrayLike,
    entries: Sequence[Entry],
    *,
    video_to_text: VideoToText = "closest_caption",
    present: ArrayLike | None = None,
    positives: RightVideos | None = None,
) -> dict[str, Any]:
    """Turn similarities into numbers.

    A video that is not ``present`` counts as not found, and the gallery stays as large as it is: its captions
    are in no R@K and take the rank behind the last video; asked for its captions, it takes the rank behind
    the last one; among hard negatives its captions are wrong. To the captions of other videos it is no rival,
    as nobody knows where it would stand (with K missing, such a caption may stand up to K ranks better), so a
    model that guesses scores what it would with all videos there. Its captions stay rivals to other videos.

    Args:
        sim_QV: every caption of the entries, in order, with every video, in order.
        entries: what is true: captions, tags, groups of hard negatives.
        video_to_text: protocol with several captions a video, see
            :func:`~vidsift.evaluation.ranks.video_to_text_ranks`.
        present: bool ``(V,)``, False for videos that are missing, whose columns may hold anything; None where
            none is.
        positives: for each caption the numbers of all videos that are right for it, where that is known
            (its own is right anyway): scored beside the plain numbers, see :data:`POSITIVES_RULE`.

    Returns:
        ``text_to_video`` and ``video_to_text`` (R@1, R@5, R@10, R@50, MdR, MnR, nDCG@10, questions),
        ``rsum``, and where the entries have them: ``by_tag`` (text to video, for each tag), ``by_novelty``
        ("seen", "unseen"), ``choice`` (percentage of captions that pick the right video among its hard
        negatives, overall and by tag, with the percentage that chance gives). With positives ``positives``:
        the first three once more, ``captions`` (how many have several right videos) and the ``rule``.

    Raises:
        NonFiniteScoresError: if a similarity is NaN or infinite.
        ValueError: if every video is missing, or shapes do not fit.
    """
    owner_Q = video_of_caption(entries)
    present_V = np.ones(len(entries), bool) if present is None else np.asarray(present, bool)
    # Zeros where nothing was measured: no rank below reads them.
    scores_QV = np.asarray(sim_QV) if present_V.all() else np.where(present_V, sim_QV, 0.0)
    require_finite_scores(scores_QV)
    ranks = both_ways(scores_QV, owner_Q, video_to_text=video_to_text, present=present_V)
    tag_Q = np.asarray([entry.tag for entry in entries])[owner_Q]
    result = _directions(ranks) | _breakdowns(ranks.text_to_video, entries, owner_Q, tag_Q)
    choice = _choice(scores_QV, owner_Q, present_V, entries, tag_Q)
    if choice:
        result["choice"] = choice
    if positives is not None:
        options: dict[str, Any] = {
            "video_to_text": video_to_text,
            "present": present_V,
            "positives": positives,
        }
        count = sum(bool(set(right) - {owner}) for right, owner in zip(positives, owner_Q, strict=True))
        several = _directions(both_ways(scores_QV, owner_Q, **options))
        result["positives"] = several | {"captions": count, "rule": POSITIVES_RULE}
    return result


def _directions(ranks: BothWays) -> dict[str, Any]:
    there, back = summary(ranks.text_to_video), summary(ranks.video_to_text)
    return {"text_to_video": there, "video_to_text": back, "rsum": rsum(there, back)}


def _breakdowns(
    ranks_Q: Ranks, entries: Sequence[Entry], owner_Q: NDArray[np.int64], tag_Q: NDArray[np.str_]
) -> dict[str, Any]:
    result: dict[str, Any] = {}
    if any(tag_Q):
        result["by_tag"] = {str(tag): summary(ranks_Q[tag_Q == tag]) for tag in dict.fromkeys(tag_Q) if tag}
    novelty_Q = np.asarray([_novelty(entry) for entry in entries])[owner_Q]
    kinds = sorted({str(kind) for kind in novelty_Q if kind})
    if kinds:
        result["by_novelty"] = {kind: summary(ranks_Q[novelty_Q == kind]) for kind in kinds}
    return result


def _novelty(entry: Entry) -> str:
    return "" if entry.unseen is None else "unseen" if entry.unseen else "seen"


def _among_present(
    sim_QV: NDArray[Any], owner_Q: NDArray[np.int64], present_V: NDArray[np.bool_]
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the captions of the videos that are there with those videos, and the owners counted anew."""
    if present_V.all():
        return sim_QV, owner_Q
    present_Q = present_V[owner_Q]
    # Old number of a video -> its number among those that are there.
    return sim_QV[present_Q][:, present_V], (np.cumsum(present_V) - 1)[owner_Q[present_Q]]


def _text_to_video(
    sim_QV: NDArray[Any],
    owner_Q: NDArray[np.int64],
    present_V: NDArray[np.bool_],
    positives: RightVideos | None,
) -> Ranks:
    if present_V.all():
        return text_to_video_ranks(sim_QV, owner_Q, positives)
    # Only videos that are there are rivals, and right; a caption of a missing one alone stands behind all V.
    new_V = np.cumsum(present_V) - 1
    rights = [
        {int(owner), *others} for owner, others in zip(owner_Q, positives or [()] * len(owner_Q), strict=True)
    ]
    there = [[int(new_V[video]) for video in sorted(right) if present_V[video]] for right in rights]
    asked_Q = np.asarray([bool(right) for right in there])
    rows = np.flatnonzero(asked_Q)
    # One of the right videos stands for the owner, who may be missing.
    first = np.asarray([there[row][0] for row in rows], np.int64)
    ranks = text_to_video_ranks(sim_QV[asked_Q][:, present_V], first, [there[row] for row in rows])
    return ranks_with_unanswered(ranks, asked_Q, len(present_V))


def _video_to_text(
    sim_QV: NDArray[Any],
    owner_Q: NDArray[np.int64],
    present_V: NDArray[np.bool_],
    protocol: VideoToText,
    positives: RightVideos | None,
) -> Ranks:
    ranks = video_to_text_ranks(sim_QV, owner_Q, protocol, positives)
    # Ranks come for the videos that have a caption, ascending.
    answered_V = present_V[np.unique(owner_Q)]
    items = len(owner_Q) if protocol == "closest_caption" else len(answered_V)
    return ranks_with_unanswered(ranks[answered_V], answered_V, items)


def _choice(
    sim_QV: NDArray[Any],
    owner_Q: NDArray[np.int64],
    present_V: NDArray[np.bool_],
    entries: Sequence[Entry],
    tag_Q: NDArray[np.str_],
) -> dict[str, Any]:
    # Videos without a group share the name ""; named_Q takes them out below.
    names = {name: number for number, name in enumerate(sorted({entry.group for entry in entries}))}
    group_V = np.asarray([names[entry.group] for entry in entries])
    scores, owner = _among_present(sim_QV, owner_Q, present_V)
    present_ranks, present_size = choice_ranks(scores, owner, group_V[present_V])
    answered_Q = present_V[owner_Q]
    ranks = ranks_with_unanswered(present_ranks, answered_Q, len(entries))
    # A guess hits one of the videos that are there, and never one that is missing.
    chance_Q = np.zeros(len(owner_Q))
    chance_Q[answered_Q] = 1 / present_size
    named_Q = np.asarray([bool(entry.group) for entry in entries])[owner_Q]
    # Alone in a group there is nothing to choose from.
    in_group_Q = named_Q & (np.bincount(group_V)[group_V[owner_Q]] > 1)
    if not in_group_Q.any():
        return {}

    def row(chosen: NDArray[np.bool_]) -> dict[str, float]:
        return {
            "right": recall(ranks[chosen], 1),
            "chance": 100.0 * float(chance_Q[chosen].mean()),
            "questions": int(chosen.sum()),
        }

    tags = {str(tag): row(in_group_Q & (tag_Q == tag)) for tag in dict.fromkeys(tag_Q[in_group_Q]) if tag}
    return {"all": row(in_group_Q)} | ({"by_tag": tags} if tags else {})
