"""One-to-one assignment: every text its video, so that all similarities together are as large as can be.

Transductive, and more: it assumes that every video is the answer to one text, which is true of test sets and
of no search.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vidsift.postprocess.dual_softmax import Direction

__all__ = ["TIE_SEED", "Assignment", "assigned_first", "one_to_one"]

TIE_SEED = 0
"""Of the order that settles ties between assignments."""


class Assignment(NamedTuple):
    """Pairs of texts and videos, no text and no video twice, as many as there are of the fewer.

    Attributes:
        texts: ascending, int64.
        videos: of each of these texts, int64.
    """

    texts: Tensor
    videos: Tensor


def one_to_one(sim_QV: Tensor) -> Assignment:
    """Give each text one video, no video twice, so that the similarities sum to the most.

    Args:
        sim_QV: every query with every video, finite.

    Raises:
        ImportError: scipy is not installed, which the extra ``evaluate`` brings.

    Source: ProST, supplement ("TVH"); Kuhn 1955; ``scipy.optimize.linear_sum_assignment``.
    Differs: of assignments that sum to the same, one is taken by seed. As released it is the one along the
        diagonal, where test sets have the right answers: a model that scores all pairs alike would be right
        every time.
    """
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        raise ImportError(
            "one-to-one assignment needs the extra 'evaluate': pip install 'vidsift[evaluate]'"
        ) from error
    scores_QV = sim_QV.double().cpu().numpy()
    rng = np.random.default_rng(TIE_SEED)
    order_Q, order_V = (rng.permutation(size) for size in scores_QV.shape)
    rows, columns = linear_sum_assignment(scores_QV[order_Q][:, order_V], maximize=True)
    texts, videos = order_Q[rows], order_V[columns]
    ascending = np.argsort(texts)
    return Assignment(torch.from_numpy(texts[ascending]), torch.from_numpy(videos[ascending]))


def assigned_first(sim_QV: Tensor, *, direction: Direction = "text_to_video") -> Tensor:
    """Rank the assigned video of each text first (or text of each video); the others keep their order.

    Args:
        sim_QV: every query with every video, finite.
        direction: "text_to_video" puts the pairs above everything in their rows; "video_to_text" above
            everything in their columns.

    Returns:
        The similarities, in which assigned pairs are larger than all others of their question, ``(Q, V)``.
        With several captions a video most captions have no partner and keep their order.

    Raises:
        ImportError: scipy is not installed.

    Source: ProST, supplement ("TVH", R@1 of text to video alone); IMCCretrieval/ProST metrics.py
        compute_trick_metrics, which takes R@1 as the share of texts that are assigned their own video.
    Differs: R@1 is the same; the other ranks are made by moving the assigned one to the front.
    """
    texts, videos = one_to_one(sim_QV)
    result_QV = sim_QV.clone()
    best = (
        sim_QV.max(dim=1).values[texts] if direction == "text_to_video" else sim_QV.max(dim=0).values[videos]
    )
    # Larger by a step that no rounding loses, whatever the size of the similarities.
    result_QV[texts, videos] = best + best.abs() + 1.0
    return result_QV
