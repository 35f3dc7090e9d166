"""How sure the numbers are: intervals over videos, and paired tests of two systems on the same videos.

Captions of one video are no independent questions, so whole videos are resampled: each draw takes as many
videos as there are, with replacement, with all their captions and with their ranks in the whole gallery
(which is not drawn anew: a video drawn twice would be its own rival). The directions share their draws, so
that their sum has an interval too. All draws are one matrix product.

Source: Efron and Tibshirani 1993, An introduction to the bootstrap, chapters 8 and 13 (clusters, percentile
    intervals); Smucker, Allan and Carterette 2007, A comparison of statistical significance tests for
    information retrieval evaluation (the randomisation test).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidsift.evaluation.metrics import RECALLS
from vidsift.evaluation.ranks import Ranks
from vidsift.evaluation.retrieval import BothWays

__all__ = [
    "LEVEL_PERCENT",
    "RESAMPLES",
    "SEED",
    "Difference",
    "bootstrap_intervals",
    "bootstrap_ratios",
    "paired_differences",
]

RESAMPLES = 1000
"""Draws of an interval."""

SEED = 0
"""Of the draws: always the same ones, so that an evaluation gives the same numbers again."""

LEVEL_PERCENT = 95.0
"""Percentage of the draws that an interval holds."""

_FLIPS = 10_000
_AT_ONCE = 1000
_MEANS = (*(f"R@{k}" for k in RECALLS), "MnR", "nDCG@10")
_DIRECTIONS = ("text_to_video", "video_to_text")
_SUMMED = ("R@1", "R@5", "R@10")

Metric = tuple[str, str]
"""Direction, or "" for both together, and name."""


@dataclass(frozen=True)
class Difference:
    """What two systems differ by in one metric.

    Attributes:
        direction: "text_to_video", "video_to_text", or "" for both together.
        metric: its name.
        first: value of the first system.
        second: value of the second.
        low: lower end of the 95 % interval of ``first - second``.
        high: its upper end.
        p_value: how likely so large a difference, either way, is if the two were exchangeable; None for the
            median rank, which moves in steps and has its interval alone.
    """

    direction: str
    metric: str
    first: float
    second: float
    low: float
    high: float
    p_value: float | None

    @property
    def difference(self) -> float:
        """``first - second``."""
        return self.first - self.second


@dataclass(frozen=True, eq=False)
class _VideoSums:
    """What the questions of each video add up to in one direction.

    Attributes:
        sums: of the values whose means are metrics, in the order of ``_MEANS``, ``(V, K)``.
        questions: how many, ``(V,)``.
        places: ranks that occur, ascending, ``(U,)``.
        histogram: how often each occurs, ``(V, U)``.
    """

    sums: NDArray[np.float64]
    questions: NDArray[np.float64]
    places: NDArray[np.float64]
    histogram: NDArray[np.float32]


def _video_sums(
    ranks: Ranks, video_N: NDArray[np.int64], videos: int, places_U: NDArray[np.float64]
) -> _VideoSums:
    expected_N = ranks.expected()
    values = [*(100.0 * ranks.within(k) for k in RECALLS), expected_N, 100.0 * ranks.ndcg_at_10]
    sums_VK = np.stack([np.bincount(video_N, column, videos) for column in values], axis=1).astype(np.float64)
    cell_N = video_N * len(places_U) + np.searchsorted(places_U, expected_N)
    places = np.bincount(cell_N, minlength=videos * len(places_U)).reshape(videos, -1)
    counts_V = np.bincount(video_N, minlength=videos).astype(np.float64)
    return _VideoSums(sums_VK, counts_V, places_U, places.astype(np.float32))


def _both_sums(systems: Sequence[BothWays], owner_Q: NDArray[np.int64]) -> list[dict[str, _VideoSums]]:
    """Sum up systems that were asked the same, on the same places."""
    videos = int(owner_Q.max()) + 1
    asked_N = {"text_to_video": owner_Q, "video_to_text": np.unique(owner_Q)}
    sums: list[dict[str, _VideoSums]] = [{} for _ in systems]
    for direction in _DIRECTIONS:
        sides: list[Ranks] = [getattr(system, direction) for system in systems]
        places_U = np.unique(np.concatenate([ranks.expected() for ranks in sides]))
        for system, ranks in zip(sums, sides, strict=True):
            system[direction] = _video_sums(ranks, asked_N[direction], videos, places_U)
    return sums


def _draws(videos: int, resamples: int, seed: int) -> Iterator[NDArray[np.float32]]:
    """How often each video is in a draw, some draws at a time, ``(B, V)``."""
    rng = np.random.default_rng(seed)
    for first in range(0, resamples, _AT_ONCE):
        count = min(_AT_ONCE, resamples - first)
        drawn = rng.integers(0, videos, (count, videos)) + np.arange(count)[:, None] * videos
        yield np.bincount(drawn.ravel(), minlength=count * videos).reshape(count, -1).astype(np.float32)


def _means(
    weighted: Sequence[tuple[NDArray[Any], Mapping[str, _VideoSums]]],
) -> dict[Metric, NDArray[np.float64]]:
    """The metrics that are means, of videos with weights; several systems' parts are added up."""
    metrics: dict[Metric, NDArray[np.float64]] = {}
    for direction in _DIRECTIONS:
        sums_BK = sum(weights_BV @ system[direction].sums for weights_BV, system in weighted)
        counts_B = sum(weights_BV @ system[direction].questions for weights_BV, system in weighted)
        means_BK = sums_BK / np.asarray(counts_B)[:, None]
        metrics |= {(direction, name): means_BK[:, column] for column, name in enumerate(_MEANS)}
    total = sum(metrics[direction, name] for direction in _DIRECTIONS for name in _SUMMED)
    return metrics | {("", "rsum"): np.asarray(total)}


def _medians(
    weights_BV: NDArray[np.float32], system: Mapping[str, _VideoSums]
) -> dict[Metric, NDArray[np.float64]]:
    medians: dict[Metric, NDArray[np.float64]] = {}
    for direction, sums in system.items():
        # fp32 holds these counts exactly: they are whole and below 2**24.
        below_BU = np.cumsum(weights_BV @ sums.histogram, axis=1)
        count_B = below_BU[:, -1]
        middles = [
            sums.places[(below_BU <= place[:, None]).sum(axis=1)]
            for place in ((count_B - 1) // 2, count_B // 2)
        ]
        medians[direction, "MdR"] = (middles[0] + middles[1]) / 2
    return medians


def _ends(values_B: NDArray[np.float64]) -> tuple[float, float]:
    rest = (100.0 - LEVEL_PERCENT) / 2
    low, high = np.percentile(values_B, [rest, 100.0 - rest])
    return float(low), float(high)


def bootstrap_intervals(
    ranks: BothWays, owner_Q: NDArray[np.int64], *, resamples: int = RESAMPLES, seed: int = SEED
) -> dict[str, Any]:
    """Return the 95 % interval of every metric over the choice of videos.

    Args:
        ranks: of both directions.
        owner_Q: the video of each caption; every video has one at least.
        resamples: draws.
        seed: of the draws.

    Returns:
        ``text_to_video`` and ``video_to_text``, each ``{metric: [low, high]}``; ``rsum``; and what they are:
        ``level`` in percent, ``resamples``, ``seed``, ``over``.

    Source: see the module.
    """
    (system,) = _both_sums([ranks], owner_Q)
    parts = [
        _means([(weights_BV, system)]) | _medians(weights_BV, system)
        for weights_BV in _draws(int(owner_Q.max()) + 1, resamples, seed)
    ]
    ends = {metric: list(_ends(np.concatenate([part[metric] for part in parts]))) for metric in parts[0]}
    order = (*(f"R@{k}" for k in RECALLS), "MdR", "MnR", "nDCG@10")
    sides = {way: {name: ends[way, name] for name in order} for way in _DIRECTIONS}
    about = {"level": LEVEL_PERCENT, "resamples": resamples, "seed": seed, "over": "videos"}
    return sides | {"rsum": ends["", "rsum"]} | about


def bootstrap_ratios(
    over_VK: NDArray[np.float64],
    under_VK: NDArray[np.float64],
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return K ratios of sums over videos with their 95 % intervals over the choice of videos.

    A mean over the words or captions of all videos is such a ratio: their values over how many they are.

    Args:
        over_VK: what each video adds to the numerators.
        under_VK: what it adds to the denominators.
        resamples: draws; one in which a denominator is 0 says nothing of that ratio.
        seed: of the draws.

    Returns:
        The ratios ``(K,)``, and lower and upper ends ``(K, 2)``; NaN where the denominator is 0 throughout.

    Source: see the module.

    Example:
        >>> values, ends = bootstrap_ratios(np.array([[1.0], [1.0]]), np.array([[2.0], [2.0]]))
        >>> values.tolist(), ends.tolist()
        ([0.5], [[0.5, 0.5]])
    """
    values_K = _ratios(over_VK.sum(axis=0), under_VK.sum(axis=0))
    drawn_BK = np.concatenate(
        [
            _ratios(weights_BV @ over_VK, weights_BV @ under_VK)
            for weights_BV in _draws(len(over_VK), resamples, seed)
        ]
    )
    ends_K2 = [
        _ends(column_B[~np.isnan(column_B)]) if not np.isnan(column_B).all() else (np.nan, np.nan)
        for column_B in drawn_BK.T
    ]
    return values_K, np.array(ends_K2).reshape(-1, 2)


def _ratios(over: NDArray[np.float64], under: NDArray[np.float64]) -> NDArray[np.float64]:
    ratios: NDArray[np.float64] = np.divide(over, under, out=np.full(over.shape, np.nan), where=under != 0)
    return ratios


def paired_differences(
    first: BothWays,
    second: BothWays,
    owner_Q: NDArray[np.int64],
    *,
    resamples: int = RESAMPLES,
    flips: int = _FLIPS,
    seed: int = SEED,
) -> list[Difference]:
    """Compare two systems that were asked the same captions and videos.

    The interval is a paired bootstrap: both systems are measured on the same draws of videos. The p-value is
    of a randomisation test: for each video a coin says whether the two exchange their answers to all its
    questions; it is the share of such worlds with at least the measured difference, the real one included.

    Args:
        first: ranks of one system.
        second: of the other.
        owner_Q: the video of each caption.
        resamples: draws of the interval.
        flips: worlds of the test; the smallest p-value is ``1 / (flips + 1)``.
        seed: of both.

    Returns:
        Every metric of both directions, and ``rsum``; p-values are not corrected yet for how many these are.

    Source: see the module.
    """
    left, right = _both_sums([first, second], owner_Q)
    videos = int(owner_Q.max()) + 1
    differences: dict[Metric, list[NDArray[np.float64]]] = {}
    for weights_BV in _draws(videos, resamples, seed):
        sides = [_means([(weights_BV, side)]) | _medians(weights_BV, side) for side in (left, right)]
        for metric, values_B in sides[0].items():
            differences.setdefault(metric, []).append(values_B - sides[1][metric])
    whole = np.ones((1, videos), np.float32)
    values = [_means([(whole, side)]) | _medians(whole, side) for side in (left, right)]
    p_values = _exchanged(left, right, videos, flips, seed)
    order = [(way, name) for way in _DIRECTIONS for name in (*_MEANS[:-2], "MdR", *_MEANS[-2:])]
    rows = []
    for metric in [*order, ("", "rsum")]:
        a, b = (float(side[metric][0]) for side in values)
        rows.append(
            Difference(*metric, a, b, *_ends(np.concatenate(differences[metric])), p_values.get(metric))
        )
    return rows


def _exchanged(
    left: Mapping[str, _VideoSums], right: Mapping[str, _VideoSums], videos: int, flips: int, seed: int
) -> dict[Metric, float]:
    """Return the two-sided p-value of every mean, over worlds in which videos exchange their answers."""
    # Not the numbers that the draws of the intervals began with.
    rng = np.random.default_rng([seed, 1])
    whole = np.ones((1, videos))
    measured = {
        metric: abs(float(value[0] - _means([(whole, right)])[metric][0]))
        for metric, value in _means([(whole, left)]).items()
    }
    as_large = dict.fromkeys(measured, 1)  # the real world is one of them
    for first in range(0, flips, _AT_ONCE):
        stay_BV = rng.integers(0, 2, (min(_AT_ONCE, flips - first), videos)).astype(np.float64)
        there = _means([(stay_BV, left), (1 - stay_BV, right)])
        back = _means([(1 - stay_BV, left), (stay_BV, right)])
        for metric, value in measured.items():
            # A hair's breadth: equal sums in another order of adding are equal.
            as_large[metric] += int((np.abs(there[metric] - back[metric]) >= value - 1e-9).sum())
    return {metric: count / (flips + 1) for metric, count in as_large.items()}
