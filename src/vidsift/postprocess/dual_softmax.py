"""Dual softmax: a score counts for more where the video prefers this query to the others.

Transductive: the score of one query depends on which other queries are asked. It belongs into rows of its
own, labelled so, and not into search, where one query is asked at a time.

The product of a similarity and a share underflows in fp32 where exponents differ by more than about 100, as
those of a black box's logits or of scaled cosines do; all such entries are 0 and tie. ``log=True`` orders by
the logarithm instead.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor

__all__ = ["CLIP_SCALE", "Direction", "dual_softmax"]

CLIP_SCALE = 100.0
"""The scale of CLIP's similarities: what its published models learned, which is where it was clamped."""

Direction = Literal["text_to_video", "video_to_text"]


def dual_softmax(
    sim_QV: Tensor,
    scale: float = CLIP_SCALE,
    *,
    direction: Direction = "text_to_video",
    log: bool = False,
) -> Tensor:
    """Multiply each similarity by how much the item prefers this question among all questions.

    Args:
        sim_QV: every query with every video, finite; cosines, as :meth:`vidsift.Model.similarity` gives them.
        scale: inverse temperature, positive. At 1 the softmax over cosines is nearly flat and changes next to
            nothing; give 1 for similarities that were multiplied by a scale already.
        direction: "text_to_video" weighs by the softmax over the texts of each video; "video_to_text" by the
            softmax over the videos of each text.
        log: give fp64 numbers in the same order that tell apart what underflows in the product: 0 for 0, and
            for others the sign times the logarithm of the magnitude, moved so that all are at least 1.

    Returns:
        ``scale * sim * softmax(scale * sim)``, ``(Q, V)``; higher is better, for the named direction only.

    Raises:
        ValueError: for another direction, or a scale that is not a positive number.

    Source: CAMoE, arXiv 2109.04290, section 3.3; TS2-Net main.py:427 (``sim * softmax(sim, axis=0)``
        of similarities that CLIP's scale has multiplied); Radford et al., arXiv 2103.00020, section 2.5 (the
        scale is kept from exceeding 100).
    Differs: TS2-Net ranks texts by the same matrix, which cannot change the order of positive similarities
        within a video; here video-to-text has a softmax of its own.
    """
    if direction not in get_args(Direction):
        raise ValueError(f"direction is {direction!r}, expected one of {', '.join(get_args(Direction))}")
    if not 0 < scale < math.inf:
        raise ValueError(f"scale is {scale}, expected a positive number: 100 for cosines, 1 for scaled ones")
    # Scaled on both sides of the product, as released; for positive scales the order is the same.
    scaled_QV = sim_QV * scale
    # Over dim 0, the queries: how much a video prefers each of them.
    dim = 0 if direction == "text_to_video" else 1
    if not log:
        return scaled_QV * torch.softmax(scaled_QV, dim=dim)
    size_QV = torch.log_softmax(scaled_QV.double(), dim=dim)
    size_QV += scaled_QV.double().abs().log()
    # Minus infinity where the similarity is 0: its place is between the negative and the positive ones.
    smallest = torch.where(scaled_QV == 0, math.inf, size_QV).min().clamp(max=0.0)
    return torch.where(scaled_QV == 0, 0.0, torch.sign(scaled_QV.double()) * (size_QV - smallest + 1.0))
