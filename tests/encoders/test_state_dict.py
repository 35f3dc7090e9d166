"""NaN and infinity are found in whatever holds weights, and no door lets them through."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from vidsift.encoders.clip import ClipTowers
from vidsift.encoders.pixels import PixelNorm
from vidsift.encoders.state_dict import non_finite, require_finite
from vidsift.encoders.tokenizer import train_tokenizer
from vidsift.encoders.weights import load_clip, save_clip
from vidsift.errors import NonFiniteWeightsError


def test_every_type_and_shape_is_looked_at() -> None:
    tensors = {
        "good": torch.randn(3, 4),
        "huge": torch.full((2,), torch.finfo(torch.float32).max),
        "huge halves": torch.full((2, 2), 65504.0, dtype=torch.float16),
        "huge doubles": torch.tensor([1e300], dtype=torch.float64),
        "nothing": torch.empty(0, 3),
        "whole": torch.tensor([2**62]),
        "one": torch.tensor(math.nan),
        "inner": torch.tensor([[0.0, -math.inf], [1.0, 2.0]]),
        "brain": torch.tensor([math.inf], dtype=torch.bfloat16),
        "learning": torch.nn.Parameter(torch.tensor([1.0, math.nan])),
    }
    assert non_finite(tensors) == ["one", "inner", "brain", "learning"]
    with pytest.raises(
        NonFiniteWeightsError, match=r"x holds NaN .* in 4 of 10 tensors \(one, inner.*; do y"
    ):
        require_finite(tensors, "x", "do y")
    require_finite({}, "x", "do y")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_checkpoint_with_one_bad_number_is_not_loaded(
    towers: ClipTowers, tmp_path: Path, value: float
) -> None:
    words = train_tokenizer(["a red square moves left then the blue disc grows slowly behind it"] * 2, 560)
    save_clip(tmp_path, towers, words, PixelNorm(32))
    weights = load_file(tmp_path / "model.safetensors")
    name = "vision_model.encoder.layers.1.mlp.fc1.weight"
    weights[name][3, 5] = value
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(NonFiniteWeightsError, match=rf"1 of \d+ tensors \({name}\).* nothing was loaded"):
        load_clip(tmp_path)


def test_numbers_too_large_for_fp32_are_not_loaded_as_infinity(towers: ClipTowers, tmp_path: Path) -> None:
    words = train_tokenizer(["a red square moves left then the blue disc grows slowly behind it"] * 2, 560)
    save_clip(tmp_path, towers, words, PixelNorm(32))
    weights = load_file(tmp_path / "model.safetensors")
    weights["logit_scale"] = torch.tensor(1e300, dtype=torch.float64)
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(NonFiniteWeightsError, match="logit_scale"):
        load_clip(tmp_path)


def test_towers_with_a_bad_number_are_not_saved(towers: ClipTowers, tmp_path: Path) -> None:
    words = train_tokenizer(["a red square moves left then the blue disc grows slowly behind it"] * 2, 560)
    towers.clip.visual_projection.weight.data[0, 0] = math.nan
    with pytest.raises(NonFiniteWeightsError, match=r"visual_projection\.weight.* nothing was written"):
        save_clip(tmp_path / "new", towers, words, PixelNorm(32))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("mean", "std"), [(math.nan, 0.2), (0.5, math.inf), (0.5, 0.0)])
def test_colours_that_give_no_finite_number_are_refused(mean: float, std: float) -> None:
    with pytest.raises(ValueError, match="expected finite numbers and std above 0"):
        PixelNorm(32, (mean, 0.5, 0.5), (std, 0.2, 0.2))
