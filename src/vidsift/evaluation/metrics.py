"""The field's numbers: pure functions of ranks, recalls and nDCG in percent."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vidsift.evaluation.ranks import Ranks

__all__ = ["RECALLS", "mean_rank", "median_rank", "ndcg", "recall", "rsum", "summary"]

RECALLS = (1, 5, 10, 50)
"""The k of the recalls that are reported."""

_SUMMED = (1, 5, 10)


def recall(ranks: Ranks, k: int) -> float:
    """Return R@k: the expected percentage of questions with a right answer among the first k.

    Raises:
        ValueError: if there is no question, or k is below 1.
    """
    if k < 1:
        raise ValueError(f"R@{k}: k is at least 1")
    _require_some(ranks)
    return 100.0 * float(ranks.within(k).mean())


def median_rank(ranks: Ranks) -> float:
    """Return MdR: the median over questions of the expected rank; between two middle ones, their mean.

    Differs: CLIP4Clip's several-captions path takes ``torch.median``, the lower of two middle ones.
    """
    _require_some(ranks)
    # Ranks are expectations under ties, so the median may be no whole number even of an odd count.
    return float(np.median(ranks.expected()))


def mean_rank(ranks: Ranks) -> float:
    """Return MnR: the mean over questions of the expected rank."""
    _require_some(ranks)
    return float(ranks.expected().mean())


def ndcg(ranks: Ranks) -> float:
    """Return nDCG@10 in percent: the mean over questions, every right answer a gain of 1.

    Source: see :mod:`~vidsift.evaluation.ranks`.
    Differs: trec_eval breaks ties by the documents' ids; this is the expectation over their orders.
    """
    _require_some(ranks)
    return 100.0 * float(ranks.ndcg_at_10.mean())


def summary(ranks: Ranks) -> dict[str, float]:
    """Return R@1, R@5, R@10, R@50, MdR, MnR, nDCG@10 and the number of questions.

    Example:
        >>> from vidsift.evaluation.ranks import text_to_video_ranks
        >>> metrics = summary(text_to_video_ranks([[0.9, 0.1], [0.3, 0.2]], [0, 1]))
        >>> metrics["R@1"], metrics["R@5"], metrics["MdR"], round(metrics["nDCG@10"], 2)
        (50.0, 100.0, 1.5, 81.55)
    """
    return {
        **{f"R@{k}": recall(ranks, k) for k in RECALLS},
        "MdR": median_rank(ranks),
        "MnR": mean_rank(ranks),
        "nDCG@10": ndcg(ranks),
        "questions": len(ranks),
    }


def rsum(text_to_video: Mapping[str, float], video_to_text: Mapping[str, float]) -> float:
    """Return the sum of R@1, R@5 and R@10 of both directions, 600 at best."""
    return sum(side[f"R@{k}"] for side in (text_to_video, video_to_text) for k in _SUMMED)


def _require_some(ranks: Ranks) -> None:
    if len(ranks) == 0:
        raise ValueError("there is no question to take a metric of")
