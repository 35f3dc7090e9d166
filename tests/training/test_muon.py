"""Muon: orthogonal steps for matrices, AdamW's for the rest, resumable like any optimiser."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from vidsift.training.muon import Muon, orthogonalised


def groups(model: nn.Sequential) -> list[dict[str, Any]]:
    matrices = [p for p in model.parameters() if p.ndim == 2]
    rest = [p for p in model.parameters() if p.ndim != 2]
    return [
        {"params": matrices, "lr": 0.02, "weight_decay": 0.1, "orthogonal": True},
        {"params": rest, "lr": 0.02, "weight_decay": 0.0, "orthogonal": False},
    ]


def small_model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 6))


def take_steps(model: nn.Sequential, optimiser: torch.optim.Optimizer, first: int, count: int) -> list[float]:
    values = []
    for step in range(first, first + count):
        inputs = torch.randn(16, 6, generator=torch.Generator().manual_seed(step))
        loss = (model(inputs) - inputs.flip(1)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        values.append(loss.item())
    return values


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 5, 20), (2, 20, 5)])
def test_singular_values_come_near_one_and_directions_stay(shape: tuple[int, ...]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    result = orthogonalised(matrices)
    assert result.shape == matrices.shape
    in_its_own_basis = left.mT @ result @ right.mT
    values = in_its_own_basis.diagonal(dim1=-2, dim2=-1)
    assert (in_its_own_basis - torch.diag_embed(values)).abs().max() < 1e-4
    assert values.max() < 1.3
    assert values.min() > 0.3


def test_a_step_has_the_stated_size_and_decay() -> None:
    model = nn.Linear(8, 8, bias=False)
    before = model.weight.detach().clone()
    optimiser = Muon(
        [{"params": [model.weight], "lr": 0.1, "weight_decay": 0.5, "orthogonal": True}],
        betas=(0.9, 0.98),
        eps=1e-8,
    )
    gradient = torch.randn(8, 8, generator=torch.Generator().manual_seed(2))
    model.weight.grad = gradient.clone()
    optimiser.step()
    nesterov = gradient.lerp(0.05 * gradient, 0.95)
    expected = before * (1 - 0.1 * 0.5) - 0.1 * 0.2 * 8**0.5 * orthogonalised(nesterov[None])[0]
    torch.testing.assert_close(model.weight.detach(), expected)


def test_other_groups_step_as_adamw_does() -> None:
    ours, theirs = small_model(), small_model()
    muon = Muon(groups(ours), betas=(0.9, 0.98), eps=1e-6)
    rest = groups(theirs)[1]
    adamw = torch.optim.AdamW([rest], betas=(0.9, 0.98), eps=1e-6, fused=True)
    take_steps(ours, muon, 0, 1)
    take_steps(theirs, adamw, 0, 1)
    for name in ("0.bias", "2.bias"):
        assert torch.equal(ours.get_parameter(name), theirs.get_parameter(name))


def test_training_reduces_the_loss_and_resumes_to_the_same_bits() -> None:
    straight, broken = small_model(), small_model()
    optimiser = Muon(groups(straight), betas=(0.9, 0.98), eps=1e-6)
    losses = take_steps(straight, optimiser, 0, 60)
    assert losses[-1] < losses[0] / 4
    first = Muon(groups(broken), betas=(0.9, 0.98), eps=1e-6)
    take_steps(broken, first, 0, 25)
    states = copy.deepcopy((broken.state_dict(), first.state_dict()))
    resumed = small_model()
    second = Muon(groups(resumed), betas=(0.9, 0.98), eps=1e-6)
    resumed.load_state_dict(states[0])
    second.load_state_dict(states[1])
    assert take_steps(resumed, second, 25, 35) == losses[25:]


def test_only_matrices_can_be_orthogonalised() -> None:
    bias = nn.Parameter(torch.zeros(4))
    with pytest.raises(ValueError, match=r"shape \(4,\).*matrices only"):
        Muon([{"params": [bias], "lr": 0.1, "orthogonal": True}], betas=(0.9, 0.98), eps=1e-6)


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch.optim.Muon came with PyTorch 2.9")
def test_torchs_own_differs_by_its_bf16_alone() -> None:
    ours, theirs = (nn.Parameter(torch.ones(24, 12)) for _ in range(2))
    group = {"params": [ours], "lr": 0.1, "weight_decay": 0.5, "orthogonal": True}
    muon = Muon([group], betas=(0.9, 0.98), eps=1e-8)
    peer = torch.optim.Muon([theirs], lr=0.1, weight_decay=0.5, adjust_lr_fn="match_rms_adamw")
    for step in range(3):
        before = ours.detach().clone()
        theirs.data.copy_(before)
        ours.grad = torch.randn(24, 12, generator=torch.Generator().manual_seed(step))
        theirs.grad = ours.grad.clone()
        muon.step()
        peer.step()  # type: ignore[no-untyped-call]
        length = (ours.detach() - before).norm()
        assert 1e-4 * length < (ours.detach() - theirs.detach()).norm() < 0.02 * length
