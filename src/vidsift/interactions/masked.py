"""Reductions over tokens of which some are padding: the only place where masks meet maths.

Masked tokens are -inf before a maximum or a softmax and take no part in a mean. A row without a real
token has no answer, so it is refused (:func:`~vidsift.encoders.mask_checks.require_real`) before any
reduction sees it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vidsift.types import TokenSet

__all__ = [
    "lowest",
    "masked_max",
    "masked_mean",
    "masked_softmax",
    "maximum",
    "segment_max",
    "uniform_weights",
    "unit_tokens",
]


def masked_max(values: Tensor, mask: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Maximum over the real entries along ``dim``, and where it stands.

    Args:
        values: any shape.
        mask: bool, broadcastable to ``values``; False entries cannot win.
        dim: the dimension that is reduced.

    Returns:
        The maxima and their indices. A row without a real entry gives -inf.
    """
    best = values.masked_fill(~mask, -torch.inf).max(dim=dim)
    return best.values, best.indices


def maximum(values: Tensor, dim: int) -> Tensor:
    """Maximum along ``dim``; several times faster than ``max`` where no gradient asks which entry won."""
    # amax would share a gradient among equals; max gives it to one of them.
    if values.requires_grad and torch.is_grad_enabled():
        return values.max(dim=dim).values
    return values.amax(dim=dim)


def lowest(dtype: torch.dtype) -> float:
    """What no real entry of a maximum can lose to: -inf, or the least whole number."""
    return -torch.inf if dtype.is_floating_point else torch.iinfo(dtype).min


def masked_softmax(logits: Tensor, mask: Tensor, dim: int = -1) -> Tensor:
    """Softmax over the real entries along ``dim``; masked entries get exactly 0."""
    # exp(-inf) is exactly 0: no large negative number whose weight only rounds to it.
    return torch.softmax(logits.masked_fill(~mask, -torch.inf), dim=dim)


def masked_mean(tokens_BND: Tensor, mask_BN: Tensor) -> Tensor:
    """Mean of the real tokens: ``(B, N, D)`` -> ``(B, D)``."""
    real = mask_BN.unsqueeze(-1)
    # Filled, not multiplied: padding may hold infinity, and zero times that is NaN.
    return tokens_BND.masked_fill(~real, 0).sum(dim=1) / real.sum(dim=1)


def uniform_weights(mask_BN: Tensor, dtype: torch.dtype) -> Tensor:
    """Equal weights over the real tokens of each row, summing to 1; 0 where masked."""
    real = mask_BN.to(dtype)
    return real / real.sum(dim=1, keepdim=True)


def unit_tokens(tokens: TokenSet) -> Tensor:
    """Tokens of unit length, zeros where masked: ``(B, N, D)``."""
    unit = torch.nn.functional.normalize(tokens.tokens, dim=-1)
    # Zeros whatever padding held, so that quantised sets take no scale from it.
    return unit.masked_fill(~tokens.mask.unsqueeze(-1), 0)


def segment_max(values_PN: Tensor, lengths: list[int]) -> Tensor:
    """Maximum over consecutive groups of rows.

    Args:
        values_PN: rows of all groups one after the other.
        lengths: rows of each group, all positive, summing to P.

    Returns:
        ``(groups, N)``.
    """
    # Sentences of one token: every group is a single row.
    if len(lengths) == len(values_PN):
        return values_PN
    return torch.stack([maximum(rows, dim=0) for rows in torch.split(values_PN, lengths)])
