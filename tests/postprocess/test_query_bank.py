"""Query bank normalisation on a case worked by hand."""

from __future__ import annotations

import math

import pytest
import torch

from vidsift.postprocess.query_bank import query_bank_norm


def test_only_queries_that_land_on_a_hub_are_normalised() -> None:
    bank = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.5, 0.0]])
    sim = torch.tensor([[0.9, 0.8, 0.0], [0.0, 0.8, 0.1]])
    result = query_bank_norm(sim, bank, beta=2.0)
    assert result.hubs.tolist() == [0]
    assert result.normalised.tolist() == [0]
    assert torch.equal(result.similarities[1], sim[1])
    assert result.similarities[0, 0].item() == pytest.approx(math.exp(1.8) / (2 * math.exp(2.0)))
    assert result.similarities[0, 1].item() == pytest.approx(math.exp(1.6) / (1 + math.e))
    assert result.similarities[0].argmax() == 1, "the hub lost its place"


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="the same videos in both"):
        query_bank_norm(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(ValueError, match="k is 4, expected 1 to 3"):
        query_bank_norm(torch.zeros(2, 3), torch.zeros(2, 3), k=4)
    with pytest.raises(ValueError, match="overflow; give cosines"):
        query_bank_norm(torch.full((1, 2), 90.0), torch.zeros(1, 2), beta=20.0)
