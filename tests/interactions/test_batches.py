"""Sets put together: rows in order, shorter ones padded, parts kept."""

from __future__ import annotations

import pytest
import torch
from tests.methods import tiny

from vidsift.interactions.batches import concatenate, concatenate_features, pad_tokens
from vidsift.interactions.quantised import quantise


def test_rows_stand_in_order_and_shorter_ones_are_padded() -> None:
    first, second = tiny.token_set([2, 1], 2), tiny.token_set([4], 4, seed=1)
    first, second = (
        token_set.replace(
            times_seconds=torch.full(token_set.mask.shape, float(len(token_set)), dtype=torch.float64)
        )
        for token_set in (first, second)
    )
    both = concatenate([first, second])
    assert both.mask.sum(dim=1).tolist() == [2, 1, 4]
    assert torch.equal(both.tokens[:2, :2], first.tokens)
    assert torch.equal(both.tokens[2], second.tokens[0])
    assert not both.tokens[:2, 2:].any()
    assert both.times_seconds is not None
    assert both.times_seconds.dtype == torch.float64
    assert both.times_seconds[:, 0].tolist() == [2.0, 2.0, 1.0]


def test_scales_of_rows_are_kept() -> None:
    sets = [quantise(tiny.token_set([2, 1], 2)), quantise(tiny.token_set([3], 3, seed=1))]
    both = concatenate(sets, length=5)
    assert both.tokens.shape == (3, 5, 8)
    assert both.scale is not None
    assert both.scale.tolist() == [*sets[0].scale.tolist(), *sets[1].scale.tolist()]  # type: ignore[union-attr]


def test_features_are_put_together_by_name() -> None:
    batch = {"frame": tiny.token_set([2], 2), "patch": tiny.token_set([3], 3)}
    both = concatenate_features([batch, batch])
    assert {name: len(tokens) for name, tokens in both.items()} == {"frame": 2, "patch": 2}


def test_what_does_not_fit_is_refused() -> None:
    tokens = tiny.token_set([2], 2)
    with pytest.raises(ValueError, match="at least one"):
        concatenate([])
    with pytest.raises(ValueError, match="at least one"):
        concatenate_features([])
    with pytest.raises(ValueError, match="different parts"):
        concatenate([tokens, tokens.replace(weights=torch.ones(1, 2))])
    with pytest.raises(ValueError, match="rows hold 2 tokens, expected at most 1"):
        pad_tokens(tokens, 1)
