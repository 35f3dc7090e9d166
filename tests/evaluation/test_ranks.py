"""Ranks under ties are expectations over every order of the tied: compared with trying all orders."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidsift.errors import NonFiniteScoresError
from vidsift.evaluation.ranks import Ranks, choice_ranks, ranks_of, text_to_video_ranks, video_to_text_ranks


def by_trying_all_orders(scores: list[int], right: set[int]) -> tuple[float, list[float]]:
    """Mean rank of the first right item, and the share of orders in which it is within k, for k = 1.."""
    ranks = []
    for order in permutations(range(len(scores))):
        ranked = sorted(order, key=lambda item: -scores[item])  # stable: the order breaks the ties
        ranks.append(1 + min(ranked.index(item) for item in right))
    all_ranks = np.asarray(ranks)
    return float(all_ranks.mean()), [float((all_ranks <= k).mean()) for k in range(1, len(scores) + 1)]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_expectations_equal_the_mean_over_all_orders(data: st.DataObject) -> None:
    scores = data.draw(st.lists(st.integers(0, 2), min_size=2, max_size=6))
    right = data.draw(st.sets(st.integers(0, len(scores) - 1), min_size=1))
    mean, within = by_trying_all_orders(scores, right)
    ranks = ranks_of([scores], [[item in right for item in range(len(scores))]])
    assert ranks.expected()[0] == pytest.approx(mean)
    assert [ranks.within(k)[0] for k in range(1, len(scores) + 1)] == pytest.approx(within)


def test_a_constant_matrix_gives_chance() -> None:
    ranks = text_to_video_ranks(np.zeros((24, 24)), np.arange(24))
    assert ranks.within(1) == pytest.approx(np.full(24, 1 / 24))
    assert ranks.expected() == pytest.approx(np.full(24, 12.5))


def test_every_text_of_a_video_is_a_question() -> None:
    sim = np.array([[3.0, 1.0], [0.0, 1.0], [2.0, 5.0]])
    ranks = text_to_video_ranks(sim, [0, 0, 1])
    assert ranks.expected().tolist() == [1.0, 2.0, 1.0]


def test_video_to_text_takes_the_closest_caption_or_ranks_the_groups() -> None:
    # Video 0 owns captions 0 and 1. Caption 2 and 3, both of video 1, score higher on it than 0 and 1 do.
    sim = np.array([[0.6, 0.0], [0.5, 0.0], [0.9, 0.8], [0.8, 0.1]])
    owner = [0, 0, 1, 1]
    assert video_to_text_ranks(sim, owner).expected().tolist() == [3.0, 1.0]
    assert video_to_text_ranks(sim, owner, "caption_groups").expected().tolist() == [2.0, 1.0]


def test_a_video_without_a_caption_distracts_and_is_not_asked_for() -> None:
    sim = np.array([[0.2, 0.9, 0.1], [0.0, 0.3, 0.5]])
    assert text_to_video_ranks(sim, [0, 2]).expected().tolist() == [2.0, 1.0]
    assert len(video_to_text_ranks(sim, [0, 2])) == 2


def test_both_protocols_agree_with_one_caption_each() -> None:
    sim = np.random.default_rng(0).integers(0, 4, (12, 12)).astype(float)
    closest, grouped = (
        video_to_text_ranks(sim, np.arange(12), p) for p in ("closest_caption", "caption_groups")
    )
    assert closest.expected().tolist() == grouped.expected().tolist()


def test_choice_ranks_within_the_group_only() -> None:
    sim = np.array([[0.5, 0.4, 0.9, 0.0], [0.1, 0.3, 0.3, 0.9]])
    ranks, sizes = choice_ranks(sim, [0, 2], [7, 7, 8, 8])
    assert ranks.within(1).tolist() == [1.0, 0.0]
    assert sizes.tolist() == [2, 2]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_number_is_refused_by_its_row(bad: float) -> None:
    sim = np.zeros((4, 3))
    sim[2, 1] = sim[3, 0] = bad
    with pytest.raises(NonFiniteScoresError, match=r"text 2 with video 1 is .*2 of 4 rows"):
        text_to_video_ranks(sim, [0, 1, 2, 2])


def test_truths_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="expected one for each of 2 texts, from 0 to 2"):
        text_to_video_ranks(np.zeros((2, 3)), [0, 3])
    with pytest.raises(ValueError, match="question 1 has no right answer"):
        ranks_of(np.zeros((2, 2)), [[True, False], [False, False]])
    with pytest.raises(ValueError, match="neither empty"):
        text_to_video_ranks(np.zeros((0, 3)), [])


def test_ranks_can_be_taken_apart() -> None:
    ranks = Ranks(np.array([0, 1]), np.array([1, 1]), np.array([1, 1]))
    assert ranks[np.array([False, True])].expected().tolist() == [2.0]
