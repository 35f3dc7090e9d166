"""How right an account of words is: perfect, uniform and shuffled accounts, and brute force."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidsift.data.grounding import Box, GroundedWord
from vidsift.evaluation.grounding import (
    best_frames,
    boxes_near,
    cells_of_boxes,
    deletion_order,
    effective_number,
    frames_within,
    permuted_order,
    pointing,
    shares_by_role,
)
from vidsift.types import Span

truths = st.lists(st.booleans(), min_size=2, max_size=12).filter(lambda true: 0 < sum(true) <= len(true) / 2)


@settings(max_examples=60, deadline=None)
@given(true=truths, data=st.data())
def test_a_perfect_account_points_right_and_a_uniform_or_shifted_one_by_chance(
    true: list[bool], data: st.DataObject
) -> None:
    chance = sum(true) / len(true)
    assert pointing(best_frames(np.asarray(true, float)), true) == pytest.approx(1.0)
    assert pointing(best_frames(np.full(len(true), 0.3)), true) == pytest.approx(chance)
    # Any account, moved to every place in turn, knows nothing of the truth.
    evidence = data.draw(st.lists(st.integers(0, 3), min_size=len(true), max_size=len(true)))
    moved = [pointing(best_frames(np.roll(evidence, step)), true) for step in range(len(true))]
    assert np.mean(np.asarray(moved, float)) == pytest.approx(chance)


@pytest.mark.parametrize("true", [[True, True, False], [False, False], [True]])
def test_words_that_are_true_nowhere_or_nearly_everywhere_do_not_count(true: list[bool]) -> None:
    assert pointing(best_frames(np.zeros(len(true))), true) is None


def test_no_number_is_no_candidate() -> None:
    assert best_frames([[np.nan, -1.0, -1.0], [np.nan, np.nan, 2.0]]).tolist() == [[0, 0.5, 0.5], [0, 0, 1]]
    with pytest.raises(ValueError, match="row without a number"):
        best_frames([[1.0, 2.0], [np.nan, np.nan]])


def test_frames_lie_in_any_of_the_spans() -> None:
    spans = [Span(0.0, 1.0), Span(3.0, 4.0)]
    assert frames_within(spans, [0.0, 2.0, 3.5, 4.0, 4.1]).tolist() == [True, False, True, True, False]


def test_effective_numbers_count_equal_parts() -> None:
    assert effective_number([0.2] * 5 + [0.0] * 3) == pytest.approx(5)
    assert effective_number([7.0, 0, 0]) == pytest.approx(1)
    assert effective_number([0.0, 0.0]) == 0
    # Halves and quarters: entropy 1.5 ln 2.
    assert effective_number([0.5, -0.25, 0.25]) == pytest.approx(2**1.5)


def test_shares_are_of_sizes_and_sum_to_the_whole() -> None:
    word = GroundedWord("red", 2, 5, "appearance", (Span(0, 1),))
    shares = shares_by_role([0.2, -0.2, 0.1], {"start": 0.0, "end": 0.4, "marks": 0.1}, [None, word, word])
    assert shares == pytest.approx({"start": 0, "end": 0.4, "marks": 0.1, "function": 0.2, "content": 0.3})
    assert shares_by_role([0.0], {"end": 0.0}, [None]) == {}


def order_by_hand(gave: list[int], falls: list[int]) -> float:
    """Every pair of a word that gave most and one that gave least."""
    places = range(len(gave))
    wins = [
        1.0 if falls[most] > falls[least] else 0.5 if falls[most] == falls[least] else 0.0
        for most in places
        for least in places
        if gave[most] == max(gave) and gave[least] == min(gave)
    ]
    return sum(wins) / len(wins)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_deletion_is_right_by_all_pairs_and_half_right_over_all_permutations(data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 5))
    numbers = st.lists(st.integers(0, 3), min_size=count, max_size=count)
    gave, falls = data.draw(numbers), data.draw(numbers)
    assert deletion_order(gave, falls) == pytest.approx(order_by_hand(gave, falls))
    every = [deletion_order(dealt, falls) for dealt in permutations(gave)]
    assert np.mean(np.asarray(every, float)) == pytest.approx(0.5)


def test_a_permutation_deals_what_was_given_out_anew() -> None:
    rng = np.random.default_rng(0)
    drawn = permuted_order([0.5, 0.3, 0.1], [0.3, 0.2, 0.1], 4000, rng)
    assert set(drawn.tolist()) == {0.0, 1.0}
    assert drawn.mean() == pytest.approx(0.5, abs=0.03)
    assert deletion_order([0.5], [0.1]) is None


def test_boxes_belong_to_the_frame_beside_them() -> None:
    boxes = [Box(0.5, 0, 0, 0.1, 0.1), Box(1.0, 0.5, 0.5, 0.6, 0.6)]
    assert boxes_near(boxes, 0.7) == boxes[:1]
    assert boxes_near(boxes, 0.8) == boxes[1:]
    assert boxes_near(boxes, 1.4) == []
    assert boxes_near([], 1.0) == []


box_sides = st.tuples(st.floats(0, 0.99), st.floats(0.01, 1)).map(
    lambda pair: (pair[0], min(1.0, pair[0] + pair[1]))
)


@settings(max_examples=60, deadline=None)
@given(across=box_sides, down=box_sides, grid=st.tuples(st.integers(1, 7), st.integers(1, 7)))
def test_every_thing_has_a_cell(
    across: tuple[float, float], down: tuple[float, float], grid: tuple[int, int]
) -> None:
    box = Box(0.0, across[0], down[0], across[1], down[1])
    assert cells_of_boxes([box], grid).any()


def test_cells_are_on_a_thing_that_fills_or_lies_in_them() -> None:
    # The left half and a little more: the second column of four is filled, the third only touched.
    assert cells_of_boxes([Box(0, 0.0, 0.0, 0.55, 1.0)], (1, 4)).tolist() == [True, True, False, False]
    # In the middle of four cells: a quarter of it in each.
    assert cells_of_boxes([Box(0, 0.45, 0.45, 0.55, 0.55)], (2, 2)).all()
    assert not cells_of_boxes([], (2, 2)).any()


def test_a_model_sees_the_central_square() -> None:
    # Of a picture twice as wide as high, the left quarter is not seen, and the second is the left half.
    assert not cells_of_boxes([Box(0, 0.0, 0.0, 0.25, 1.0)], (1, 2), aspect=2.0).any()
    assert cells_of_boxes([Box(0, 0.25, 0.0, 0.5, 1.0)], (1, 2), aspect=2.0).tolist() == [True, False]
    assert cells_of_boxes([Box(0, 0.0, 0.5, 1.0, 0.75)], (2, 1), aspect=0.5).tolist() == [False, True]
