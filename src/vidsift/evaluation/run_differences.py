"""What two rows of a grid differ by, over backbones, seeds and questions, and how sure that is.

Every row is trained from each of B backbones with S seeds, which are others for each backbone, and judged on
the same G groups of questions. Rows of one backbone and seed see the same batches, so they are compared run
by run and question by question. Three things are chance: which backbone, which seed, which questions.

The error of a difference is the root of the variance of its mean over runs and of that over questions:

- *Questions.* The variance over groups of the difference, averaged over runs, divided by G: groups are what
  was drawn, their captions and videos belong together. What runs and groups share counts in both variances,
  so their interaction, which is measured, is taken off here once.
- *Runs.* Seeds within a backbone tell the variance of a run with B (S - 1) degrees of freedom; the B means
  tell that of a backbone with B - 1, which are two for three backbones. Alone, these two would need
  differences of twenty errors to hold against thirty comparisons. So what backbones add is estimated from
  all rows: the ratio of the variance of backbone means to what seeds alone would give them, of all rows
  together, is a factor on the seeds' variance of each comparison, and the comparison's own backbones are
  averaged in by their degrees of freedom. The factor assumes that a row which scatters twice as much over
  seeds does so over backbones too, and not that all rows scatter alike.

Degrees of freedom are Satterthwaite's, with those of the runs halved since the factor is estimated too. A
bootstrap over three backbones would be no better: it knows 10 samples of them. That the intervals cover and
the verdicts are false as seldom as they say is shown by simulation
(``tests/evaluation/test_run_differences.py``).

Source: mixed models with crossed random effects (Baayen, Davidson and Bates 2008); Satterthwaite 1946
(degrees of freedom); Smyth 2004 (variances of many comparisons that borrow from each other).
Differs: moments instead of likelihood, which has no trouble with variances that are zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["RunDifference", "RunScores", "backbone_factor", "power", "run_difference"]

Scores = NDArray[np.float64]

RunScores = Mapping[tuple[int, int], Scores]
"""What a row scored on each group of questions, ``(G,)``, for each backbone and seed that it was run with."""


@dataclass(frozen=True)
class RunDifference:
    """A difference of rows.

    Attributes:
        difference: mean over runs and questions.
        error: its standard error.
        freedom: degrees of freedom of the error.
        runs: pairs of backbone and seed that all rows have.
        of_runs: what runs add to the error.
        of_questions: what questions add.
    """

    difference: float
    error: float
    freedom: float
    runs: int
    of_runs: float
    of_questions: float

    @property
    def p_value(self) -> float:
        """How likely so large a difference, either way, is by chance alone."""
        if self.error == 0:
            return 1.0 if self.difference == 0 else 0.0
        return float(2 * _distributions().t.sf(abs(self.difference) / self.error, self.freedom))

    def interval(self, level: float) -> tuple[float, float]:
        """Return the ends of the interval that holds the truth in all but ``level`` of experiments."""
        reach = float(_distributions().t.isf(level / 2, self.freedom)) * self.error
        return self.difference - reach, self.difference + reach


def run_difference(
    weights: Mapping[str, float], rows: Mapping[str, RunScores], factor: float, chosen: NDArray[np.bool_]
) -> RunDifference:
    """Measure a sum of rows, such as one row minus another.

    Args:
        weights: row to its weight.
        rows: what each row scored.
        factor: what backbones add, see :func:`backbone_factor`; of one backbone there is none.
        chosen: which groups of questions are meant, ``(G,)``.

    Raises:
        ValueError: the rows share no two seeds of a backbone, as many of each, or there is one group alone.
    """
    runs = sorted(set.intersection(*(set(rows[name]) for name in weights)))
    backbones = sorted({backbone for backbone, _ in runs})
    seeds = [[run for run in runs if run[0] == backbone] for backbone in backbones]
    if not runs or len({len(of_one) for of_one in seeds}) > 1 or len(seeds[0]) < 2:
        counts = ", ".join(f"{len(of_one)} of backbone {of_one[0][0]}" for of_one in seeds) or "none"
        raise ValueError(
            f"{' and '.join(weights)} share these runs: {counts}; an error needs two seeds of each backbone "
            "at least, and as many of each"
        )
    if chosen.sum() < 2:
        raise ValueError(f"{int(chosen.sum())} groups of questions are meant, an error needs two at least")
    scores_BSG = np.array(
        [
            [sum(weights[name] * rows[name][run][chosen] for name in weights) for run in of_one]
            for of_one in seeds
        ]
    )
    return _measured(scores_BSG, factor)


def _measured(scores_BSG: Scores, factor: float) -> RunDifference:
    backbones, seeds, groups = scores_BSG.shape
    mean = float(scores_BSG.mean())
    mean_BG, mean_G = scores_BSG.mean(axis=1), scores_BSG.mean(axis=(0, 1))
    of_run, of_backbone = _variances(scores_BSG.mean(axis=2))
    within, between = backbones * (seeds - 1), backbones - 1
    variance_of_mean = (within * factor * of_run / seeds + between * of_backbone) / (within + between)
    shared = 0.0
    if backbones > 1:
        rest_BG = mean_BG - mean_BG.mean(axis=1, keepdims=True) - mean_G + mean
        shared = float((rest_BG**2).sum()) / ((backbones - 1) * (groups - 1)) / (backbones * groups)
    of_runs = variance_of_mean / backbones
    of_questions = max(float(mean_G.var(ddof=1)) / groups - shared, 0.0)
    variance = of_runs + of_questions
    freedom_of_runs = max((within + between) / 2, 1.0)
    parts = of_runs**2 / freedom_of_runs + of_questions**2 / (groups - 1)
    freedom = variance**2 / parts if parts > 0 else float(groups - 1)
    return RunDifference(mean, variance**0.5, freedom, backbones * seeds, of_runs**0.5, of_questions**0.5)


def _variances(mean_BS: Scores) -> tuple[float, float]:
    """Variance of a run within its backbone, and of the means of backbones (0 of one backbone)."""
    of_backbone = float(mean_BS.mean(axis=1).var(ddof=1)) if len(mean_BS) > 1 else 0.0
    return float(mean_BS.var(axis=1, ddof=1).mean()), of_backbone


def backbone_factor(rows: Sequence[RunScores], chosen: NDArray[np.bool_]) -> float:
    """Return how many times the variance of backbone means is what seeds alone would give them, at least 1.

    Of all rows together, and of what is each row's own: what all rows share cancels in every comparison.

    Args:
        rows: what each row scored; those without the runs that most have take no part.
        chosen: which groups of questions are meant, ``(G,)``.
    """
    most = max(rows, key=len, default={})
    runs = sorted(most)
    whole = [row for row in rows if set(row) >= set(runs)]
    backbones, seeds = sorted({run[0] for run in runs}), sorted({run[1] for run in runs})
    if len(backbones) < 2 or len(seeds) < 2 or len(whole) < 2 or len(runs) < len(backbones) * len(seeds):
        return 1.0
    mean_RBS = np.array([[row[run][chosen].mean() for run in runs] for row in whole])
    mean_RBS = mean_RBS.reshape(len(whole), len(backbones), len(seeds))
    of_runs, of_backbones = zip(
        *(_variances(mean_BS) for mean_BS in mean_RBS - mean_RBS.mean(axis=0)), strict=True
    )
    expected = sum(of_runs) / len(seeds)
    return max(1.0, sum(of_backbones) / expected) if expected > 0 else 1.0


def power(effect: float, error: float, freedom: float, level: float) -> float:
    """Return how likely a true difference would be called significant, in its own direction.

    Args:
        effect: the true difference.
        error: its standard error.
        freedom: degrees of freedom of the error.
        level: at which p-value it is called so; for the first of N comparisons in Holm's order, 0.05 / N.

    Example:
        >>> round(power(3.24, 1.0, 1e6, 0.05), 2)
        0.9
    """
    if error == 0:
        return 1.0 if effect else 0.0
    stats = _distributions()
    return float(stats.nct.sf(stats.t.isf(level / 2, freedom), freedom, abs(effect) / error))


def _distributions() -> Any:
    try:
        from scipy import stats
    except ImportError as error:
        raise ImportError(
            "differences over backbones need the extra 'evaluate': pip install 'vidsift[evaluate]'"
        ) from error
    return stats
