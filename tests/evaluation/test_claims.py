"""Claims: how orders are read, how differences and their errors are measured, what is concluded."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vidsift.evaluation.claims import Comparison, Measured, holm, measure, parse_order, verdict

RECALLS = {
    "a": np.array([[100.0, 100.0, 0.0, 100.0], [100.0, 0.0, 100.0, 100.0]]),
    "b": np.array([[0.0, 0.0, 0.0, 100.0], [0.0, 0.0, 0.0, 100.0]]),
}


def known(difference: float, p_value: float, *, strict: bool = True, below: bool = False) -> Measured:
    return Measured(Comparison("", {}, strict), difference, 1.0, p_value, below)


def test_a_difference_has_the_error_of_videos_and_of_seeds() -> None:
    (comparison,) = parse_order("a > b")
    measured = measure(comparison, RECALLS)
    assert measured.difference == 50.0
    # Over videos the differences are 100, 50, 50, 0; the seeds of a mean 75 and 75, those of b 25 and 25.
    assert measured.error == pytest.approx(np.std([100, 50, 50, 0], ddof=1) / 2)
    with_spread = RECALLS | {"b": np.array([[0.0, 0.0, 0.0, 100.0], [0.0, 0.0, 0.0, 0.0]])}
    # Seeds of b: 25 and 0, variance 312.5, over two of them.
    measured = measure(comparison, with_spread)
    assert measured.error == pytest.approx(math.sqrt(np.var([100, 50, 50, 50], ddof=1) / 4 + 312.5 / 2))


def test_a_difference_in_its_errors_is_a_p_value() -> None:
    (comparison,) = parse_order("a > b")
    # 2.449 errors; what is the same has no difference, and what always differs by as much no error.
    assert measure(comparison, RECALLS).p_value == pytest.approx(0.0143059, rel=1e-5)
    assert measure(comparison, RECALLS | {"a": RECALLS["b"]}).p_value == 1.0
    assert measure(comparison, RECALLS | {"a": RECALLS["b"] + 1.0}).p_value == 0.0


def test_a_gain_is_compared_with_a_gain() -> None:
    (comparison,) = parse_order("a - b > b - a")
    assert comparison.weights == {"a": 2.0, "b": -2.0}
    assert measure(comparison, RECALLS).difference == 100.0


@pytest.mark.parametrize("text", ["", "a", "a >", "> a", "a b > c", "a - > c", "a > b >= "])
def test_what_is_no_order_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no order|no sum of rows"):
        parse_order(text)


def test_one_seed_has_no_error() -> None:
    (comparison,) = parse_order("a > b")
    with pytest.raises(ValueError, match="row 'a' has 1 seed"):
        measure(comparison, RECALLS | {"a": RECALLS["a"][:1]})


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        ([known(2.1, 0.04)], "agrees"),
        ([known(1.9, 0.06)], "cannot tell"),
        ([known(-2.1, 0.04)], "disagrees"),
        ([known(2.1, 0.04), known(1.0, 0.3)], "cannot tell"),
        ([known(2.1, 0.04), known(1.0, 0.3), known(-3.0, 0.01)], "disagrees"),
        ([known(2.1, 0.04), known(-1.0, 0.3, strict=False)], "agrees"),
        ([known(1.0, 0.3, strict=False)], "cannot tell"),
        ([known(-2.1, 0.04, strict=False)], "disagrees"),
        ([known(-4.0, 1e-4, below=True)], "below the start"),
        ([known(4.0, 1e-4, below=True), known(-1.0, 0.3, below=True, strict=False)], "below the start"),
        ([known(4.0, 1e-4, below=True), known(4.0, 1e-4)], "cannot tell"),
        ([known(4.0, 1e-4, below=True), known(-4.0, 1e-4)], "disagrees"),
    ],
)
def test_verdicts(measured: list[Measured], expected: str) -> None:
    assert verdict(measured) == expected


def test_no_comparison_has_no_verdict() -> None:
    with pytest.raises(ValueError, match="without comparisons"):
        verdict([])


def test_the_more_was_compared_the_larger_a_difference_has_to_be() -> None:
    # Worked by hand: 4 x 0.005, 3 x 0.01, 2 x 0.03, and 0.04, which is not let fall below the one before.
    corrected = holm([known(1.0, p_value) for p_value in (0.01, 0.04, 0.03, 0.005)])
    assert [measured.p_value for measured in corrected] == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert [measured.significant for measured in corrected] == [True, False, False, True]
    assert [measured.p_value for measured in holm([known(1.0, 0.7), known(1.0, 0.6)])] == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize(("difference", "error", "expected"), [(-3.8, 1.6, False), (-4.0, 0.9, True)])
def test_of_58_comparisons_one_of_two_and_a_half_errors_is_chance(
    difference: float, error: float, expected: bool
) -> None:
    """The two differences that results/shapes-methods.md called a disagreement."""
    (comparison,) = parse_order("a > b")
    # Four videos whose differences have this mean and this standard error, and no seeds that differ.
    spread = error * np.sqrt(3)
    videos = difference + spread * np.array([1.0, -1.0, 1.0, -1.0])
    measured = measure(comparison, {"a": np.stack([videos, videos]), "b": np.zeros((2, 4))})
    assert (measured.difference, measured.error) == pytest.approx((difference, error))
    assert measured.significant
    assert holm([measured, *[known(0.1, 0.9)] * 57])[0].significant is expected
