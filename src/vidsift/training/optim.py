"""AdamW, Muon or BertAdam with their groups, and the rate over the steps."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import nn

from vidsift.methods.base import Method
from vidsift.training.bertadam import BertAdam, round_to_half
from vidsift.training.lora import is_adapter
from vidsift.training.muon import Muon
from vidsift.training.recipe import Recipe
from vidsift.training.sections import Algorithm, Decay, Schedule

__all__ = [
    "build_optimiser",
    "optimiser_of",
    "parameter_groups",
    "rate_factor",
    "set_rates",
    "slow_backbone",
]

_SLOW_RATE = 1e-6
_UNDECAYED = (nn.LayerNorm, nn.Embedding)
# A numbered block of the towers or of a temporal head; weight heads and projections stand outside.
_IN_A_BLOCK = re.compile(r"\.(layers|blocks)\.\d+\.")


def optimiser_of(recipe: Recipe, method: Method, say: Callable[[str], None]) -> torch.optim.AdamW:
    """Build what a recipe trains a method with; fp16 weights are rounded.

    Args:
        recipe: the run.
        method: what is trained.
        say: takes a line where a rate moves nothing.

    Raises:
        ValueError: a weight does not fit into fp16.
    """
    rates, half = recipe.optimiser, recipe.weights == "fp16"
    backbone = rates.learning_rate if rates.backbone_learning_rate is None else rates.backbone_learning_rate
    still = recipe.model.frozen_towers or recipe.lora is not None
    if not still and (note := slow_backbone(backbone, rates.algorithm, half=half)):
        say(note)
    groups = parameter_groups(
        method,
        learning_rate=rates.learning_rate,
        backbone_learning_rate=backbone,
        weight_decay=rates.weight_decay,
        decay=rates.decay,
        half=round_to_half(method.towers) if half else (),
    )
    return build_optimiser(
        groups,
        algorithm=rates.algorithm,
        beta1=rates.beta1,
        beta2=rates.beta2,
        epsilon=rates.epsilon,
        clip_norm=rates.clip_norm,
    )


def parameter_groups(
    method: Method,
    *,
    learning_rate: float,
    backbone_learning_rate: float,
    weight_decay: float,
    decay: Decay = "matrices",
    half: Collection[int] = (),
) -> list[dict[str, Any]]:
    """Sort the parameters into backbone and new, and by kind: decaying, not decaying, matrices of blocks.

    Matrices inside the blocks of transformers are a kind of their own, which Muon steps.

    Args:
        method: what is trained; parameters that do not learn now are sorted too, for later stages.
        learning_rate: of the new parts, what LoRA adds to the towers included.
        backbone_learning_rate: of what :meth:`Method.backbone_parameters` names.
        weight_decay: of the decaying ones.
        decay: which those are. "matrices": no vectors and scalars (biases, norms, the class token, the logit
            scale), no embeddings and no learned positions. "all_but_biases": all whose names hold no "bias".
        half: the ``id`` of parameters that :class:`~vidsift.training.bertadam.BertAdam` steps in fp16.

    Returns:
        Groups for :func:`build_optimiser`, each with ``name``, ``peak_rate`` and ``params``; empty ones are
        left out.

    Source: CLIP4Clip main_task_retrieval.py:188-206 (four groups, "all_but_biases").
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
        still = still if decay == "matrices" else "bias" in name
        in_block = parameter.ndim > 1 and _IN_A_BLOCK.search(name)
        kind = "plain" if still else "blocks" if in_block else "decaying"
        kind += ", half" * (id(parameter) in half)
        side = "backbone" if id(parameter) in backbone and not is_adapter(name) else "new"
        key = (side, kind)
        sorted_into.setdefault(key, []).append(parameter)
    return [
        {
            "name": f"{side}, {kind}",
            "params": parameters,
            "peak_rate": backbone_learning_rate if side == "backbone" else learning_rate,
            "lr": 0.0,  # set_rates comes before every step
            "weight_decay": 0.0 if kind.startswith("plain") else weight_decay,
            "orthogonal": kind.startswith("blocks"),
            "half": kind.endswith("half"),
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
    clip_norm: float = 0.0,
) -> torch.optim.AdamW:
    """Build the optimiser over the groups of :func:`parameter_groups`.

    Args:
        groups: what learns, at which peak rates.
        algorithm: "adamw" in its fused form (one pass over all weights); "muon", which orthogonalises the
            steps of the matrices inside transformer blocks and leaves the rest to AdamW: from fresh weights
            it needs far fewer steps, for pretrained towers AdamW is the usual choice; or "bertadam", which
            the released recipes name.
        beta1: decay of the mean of the gradients.
        beta2: decay of the mean of their squares.
        epsilon: added to the root of the latter.
        clip_norm: largest norm of each tensor's gradient, with "bertadam"; 0 clips nothing.
    """
    if algorithm == "bertadam":
        return BertAdam(groups, betas=(beta1, beta2), eps=epsilon, clip_norm=clip_norm)
    if algorithm == "muon":
        return Muon(groups, betas=(beta1, beta2), eps=epsilon)
    return torch.optim.AdamW(groups, betas=(beta1, beta2), eps=epsilon, fused=True)


def rate_factor(
    step: int, steps: int, *, warmup_share: float, final_share: float, schedule: Schedule = "cosine"
) -> float:
    """Part of the peak rate that step ``step`` (from 0) of ``steps`` learns at.

    "cosine" rises over the warm-up, of which the first step takes its part (it is not lost at rate 0), and
    falls from there like a cosine to ``final_share``. "bertadam_cosine" is released: the cosine runs over the
    whole progress, warm-up included, down to 0, and step 0 has rate 0.

    Example:
        >>> [round(rate_factor(s, 10, warmup_share=0.2, final_share=0.0), 3) for s in (0, 1, 2, 6, 9)]
        [0.5, 1.0, 1.0, 0.5, 0.038]

    Source: "bertadam_cosine" is CLIP4Clip's ``warmup_cosine`` (modules/optimization.py).
    """
    if schedule == "bertadam_cosine":
        progress = step / steps
        if progress < warmup_share:
            return progress / warmup_share
        return 0.5 * (1 + math.cos(math.pi * progress))
    warmup = math.ceil(warmup_share * steps)
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return final_share + (1 - final_share) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def set_rates(optimiser: torch.optim.Optimizer, factor: float) -> None:
    """Set every group's rate to ``factor`` times its peak."""
    for group in optimiser.param_groups:
        group["lr"] = group["peak_rate"] * factor


def slow_backbone(rate: float, algorithm: Algorithm, *, half: bool) -> str:
    """Say that a rate is too small to move the towers; nothing where it is not.

    Args:
        rate: peak rate of the towers.
        algorithm: what steps them.
        half: whether their weights are fp16, in which small rates move weights otherwise.
    """
    if half or algorithm == "muon" or not 0 < rate < _SLOW_RATE:
        return ""
    return (
        f"the towers learn at {rate:.1e} in fp32: no step moves a weight of theirs by much more than that, "
        "so they hardly change. Released recipes train fp16 weights at 1e-7 (weights: fp16); fp32 needs a "
        "larger optimiser.backbone_learning_rate, 1e-6 to 1e-5"
    )
