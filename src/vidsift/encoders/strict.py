"""Weights fit a module exactly, or one error lists everything that does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from vidsift.encoders.finite import require_finite
from vidsift.errors import WeightsError

__all__ = ["load_strictly"]


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
    own = module.state_dict()
    misshapen = [
        f"{key} is {tuple(weights[key].shape)}, expected {tuple(own[key].shape)}"
        for key in own
        if key in weights and weights[key].shape != own[key].shape
    ]
    problems = {
        "missing": sorted(own.keys() - weights.keys()),
        "unexpected": sorted([*(weights.keys() - own.keys()), *unknown]),
        "of another shape": sorted(misshapen),
    }
    found = [f"{kind} ({len(keys)}): {', '.join(keys)}" for kind, keys in problems.items() if keys]
    if found:
        raise WeightsError(
            f"{source} does not fit this model; {'; '.join(found)}. Nothing was loaded: take the checkpoint "
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
