"""Metrics from ranks with known answers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vidsift.evaluation.metrics import mean_rank, median_rank, recall, rsum, summary
from vidsift.evaluation.ranks import Ranks


def ranks_at(*places: int) -> Ranks:
    ones = np.ones(len(places), np.int64)
    return Ranks(np.asarray(places) - 1, ones, ones)


def test_known_ranks() -> None:
    ranks = ranks_at(1, 2, 6, 11)
    # nDCG: places 1, 2, 6 of ten, worth 1, 1 / log2(3) and 1 / log2(7).
    gain = (1 + 1 / math.log2(3) + 1 / math.log2(7)) / 4
    assert summary(ranks) == {
        "R@1": 25.0, "R@5": 50.0, "R@10": 75.0, "R@50": 100.0, "MdR": 4.0, "MnR": 5.0,
        "nDCG@10": pytest.approx(100 * gain), "questions": 4,
    }  # fmt: skip
    assert recall(ranks, 11) == 100.0


def test_a_tie_for_the_first_place_is_half_a_hit() -> None:
    tied = Ranks(np.array([0]), np.array([2]), np.array([1]))
    assert recall(tied, 1) == 50.0
    assert recall(tied, 2) == 100.0
    assert mean_rank(tied) == median_rank(tied) == 1.5


def test_rsum_adds_six_recalls() -> None:
    assert rsum(summary(ranks_at(1)), summary(ranks_at(7, 1))) == 300 + 50 + 50 + 100


def test_no_question_has_no_metric() -> None:
    nothing = np.zeros(0, np.int64)
    empty = Ranks(nothing, nothing, nothing)
    with pytest.raises(ValueError, match="no question"):
        recall(empty, 1)
    with pytest.raises(ValueError, match="at least 1"):
        recall(ranks_at(1), 0)
