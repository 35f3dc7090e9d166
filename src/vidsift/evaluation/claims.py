"""Whether measured rows agree with a claim such as ``wti > ti > dp``, and how sure that is.

A claim is a list of comparisons. The standard error of a difference holds both sources of chance: the test
videos and the seeds. Of many comparisons some are large by chance, so all that were made are corrected
together (:func:`holm`); what is left below 5 % is significant. And rows that all score below the weights they
started from tell which of them lost less, and nothing of the methods.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "LEVEL",
    "Comparison",
    "Measured",
    "Verdict",
    "holm",
    "holm_corrected",
    "measure",
    "parse_order",
    "verdict",
]

Verdict = Literal["agrees", "disagrees", "cannot tell", "below the start"]

LEVEL = 0.05
"""Chance that any of all comparisons is called significant where no rows differ."""


@dataclass(frozen=True)
class Comparison:
    """``left > right``, both sums and differences of rows.

    Attributes:
        text: as written.
        weights: row to its weight in ``left - right``.
        strict: False for ``>=``, which holds unless the contrary is significant.
    """

    text: str
    weights: Mapping[str, float]
    strict: bool


@dataclass(frozen=True)
class Measured:
    """A comparison with what was measured of it.

    Attributes:
        comparison: which rows.
        difference: in percentage points.
        error: its standard error.
        p_value: how likely so large a difference, either way, is by chance alone; :func:`holm` corrects it.
        below_start: whether not one of its rows scores above the weights that it started from.
    """

    comparison: Comparison
    difference: float
    error: float
    p_value: float
    below_start: bool = False

    @property
    def significant(self) -> bool:
        """Whether the difference is more than chance."""
        return self.p_value < LEVEL

    @property
    def verdict(self) -> Verdict:
        """What the difference says of the methods."""
        if self.below_start:
            return "below the start"
        if self.significant and self.difference < 0:
            return "disagrees"
        return "agrees" if self.significant or not self.comparison.strict else "cannot tell"


def holm(measured: Sequence[Measured]) -> list[Measured]:
    """Correct the p-values of comparisons for how many were made, by Holm's method.

    The k-th smallest of N is multiplied by ``N - k + 1``, and none gets smaller than one before it. The
    chance that any difference is called significant at a level where there is none stays below that level,
    however the comparisons depend on each other.

    Source: Holm 1979, A simple sequentially rejective multiple test procedure.

    Args:
        measured: all comparisons that were made, not only those that look large.
    """
    values = holm_corrected([item.p_value for item in measured])
    return [replace(item, p_value=value) for item, value in zip(measured, values, strict=True)]


def holm_corrected(p_values: Sequence[float]) -> list[float]:
    """Correct p-values, see :func:`holm`.

    Example:
        >>> holm_corrected([0.01, 0.04])
        [0.02, 0.04]
    """
    # From the smallest p-value up.
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    corrected, so_far = list(p_values), 0.0
    for done, place in enumerate(order):
        so_far = max(so_far, min(1.0, (len(p_values) - done) * p_values[place]))
        corrected[place] = so_far
    return corrected


def parse_order(text: str) -> list[Comparison]:
    """Read ``a > b >= c`` or ``a - b > c - d``; words are set apart by spaces.

    Raises:
        ValueError: if it is no such order.

    Example:
        >>> [comparison.text for comparison in parse_order("wti >= ti > dp")]
        ['wti >= ti', 'ti > dp']
        >>> parse_order("wti - wti-2 > dp - dp-2")[0].weights
        {'wti': 1.0, 'wti-2': -1.0, 'dp': -1.0, 'dp-2': 1.0}
    """
    sides: list[list[str]] = [[]]
    signs: list[str] = []
    for word in text.split():
        if word in (">", ">="):
            signs.append(word)
            sides.append([])
        else:
            sides[-1].append(word)
    if not signs or not all(sides):
        raise ValueError(f"{text!r} is no order; expected rows between > or >=, such as 'wti > ti >= dp'")
    comparisons = []
    # a > b > c is a > b and b > c: there is one side more than signs.
    for left, sign, right in zip(sides, signs, sides[1:], strict=False):
        weights: dict[str, float] = {}
        for name, weight in (*_sum(left, text), *((name, -weight) for name, weight in _sum(right, text))):
            # A row may stand on both sides: a - b > c - b.
            weights[name] = weights.get(name, 0.0) + weight
        comparisons.append(Comparison(f"{' '.join(left)} {sign} {' '.join(right)}", weights, sign == ">"))
    return comparisons


def _sum(words: Sequence[str], text: str) -> list[tuple[str, float]]:
    names, signs = words[::2], words[1::2]
    if len(names) != len(signs) + 1 or any(sign not in "+-" for sign in signs):
        raise ValueError(f"{text!r}: {' '.join(words)!r} is no sum of rows, such as 'wti - dp'")
    return list(zip(names, [1.0, *(1.0 if sign == "+" else -1.0 for sign in signs)], strict=True))


def measure(
    comparison: Comparison, recalls: Mapping[str, NDArray[np.float64]], *, below_start: bool = False
) -> Measured:
    """Measure a comparison.

    Args:
        comparison: which rows.
        recalls: for each row the recall of each test video in percent (the mean over its captions), a line
            for each seed: ``(seeds, videos)``. All rows were asked the same videos.
        below_start: whether no row scores above the weights that it started from.

    Raises:
        KeyError: if a row was not measured.
        ValueError: if a row has fewer than two seeds.

    The error is the root of two variances: that of the difference over videos, and that of each row's mean
    over its seeds. The second holds a little of the first, so the error is rather too large than too small.
    The p-value takes the difference for normal.
    """
    rows = {name: np.asarray(recalls[name], np.float64) for name in comparison.weights}
    for name, row in rows.items():
        if len(row) < 2:
            raise ValueError(f"row {name!r} has {len(row)} seed, an error needs at least 2")
    # Video by video first: a video that is hard for all rows then adds nothing to the error.
    per_video = sum(weight * rows[name].mean(axis=0) for name, weight in comparison.weights.items())
    per_video = np.asarray(per_video)
    of_videos = per_video.var(ddof=1) / len(per_video)
    of_seeds = sum(
        weight**2 * rows[name].mean(axis=1).var(ddof=1) / len(rows[name])
        for name, weight in comparison.weights.items()
    )
    difference, error = float(per_video.mean()), float(np.sqrt(of_videos + of_seeds))
    return Measured(comparison, difference, error, _p_value(difference, error), below_start)


def _p_value(difference: float, error: float) -> float:
    if error == 0:
        # All videos and seeds agree to the bit: a row was compared with itself, or tiny runs were.
        return 1.0 if difference == 0 else 0.0
    # P(|Z| > z) of a standard normal Z.
    return math.erfc(abs(difference) / error / math.sqrt(2))


def verdict(measured: Sequence[Measured]) -> Verdict:
    """Judge a claim by its comparisons: one that disagrees decides; all must agree for it to agree.

    And at least one must be more than not contradicted: where no difference is significant, all that can be
    said is nothing. Nor does a comparison below the start say anything; "below the start" is a claim that has
    no other.

    Args:
        measured: its comparisons, corrected by :func:`holm` together with all others that were made.

    Raises:
        ValueError: if there is none.
    """
    verdicts = {comparison.verdict for comparison in measured}
    if not verdicts:
        raise ValueError("a claim without comparisons has no verdict")
    if "disagrees" in verdicts:
        return "disagrees"
    if verdicts == {"below the start"}:
        return "below the start"
    # ">=" agrees where nothing is significant, which must not make a claim agree by itself.
    shown = any(comparison.significant and comparison.difference > 0 for comparison in measured)
    return "agrees" if verdicts == {"agrees"} and shown else "cannot tell"
