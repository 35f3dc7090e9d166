"""Symmetric InfoNCE against its definition."""

from __future__ import annotations

import math

import pytest
import torch

from vidsift.losses.contrastive import info_nce


def test_a_worked_example() -> None:
    sim = torch.tensor([[1.0, 0.0], [0.5, 1.0]])
    rows = math.log(1 + math.exp(-2.0)) + math.log(1 + math.exp(-1.0))
    columns = math.log(1 + math.exp(-1.0)) + math.log(1 + math.exp(-2.0))
    assert info_nce(sim, 2.0).item() == pytest.approx((rows / 2 + columns / 2) / 2)


def test_texts_and_videos_count_alike() -> None:
    sim = torch.randn(5, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(info_nce(sim, 10.0), info_nce(sim.t(), 10.0))


def test_no_knowledge_costs_the_logarithm_of_the_batch() -> None:
    assert info_nce(torch.zeros(8, 8), 100.0).item() == pytest.approx(math.log(8))


def test_the_scale_learns() -> None:
    scale = torch.tensor(2.0, requires_grad=True)
    torch.autograd.backward(info_nce(torch.eye(3), scale))
    assert scale.grad is not None
    assert scale.grad < 0


@pytest.mark.parametrize("shape", [(2, 3), (2,)])
def test_a_matrix_that_is_not_square_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected a square matrix"):
        info_nce(torch.zeros(shape), 1.0)
