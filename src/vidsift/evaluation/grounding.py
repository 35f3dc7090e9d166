"""How right an account of words is, where it is known which word is true of which frames.

Arrays in, numbers out; :mod:`vidsift.search.grounding_evaluation` gets the accounts. Four things are asked:
does a word point to frames in which it is true; what do start, end and function words take; how many words
carry the score; and does the score fall when a word is left out that gave much.

Letters: W words of a sentence, F frames, C places of the picture row by row.

Source: the pointing game of Zhang et al. 2016 (Top-down neural attention by excitation backprop), in time and
    in the picture; deletion as a test of explanations as in Samek et al. 2017 (Evaluating the visualization
    of what a deep neural network has learned); DRL appendix 6 and Fig. 8 (what tokens weigh).
Differs: from the pointing game, a cell of a coarse picture counts by :func:`cells_of_boxes`, ties count by
    their share, and each word has a chance of its own; deletion takes words one at a time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vidsift.data.grounding import Box, GroundedWord
from vidsift.types import Span

__all__ = [
    "MOST_TRUE",
    "REST",
    "PointedWord",
    "WordAccount",
    "best_frames",
    "boxes_near",
    "cells_of_boxes",
    "deletion_order",
    "effective_number",
    "frames_within",
    "permuted_order",
    "pointing",
    "shares_by_role",
]

MOST_TRUE = 0.5
"""Words that are true in a larger share of the frames do not count in pointing: chance would be too near."""

REST = ("start", "end", "marks")
"""What gave something and is no word: start and end of text, and punctuation with padding."""

_NEAR_SECONDS = 0.3


@dataclass(frozen=True, eq=False)
class WordAccount:
    """What an account says of the W words of one sentence with one video of F frames.

    Attributes:
        evidence: of each word at each frame ``(W, F)``: the similarity by which a word meets its best frame,
            or for leaving out the fall of the frame's share.
        gave: what each word gave to the score ``(W,)``, or the fall of the score without it.
        rest: what was given by no word, by :data:`REST`; terms that compare the sentence as a whole count
            to "end", whose token that is. Empty where an account has words alone.
        weights: importance of the words ``(W,)``; with ``rest_weights`` they sum to 1. None without.
        rest_weights: the same of what is no word.
        times_seconds: of the frames, in the file ``(F,)``.
        places: similarity of each word with each place of the picture ``(W, C)``, NaN where the model keeps
            none; None where the method has no such account.
        grid: rows and columns of the picture; None without ``places``.
    """

    evidence: NDArray[np.float64]
    gave: NDArray[np.float64]
    rest: Mapping[str, float]
    times_seconds: NDArray[np.float64]
    weights: NDArray[np.float64] | None = None
    rest_weights: Mapping[str, float] | None = None
    places: NDArray[np.float64] | None = None
    grid: tuple[int, int] | None = None

    @property
    def parts(self) -> NDArray[np.float64]:
        """What words and then the rest gave, one after the other."""
        return np.concatenate([self.gave, [self.rest[name] for name in self.rest]])

    @property
    def ends(self) -> float:
        """What start and end of text gave."""
        return sum(self.rest.get(name, 0.0) for name in ("start", "end"))


class PointedWord(NamedTuple):
    """A word that was judged by where it points; shares of its best frames, or places, from 0 to 1.

    Attributes:
        kind: see :class:`~vidsift.data.grounding.GroundedWord`.
        pointed: how much of its best is right: 1 or 0 where there is one best.
        chance: how much of everything is right.
        shuffled_words: how much of its best is right where the words of its sentence stand in random order;
            None where that was not computed.
        other_caption: how much of the best of another caption's words is right: what frames that attract
            all words give.
    """

    kind: str
    pointed: float
    chance: float
    shuffled_words: float | None = None
    other_caption: float | None = None


def frames_within(spans: Sequence[Span], times_seconds: ArrayLike) -> NDArray[np.bool_]:
    """Say which frames lie in one of the spans, ends included, ``(F,)``.

    Example:
        >>> frames_within([Span(1.0, 2.0)], [0.5, 1.0, 1.5, 2.5]).tolist()
        [False, True, True, False]
    """
    times_F = np.asarray(times_seconds, np.float64)
    inside_F = np.zeros(times_F.shape, bool)
    for span in spans:
        inside_F |= (times_F >= span.start_seconds) & (times_F <= span.end_seconds)
    return inside_F


def best_frames(evidence: ArrayLike) -> NDArray[np.float64]:
    """Share out each row's 1 among its largest entries: all of it to one, equal parts to tied ones.

    Args:
        evidence: ``(..., F)``; NaN is no candidate.

    Raises:
        ValueError: a row has no number.

    Example:
        >>> best_frames([[0.1, 0.4, 0.4], [3.0, 1.0, 2.0]]).tolist()
        [[0.0, 0.5, 0.5], [1.0, 0.0, 0.0]]
    """
    values = np.asarray(evidence, np.float64)
    candidates = ~np.isnan(values)
    if values.shape[-1:] == (0,) or not candidates.any(axis=-1).all():
        raise ValueError(f"evidence of shape {values.shape} has a row without a number: nothing is best")
    lowered = np.where(candidates, values, -np.inf)
    largest = candidates & (lowered == lowered.max(axis=-1, keepdims=True))
    shares: NDArray[np.float64] = largest / largest.sum(axis=-1, keepdims=True)
    return shares


def pointing(shares: ArrayLike, right: ArrayLike) -> float | None:
    """Say how much of a word's best frames is right; None where the word does not count.

    Words do not count that are true in none of the frames (there is no right answer) or in more than half.

    Args:
        shares: of the frames, summing to 1, see :func:`best_frames`.
        right: bool, likewise.

    Example:
        >>> pointing([0.0, 0.5, 0.5, 0.0], [False, False, True, False])
        0.5
        >>> pointing([0.0, 1.0], [True, True]) is None
        True
    """
    right_F = np.asarray(right, bool)
    if not 0 < right_F.mean() <= MOST_TRUE:
        return None
    return float(np.asarray(shares, np.float64)[right_F].sum())


def boxes_near(boxes: Iterable[Box], seconds: float) -> list[Box]:
    """Return the boxes of the time that is nearest to a frame, none where that is not near.

    Args:
        boxes: of one thing, every half second in which it is seen.
        seconds: when the frame is shown.
    """
    known = list(boxes)
    nearest = min((abs(box.seconds - seconds) for box in known), default=math.inf)
    if nearest > _NEAR_SECONDS:
        return []
    return [box for box in known if abs(box.seconds - seconds) == nearest]


def cells_of_boxes(boxes: Iterable[Box], grid: tuple[int, int], aspect: float = 1.0) -> NDArray[np.bool_]:
    """Say which cells of the square that a model sees are on a thing, row by row, ``(C,)``.

    A cell is on it if across and down they share at least half of the shorter of the two: cells are coarse,
    so a small thing has to have one, and a large thing must not have those that it only touches.

    Args:
        boxes: of the thing, in fractions of the whole picture.
        grid: rows and columns of the central square.
        aspect: width of the whole picture over its height, in pixels; models see its central square.

    Example:
        >>> cells_of_boxes([Box(0.0, 0.1, 0.1, 0.2, 0.2)], (2, 2)).tolist()
        [True, False, False, False]
    """
    rows, columns = grid
    on = np.zeros(grid, bool)
    # The central square in fractions of the picture: (left, width) and (top, height).
    left, wide = (0.5 - 0.5 / aspect, 1 / aspect) if aspect > 1 else (0.0, 1.0)
    top, high = (0.5 - 0.5 * aspect, aspect) if aspect < 1 else (0.0, 1.0)
    for box in boxes:
        x = np.clip((np.array([box.left, box.right]) - left) / wide, 0, 1) * columns
        y = np.clip((np.array([box.top, box.bottom]) - top) / high, 0, 1) * rows
        on |= np.outer(_on(y, rows), _on(x, columns))
    return on.reshape(-1)


def _on(ends: NDArray[np.float64], cells: int) -> NDArray[np.bool_]:
    """Which cells along one side share half of themselves, or of the thing, with it."""
    first, length = np.arange(cells), ends[1] - ends[0]
    shared = np.minimum(ends[1], first + 1) - np.maximum(ends[0], first)
    # A hair less: a thing in the middle of two cells shares exactly half with each.
    on: NDArray[np.bool_] = (shared >= min(1.0, length) / 2 - 1e-9) & (length > 0)
    return on


def effective_number(parts: ArrayLike) -> float:
    """Return how many parts carry a sum: exp of the entropy of their sizes, 0 where all are 0.

    N parts of one size count N, one part alone 1. The sign of a part does not matter.

    Source: Hill 1973 (diversity of order 1).

    Example:
        >>> round(effective_number([0.3, -0.3, 0.3, 0.0]), 6)
        3.0
    """
    sizes = np.abs(np.asarray(parts, np.float64))
    total = sizes.sum()
    if total == 0:
        return 0.0
    shares = sizes[sizes > 0] / total
    return float(np.exp(-(shares * np.log(shares)).sum()))


def shares_by_role(
    gave: ArrayLike, rest: Mapping[str, float], truth: Sequence[GroundedWord | None]
) -> dict[str, float]:
    """Return the share that start, end, marks, function words and content words have by size.

    Args:
        gave: of the words ``(W,)``: contributions or weights.
        rest: of what is no word.
        truth: of each word; None for function words, which the grounding does not list.

    Returns:
        Shares that sum to 1; empty where all are 0.
    """
    sizes_W = np.abs(np.asarray(gave, np.float64))
    content_W = np.array([word is not None for word in truth], bool)
    sums = {name: abs(value) for name, value in rest.items()}
    sums |= {"function": float(sizes_W[~content_W].sum()), "content": float(sizes_W[content_W].sum())}
    total = sum(sums.values())
    return {name: size / total for name, size in sums.items()} if total else {}


def deletion_order(gave: ArrayLike, falls: ArrayLike) -> float | None:
    """Say whether the word that gave most costs more than the one that gave least: 1, 0, or a half for ties.

    Where several words gave most, or least, all pairs of them are averaged; where all gave alike, nothing is
    said, and half is right. None for fewer than two words.

    Args:
        gave: what each word gave to the score ``(W,)``.
        falls: how far the score falls without it ``(W,)``.

    Example:
        >>> deletion_order([0.3, 0.1, 0.2], [0.05, 0.01, 0.02]), deletion_order([0.3, 0.1], [0.02, 0.02])
        (1.0, 0.5)
    """
    gave_W, falls_W = np.asarray(gave, np.float64), np.asarray(falls, np.float64)
    if len(gave_W) < 2:
        return None
    return float(_order(gave_W[None], falls_W)[0])


def permuted_order(
    gave: ArrayLike, falls: ArrayLike, draws: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return :func:`deletion_order` for contributions that are dealt out at random, ``(draws,)``."""
    gave_DW = np.tile(np.asarray(gave, np.float64), (draws, 1))
    return _order(rng.permuted(gave_DW, axis=1), np.asarray(falls, np.float64))


def _order(gave_DW: NDArray[np.float64], falls_W: NDArray[np.float64]) -> NDArray[np.float64]:
    most_DW = gave_DW == gave_DW.max(axis=1, keepdims=True)
    least_DW = gave_DW == gave_DW.min(axis=1, keepdims=True)
    wins_WW = np.sign(falls_W[:, None] - falls_W[None, :]) / 2 + 0.5
    pairs_D = most_DW.sum(axis=1) * least_DW.sum(axis=1)
    order_D: NDArray[np.float64] = ((most_DW @ wins_WW) * least_DW).sum(axis=1) / pairs_D
    return order_D
