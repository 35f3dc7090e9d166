"""Inverted softmax: the shares of a softmax over the questions and not over the answers.

An item that is similar to every question (a hub) has to share its weight among them. Transductive: the score
of one question depends on which others are asked. Sinkhorn's normalisation goes on from there: shares over
the questions and shares over the answers in turn, until both add up.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vidsift.postprocess.dual_softmax import CLIP_SCALE, Direction

__all__ = ["BETA", "inverted_softmax", "sinkhorn"]

BETA = 20.0
"""Inverse temperature of Bogolin et al. for cosines."""


def inverted_softmax(sim_QV: Tensor, beta: float = BETA, *, direction: Direction = "text_to_video") -> Tensor:
    """Return the logarithm of each item's share in a softmax over the questions.

    Args:
        sim_QV: every query with every video, finite.
        beta: inverse temperature, positive.
        direction: "text_to_video": texts are the questions; "video_to_text": videos are.

    Returns:
        ``beta s - log sum over the questions of exp(beta s)``, fp64 ``(Q, V)``; to be compared within one
        question.

    Raises:
        ValueError: beta is not a positive number.

    Source: Smith et al. 2017, Offline bilingual word vectors, orthogonal transformations and the inverted
        softmax, arXiv 1702.03859; Bogolin et al., arXiv 2112.12777 (in text-video retrieval, beta 20).
    Differs: in logarithms, as shares of thousands of questions underflow; the factor that normalises over the
        answers of one question is left out, as it changes no order within one.
    """
    if not 0 < beta < math.inf:
        raise ValueError(f"beta is {beta}, expected a positive number: 20 for cosines")
    scaled_QV = sim_QV.double() * beta
    return scaled_QV - torch.logsumexp(scaled_QV, dim=0 if direction == "text_to_video" else 1, keepdim=True)


def sinkhorn(
    sim_QV: Tensor, scale: float = CLIP_SCALE, *, iterations: int = 100, tolerance: float = 1e-3
) -> Tensor:
    """Scale rows and columns in turn until every text has the same share in all, and every video too.

    Args:
        sim_QV: every query with every video, finite.
        scale: inverse temperature, positive.
        iterations: at most so many turns.
        tolerance: it is enough when no text's share is further from what it should be than this part of it.

    Returns:
        The logarithm of the shares, fp64 ``(Q, V)``, for both directions: columns add up to 1 / V, rows to
        1 / Q.

    Raises:
        ValueError: the scale is not a positive number.

    Source: Sinkhorn and Knopp 1967; Cuturi 2013, arXiv 1306.0895 (entropic transport between
        uniform marginals); Park et al. 2022, arXiv 2212.11790 (biases by Sinkhorn-Knopp in text-video
        retrieval).
    Differs: Park et al. normalise over a queue of training queries, so that one question does not depend on
        the others; this is over the questions and videos themselves, and transductive.
    """
    if not 0 < scale < math.inf:
        raise ValueError(f"scale is {scale}, expected a positive number: 100 for cosines, 1 for scaled ones")
    scaled_QV = sim_QV.double() * scale
    texts, videos = scaled_QV.shape
    column_V = torch.zeros(videos, dtype=torch.float64, device=sim_QV.device)
    row_Q = torch.zeros(texts, dtype=torch.float64, device=sim_QV.device)
    for _ in range(iterations):
        row_Q = -math.log(texts) - torch.logsumexp(scaled_QV + column_V, dim=1)
        # What each column adds up to with the rows right, as a logarithm.
        mass_V = torch.logsumexp(scaled_QV + row_Q[:, None], dim=0)
        column_V, before_V = -math.log(videos) - mass_V, column_V
        if ((column_V - before_V).abs() < tolerance).all():
            break
    return scaled_QV + row_Q[:, None] + column_V
