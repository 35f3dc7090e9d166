"""How likely a model finds the right video among its hard negatives, in nats: finer than right or wrong.

Each caption gives the videos of its group a probability by the softmax of their scores times a scale, and
counts the logarithm of the right one's. R@1 moves only where a rank changes; this moves with every score, and
tells rows apart with far fewer questions. The scale is fitted on validation, one number a model, since
similarities of different methods spread differently and none is a probability by itself.

Source: Platt 1999 and Guo et al. 2017 (On calibration of modern neural networks: temperature scaling).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["fit_scale", "group_log_likelihood", "log_likelihood"]

_LOG_SCALES = (-4.0, 10.0)
"""From 0.02, which leaves chance, to 22,000."""

_HALVINGS = 40


def group_log_likelihood(
    sim_QV: ArrayLike, video_of_text: ArrayLike, group_of_video: ArrayLike, scale: float
) -> NDArray[np.float64]:
    """Return the log-likelihood of each text's own video within its group, in nats, ``(Q,)``.

    Chance is minus the logarithm of the group's size.

    Args:
        sim_QV: finite similarities.
        video_of_text: int ``(Q,)``.
        group_of_video: int ``(V,)``; all groups are of one size.
        scale: multiplies the similarities, see :func:`fit_scale`.

    Raises:
        ValueError: groups differ in size.

    Example:
        >>> group_log_likelihood([[1.0, 1.0]], [0], [0, 0], 10.0).round(4).tolist()
        [-0.6931]
    """
    right_Q, members_QM = _own_and_group(sim_QV, video_of_text, group_of_video)
    return log_likelihood(right_Q, members_QM, scale)


def log_likelihood(right_Q: ArrayLike, members_QM: ArrayLike, scale: float) -> NDArray[np.float64]:
    """Return the same from the score of the right video ``(Q,)`` and those of its whole group ``(Q, M)``."""
    scaled_QM = scale * (np.asarray(members_QM, np.float64) - np.asarray(right_Q, np.float64)[:, None])
    largest_Q = scaled_QM.max(axis=1)
    result: NDArray[np.float64] = -(largest_Q + np.log(np.exp(scaled_QM - largest_Q[:, None]).sum(axis=1)))
    return result


def fit_scale(sim_QV: ArrayLike, video_of_text: ArrayLike, group_of_video: ArrayLike) -> float:
    """Return the scale at which the mean log-likelihood within the groups is highest.

    The mean is concave in the scale, so there is one best; bounded, where every text finds its video or none
    does better than chance.

    Args:
        sim_QV: of validation, never of the questions that are then judged.
        video_of_text: see :func:`group_log_likelihood`.
        group_of_video: likewise.
    """
    right_Q, members_QM = _own_and_group(sim_QV, video_of_text, group_of_video)
    low, high = _LOG_SCALES
    away_QM = members_QM - right_Q[:, None]
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        scaled_QM = np.exp(middle) * away_QM
        share_QM = np.exp(scaled_QM - scaled_QM.max(axis=1, keepdims=True))
        share_QM /= share_QM.sum(axis=1, keepdims=True)
        # The slope of the mean: falls with the scale, and is zero at the best.
        if (share_QM * away_QM).sum() < 0:
            low = middle
        else:
            high = middle
    return float(np.exp((low + high) / 2))


def _own_and_group(
    sim_QV: ArrayLike, video_of_text: ArrayLike, group_of_video: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    scores, owner_Q = np.asarray(sim_QV, np.float64), np.asarray(video_of_text, np.int64)
    names, group_V = np.unique(np.asarray(group_of_video), return_inverse=True)
    sizes = np.bincount(group_V)
    if len(set(sizes.tolist())) > 1:
        raise ValueError(
            f"groups of hard negatives have {sizes.min()} to {sizes.max()} videos; expected all of one size"
        )
    members_GM = np.argsort(group_V, kind="stable").reshape(len(names), -1)
    rows_Q = np.arange(len(scores))
    return scores[rows_Q, owner_Q], scores[rows_Q[:, None], members_GM[group_V[owner_Q]]]
