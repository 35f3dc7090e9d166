"""Claims: how orders are read, how differences and their errors are measured, what is concluded."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vidsift.evaluation.claims import Comparison, Measured, measure, parse_order, verdict

FOUND = {
    "a": np.array([[100.0, 100.0, 0.0, 100.0], [100.0, 0.0, 100.0, 100.0]]),
    "b": np.array([[0.0, 0.0, 0.0, 100.0], [0.0, 0.0, 0.0, 100.0]]),
}


def known(difference: float, error: float, *, strict: bool = True) -> Measured:
    return Measured(Comparison("", {}, strict), difference, error)


def test_a_difference_has_the_error_of_videos_and_of_seeds() -> None:
    (comparison,) = parse_order("a > b")
    found = measure(comparison, FOUND)
    assert found.difference == 50.0
    # Over videos the differences are 100, 50, 50, 0; the seeds of a mean 75 and 75, those of b 25 and 25.
    assert found.error == pytest.approx(np.std([100, 50, 50, 0], ddof=1) / 2)
    with_spread = FOUND | {"b": np.array([[0.0, 0.0, 0.0, 100.0], [0.0, 0.0, 0.0, 0.0]])}
    # Seeds of b: 25 and 0, variance 312.5, over two of them.
    found = measure(comparison, with_spread)
    assert found.error == pytest.approx(math.sqrt(np.var([100, 50, 50, 50], ddof=1) / 4 + 312.5 / 2))


def test_a_gain_is_compared_with_a_gain() -> None:
    (comparison,) = parse_order("a - b > b - a")
    assert comparison.weights == {"a": 2.0, "b": -2.0}
    assert measure(comparison, FOUND).difference == 100.0


@pytest.mark.parametrize("text", ["", "a", "a >", "> a", "a b > c", "a - > c", "a > b >= "])
def test_what_is_no_order_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no order|no sum of rows"):
        parse_order(text)


def test_one_seed_has_no_error() -> None:
    (comparison,) = parse_order("a > b")
    with pytest.raises(ValueError, match="row 'a' has 1 seed"):
        measure(comparison, FOUND | {"a": FOUND["a"][:1]})


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        ([known(2.1, 1.0)], "agrees"),
        ([known(1.9, 1.0)], "cannot tell"),
        ([known(-2.1, 1.0)], "disagrees"),
        ([known(2.1, 1.0), known(1.0, 1.0)], "cannot tell"),
        ([known(2.1, 1.0), known(1.0, 1.0), known(-3.0, 1.0)], "disagrees"),
        ([known(2.1, 1.0), known(-1.0, 1.0, strict=False)], "agrees"),
        ([known(1.0, 1.0, strict=False)], "cannot tell"),
        ([known(-2.1, 1.0, strict=False)], "disagrees"),
    ],
)
def test_verdicts(measured: list[Measured], expected: str) -> None:
    assert verdict(measured) == expected


def test_no_comparison_has_no_verdict() -> None:
    with pytest.raises(ValueError, match="without comparisons"):
        verdict([])
