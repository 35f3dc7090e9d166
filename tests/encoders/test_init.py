"""Fresh weights: of all linear layers, and of nothing else."""

from __future__ import annotations

import torch
from torch import nn

from vidsift.encoders.init import init_linears


def test_linear_layers_start_small_and_nothing_else_changes() -> None:
    torch.manual_seed(0)
    norm, convolution = nn.LayerNorm(64), nn.Conv1d(64, 64, 1)
    nn.init.constant_(norm.weight, 3.0)
    before = convolution.weight.clone()
    inner, outer = nn.Linear(64, 256), nn.Linear(256, 64, bias=False)
    init_linears(nn.Sequential(norm, inner, nn.Sequential(outer)), convolution)
    for layer in (inner, outer):
        assert abs(float(layer.weight.detach().std()) - 0.02) < 0.001
        assert abs(float(layer.weight.detach().mean())) < 0.001
    assert not inner.bias.any()
    assert bool((norm.weight == 3).all())
    assert torch.equal(convolution.weight, before)


def test_parts_are_drawn_in_their_order() -> None:
    first, second = nn.Linear(3, 4), nn.Linear(5, 2)
    torch.manual_seed(0)
    init_linears(first, second)
    torch.manual_seed(0)
    assert torch.equal(first.weight, torch.empty(4, 3).normal_(std=0.02))
    assert torch.equal(second.weight, torch.empty(2, 5).normal_(std=0.02))
