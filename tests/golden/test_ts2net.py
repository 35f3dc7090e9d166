"""TS2-Net's token selection, similarity and whole path against the released code."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from vidsift.encoders.selection import perturbed_top_k

MODULES = "ts2net_modules"


def test_perturbed_top_k_and_the_released_gradient(golden: Any) -> None:
    file = golden(MODULES)
    scores = file["topk.scores"].clone().requires_grad_()
    chosen = perturbed_top_k(scores, 3, gradient="diagonal", noise_BSN=file["topk.noise"])
    torch.testing.assert_close(chosen, file["topk.indicators"], atol=1e-7, rtol=0)
    torch.autograd.backward(chosen, file["topk.cotangent"])
    torch.testing.assert_close(scores.grad, file["topk.grad_scores"], atol=1e-5, rtol=1e-5)


def test_the_text_selection_that_no_released_model_uses(golden: Any) -> None:
    """It is saved in checkpoints and never called; the shared top-k reproduces it all the same."""
    file = golden(MODULES)
    tokens, mask = file["tsel.in"], file["tsel.mask"]
    width = tokens.shape[-1]
    parts = {
        "in_conv": nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width // 2), nn.GELU()),
        "out_conv": nn.Sequential(
            nn.Linear(width, width // 2, bias=False), nn.GELU(), nn.Linear(width // 2, 1, bias=False)
        ),
    }
    for name, part in parts.items():
        part.load_state_dict(file.under(f"tsel.w.score_predictor.{name}."))
    end = file["tsel.ids"].argmax(dim=1)
    rows = torch.arange(len(tokens))
    seen = parts["in_conv"](tokens)
    whole = seen[rows, end].unsqueeze(1).expand_as(seen)
    scores = parts["out_conv"](torch.cat([seen, whole], dim=2)).squeeze(2).sigmoid()
    before_the_end = torch.nn.functional.pad(mask[:, 1:], (0, 1))
    chosen = perturbed_top_k(scores * before_the_end, 1, noise_BSN=file["tsel.noise"])
    selected = torch.cat([tokens[rows, end].unsqueeze(1), chosen @ tokens], dim=1)
    torch.testing.assert_close(selected, file["tsel.out"], atol=1e-5, rtol=1e-5)
