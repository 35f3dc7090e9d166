"""Inverted softmax and Sinkhorn's normalisation: by hand, and by what their sums have to be."""

from __future__ import annotations

import math

import pytest
import torch

from vidsift.postprocess.inverted_softmax import inverted_softmax, sinkhorn


def test_a_share_is_among_the_questions() -> None:
    sim = torch.tensor([[math.log(3.0), math.log(2.0)], [0.0, math.log(2.0)]])
    there = inverted_softmax(sim, 1.0).exp()
    assert torch.allclose(there, torch.tensor([[3 / 4, 1 / 2], [1 / 4, 1 / 2]], dtype=torch.float64))
    back = inverted_softmax(sim, 1.0, direction="video_to_text").exp()
    assert torch.allclose(back, torch.tensor([[3 / 5, 2 / 5], [1 / 3, 2 / 3]], dtype=torch.float64))


def test_large_similarities_neither_overflow_nor_tie() -> None:
    sim = torch.randn(40, 30, generator=torch.Generator().manual_seed(0)) * 3
    shares = inverted_softmax(sim)
    assert (shares.float().exp() == 0).any(), "as a product they would be 0"
    assert all(len(row.unique()) == 30 for row in shares)


@pytest.mark.parametrize("shape", [(12, 12), (30, 7), (5, 9)])
def test_rows_and_columns_add_up(shape: tuple[int, int]) -> None:
    sim = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    plan = sinkhorn(sim, 20.0, iterations=2000, tolerance=1e-9).exp()
    assert torch.allclose(plan.sum(dim=0), torch.full((shape[1],), 1 / shape[1], dtype=torch.float64))
    assert torch.allclose(plan.sum(dim=1), torch.full((shape[0],), 1 / shape[0], dtype=torch.float64))


def test_two_by_two_is_worked_by_hand() -> None:
    # The plan of [[a, b], [c, d]] is known: with r = sqrt(a d / (b c)) its corner is r / (2 (1 + r)).
    sim = torch.tensor([[1.0, 0.4], [0.9, 0.8]])
    plan = sinkhorn(sim, 2.0, iterations=500, tolerance=1e-12).exp()
    ratio = math.exp((1.0 + 0.8 - 0.4 - 0.9) * 2.0 / 2)
    assert plan[0, 0].item() == pytest.approx(ratio / (2 * (1 + ratio)))
    assert plan[0, 1].item() == pytest.approx(0.5 - plan[0, 0].item())


def test_a_hub_gives_way() -> None:
    sim = torch.full((4, 4), 0.2) + 0.05 * torch.eye(4)
    sim[:, 1] = torch.tensor([0.28, 0.34, 0.28, 0.28])
    assert sim.argmax(dim=1).tolist() == [1, 1, 1, 1]
    assert sinkhorn(sim).argmax(dim=1).tolist() == [0, 1, 2, 3]
    assert inverted_softmax(sim, 100.0).argmax(dim=1).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_a_scale_that_ranks_nothing_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="expected a positive number"):
        inverted_softmax(torch.zeros(2, 2), value)
    with pytest.raises(ValueError, match="expected a positive number"):
        sinkhorn(torch.zeros(2, 2), value)
