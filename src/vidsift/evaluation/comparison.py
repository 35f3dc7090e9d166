"""Two saved evaluations of the same videos and captions, compared question by question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidsift.errors import NotComparableError
from vidsift.evaluation.bootstrap import RESAMPLES, Difference, paired_differences
from vidsift.evaluation.claims import LEVEL, holm_corrected
from vidsift.evaluation.ranks import Ranks
from vidsift.evaluation.retrieval import BothWays
from vidsift.evaluation.saved import PLAIN, SavedResult

__all__ = ["Flip", "compare_results", "flips", "refuse_other_questions"]


@dataclass(frozen=True)
class Flip:
    """A question that one of two systems answers first and the other does not.

    Attributes:
        direction: "text_to_video" or "video_to_text".
        question: id of the caption or video.
        text: the caption; "" where a video asks.
        first_rank: expected rank of the right answer in the first system.
        second_rank: in the second.
    """

    direction: str
    question: str
    text: str
    first_rank: float
    second_rank: float


def compare_results(
    first: SavedResult,
    second: SavedResult,
    *,
    post_processing: str = PLAIN,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Compare two evaluations.

    Args:
        first: one.
        second: the other, of the same captions and videos.
        post_processing: which rows of both.
        resamples: draws of the intervals.

    Returns:
        ``metrics``: for each metric and direction both values, their ``difference`` (first minus second),
        its 95 % ``interval``, ``p_value`` and ``p_corrected`` (Holm, over all that are tested here), whether
        it is ``significant`` at 5 %; ``flips``: questions that the first finds at rank 1 and the second does
        not (``only_first``), and the other way (``only_second``); ``first`` and ``second``: folder and
        protocol.

    Raises:
        NotComparableError: they were asked different questions, or counted by different rules.
    """
    refuse_different(first, second)
    left, right = (_ranks_of(result, post_processing) for result in (first, second))
    differences = paired_differences(left, right, first.video_of_caption, resamples=resamples)
    only_first, only_second = flips(first, second, post_processing=post_processing)
    return {
        "post_processing": post_processing,
        "metrics": _rows(differences),
        "flips": {
            "only_first": [vars(flip) for flip in only_first],
            "only_second": [vars(flip) for flip in only_second],
        },
        "test": "randomisation of whole videos between the two, p-values corrected by Holm's method",
        **{
            name: {"folder": str(result.folder), "protocol": result.report["protocol"]}
            for name, result in (("first", first), ("second", second))
        },
    }


def _rows(differences: Sequence[Difference]) -> list[dict[str, Any]]:
    tested = [row.p_value for row in differences if row.p_value is not None]
    corrected = iter(holm_corrected(tested))
    rows = []
    for row in differences:
        p_corrected = None if row.p_value is None else next(corrected)
        rows.append(
            {
                "direction": row.direction,
                "metric": row.metric,
                "first": row.first,
                "second": row.second,
                "difference": row.difference,
                "interval": [row.low, row.high],
                "p_value": row.p_value,
                "p_corrected": p_corrected,
                "significant": p_corrected is not None and p_corrected < LEVEL,
            }
        )
    return rows


def refuse_other_questions(first: SavedResult, second: SavedResult) -> None:
    """Refuse two evaluations that were not asked the same captions of the same videos.

    Raises:
        NotComparableError: galleries or captions differ; says where.
    """
    for name, left, right in (
        ("videos", first.video_ids, second.video_ids),
        ("captions", first.captions, second.captions),
        ("captions", first.caption_ids, second.caption_ids),
    ):
        if left != right:
            raise NotComparableError(
                f"{first.folder} and {second.folder} were not asked the same: "
                f"{_first_difference(name, left, right)}"
            )


def refuse_different(first: SavedResult, second: SavedResult) -> None:
    """Refuse two evaluations that no question-by-question comparison can be made of.

    Raises:
        NotComparableError: galleries, captions, missing videos or protocols differ; says which.
    """
    refuse_other_questions(first, second)
    where = f"{first.folder} and {second.folder}"
    missing = [
        video
        for video, left, right in zip(first.video_ids, first.present, second.present, strict=True)
        if left != right
    ]
    if missing:
        raise NotComparableError(
            f"{where} miss different videos ({len(missing)}, such as {missing[0]}): evaluate both with the "
            "same files, or both with --missing skip"
        )
    for key, remedy in (("video_to_text", "--video-to-text"), ("missing_policy", "--missing")):
        left, right = (result.report["protocol"].get(key) for result in (first, second))
        # "refuse" and "skip" count alike where nothing is missing.
        if left != right and (key == "video_to_text" or not (first.present.all() and second.present.all())):
            raise NotComparableError(
                f"{where} differ in {key}: {left} and {right}; give both the same {remedy}"
            )


def _first_difference(name: str, left: Sequence[str], right: Sequence[str]) -> str:
    if len(left) != len(right):
        return f"{len(left)} and {len(right)} {name}"
    place = next(number for number, pair in enumerate(zip(left, right, strict=True)) if pair[0] != pair[1])
    return f"of the {name}, number {place} is {left[place]!r} and {right[place]!r}"


def _ranks_of(result: SavedResult, post_processing: str) -> BothWays:
    if post_processing not in result.ranks:
        known = ", ".join(result.ranks)
        raise NotComparableError(
            f"{result.folder} has no rows {post_processing!r} in both directions; it has: {known}"
        )
    return result.ranks[post_processing]


def flips(
    first: SavedResult, second: SavedResult, *, post_processing: str = PLAIN
) -> tuple[list[Flip], list[Flip]]:
    """Return the questions that only the first, and only the second, answers rightly at rank 1.

    Where scores tie at the top, a question counts as answered from a half upwards. The worst losses come
    first.
    """
    only_first: list[Flip] = []
    only_second: list[Flip] = []
    for direction in ("text_to_video", "video_to_text"):
        left, right = (getattr(_ranks_of(result, post_processing), direction) for result in (first, second))
        to_video = direction == "text_to_video"
        names = first.caption_ids if to_video else first.video_ids
        texts = first.captions if to_video else [""] * len(names)
        hits = [_is_first(side) for side in (left, right)]
        for flipped, chosen in ((only_first, hits[0] & ~hits[1]), (only_second, hits[1] & ~hits[0])):
            ranks = (left.expected(), right.expected())
            worse = ranks[1] if flipped is only_first else ranks[0]
            rows = np.flatnonzero(chosen)
            for row in rows[np.argsort(-worse[rows], kind="stable")]:
                flipped.append(
                    Flip(direction, names[row], texts[row], float(ranks[0][row]), float(ranks[1][row]))
                )
    return only_first, only_second


def _is_first(ranks: Ranks) -> NDArray[np.bool_]:
    return np.asarray(ranks.within(1) >= 0.5)
