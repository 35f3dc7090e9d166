"""Where masks meet maths: padding has no say, and a row of nothing but padding is refused."""

from __future__ import annotations

import pytest
import torch
from tests.methods import tiny

from vidsift.interactions.masked import (
    lowest,
    masked_max,
    masked_mean,
    masked_softmax,
    maximum,
    segment_max,
    uniform_weights,
    unit_tokens,
)


def test_padding_cannot_win_a_maximum() -> None:
    values = torch.tensor([[-3.0, -1.0, 0.0], [2.0, 5.0, 9.0]])
    mask = torch.tensor([[True, True, False], [True, False, True]])
    best, where = masked_max(values, mask, dim=1)
    assert best.tolist() == [-1.0, 9.0]
    assert where.tolist() == [1, 2]


def test_a_maximum_over_nothing_is_minus_infinity() -> None:
    best, _ = masked_max(torch.zeros(1, 2), torch.zeros(1, 2, dtype=torch.bool), dim=1)
    assert best.tolist() == [-torch.inf]


@pytest.mark.parametrize("gradient", [False, True])
def test_the_fast_maximum_is_the_maximum(gradient: bool) -> None:
    values = torch.randn(4, 5, generator=torch.Generator().manual_seed(0)).requires_grad_(gradient)
    assert torch.equal(maximum(values, dim=1), values.max(dim=1).values)


def test_a_tied_maximum_sends_its_gradient_to_one_entry() -> None:
    """As the released code does; half to each would be another loss."""
    values = torch.tensor([[1.0, 1.0]], requires_grad=True)
    torch.autograd.backward(maximum(values, dim=1).sum())
    assert values.grad is not None
    assert sorted(values.grad[0].tolist()) == [0.0, 1.0]


def test_nothing_loses_to_the_lowest() -> None:
    assert lowest(torch.float32) == -torch.inf
    assert lowest(torch.int32) == -(2**31)


def test_padding_gets_no_share_of_a_softmax() -> None:
    shares = masked_softmax(torch.tensor([[0.0, 0.0, 50.0]]), torch.tensor([[True, True, False]]))
    assert shares.tolist() == [[0.5, 0.5, 0.0]]


def test_padding_is_not_part_of_a_mean_even_if_it_is_not_a_number() -> None:
    tokens = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [torch.nan, torch.inf]]])
    assert masked_mean(tokens, torch.tensor([[True, True, False]])).tolist() == [[2.0, 3.0]]


def test_uniform_weights_share_one_among_the_real() -> None:
    weights = uniform_weights(torch.tensor([[True, True, False], [True, True, True]]), torch.float32)
    torch.testing.assert_close(weights, torch.tensor([[0.5, 0.5, 0.0], [1 / 3] * 3]))


def test_unit_tokens_are_unit_where_real_and_zero_elsewhere() -> None:
    tokens = tiny.token_set([2, 3], 3)
    lengths = unit_tokens(tokens).norm(dim=-1)
    torch.testing.assert_close(lengths, tokens.mask.float())


def test_maxima_of_consecutive_rows() -> None:
    values = torch.tensor([[1.0, 8.0], [3.0, 2.0], [-5.0, -6.0]])
    assert segment_max(values, [2, 1]).tolist() == [[3.0, 8.0], [-5.0, -6.0]]
