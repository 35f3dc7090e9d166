"""Query bank normalisation: videos that attract many queries (hubs) are made to count for less.

The bank is a set of other queries, training captions for instance. With a fixed bank the score of one query
does not depend on the other test queries; a bank of test queries makes it transductive, to be labelled so.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["QueryBankResult", "query_bank_norm"]


class QueryBankResult(NamedTuple):
    """Similarities after the bank's normalisation.

    Attributes:
        similarities: ``(Q, V)``, for ranking videos within a row; rows are on different scales, so never rank
            texts by a column.
        hubs: videos that are among the best k of some bank query, ascending, int64.
        normalised: rows whose best video is a hub, ascending, int64; the others are as they were.
    """

    similarities: Tensor
    hubs: Tensor
    normalised: Tensor


def query_bank_norm(
    sim_QV: Tensor, bank_BV: Tensor, *, beta: float = 20.0, k: int = 1, log: bool = False
) -> QueryBankResult:
    """Normalise, by dynamic inverted softmax, the queries whose best video is a hub.

    Args:
        sim_QV: unscaled similarities of the queries with the videos.
        bank_BV: unscaled similarities of the bank's queries with the same videos.
        beta: inverse temperature.
        k: a video is a hub when it is among the best k of some bank query.
        log: give the logarithm of these rows, in fp64: in the same order, and it neither overflows nor
            underflows, whatever the similarities.

    Returns:
        Rows whose best video is a hub hold ``exp(beta s) / sum over the bank of exp(beta s_bank)``.

    Raises:
        ValueError: if the videos differ, k does not fit, or the result is no number (similarities that were
            scaled already).

    Source: QB-Norm, arXiv 2112.12777, Eq. 4 and 5; ioanacroi/qb-norm dynamic_inverted_softmax.py:20-32.
    Differs: the input is left alone; the quotient is taken in logarithms and fp64, so that it does not
        become 0 / 0; what overflows all the same is refused.
    """
    if bank_BV.ndim != 2 or sim_QV.ndim != 2 or bank_BV.shape[1] != sim_QV.shape[1]:
        raise ValueError(
            f"queries have shape {tuple(sim_QV.shape)}, the bank {tuple(bank_BV.shape)}; expected the same "
            "videos in both"
        )
    if not 1 <= k <= sim_QV.shape[1]:
        raise ValueError(f"k is {k}, expected 1 to {sim_QV.shape[1]}, the number of videos")
    hubs = torch.unique(bank_BV.topk(k, dim=1).indices)
    # Dynamic: queries whose best video is no hub gain nothing from the bank, and could lose by it (Eq. 5).
    normalised = torch.isin(sim_QV.argmax(dim=1), hubs).nonzero().squeeze(1)
    # A sum of exponentials overflows or vanishes; its logarithm does neither.
    bank_mass_V = torch.logsumexp(bank_BV.double() * beta, dim=0)
    quotient = sim_QV[normalised].double() * beta - bank_mass_V
    if log:
        result_QV = sim_QV.double().clone()
        result_QV[normalised] = quotient
        return QueryBankResult(result_QV, hubs, normalised)
    result_QV = sim_QV.clone()
    result_QV[normalised] = torch.exp(quotient).to(sim_QV.dtype)
    if not torch.isfinite(result_QV).all():
        raise ValueError(
            f"with beta {beta} the normalised similarities overflow; give cosines, not similarities that "
            "were multiplied by a scale, or a smaller beta"
        )
    return QueryBankResult(result_QV, hubs, normalised)
