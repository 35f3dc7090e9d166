"""The best k of some scored tokens: smoothed by noise so that it can be learned, or hard.

A selection is written as indicators ``(B, k, N)``: how much of each token stands in each of the k places.
Places are in the order of the tokens, not of the scores. The chosen tokens are
``indicators_BkN @ tokens_BND``.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

__all__ = ["NoiseScale", "PerturbedTopK", "TopKGradient", "hard_top_k", "perturbed_top_k"]

TopKGradient: TypeAlias = Literal["full", "diagonal"]
NoiseScale: TypeAlias = Literal["relative", "absolute"]
"""What sigma is measured in: the distance of a row's lowest score from its highest, or the scores' unit."""


def hard_top_k(scores_BN: Tensor, k: int) -> Tensor:
    """Choose the k highest scores of each row.

    Args:
        scores_BN: ``(B, N)``.
        k: how many, 1 to N.

    Returns:
        Indicators ``(B, k, N)``, fp32: one 1 in each of the k places, which are in the order of the tokens.
        Of equal scores the first ones are chosen.

    Raises:
        ValueError: if there are fewer than k scores.
    """
    _check_k(scores_BN, k)
    # Not topk: which of equal scores it takes differs from device to device.
    chosen_Bk = scores_BN.sort(dim=1, descending=True, stable=True).indices[:, :k].sort(dim=1).values
    return torch.nn.functional.one_hot(chosen_Bk, scores_BN.shape[1]).float()


def perturbed_top_k(
    scores_BN: Tensor,
    k: int,
    *,
    samples: int = 500,
    sigma: float = 0.05,
    gradient: TopKGradient = "full",
    noise: NoiseScale = "absolute",
    noise_BSN: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Choose the k highest scores of each row on average over noise, which has a gradient.

    The hard choice of ``scores + sigma * noise`` is averaged over ``samples`` draws of standard normal noise.
    Its gradient with respect to the scores is that of the expectation, estimated from the same draws:
    ``mean(choice * noise) / sigma``.

    Args:
        scores_BN: ``(B, N)``.
        k: how many, 1 to N.
        samples: draws of noise, S.
        sigma: how far the noise moves the scores.
        gradient: "full" takes the whole derivative, of each place by every score; "diagonal" only that of
            a token's part of a place by the same token's score, as the released code does.
        noise: "relative" brings each row of scores to 0 to 1 first, with its gradient, so that ``sigma`` is a
            share of the distance between lowest and highest; rows of equal scores are chosen from by chance.
        noise_BSN: the draws ``(B, S, N)``, for reproduction; ``samples`` is then not read.
        generator: of the draws, on the scores' device; torch's own by default.

    Returns:
        Indicators ``(B, k, N)``, fp32; each of the k places sums to 1.

    Raises:
        ValueError: if there are fewer than k scores, ``sigma`` or ``samples`` is not positive, an argument is
            none of its choices, or the noise does not fit the scores.

    Source: Berthet et al., Learning with differentiable perturbed optimizers, arXiv 2002.08676, Prop. 3.1;
        Cordonnier et al., arXiv 2104.03059 (google-research ptopk_patch_selection, whose ``zeroone`` is the
        relative noise); LiuRicky/ts2_net modules/differential_topk.py.
    Differs: the released code keeps only the diagonal of the derivative (``gradient="diagonal"``).

    Example:
        >>> perturbed_top_k(torch.tensor([[3.0, 1.0, 2.0]]), 2, sigma=1e-3)
        tensor([[[1., 0., 0.],
                 [0., 0., 1.]]])
    """
    _check_k(scores_BN, k)
    _check_perturbation(samples, sigma, gradient, noise)
    if noise_BSN is None:
        shape = len(scores_BN), samples, scores_BN.shape[1]
        noise_BSN = torch.randn(shape, device=scores_BN.device, generator=generator)
    if noise_BSN.ndim != 3 or noise_BSN.shape[::2] != scores_BN.shape:
        raise ValueError(
            f"noise has shape {tuple(noise_BSN.shape)}, expected ({len(scores_BN)}, samples, "
            f"{scores_BN.shape[1]}) for scores of shape {tuple(scores_BN.shape)}"
        )
    unit_BN = _to_unit_range(scores_BN.float()) if noise == "relative" else scores_BN.float()
    arguments = unit_BN, k, sigma, gradient, noise_BSN.float()
    chosen: Tensor = _PerturbedTopK.apply(*arguments)  # type: ignore[no-untyped-call]
    return chosen


class PerturbedTopK(nn.Module):
    """A top-k that is perturbed in training and hard, so deterministic, at inference.

    Source: see :func:`perturbed_top_k`.
    Differs: LiuRicky/ts2_net draws noise at inference too, so that scores change from run to run.

    Args:
        k: how many are chosen.
        samples: draws of noise in training.
        sigma: how far the noise moves the scores.
        gradient, noise: see :func:`perturbed_top_k`.
    """

    def __init__(
        self,
        k: int,
        samples: int = 500,
        sigma: float = 0.05,
        gradient: TopKGradient = "full",
        noise: NoiseScale = "absolute",
    ) -> None:
        """See the class."""
        super().__init__()
        self.k = k
        self.samples = samples
        self.sigma = sigma
        self.gradient: TopKGradient = gradient
        self.noise: NoiseScale = noise

    def forward(self, scores_BN: Tensor, noise_BSN: Tensor | None = None) -> Tensor:
        """Return indicators ``(B, k, N)``, fp32.

        Args:
            scores_BN: ``(B, N)``.
            noise_BSN: draws ``(B, S, N)`` to choose by, at inference too; for reproduction.

        Raises:
            ValueError: as :func:`perturbed_top_k`.
        """
        if not self.training and noise_BSN is None:
            return hard_top_k(scores_BN, self.k)
        return perturbed_top_k(
            scores_BN,
            self.k,
            samples=self.samples,
            sigma=self.sigma,
            gradient=self.gradient,
            noise=self.noise,
            noise_BSN=noise_BSN,
        )


def _to_unit_range(scores_BN: Tensor) -> Tensor:
    """Bring each row to 0 (its lowest score) to 1 (its highest); all 0 where only rounding differs."""
    lowest_B1, highest_B1 = scores_BN.amin(dim=1, keepdim=True), scores_BN.amax(dim=1, keepdim=True)
    size_B1 = torch.maximum(lowest_B1.abs(), highest_B1.abs()).detach()
    range_B1 = highest_B1 - lowest_B1
    # A division by next to nothing would make a gradient of what is rounding.
    equal_B1 = range_B1.detach() <= 8 * torch.finfo(scores_BN.dtype).eps * size_B1
    # Filled before the division as well: the gradient of 0 / 0 behind a mask is still NaN.
    return ((scores_BN - lowest_B1) / range_B1.masked_fill(equal_B1, 1)).masked_fill(equal_B1, 0)


class _PerturbedTopK(torch.autograd.Function):
    """The estimate and its gradient; see :func:`perturbed_top_k`."""

    @staticmethod
    def forward(  # noqa: PLR0917 (torch passes them by place)
        ctx: Any, scores_BN: Tensor, k: int, sigma: float, gradient: TopKGradient, noise_BSN: Tensor
    ) -> Tensor:
        # One pass: noise times sigma by itself would be S times as large as the scores once more.
        noisy_BSN = torch.addcmul(scores_BN[:, None], noise_BSN, noise_BSN.new_tensor(sigma))
        # By index, not by score: then the mean over draws is of like places.
        chosen_BSk = noisy_BSN.topk(k, dim=2, sorted=False).indices.sort(dim=2).values
        chosen_BkS = chosen_BSk.transpose(1, 2).contiguous()
        ctx.save_for_backward(chosen_BkS, noise_BSN)
        ctx.sigma, ctx.gradient = sigma, gradient
        # The one-hot choices of all draws would be S times as large as the counts.
        counts_BkN = scores_BN.new_zeros(len(scores_BN), k, scores_BN.shape[1])
        counts_BkN.scatter_add_(2, chosen_BkS, scores_BN.new_ones(()).expand(chosen_BkS.shape))
        return counts_BkN / noise_BSN.shape[1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_BkN: Tensor) -> tuple[Tensor, None, None, None, None]:
        chosen_BkS, noise_BSN = ctx.saved_tensors
        grad_BkS = grad_BkN.gather(2, chosen_BkS)
        # Both are mean(choice * noise) / sigma, of which a draw's choice has k ones: only those are added up.
        if ctx.gradient == "full":
            # (B, 1, S) @ (B, S, N)
            result_BN = (grad_BkS.sum(dim=1, keepdim=True) @ noise_BSN).squeeze(1)
        else:
            chosen_noise_BkS = noise_BSN.gather(2, chosen_BkS.transpose(1, 2)).transpose(1, 2)
            result_BN = grad_BkN.new_zeros(len(grad_BkN), grad_BkN.shape[2])
            result_BN.scatter_add_(1, chosen_BkS.flatten(1), (grad_BkS * chosen_noise_BkS).flatten(1))
        return result_BN / (noise_BSN.shape[1] * ctx.sigma), None, None, None, None


def _check_perturbation(samples: int, sigma: float, gradient: TopKGradient, noise: NoiseScale) -> None:
    if gradient not in get_args(TopKGradient):
        raise ValueError(f"gradient is {gradient!r}, expected one of {', '.join(get_args(TopKGradient))}")
    if noise not in get_args(NoiseScale):
        raise ValueError(f"noise is {noise!r}, expected one of {', '.join(get_args(NoiseScale))}")
    if sigma <= 0 or samples < 1:
        raise ValueError(
            f"perturbed top-k with sigma {sigma} and {samples} samples: both must be positive; "
            "for a choice without noise use hard_top_k"
        )


def _check_k(scores_BN: Tensor, k: int) -> None:
    if scores_BN.ndim != 2 or not 1 <= k <= scores_BN.shape[1]:
        raise ValueError(
            f"top-{k} of scores of shape {tuple(scores_BN.shape)}: expected (rows, tokens) with k from "
            "1 to the number of tokens; choose fewer, or all without a selection"
        )
