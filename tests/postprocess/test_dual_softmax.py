"""Dual softmax on a case worked by hand."""

from __future__ import annotations

import math

import pytest
import torch

from vidsift.postprocess.dual_softmax import dual_softmax


def test_a_video_that_prefers_another_text_counts_less() -> None:
    sim = torch.tensor([[math.log(3.0), math.log(2.0)], [0.0, math.log(2.0)]])
    there = dual_softmax(sim)
    assert torch.allclose(there[0], torch.tensor([math.log(3.0) * 3 / 4, math.log(2.0) / 2]))
    back = dual_softmax(sim, direction="video_to_text")
    assert torch.allclose(back[0], torch.tensor([math.log(3.0) * 3 / 5, math.log(2.0) * 2 / 5]))


def test_the_scale_multiplies_first() -> None:
    sim = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(dual_softmax(sim, 7.0), dual_softmax(sim * 7.0))


def test_another_direction_is_refused() -> None:
    with pytest.raises(ValueError, match="text_to_video, video_to_text"):
        dual_softmax(torch.zeros(2, 2), direction="both")  # type: ignore[arg-type]
