"""Pictures become numbers."""

from __future__ import annotations

import pytest
import torch

from vidsift.encoders.pixels import OPENAI_MEAN, OPENAI_STD, PixelNorm


def test_normalises_and_moves_colours_first() -> None:
    pixels = torch.randint(0, 256, (2, 3, 4, 4, 3), dtype=torch.uint8)
    out = PixelNorm(4)(pixels)
    assert out.shape == (2, 3, 3, 4, 4)
    assert out.is_contiguous()
    expected = (pixels[1, 2, 3, 0, 1].item() / 255 - OPENAI_MEAN[1]) / OPENAI_STD[1]
    assert out[1, 2, 1, 3, 0].item() == pytest.approx(expected, abs=1e-5)
    assert PixelNorm(4)(pixels, torch.bfloat16).dtype == torch.bfloat16


def test_wrong_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match=r"torch.float32 of shape \(4, 4, 3\), expected torch.uint8"):
        PixelNorm(4)(torch.zeros(4, 4, 3))
    with pytest.raises(ValueError, match=r"expected torch.uint8 ending in \(4, 4, 3\)"):
        PixelNorm(4)(torch.zeros(3, 4, 4, dtype=torch.uint8))
