"""Which segments may be among the best: score all in the scan's number format, keep the leaders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidsift.methods.base import TermSum
from vidsift.search.gallery import Gallery
from vidsift.search.questions import Question
from vidsift.types import Features

__all__ = ["scan", "scanned_together"]

_WORDS_AT_ONCE = 48
"""More words multiply hardly faster, and their products with a block of segments take the memory."""

_MERGE_ROWS = 32_768


def scanned_together(questions: Sequence[Question]) -> Iterator[list[Question]]:
    """Yield questions in groups of few enough tokens for one scan; the order stays."""
    group: list[Question] = []
    words = 0
    for question in questions:
        if group and words + question.words > _WORDS_AT_ONCE:
            yield group
            group, words = [], 0
        group.append(question)
        words += question.words
    if group:
        yield group


def scan(
    gallery: Gallery,
    terms: TermSum,
    texts: Features,
    allowed: NDArray[np.bool_],
    keep: int,
    *,
    mixing: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Score every allowed segment with the terms' own similarity and keep the best of each question.

    Args:
        gallery: what is searched.
        terms: those that it was read for: a method, or the first stage of one.
        texts: prepared for the terms, see :func:`scanned_together`.
        allowed: bool ``(V,)``; others are passed over.
        keep: how many to keep of each question.
        mixing: what each text counts for in each question, ``(Q, texts)``; None where each is one text.

    Returns:
        Scores ``(Q, K)`` descending, and rows of the gallery as int64 ``(Q, K)``; K is ``keep``, or the
        number of allowed segments if that is less. Equal scores stand in the order of rows. Memory beyond
        the result does not grow with the gallery.
    """
    queries = len(next(iter(texts.values()))) if mixing is None else len(mixing)
    device = next(iter(texts.values())).tokens.device
    mixing = None if mixing is None else mixing.to(device)
    best, best_rows = torch.empty(queries, 0, device=device), torch.empty(queries, 0, dtype=torch.int64)
    best_rows = best_rows.to(device)
    # Fewer may be allowed than are wanted, and none at all costs nothing.
    keep = min(keep, int(allowed.sum()))
    waiting: list[Tensor] = []
    waiting_rows: list[Tensor] = []
    for number in range(gallery.blocks if keep else 0):
        first = number * gallery.block_size
        inside = allowed[first : first + gallery.block_size]
        count = int(inside.sum())
        if count:
            with torch.inference_mode():
                block = gallery.block(number)
                # The first block says in which number format texts are met; later calls change nothing.
                texts = terms.scan_text(texts, block)
                scores_QV = terms.similarity(texts, block).float()
                scores_QV = scores_QV if mixing is None else mixing @ scores_QV
            # Without a filter no scores have to be picked out.
            if count == len(inside):
                rows = torch.arange(first, first + count, device=device)
            else:
                chosen = torch.from_numpy(np.flatnonzero(inside)).to(device)
                scores_QV, rows = scores_QV[:, chosen], first + chosen
            # Sorting costs more than scoring a small block: several are merged at once.
            waiting.append(scores_QV)
            waiting_rows.append(rows)
        if waiting and (number + 1 == gallery.blocks or sum(map(len, waiting_rows)) >= _MERGE_ROWS):
            best, best_rows = _merge(best, best_rows, waiting, waiting_rows, keep)
            waiting, waiting_rows = [], []
    return best, best_rows


def _merge(
    best: Tensor, best_rows: Tensor, waiting: list[Tensor], waiting_rows: list[Tensor], keep: int
) -> tuple[Tensor, Tensor]:
    """Keep the best of the leaders so far and what is new; rows ascend in both where scores are equal."""
    scores = torch.cat([best, *waiting], dim=1)
    # One list of rows serves all questions: (N,) seen as (Q, N), without a copy.
    new_rows = torch.cat(waiting_rows).expand(len(scores), -1)
    rows = torch.cat([best_rows, new_rows], dim=1)
    order = _leaders(scores, keep)
    return scores.gather(1, order), rows.gather(1, order)


def _leaders(scores_QN: Tensor, keep: int) -> Tensor:
    """Positions of the largest, descending; of equal ones the first come first."""
    # Sorting few is quicker than selecting, and stable by itself.
    if scores_QN.shape[1] <= 2 * keep:
        return scores_QN.argsort(dim=1, descending=True, stable=True)[:, :keep]
    # Whatever topk does with equals, all that exceed its last value are in; equals fill up from the front.
    threshold_Q1 = scores_QN.topk(keep, dim=1).values[:, -1:]
    above, equal = scores_QN > threshold_Q1, scores_QN == threshold_Q1
    room_Q1 = keep - above.sum(dim=1, keepdim=True)
    chosen = above | (equal & (equal.cumsum(dim=1) <= room_Q1))
    positions = chosen.nonzero()[:, 1].view(len(scores_QN), keep)
    order = scores_QN.gather(1, positions).argsort(dim=1, descending=True, stable=True)
    return positions.gather(1, order)
