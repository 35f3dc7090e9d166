"""The choice of k tokens: hard, and averaged over noise with a gradient."""

from __future__ import annotations

import math

import pytest
import torch

from vidsift.encoders.selection import PerturbedTopK, TopKGradient, hard_top_k, perturbed_top_k


def test_hard_choice_stands_in_the_order_of_the_tokens() -> None:
    scores = torch.tensor([[0.1, 0.9, 0.3, 0.8], [2.0, -1.0, 2.0, 2.0]])
    chosen = hard_top_k(scores, 2)
    assert chosen.argmax(dim=2).tolist() == [[1, 3], [0, 2]]
    assert torch.equal(chosen.sum(dim=2), torch.ones(2, 2))
    assert torch.equal(hard_top_k(scores, 4), torch.eye(4).expand(2, 4, 4))


def test_little_noise_chooses_as_none_does() -> None:
    scores = torch.randn(3, 7, generator=torch.Generator().manual_seed(0))
    assert torch.equal(perturbed_top_k(scores, 3, sigma=1e-6), hard_top_k(scores, 3))


def probability(difference: float, sigma: float) -> tuple[float, float]:
    """Of one score being perturbed above another, and its derivative by the first."""
    scale = difference / (sigma * math.sqrt(2))
    density = math.exp(-(scale**2) / 2) / math.sqrt(2 * math.pi)
    return (1 + math.erf(scale / math.sqrt(2))) / 2, density / (sigma * math.sqrt(2))


def test_two_scores_have_the_gaussian_s_probability_and_its_derivative() -> None:
    sigma = 0.5
    scores = torch.tensor([[0.3, 0.0]], requires_grad=True)
    generator = torch.Generator().manual_seed(0)
    chosen = perturbed_top_k(scores, 1, samples=400_000, sigma=sigma, generator=generator)
    first, slope = probability(0.3, sigma)
    torch.testing.assert_close(chosen, torch.tensor([[[first, 1 - first]]]), atol=3e-3, rtol=0)
    torch.autograd.backward(chosen[0, 0, 0])
    assert scores.grad is not None
    torch.testing.assert_close(scores.grad, torch.tensor([[slope, -slope]]), atol=1e-2, rtol=0)


def test_the_diagonal_gradient_drops_what_one_score_does_to_another_token() -> None:
    scores = torch.tensor([[0.3, 0.0]], requires_grad=True)
    generator = torch.Generator().manual_seed(0)
    chosen = perturbed_top_k(scores, 1, samples=100_000, sigma=0.5, gradient="diagonal", generator=generator)
    torch.autograd.backward(chosen[0, 0, 0])
    assert scores.grad is not None
    assert scores.grad[0, 0] > 0.5
    assert scores.grad[0, 1] == 0


@pytest.mark.parametrize("gradient", ["full", "diagonal"])
def test_gradients_are_those_of_the_laid_out_formula(gradient: TopKGradient) -> None:
    generator = torch.Generator().manual_seed(3)
    scores = torch.randn(2, 6, generator=generator, requires_grad=True)
    noise = torch.randn(2, 50, 6, generator=generator)
    cotangent = torch.randn(2, 3, 6, generator=generator)
    chosen = perturbed_top_k(scores, 3, sigma=0.2, gradient=gradient, noise_BSN=noise)
    torch.autograd.backward(chosen, cotangent)
    laid_out_BSkN = hard_top_k((scores.detach()[:, None] + 0.2 * noise).flatten(0, 1), 3).view(2, 50, 3, 6)
    torch.testing.assert_close(chosen, laid_out_BSkN.mean(dim=1))
    by_score_BkNM = torch.einsum("bskn,bsm->bknm", laid_out_BSkN, noise) / 50 / 0.2
    if gradient == "diagonal":
        by_score_BkNM = by_score_BkNM * torch.eye(6)
    torch.testing.assert_close(scores.grad, torch.einsum("bkn,bknm->bm", cotangent, by_score_BkNM))


def test_relative_noise_does_not_depend_on_the_scores_unit() -> None:
    generator = torch.Generator().manual_seed(0)
    scores, noise = torch.randn(3, 6, generator=generator), torch.randn(3, 400, 6, generator=generator)
    chosen = perturbed_top_k(scores, 2, noise="relative", noise_BSN=noise)
    spread = scores.amax(dim=1, keepdim=True) - scores.amin(dim=1, keepdim=True)
    by_hand = perturbed_top_k(scores / spread, 2, noise_BSN=noise)
    torch.testing.assert_close(chosen, by_hand, atol=5e-3, rtol=0)
    for moved in (scores * 1e-4 + 1 / 49, scores * 1e4):
        torch.testing.assert_close(
            perturbed_top_k(moved, 2, noise="relative", noise_BSN=noise), chosen, atol=5e-3, rtol=0
        )


def test_the_gradient_of_relative_noise_passes_through_the_range() -> None:
    """The choice does not change where all scores grow alike, so the gradient has no part along that."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(2, 6, generator=generator, requires_grad=True)
    noise = torch.randn(2, 4000, 6, generator=generator)
    chosen = perturbed_top_k(scores, 2, sigma=0.3, noise="relative", noise_BSN=noise)
    torch.autograd.backward((chosen * torch.randn(chosen.shape, generator=generator)).sum())
    assert scores.grad is not None
    assert scores.grad.abs().max() > 0.1
    torch.testing.assert_close(scores.grad.sum(dim=1), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close((scores.grad * scores).sum(dim=1), torch.zeros(2), atol=1e-5, rtol=0)


@pytest.mark.parametrize("value", [0.0, 1 / 49, 1e30, 1e-30])
def test_equal_scores_are_chosen_from_by_chance_and_have_a_gradient_that_is_a_number(value: float) -> None:
    rounding = 1 + 1e-7 * torch.randn(2, 10, generator=torch.Generator().manual_seed(0))
    scores = (value * rounding).requires_grad_()
    generator = torch.Generator().manual_seed(1)
    chosen = perturbed_top_k(scores, 2, samples=4000, noise="relative", generator=generator)
    torch.testing.assert_close(chosen.sum(dim=1), torch.full((2, 10), 0.2), atol=0.05, rtol=0)
    torch.autograd.backward(chosen.square().sum())
    assert scores.grad is not None
    assert bool(scores.grad.isfinite().all())
    assert scores.grad.abs().max() < 100


def test_training_is_perturbed_and_inference_deterministic() -> None:
    scores = torch.randn(4, 9, generator=torch.Generator().manual_seed(1)) * 0.01
    layer = PerturbedTopK(3, samples=20)
    torch.manual_seed(0)
    assert not torch.equal(layer(scores), layer(scores))
    layer.eval()
    assert torch.equal(layer(scores), hard_top_k(scores, 3))
    assert layer(scores, torch.randn(4, 20, 9)).max() < 1


def test_half_precision_scores_give_whole_indicators() -> None:
    scores = torch.randn(2, 5, generator=torch.Generator().manual_seed(1)).bfloat16().requires_grad_()
    chosen = perturbed_top_k(scores, 2, samples=300)
    assert chosen.dtype == torch.float32
    torch.testing.assert_close(chosen.sum(dim=2), torch.ones(2, 2))
    torch.autograd.backward(chosen.square().sum())
    assert scores.grad is not None
    assert scores.grad.isfinite().all()


def test_what_cannot_be_chosen_is_refused() -> None:
    scores = torch.zeros(2, 4)
    with pytest.raises(ValueError, match=r"top-5 of scores of shape \(2, 4\)"):
        hard_top_k(scores, 5)
    with pytest.raises(ValueError, match="top-0"):
        perturbed_top_k(scores, 0)
    with pytest.raises(ValueError, match="both must be positive"):
        perturbed_top_k(scores, 2, sigma=0.0)
    with pytest.raises(ValueError, match=r"noise has shape \(2, 3, 5\), expected \(2, samples, 4\)"):
        perturbed_top_k(scores, 2, noise_BSN=torch.zeros(2, 3, 5))
    with pytest.raises(ValueError, match="expected one of full, diagonal"):
        perturbed_top_k(scores, 2, gradient="none")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected one of relative, absolute"):
        perturbed_top_k(scores, 2, noise="none")  # type: ignore[arg-type]
