"""Metrics from ranks with known answers."""

from __future__ import annotations

import numpy as np
import pytest

from vidsift.evaluation.metrics import mean_rank, median_rank, recall, rsum, summary
from vidsift.evaluation.ranks import Ranks


def ranks_at(*places: int) -> Ranks:
    ones = np.ones(len(places), np.int64)
    return Ranks(np.asarray(places) - 1, ones, ones)


def test_known_ranks() -> None:
    ranks = ranks_at(1, 2, 6, 11)
    assert summary(ranks) == {"R@1": 25.0, "R@5": 50.0, "R@10": 75.0, "MdR": 4.0, "MnR": 5.0, "questions": 4}
    assert recall(ranks, 11) == 100.0


def test_a_tie_for_the_first_place_is_half_a_hit() -> None:
    tied = Ranks(np.array([0]), np.array([2]), np.array([1]))
    assert recall(tied, 1) == 50.0
    assert recall(tied, 2) == 100.0
    assert mean_rank(tied) == median_rank(tied) == 1.5


def test_rsum_adds_six_recalls() -> None:
    assert rsum(summary(ranks_at(1)), summary(ranks_at(7, 1))) == 300 + 50 + 50 + 100


def test_no_question_has_no_metric() -> None:
    empty = Ranks(*(np.zeros(0, np.int64) for _ in range(3)))
    with pytest.raises(ValueError, match="no question"):
        recall(empty, 1)
    with pytest.raises(ValueError, match="at least 1"):
        recall(ranks_at(1), 0)
