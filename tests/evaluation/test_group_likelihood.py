"""The likelihood of the right video among its hard negatives, and the scale that fits it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidsift.evaluation.group_likelihood import fit_scale, group_log_likelihood

OWNER, GROUPS = [0, 1, 2, 3], [0, 0, 1, 1]


def test_it_is_the_log_of_a_softmax_within_the_group() -> None:
    sim = np.array([[0.5, 0.1, 9.0, 9.0], [0.2, 0.2, 9.0, 9.0], [9.0, 9.0, 0.3, 0.0], [9.0, 9.0, 0.7, 0.1]])
    values = group_log_likelihood(sim, OWNER, GROUPS, 2.0)
    expected = [-np.log(1 + np.exp(-0.8)), -np.log(2), -np.log(1 + np.exp(-0.6)), -np.log(1 + np.exp(1.2))]
    np.testing.assert_allclose(values, expected)


def test_groups_may_stand_in_any_order_and_scores_may_be_large() -> None:
    rng = np.random.default_rng(0)
    sim = rng.normal(size=(4, 4))
    order = np.array([2, 0, 3, 1])
    moved = group_log_likelihood(sim[:, order], np.argsort(order)[OWNER], np.array(GROUPS)[order], 3.0)
    np.testing.assert_allclose(moved, group_log_likelihood(sim, OWNER, GROUPS, 3.0))
    assert np.isfinite(group_log_likelihood(1e4 * sim, OWNER, GROUPS, 100.0)).all()


@given(st.integers(0, 1000), st.floats(0.5, 40.0))
def test_the_fitted_scale_is_that_which_made_the_choices(seed: int, scale: float) -> None:
    """Choices drawn by a softmax at a scale are likeliest near it; no scale of a grid is better."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(500), 4)
    scores = rng.normal(size=(500, 4)) / scale * 1.5
    shares = np.exp(scale * scores) / np.exp(scale * scores).sum(axis=1, keepdims=True)
    owner = (shares.cumsum(axis=1) > rng.random((500, 1))).argmax(axis=1) + 4 * np.arange(500)
    sim = np.zeros((500, 2000))
    for row in range(500):
        sim[row, 4 * row : 4 * row + 4] = scores[row]
    fitted = fit_scale(sim, owner, groups)
    assert fitted == pytest.approx(scale, rel=0.3)
    best = group_log_likelihood(sim, owner, groups, fitted).mean()
    assert all(group_log_likelihood(sim, owner, groups, fitted * by).mean() <= best for by in (0.9, 1.1))


def test_groups_of_several_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="have 1 to 3 videos"):
        group_log_likelihood(np.zeros((1, 4)), [0], [0, 0, 0, 1], 1.0)
