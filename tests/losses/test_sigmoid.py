"""The sigmoid loss beside that of the SigLIP in transformers, and what sets it apart from InfoNCE."""

from __future__ import annotations

import math

import pytest
import torch
from transformers import SiglipConfig, SiglipModel

from vidsift.losses.sigmoid import sigmoid_loss


@torch.no_grad()
def test_it_is_the_loss_of_siglip() -> None:
    tower = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    text = tower | {"vocab_size": 20, "max_position_embeddings": 6, "projection_size": 8}
    torch.manual_seed(0)
    siglip = SiglipModel(
        SiglipConfig(text_config=text, vision_config=tower | {"image_size": 8, "patch_size": 4})
    )
    siglip.logit_scale.fill_(math.log(7.0))
    siglip.logit_bias.fill_(-2.0)
    out = siglip(torch.randint(20, (3, 6)), torch.randn(3, 3, 8, 8), return_loss=True)
    cosines = out.text_embeds @ out.image_embeds.t()
    torch.testing.assert_close(sigmoid_loss(cosines, 7.0, -2.0), out.loss)


def test_a_worked_example() -> None:
    """One pair alone: log(1 + exp(-(2 x 0.5 - 3)))."""
    loss = sigmoid_loss(torch.tensor([[0.5]]), torch.tensor(2.0), torch.tensor(-3.0))
    assert loss.item() == pytest.approx(math.log(1 + math.exp(2)))


def test_what_a_pair_costs_does_not_hang_on_the_others() -> None:
    sim = torch.randn(4, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    changed = sim.detach().clone()
    changed[0, 1] += 5
    changed.requires_grad_()
    for matrix in (sim, changed):
        torch.autograd.backward(sigmoid_loss(matrix, 3.0, -1.0))
    assert sim.grad is not None
    assert changed.grad is not None
    same = torch.ones(4, 4, dtype=torch.bool)
    same[0, 1] = False
    assert torch.equal(sim.grad[same], changed.grad[same])
    assert changed.grad[0, 1] > sim.grad[0, 1]


def test_scale_and_bias_learn() -> None:
    scale, bias = torch.tensor(2.0, requires_grad=True), torch.tensor(0.0, requires_grad=True)
    torch.autograd.backward(sigmoid_loss(torch.eye(5), scale, bias))
    assert scale.grad is not None
    assert bias.grad is not None
    assert bias.grad > 0  # most pairs are wrong ones, so it has to fall


def test_a_matrix_that_is_not_square_is_refused() -> None:
    with pytest.raises(ValueError, match=r"sigmoid_loss got similarities of shape \(2, 3\)"):
        sigmoid_loss(torch.zeros(2, 3), 1.0, 0.0)
