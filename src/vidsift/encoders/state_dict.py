"""What weights by name have to be before anything uses them: finite, and those of the module exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from vidsift.errors import NonFiniteWeightsError, WeightsError

__all__ = ["UNSAVED", "load_strictly", "non_finite", "require_finite"]

UNSAVED = "nothing was written: go back to a checkpoint from before, and train on with a lower learning rate"
"""What to do with a model whose weights cannot be saved."""

_NAMED = 4


def non_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """Return the names of the tensors that hold NaN or infinity, in the order given.

    One pass over each and one transfer for all, so that a GPU is waited for once. Whole numbers are finite.
    """
    # Left out: the norm of nothing, which is an error, and tensors on meta, which hold no values.
    floating = {
        name: value.detach()
        for name, value in tensors.items()
        if value.is_floating_point() and value.numel() and not value.is_meta
    }
    # The largest magnitude is finite only where all are, and needs no copy of what it is taken of.
    flags = [torch.linalg.vector_norm(value, torch.inf).isfinite() for value in floating.values()]
    finite = torch.stack([flag.to(flags[0].device) for flag in flags]).tolist() if flags else []
    return [name for name, is_finite in zip(floating, finite, strict=True) if not is_finite]


def require_finite(tensors: Mapping[str, Tensor], subject: str, remedy: str) -> None:
    """Refuse tensors of which any holds NaN or infinity.

    Args:
        tensors: by name.
        subject: what holds them, for the message: a file, a model.
        remedy: what to do about it.

    Raises:
        NonFiniteWeightsError: naming how many, and the first of them.
    """
    names = non_finite(tensors)
    if names:
        more = ", ..." if len(names) > _NAMED else ""
        raise NonFiniteWeightsError(
            f"{subject} holds NaN or infinite values in {len(names)} of {len(tensors)} tensors "
            f"({', '.join(names[:_NAMED])}{more}), expected finite numbers; {remedy}"
        )


def load_strictly(
    module: nn.Module, weights: Mapping[str, Tensor], source: str, unknown: Sequence[str] = ()
) -> None:
    """Give a module its weights in fp32; every weight must have its place and every place its weight.

    Args:
        module: may stand on the ``meta`` device: the weights take the place of its parameters.
        weights: state dict in the module's own names, of any floating type.
        source: where the weights come from, for the message.
        unknown: keys of the source that already had no counterpart when they were renamed.

    Raises:
        WeightsError: listing all missing, unexpected and misshapen keys.
        NonFiniteWeightsError: some are NaN or infinite, or too large for fp32.
    """
    expected = module.state_dict()
    misshapen = [
        f"{key} is {tuple(weights[key].shape)}, expected {tuple(expected[key].shape)}"
        for key in expected
        if key in weights and weights[key].shape != expected[key].shape
    ]
    problems = {
        "missing": sorted(expected.keys() - weights.keys()),
        "unexpected": sorted([*(weights.keys() - expected.keys()), *unknown]),
        "of another shape": sorted(misshapen),
    }
    lists = [f"{problem} ({len(keys)}): {', '.join(keys)}" for problem, keys in problems.items() if keys]
    if lists:
        raise WeightsError(
            f"{source} does not fit this model; {'; '.join(lists)}. Nothing was loaded: take the checkpoint "
            "that belongs to this architecture, or name the form it has: `vidsift convert --from ...`"
        )
    # A copy also frees the weights from a file that is only mapped, and from views into larger tensors.
    loaded = {key: value.to(torch.float32, copy=True).contiguous() for key, value in weights.items()}
    require_finite(
        loaded,
        source,
        "nothing was loaded: fetch or copy the file again, or take a checkpoint from before its training "
        "diverged",
    )
    module.load_state_dict(loaded, assign=True)
