"""The moment of a hit: the stretch of the segment around the frames that the score came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from vidsift.index.reading import Gallery
from vidsift.methods.base import Term, TermSum
from vidsift.search.questions import Question
from vidsift.search.rescore import align_exactly
from vidsift.types import Alignment, Features, Span

__all__ = ["Looked", "frame_shares", "looks", "moment_around"]


@dataclass(frozen=True, eq=False)
class Looked:
    """What each second that was looked at gave to a score.

    Attributes:
        times_seconds: ascending, ``(F,)``; empty if no token has a time.
        shares: of each, ``(F,)``.
    """

    times_seconds: NDArray[np.float64]
    shares: NDArray[np.float64]


def looks(terms: TermSum, gallery: Gallery, question: Question, rows: Sequence[int]) -> list[Looked]:
    """Find out what each second gave to the scores of a question with some segments.

    Args:
        terms: a method, or the first stage of one; none of them a black box.
        gallery: holds the segments.
        question: of texts that the method prepared.
        rows: of the gallery.
    """
    asked = question.adapted(terms)
    found: list[Looked] = []
    for number, (text, weight) in enumerate(zip(asked.texts, asked.weights, strict=True)):
        for place, (account, video) in enumerate(align_exactly(terms, gallery, text, rows)):
            times, shares = frame_shares(terms.terms, account, video)
            if number:
                found[place] = Looked(times, found[place].shares + weight * shares)
            else:
                found.append(Looked(times, weight * shares))
    return found


def frame_shares(
    terms: Sequence[Term], account: Mapping[str, Alignment], video: Features
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What each second that was looked at gave to the score.

    Args:
        terms: of the method.
        account: their alignment, one row each.
        video: the segment's prepared sets, one row each.

    Returns:
        Distinct times of tokens in seconds, ascending ``(F,)``, and the sum of the contributions of the
        tokens with that time over all terms ``(F,)``. Both empty if no term's tokens have a time.
    """
    times, shares = [], []
    for term in terms:
        tokens = video[term.video]
        if tokens.times_seconds is None:
            continue
        given_N = account[term.name].contributions[0].sum(dim=0) * term.weight
        real_N = tokens.mask[0]
        times.append(tokens.times_seconds[0][real_N])
        shares.append(given_N[real_N].double())
    if not times:
        return np.zeros(0), np.zeros(0)
    distinct, place = np.unique(torch.cat(times).cpu().numpy(), return_inverse=True)
    summed = np.zeros(len(distinct))
    np.add.at(summed, place, torch.cat(shares).cpu().numpy())
    return distinct, summed


def moment_around(
    times_seconds: NDArray[np.float64],
    shares: NDArray[np.float64],
    segment: Span,
    frame: int | None = None,
) -> Span:
    """The stretch around the frame that gave most, or around one that is named.

    It takes in the neighbours on both sides for as long as they gave at least half as much above the mean as
    that one did; of a frame that was named and gave no more than the mean, none. A frame stands for the
    seconds up to half way to its neighbours; the first and the last one reach as far outwards as inwards,
    within the segment.

    Args:
        times_seconds: of the frames, ascending ``(F,)``.
        shares: what each gave, ``(F,)``.
        segment: the limits; also the answer if there are no times.
        frame: place of the frame; the best one when None.

    Example:
        >>> moment_around(np.array([1.0, 3.0, 5.0, 7.0]), np.array([0.0, 0.1, 0.9, 0.1]), Span(0.0, 8.0))
        Span(start_seconds=4.0, end_seconds=6.0)
    """
    if not len(times_seconds):
        return segment
    best = int(shares.argmax()) if frame is None else frame
    mean = float(shares.mean())
    enough = mean + (float(shares[best]) - mean) / 2 - 1e-12
    if frame is not None and shares[best] <= mean:
        enough = np.inf
    first = last = best
    while first > 0 and shares[first - 1] >= enough:
        first -= 1
    while last + 1 < len(shares) and shares[last + 1] >= enough:
        last += 1
    edges = _edges(times_seconds, segment)
    return Span(float(edges[first]), float(edges[last + 1]))


def _edges(times_seconds: NDArray[np.float64], segment: Span) -> NDArray[np.float64]:
    """Where each frame's seconds begin, and where the last one's end, ``(F + 1,)``."""
    if len(times_seconds) == 1:
        return np.asarray(segment, np.float64)
    between = (times_seconds[1:] + times_seconds[:-1]) / 2
    start = 2 * times_seconds[0] - between[0]
    end = 2 * times_seconds[-1] - between[-1]
    edges = np.concatenate([[start], between, [end]])
    return np.asarray(np.clip(edges, segment.start_seconds, segment.end_seconds), np.float64)
