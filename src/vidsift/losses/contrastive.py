"""Contrastive losses over a square matrix of similarities whose diagonal holds the true pairs."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

__all__ = ["info_nce"]


def info_nce(sim_BB: Tensor, scale: Tensor | float) -> Tensor:
    """Symmetric cross-entropy: each text should pick its video, each video its text.

    Use it where pairs are all there is to learn from, as nearly every method here does. It needs no
    negatives: the other videos of the batch are the wrong answers, so a larger batch is a harder question. It
    gives up all but one right answer for each text: two captions of one video in a batch count as each
    other's mistakes.

    Args:
        sim_BB: unscaled similarities; row i and column i belong together.
        scale: the inverse temperature (CLIP's ``exp(logit_scale)``, DRL's tau).

    Returns:
        The mean of the two directions, a scalar.

    Raises:
        ValueError: if the matrix is not square.

    Example:
        Pairs that are told apart cost nearly nothing, pairs that look alike cost log of their number.

        >>> info_nce(torch.eye(3), scale=100.0).item() < 1e-6
        True
        >>> info_nce(torch.zeros(3, 3), scale=100.0)
        tensor(1.0986)

    Source: CLIP4Clip modules/modeling.py (CrossEn both ways, halved); DRL Eq. 7.
    Differs: DRL's Eq. 7 adds the two directions; its code halves them, and so do we.
    """
    if sim_BB.ndim != 2 or sim_BB.shape[0] != sim_BB.shape[1]:
        raise ValueError(
            f"info_nce got similarities of shape {tuple(sim_BB.shape)}; expected a square matrix of "
            "matched pairs, text i with video i"
        )
    # The scale enters here alone: similarities are stored, compared and shown without it.
    logits_BB = sim_BB * scale
    # The right class of row i is column i: cross-entropy over rows, then over columns.
    truth_B = torch.arange(len(logits_BB), device=logits_BB.device)
    return (cross_entropy(logits_BB, truth_B) + cross_entropy(logits_BB.t(), truth_B)) / 2
