"""Sigmoid loss: each pair of a batch is asked by itself whether it belongs together (SigLIP)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

__all__ = ["sigmoid_loss"]


def sigmoid_loss(sim_BB: Tensor, scale: Tensor | float, bias: Tensor | float) -> Tensor:
    """Logistic loss of every text with every video: 1 on the diagonal, -1 beside it.

    Use it in the place of :func:`~vidsift.losses.contrastive.info_nce` where captions also fit other videos
    of the batch, or batches are small: a pair's loss does not hang on what else is in the batch, and 0 behind
    scale and bias means "as likely as not". It needs a learned bias beside the scale, as nearly all pairs are
    wrong ones. It gives up the ranking: nothing asks that the right video be the first.

    Args:
        sim_BB: unscaled similarities; row i and column i belong together.
        scale: inverse temperature t; SigLIP starts at 10.
        bias: b, what is added to every scaled similarity; SigLIP starts at -10.

    Returns:
        The sum over all pairs divided by B, a scalar.

    Raises:
        ValueError: if the matrix is not square.

    Example:
        Two pairs that are told apart, and two about which nothing is known: 4 log 2 / 2.

        >>> sigmoid_loss(torch.eye(2), scale=100.0, bias=-50.0).item() < 1e-6
        True
        >>> sigmoid_loss(torch.zeros(2, 2), scale=1.0, bias=0.0)
        tensor(1.3863)

    Source: Zhai et al. 2023 (arXiv 2303.15343), Algorithm 1.
    Differs: the paper's equation has ``-t s + b`` in the exponent, which gives b the opposite sign; Algorithm
        1, like its code and ours, adds b to the scaled similarity.
    """
    if sim_BB.ndim != 2 or sim_BB.shape[0] != sim_BB.shape[1]:
        raise ValueError(
            f"sigmoid_loss got similarities of shape {tuple(sim_BB.shape)}; expected a square matrix of "
            "matched pairs, text i with video i"
        )
    signs_BB = 2 * torch.eye(len(sim_BB), dtype=sim_BB.dtype, device=sim_BB.device) - 1
    return -logsigmoid(signs_BB * (sim_BB * scale + bias)).sum() / len(sim_BB)
