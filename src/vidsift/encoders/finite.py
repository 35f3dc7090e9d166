"""Weights that are NaN or infinite pass no door: they are found, named and refused."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from vidsift.errors import NonFiniteWeightsError

__all__ = ["UNSAVED", "non_finite", "require_finite"]

UNSAVED = "nothing was written: go back to a checkpoint from before, and train on with a lower learning rate"
"""What to do with a model whose weights cannot be saved."""

_NAMED = 4


def non_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """Return the names of the tensors that hold NaN or infinity, in the order given.

    One pass over each and one transfer for all, so that a GPU is waited for once. Whole numbers are finite.
    """
    floating = {
        name: value.detach()
        for name, value in tensors.items()
        if value.is_floating_point() and value.numel() and not value.is_meta
    }
    # The largest magnitude is finite only where all are, and needs no copy of what it is taken of.
    good = [torch.linalg.vector_norm(value, torch.inf).isfinite() for value in floating.values()]
    answers = torch.stack([one.to(good[0].device) for one in good]).tolist() if good else []
    return [name for name, finite in zip(floating, answers, strict=True) if not finite]


def require_finite(tensors: Mapping[str, Tensor], subject: str, remedy: str) -> None:
    """Refuse tensors of which any holds NaN or infinity.

    Args:
        tensors: by name.
        subject: what holds them, for the message: a file, a model.
        remedy: what to do about it.

    Raises:
        NonFiniteWeightsError: naming how many, and the first of them.
    """
    found = non_finite(tensors)
    if found:
        more = ", ..." if len(found) > _NAMED else ""
        raise NonFiniteWeightsError(
            f"{subject} holds NaN or infinite values in {len(found)} of {len(tensors)} tensors "
            f"({', '.join(found[:_NAMED])}{more}), expected finite numbers; {remedy}"
        )
