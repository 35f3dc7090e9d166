"""The field's numbers: pure functions of ranks, recalls in percent."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vidsift.evaluation.ranks import Ranks

__all__ = ["mean_rank", "median_rank", "recall", "rsum", "summary"]

_AT = (1, 5, 10)


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


def summary(ranks: Ranks) -> dict[str, float]:
    """Return R@1, R@5, R@10, MdR, MnR and the number of questions.

    Example:
        >>> from vidsift.evaluation.ranks import text_to_video_ranks
        >>> summary(text_to_video_ranks([[0.9, 0.1], [0.3, 0.2]], [0, 1]))
        {'R@1': 50.0, 'R@5': 100.0, 'R@10': 100.0, 'MdR': 1.5, 'MnR': 1.5, 'questions': 2}
    """
    recalls = {f"R@{k}": recall(ranks, k) for k in _AT}
    return recalls | {"MdR": median_rank(ranks), "MnR": mean_rank(ranks), "questions": len(ranks)}


def rsum(text_to_video: Mapping[str, float], video_to_text: Mapping[str, float]) -> float:
    """Return the sum of the six recalls of both directions, 600 at best."""
    return sum(side[f"R@{k}"] for side in (text_to_video, video_to_text) for k in _AT)


def _require_some(ranks: Ranks) -> None:
    if len(ranks) == 0:
        raise ValueError("there is no question to take a metric of")
