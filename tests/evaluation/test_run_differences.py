"""Differences over backbones, seeds and questions: known by hand, and honest where the truth is simulated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from vidsift.evaluation.claims import parse_order
from vidsift.evaluation.paired_verdicts import PairedComparison, correct, power_of
from vidsift.evaluation.run_differences import (
    RunDifference,
    RunScores,
    backbone_factor,
    power,
    run_difference,
)

GROUPS, ROWS = 60, 12
ALL = np.ones(GROUPS, bool)
RUNS = [(backbone, seed) for backbone in range(3) for seed in range(5)]
PAIRS = [(f"r{n}", f"r{(n + 1) % ROWS}") for n in range(ROWS)]


def simulated(
    rng: np.random.Generator, backbone: float, seed: float, uneven: float = 0.0
) -> dict[str, RunScores]:
    """Rows without any true difference: questions, backbones and seeds alone tell them apart."""
    easy = rng.normal(0, 30, GROUPS)
    rows: dict[str, RunScores] = {}
    for row in range(ROWS):
        spread = np.exp(rng.normal(0, uneven))
        of_row, of_backbone = rng.normal(0, 8, GROUPS), rng.normal(0, backbone * spread, 3)
        met = rng.normal(0, 6, (3, GROUPS))
        rows[f"r{row}"] = {
            run: easy + of_row + of_backbone[run[0]] + met[run[0]] + rng.normal(0, seed * spread)
            + rng.normal(0, 15, GROUPS)
            for run in RUNS
        }  # fmt: skip
    return rows


def compared(rows: Mapping[str, RunScores]) -> list[RunDifference]:
    factor = backbone_factor(list(rows.values()), ALL)
    return [run_difference({left: 1.0, right: -1.0}, rows, factor, ALL) for left, right in PAIRS]


@pytest.mark.parametrize(
    ("backbone", "seed", "uneven"), [(0.0, 1.0, 0.0), (1.0, 1.0, 0.0), (3.0, 1.0, 0.0), (1.0, 1.0, 0.5)]
)
def test_intervals_cover_and_few_families_hold_a_false_verdict(
    backbone: float, seed: float, uneven: float
) -> None:
    rng, families, covered, false = np.random.default_rng(7), 60, [], 0
    for _ in range(families):
        measured = compared(simulated(rng, backbone, seed, uneven))
        covered += [low <= 0 <= high for low, high in (item.interval(0.05) for item in measured)]
        false += any(
            item.verdict in ("holds", "does not hold")
            for item in correct([PairedComparison(parse_order("a > b")[0], {"R@1": it}) for it in measured])
        )
    assert 0.925 <= np.mean(covered) <= 0.99
    # At 5 % eight of 60 and more are one in a hundred.
    assert false <= 7


def test_the_power_that_is_said_is_the_power_that_is_had() -> None:
    rng, families, seen, said = np.random.default_rng(3), 40, [], []
    weights = {"r0": 1.0, "r1": -1.0}
    for _ in range(families):
        rows = simulated(rng, 1.0, 1.0)
        rows["r0"] = {run: scores + 5.0 for run, scores in rows["r0"].items()}
        factor = backbone_factor(list(rows.values())[1:], ALL)
        item = run_difference(weights, rows, factor, ALL)
        seen.append(item.p_value < 0.05 and item.difference > 0)
        said.append(power(5.0, item.error, item.freedom, 0.05))
    assert 0.5 < np.mean(said) < 1
    assert np.mean(seen) == pytest.approx(np.mean(said), abs=0.2)


def test_a_difference_is_worked_out_by_hand() -> None:
    scores = np.array([[[0.0, 4.0], [2.0, 6.0]], [[4.0, 8.0], [6.0, 10.0]]])
    left = {(b, s): scores[b, s] for b in range(2) for s in range(2)}
    rows = {"a": left, "b": {run: np.zeros(2) for run in left}}
    item = run_difference({"a": 1.0, "b": -1.0}, rows, 1.0, np.ones(2, bool))
    # Means of runs: 2 4, 6 8. Within: variance 2 each; means of backbones 3 and 7, variance 8.
    of_runs = (2 * 2 / 2 + 1 * 8) / 3 / 2
    # Questions: 3 and 7, variance 8 over two of them; runs and questions only add up.
    assert (item.difference, item.runs) == (5.0, 4)
    assert item.of_runs**2 == pytest.approx(of_runs)
    assert item.of_questions**2 == pytest.approx(4.0)
    assert item.error**2 == pytest.approx(of_runs + 4.0)
    assert item.freedom == pytest.approx((of_runs + 4) ** 2 / (of_runs**2 / 1.5 + 16 / 1))


def test_what_all_rows_share_adds_nothing() -> None:
    rows = simulated(np.random.default_rng(0), 1.0, 1.0)
    shared = {run: np.random.default_rng(run).normal(0, 50, GROUPS) for run in RUNS}
    moved = {name: {run: row[run] + shared[run] for run in RUNS} for name, row in rows.items()}
    for before, after in zip(compared(rows), compared(moved), strict=True):
        assert (after.difference, after.error) == pytest.approx((before.difference, before.error))


def test_backbones_that_scatter_no_more_than_seeds_have_the_factor_one_and_others_more() -> None:
    quiet, loud = (simulated(np.random.default_rng(1), spread, 1.0) for spread in (0.0, 5.0))
    assert backbone_factor(list(quiet.values()), ALL) < 3
    assert backbone_factor(list(loud.values()), ALL) > 10
    assert backbone_factor([{(0, 0): ALL * 1.0, (0, 1): ALL * 2.0}] * 3, ALL) == 1.0


def test_rows_are_compared_on_the_runs_that_both_have() -> None:
    rows = simulated(np.random.default_rng(2), 1.0, 1.0)
    rows["r1"] = {run: row for run, row in rows["r1"].items() if run[1] < 2}
    weights = {"r0": 1.0, "r1": -1.0}
    assert run_difference(weights, rows, 1.0, ALL).runs == 6
    some = ALL.copy()
    some[1:] = False
    with pytest.raises(ValueError, match="1 groups of questions are meant"):
        run_difference(weights, rows, 1.0, some)
    rows["r1"] = {run: row for run, row in rows["r1"].items() if run[1] < 1}
    with pytest.raises(
        ValueError, match="share these runs: 1 of backbone 0, 1 of backbone 1, 1 of backbone 2"
    ):
        run_difference(weights, rows, 1.0, ALL)


def known(difference: float, p_value: float) -> Any:
    from scipy.stats import norm

    error = abs(difference) / norm.isf(p_value / 2)
    return RunDifference(difference, float(error), 1e9, 15, 0.0, float(error))


@pytest.mark.parametrize(
    ("recall", "likelihood", "lost", "expected"),
    [
        ((2.0, 0.02), (3.0, 0.5), (), "holds"),
        ((2.0, 0.5), (3.0, 0.02), (), "holds"),
        ((2.0, 0.03), (3.0, 0.5), (), "cannot be told"),
        ((-2.0, 0.02), (-3.0, 0.5), (), "does not hold"),
        ((2.0, 0.001), (-3.0, 0.001), (), "cannot be told"),
        ((2.0, 0.001), (3.0, 0.001), ("b",), "does not count"),
    ],
)
def test_verdicts_take_both_measures_in_one_family(
    recall: tuple[float, float], likelihood: tuple[float, float], lost: tuple[str, ...], expected: str
) -> None:
    measured = {"R@1": known(*recall), "log-likelihood": known(*likelihood)}
    (item,) = correct([PairedComparison(parse_order("a > b")[0], measured, 2.0, lost)])
    assert item.verdict == expected


def test_what_does_not_count_makes_no_other_comparison_harder() -> None:
    out = PairedComparison(parse_order("a > b")[0], {"R@1": known(1.0, 0.5)}, None, ("a",))
    item = PairedComparison(parse_order("a > b")[0], {"R@1": known(2.0, 0.04)}, 2.0)
    assert correct([item, *[out] * 9])[0].verdict == "holds"
    corrected = correct([item, item])
    assert [it.verdict for it in corrected] == ["cannot be told"] * 2
    assert corrected[0].level == 0.025
    assert power_of(corrected[0], "R@1") == pytest.approx(0.43, abs=0.02)
    assert power_of(out, "R@1") is None
    assert power_of(item, "log-likelihood") is None
