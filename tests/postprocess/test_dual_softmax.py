"""Dual softmax on a case worked by hand."""

from __future__ import annotations

import math

import pytest
import torch

from vidsift.postprocess.dual_softmax import dual_softmax


def test_a_video_that_prefers_another_text_counts_less() -> None:
    sim = torch.tensor([[math.log(3.0), math.log(2.0)], [0.0, math.log(2.0)]])
    there = dual_softmax(sim, 1.0)
    assert torch.allclose(there[0], torch.tensor([math.log(3.0) * 3 / 4, math.log(2.0) / 2]))
    back = dual_softmax(sim, 1.0, direction="video_to_text")
    assert torch.allclose(back[0], torch.tensor([math.log(3.0) * 3 / 5, math.log(2.0) * 2 / 5]))


def test_the_scale_multiplies_first() -> None:
    sim = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(dual_softmax(sim, 7.0), dual_softmax(sim * 7.0, 1.0))
    assert torch.equal(dual_softmax(sim), dual_softmax(sim * 100.0, 1.0))


def test_by_default_cosines_are_told_apart() -> None:
    """Video 1 is a hub: it beats the right video for every text, and its own text most of all."""
    sim = torch.full((4, 4), 0.2) + 0.05 * torch.eye(4)
    sim[:, 1] = torch.tensor([0.28, 0.34, 0.28, 0.28])
    assert sim.argmax(dim=1).tolist() == [1, 1, 1, 1]
    assert dual_softmax(sim).argmax(dim=1).tolist() == [0, 1, 2, 3]
    assert dual_softmax(sim, 1.0).argmax(dim=1).tolist() == [1, 1, 1, 1]


def test_another_direction_is_refused() -> None:
    with pytest.raises(ValueError, match="text_to_video, video_to_text"):
        dual_softmax(torch.zeros(2, 2), direction="both")  # type: ignore[arg-type]


@pytest.mark.parametrize("scale", [0.0, -1.0, math.inf, math.nan])
def test_a_scale_that_ranks_nothing_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="expected a positive number"):
        dual_softmax(torch.zeros(2, 2), scale)
