"""Intervals and paired tests: by counting, by formula, and where there is nothing to find."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from vidsift.evaluation.bootstrap import Difference, bootstrap_intervals, paired_differences
from vidsift.evaluation.metrics import summary
from vidsift.evaluation.ranks import Ranks
from vidsift.evaluation.retrieval import BothWays, both_ways


def ranks_at(*places: int) -> Ranks:
    ones = np.ones(len(places), np.int64)
    return Ranks(np.asarray(places) - 1, ones, ones)


def paired(first: list[int], second: list[int], **options: int) -> dict[str, Difference]:
    """Text to video alone counts: the other way both are the same."""
    back, owner = ranks_at(*[1] * len(first)), np.arange(len(first))
    left, right = (BothWays(ranks_at(*places), back) for places in (first, second))
    rows = paired_differences(left, right, owner, **options)
    return {row.metric: row for row in rows if row.direction == "text_to_video"}


def test_an_interval_is_that_of_the_formula_for_a_share() -> None:
    # 400 videos of which 120 are found first: 30 %, with a standard error of 2.29.
    places = [1] * 120 + [7] * 280
    ranks = BothWays(ranks_at(*places), ranks_at(*places))
    intervals = bootstrap_intervals(ranks, np.arange(400), resamples=4000)
    low, high = intervals["text_to_video"]["R@1"]
    error = 100 * np.sqrt(0.3 * 0.7 / 400)
    assert (low, high) == (
        pytest.approx(30 - 1.96 * error, abs=0.4),
        pytest.approx(30 + 1.96 * error, abs=0.4),
    )
    assert intervals["text_to_video"]["R@10"] == [100.0, 100.0]
    assert intervals["text_to_video"]["MdR"] == [7.0, 7.0]
    # Both ways are equal here and share their draws: R@1 and R@5 twice, and twice 100.
    assert intervals["rsum"] == [pytest.approx(200 + 4 * low), pytest.approx(200 + 4 * high)]
    assert (intervals["level"], intervals["resamples"], intervals["over"]) == (95.0, 4000, "videos")


def test_captions_of_one_video_are_drawn_together() -> None:
    # Of 50 videos, 25 are found by all of their 20 captions and 25 by none: no more is known than of 50.
    found_V = np.arange(50) % 2
    ranks = ranks_at(*np.repeat(np.where(found_V, 1, 30), 20).tolist())
    both = BothWays(ranks, ranks_at(*[1] * 50))
    low, high = bootstrap_intervals(both, np.repeat(np.arange(50), 20))["text_to_video"]["R@1"]
    assert high - low == pytest.approx(2 * 1.96 * 100 * np.sqrt(0.25 / 50), rel=0.15)


def test_the_draws_are_those_of_the_seed() -> None:
    rng = np.random.default_rng(0)
    ranks = both_ways(rng.standard_normal((60, 20)), np.repeat(np.arange(20), 3))
    owner = np.repeat(np.arange(20), 3)
    assert bootstrap_intervals(ranks, owner) == bootstrap_intervals(ranks, owner)
    assert bootstrap_intervals(ranks, owner) != bootstrap_intervals(ranks, owner, seed=1)


def test_every_interval_holds_its_number_and_a_median_is_a_median() -> None:
    rng = np.random.default_rng(3)
    owner = np.repeat(np.arange(30), rng.integers(1, 5, 30))
    ranks = both_ways(rng.integers(0, 12, (len(owner), 30)).astype(float), owner)
    intervals = bootstrap_intervals(ranks, owner)
    for way, side in ranks._asdict().items():
        numbers = summary(side)
        for name, (low, high) in intervals[way].items():
            assert low <= numbers[name] <= high
    # One draw, by the definition: every video as often as it was drawn.
    (drawn,) = (np.bincount(np.random.default_rng(5).integers(0, 30, (1, 30))[0], minlength=30),)
    expected = np.repeat(ranks.text_to_video.expected(), drawn[owner])
    low, high = bootstrap_intervals(ranks, owner, resamples=1, seed=5)["text_to_video"]["MdR"]
    assert low == high == np.median(expected)


def test_a_paired_test_counts_the_worlds_in_which_answers_are_exchanged() -> None:
    first, second = [1, 1, 1, 1, 1, 1, 9, 9], [9, 9, 9, 9, 1, 1, 9, 1]
    # Recalls differ by +1 on four videos and by -1 on one: how many of 2 ** 5 signs sum to 3 or more, or -3?
    as_large = sum(abs(sum(signs)) >= 3 for signs in product((-1, 1), repeat=5))
    rows = paired(first, second)
    assert rows["R@1"].difference == pytest.approx(37.5)
    assert rows["R@1"].p_value == pytest.approx(as_large / 32, abs=0.015)
    assert rows["R@50"].p_value == 1.0
    assert rows["MdR"].p_value is None
    assert rows["MdR"].first - rows["MdR"].second == -8.0


def test_equal_systems_do_not_differ() -> None:
    for row in paired([1, 4, 2], [1, 4, 2]).values():
        assert (row.difference, row.low, row.high) == (0.0, 0.0, 0.0)
        assert row.p_value in (1.0, None)


def test_a_pairing_shows_what_two_intervals_hide() -> None:
    # 300 videos, half of them hard for both; the first system is better on 12 and worse on none.
    first = [1] * 162 + [8] * 138
    second = [1] * 150 + [8] * 150
    row = paired(first, second)["R@1"]
    assert row.difference == pytest.approx(4.0)
    assert row.low > 0
    assert row.p_value is not None
    assert row.p_value < 0.001
    sides = [
        bootstrap_intervals(BothWays(ranks_at(*places), ranks_at(*places)), np.arange(300))
        for places in (first, second)
    ]
    (low, _), (_, high) = (side["text_to_video"]["R@1"] for side in sides)
    assert low < high, "taken alone, the two intervals overlap"


def test_p_values_are_uniform_where_there_is_nothing() -> None:
    rng = np.random.default_rng(11)
    small = 0
    for _ in range(60):
        places = np.where(rng.random((2, 80)) < 0.5, 1, 9).tolist()
        p_value = paired(*places, flips=500, resamples=10)["R@1"].p_value
        assert p_value is not None
        small += p_value < 0.2
    assert 4 <= small <= 21  # 12 expected
