"""Whether measured rows agree with a claim such as ``wti > ti > dp``, and how sure that is.

A claim is a list of comparisons. A comparison is significant where its difference is more than two standard
errors, which hold both sources of chance: the test videos and the seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Comparison", "Measured", "Verdict", "measure", "parse_order", "verdict"]

Verdict = Literal["agrees", "disagrees", "cannot tell"]

_ERRORS = 2.0
"""Standard errors that make a difference."""


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
    """A comparison with its difference and standard error, both in percentage points."""

    comparison: Comparison
    difference: float
    error: float

    @property
    def verdict(self) -> Verdict:
        """What the difference says."""
        if self.difference < -_ERRORS * self.error:
            return "disagrees"
        if not self.comparison.strict or self.difference > _ERRORS * self.error:
            return "agrees"
        return "cannot tell"


def parse_order(text: str) -> list[Comparison]:
    """Read ``a > b >= c`` or ``a - b > c - d``; words are set apart by spaces.

    Raises:
        ValueError: if it is no such order.

    Example:
        >>> [one.text for one in parse_order("wti >= ti > dp")]
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
    found = []
    for left, sign, right in zip(sides, signs, sides[1:], strict=False):
        weights: dict[str, float] = {}
        for name, weight in (*_sum(left, text), *((name, -weight) for name, weight in _sum(right, text))):
            weights[name] = weights.get(name, 0.0) + weight
        found.append(Comparison(f"{' '.join(left)} {sign} {' '.join(right)}", weights, sign == ">"))
    return found


def _sum(words: Sequence[str], text: str) -> list[tuple[str, float]]:
    names, between = words[::2], words[1::2]
    if len(names) != len(between) + 1 or any(one not in "+-" for one in between):
        raise ValueError(f"{text!r}: {' '.join(words)!r} is no sum of rows, such as 'wti - dp'")
    return list(zip(names, [1.0, *(1.0 if one == "+" else -1.0 for one in between)], strict=True))


def measure(comparison: Comparison, found: Mapping[str, NDArray[np.float64]]) -> Measured:
    """Measure a comparison.

    Args:
        comparison: which rows.
        found: for each row the recall of each test video in percent (the mean over its captions), a line for
            each seed: ``(seeds, videos)``. All rows were asked the same videos.

    Raises:
        KeyError: if a row was not measured.
        ValueError: if a row has fewer than two seeds.

    The error is the root of two variances: that of the difference over videos, and that of each row's mean
    over its seeds. The second holds a little of the first, so the error is rather too large than too small.
    """
    rows = {name: np.asarray(found[name], np.float64) for name in comparison.weights}
    for name, row in rows.items():
        if len(row) < 2:
            raise ValueError(f"row {name!r} has {len(row)} seed, an error needs at least 2")
    per_video = sum(weight * rows[name].mean(axis=0) for name, weight in comparison.weights.items())
    per_video = np.asarray(per_video)
    of_videos = per_video.var(ddof=1) / len(per_video)
    of_seeds = sum(
        weight**2 * rows[name].mean(axis=1).var(ddof=1) / len(rows[name])
        for name, weight in comparison.weights.items()
    )
    return Measured(comparison, float(per_video.mean()), float(np.sqrt(of_videos + of_seeds)))


def verdict(measured: Sequence[Measured]) -> Verdict:
    """Judge a claim by its comparisons: one that disagrees decides; all must agree for it to agree.

    And at least one must be more than not contradicted: where every difference is within its error, all that
    can be said is nothing.

    Raises:
        ValueError: if there is none.
    """
    each = {one.verdict for one in measured}
    if not each:
        raise ValueError("a claim without comparisons has no verdict")
    if "disagrees" in each:
        return "disagrees"
    shown = any(one.difference > _ERRORS * one.error for one in measured)
    return "agrees" if each == {"agrees"} and shown else "cannot tell"
