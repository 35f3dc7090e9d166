"""AdamW or Muon with their groups, and the rate over the steps."""

from __future__ import annotations

import math
import re
from typing import Any

import torch
from torch import nn

from vidsift.methods.base import Method
from vidsift.training.muon import Muon
from vidsift.training.recipe import Algorithm

__all__ = ["build_optimiser", "parameter_groups", "rate_factor", "set_rates"]

_UNDECAYED = (nn.LayerNorm, nn.Embedding)
# A numbered block of the towers or of a temporal head; weight heads and projections stand outside.
_IN_A_BLOCK = re.compile(r"\.(layers|blocks)\.\d+\.")


def parameter_groups(
    method: Method, *, learning_rate: float, backbone_learning_rate: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Sort the parameters into backbone and new, and by kind: decaying, not decaying, matrices of blocks.

    Matrices decay; those inside the blocks of transformers are a kind of their own, which Muon steps.
    Vectors and scalars (biases, norms, the class token, the logit scale) do not decay, nor do embeddings and
    learned positions.

    Args:
        method: what is trained; parameters that do not learn now are sorted too, for later stages.
        learning_rate: of the new parts.
        backbone_learning_rate: of what :meth:`Method.backbone_parameters` names.
        weight_decay: of the decaying ones.

    Returns:
        Groups for AdamW, each with ``name``, ``peak_rate`` and ``params``; empty ones are left out.

    Source: CLIP4Clip main_task_retrieval.py:188-206 (four groups).
    Differs: there only names with "bias" are spared the decay.
    """
    backbone = {id(parameter) for _, parameter in method.backbone_parameters()}
    undecayed = {
        id(parameter)
        for module in method.modules()
        if isinstance(module, _UNDECAYED)
        for parameter in module.parameters(recurse=False)
    }
    sorted_into: dict[tuple[str, str], list[nn.Parameter]] = {}
    for name, parameter in method.named_parameters():
        # Positions of heads are bare parameters, no nn.Embedding; their names tell.
        still = parameter.ndim < 2 or id(parameter) in undecayed or "position" in name
        kind = "plain" if still else "blocks" if _IN_A_BLOCK.search(name) else "decaying"
        key = ("backbone" if id(parameter) in backbone else "new", kind)
        sorted_into.setdefault(key, []).append(parameter)
    return [
        {
            "name": f"{side}, {kind}",
            "params": parameters,
            "peak_rate": backbone_learning_rate if side == "backbone" else learning_rate,
            "lr": 0.0,  # set_rates comes before every step
            "weight_decay": 0.0 if kind == "plain" else weight_decay,
            "orthogonal": kind == "blocks",
        }
        # Sorted: the optimiser's state is stored by the number of a parameter.
        for (side, kind), parameters in sorted(sorted_into.items())
    ]


def build_optimiser(
    groups: list[dict[str, Any]],
    *,
    algorithm: Algorithm = "adamw",
    beta1: float,
    beta2: float,
    epsilon: float,
) -> torch.optim.AdamW:
    """Build the optimiser over the groups of :func:`parameter_groups`.

    Args:
        groups: what learns, at which peak rates.
        algorithm: "adamw" in its fused form (one pass over all weights), or "muon", which orthogonalises
            the steps of the matrices inside transformer blocks and leaves the rest to AdamW. From fresh
            weights it needs far fewer steps; for pretrained towers AdamW is the usual choice.
        beta1: decay of the mean of the gradients.
        beta2: decay of the mean of their squares.
        epsilon: added to the root of the latter.
    """
    if algorithm == "muon":
        return Muon(groups, betas=(beta1, beta2), eps=epsilon)
    return torch.optim.AdamW(groups, betas=(beta1, beta2), eps=epsilon, fused=True)


def rate_factor(step: int, steps: int, *, warmup_share: float, final_share: float) -> float:
    """Part of the peak rate that step ``step`` (from 0) of ``steps`` learns at.

    Linear up over the warm-up, of which the first step takes its part (it is not lost at rate 0), then a
    cosine down to ``final_share``.

    Example:
        >>> [round(rate_factor(s, 10, warmup_share=0.2, final_share=0.0), 3) for s in (0, 1, 2, 6, 9)]
        [0.5, 1.0, 1.0, 0.5, 0.038]

    Source: the shape is CLIP4Clip's ``warmup_cosine`` (modules/optimization.py).
    Differs: there the cosine runs over the whole progress, warm-up included, and step 0 has rate 0.
    """
    warmup = math.ceil(warmup_share * steps)
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return final_share + (1 - final_share) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def set_rates(optimiser: torch.optim.Optimizer, factor: float) -> None:
    """Set every group's rate to ``factor`` times its peak."""
    for group in optimiser.param_groups:
        group["lr"] = group["peak_rate"] * factor
