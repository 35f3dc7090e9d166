"""Verdicts on comparisons that are measured twice: by recall, and by the likelihood among hard negatives.

Both measures of all comparisons of a page are one family, corrected together by Holm's method: the chance
that any of them gets a false verdict is at most 5 %, in either direction. A comparison of rows of which one
is no likelier on validation than at its beginning, before its first step, is no comparison of methods, and
does not count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from vidsift.evaluation.claims import LEVEL, Comparison, holm_corrected
from vidsift.evaluation.run_differences import RunDifference, power

__all__ = ["MEASURES", "PairedComparison", "PairedVerdict", "correct", "power_of"]

PairedVerdict = Literal["holds", "does not hold", "cannot be told", "does not count"]

MEASURES = ("R@1", "log-likelihood")
"""Recall in percent, and the log-likelihood within the group of hard negatives in thousandths of a nat."""


@dataclass(frozen=True)
class PairedComparison:
    """A comparison with what was measured of it.

    Attributes:
        comparison: which rows.
        measured: by each of :data:`MEASURES`.
        effect: what the paper says the difference is, in points of R@1; None where it gives no figure.
        lost: its rows that are no likelier on validation than at their beginning.
        p_values: of both measures, corrected by :func:`correct`.
        level: at which an uncorrected p-value would be significant whatever the others are.
    """

    comparison: Comparison
    measured: Mapping[str, RunDifference]
    effect: float | None = None
    lost: tuple[str, ...] = ()
    p_values: Mapping[str, float] | None = None
    level: float = LEVEL

    @property
    def significant(self) -> dict[str, int]:
        """The measures that tell the rows apart: 1 where the left side is better, -1 where it is worse."""
        p_values = self.p_values or {name: item.p_value for name, item in self.measured.items()}
        return {
            name: 1 if item.difference > 0 else -1
            for name, item in self.measured.items()
            if p_values[name] < LEVEL
        }

    @property
    def verdict(self) -> PairedVerdict:
        """Judge it: a measure tells it, and the other does not tell the contrary.

        For ``>=``, too, only a test says something: that the left side is worse, or better.
        """
        if self.lost:
            return "does not count"
        signs = set(self.significant.values())
        if signs == {1}:
            return "holds"
        return "does not hold" if signs == {-1} else "cannot be told"


def correct(comparisons: Sequence[PairedComparison]) -> list[PairedComparison]:
    """Correct the p-values of all measures of all comparisons together, by Holm's method.

    Those that do not count are out: whether they do, validation says, which knows nothing of the test.
    """
    tests = [
        (place, name) for place, item in enumerate(comparisons) if not item.lost for name in item.measured
    ]
    values = holm_corrected([comparisons[place].measured[name].p_value for place, name in tests])
    of_place: dict[int, dict[str, float]] = {}
    for (place, name), value in zip(tests, values, strict=True):
        of_place.setdefault(place, {})[name] = value
    level = LEVEL / max(1, len(tests))
    return [
        replace(item, p_values=of_place.get(place), level=level) for place, item in enumerate(comparisons)
    ]


def power_of(item: PairedComparison, measure: str, slope: float = 1.0) -> float | None:
    """Return how likely the paper's difference, were it true here, would have been told by a measure.

    Args:
        item: corrected; the power is that of the first place in Holm's order, so rather too small.
        measure: one of :data:`MEASURES`.
        slope: how much of the measure a point of R@1 is.
    """
    if item.effect is None or measure not in item.measured:
        return None
    it = item.measured[measure]
    return power(item.effect * slope, it.error, it.freedom, item.level)
