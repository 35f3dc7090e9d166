"""The moment of a hit: the stretch of the segment around the frames that the score came from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from vidsift.methods.base import Term, TermSum
from vidsift.search.gallery import Gallery
from vidsift.search.questions import Question
from vidsift.search.rescore import align_exactly
from vidsift.types import Alignment, Features, Span

__all__ = [
    "NO_SHARES",
    "FrameShares",
    "MomentRule",
    "frame_matches",
    "frame_shares",
    "moment_around",
    "shares_by_frame",
]


@dataclass(frozen=True)
class MomentRule:
    """How a moment is read off what the frames gave and how well they match.

    Attributes:
        centre: which frame it lies around: that of the largest "share", from which the score came, or of the
            best "match" by itself.
        threshold: how far above the mean a neighbour has to match to belong to it, as a part of how far that
            frame does: 0.5 is half way. The smaller, the longer the moment.
        smoothing_seconds: matches are averaged with those of the frames in so many seconds around each first;
            0 takes each as it is.

    Raises:
        ValueError: a value that no moment can be read by.
    """

    centre: Literal["share", "match"] = "share"
    threshold: float = 0.5
    smoothing_seconds: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        if self.centre not in ("share", "match"):
            raise ValueError(f"centre is {self.centre!r}, expected share or match")
        if not 0 < self.threshold <= 1:
            raise ValueError(f"threshold is {self.threshold}, expected a number above 0, at most 1")
        if not (math.isfinite(self.smoothing_seconds) and self.smoothing_seconds >= 0):
            raise ValueError(
                f"smoothing_seconds is {self.smoothing_seconds}, expected a finite number of at least 0"
            )


_BY_SHARES = MomentRule()


@dataclass(frozen=True, eq=False)
class FrameShares:
    """What each second that was looked at gave to a score.

    Attributes:
        times_seconds: ascending, ``(F,)``; empty if no token has a time.
        shares: of each, ``(F,)``.
        matches: how well each matches by itself, ``(F,)``, see :func:`frame_matches`.
    """

    times_seconds: NDArray[np.float64]
    shares: NDArray[np.float64]
    matches: NDArray[np.float64]


NO_SHARES = FrameShares(np.zeros(0), np.zeros(0), np.zeros(0))
"""Of a score that nothing accounts for."""


def shares_by_frame(
    terms: TermSum | None, gallery: Gallery, question: Question, rows: Sequence[int]
) -> list[FrameShares]:
    """Find out what each second gave to the scores of a question with some segments.

    Args:
        terms: a method, or the first stage of one; None, or without an account, gives :data:`NO_SHARES`.
        gallery: holds the segments.
        question: of texts that the method prepared.
        rows: of the gallery.
    """
    if terms is None or not terms.explains:
        return [NO_SHARES] * len(rows)
    adapted = question.adapted(terms)
    by_frame: list[FrameShares] = []
    for number, (text, weight) in enumerate(zip(adapted.texts, adapted.weights, strict=True)):
        for place, (account, video) in enumerate(align_exactly(terms, gallery, text, rows)):
            times, shares = frame_shares(terms.terms, account, video)
            given, matched = weight * shares, weight * frame_matches(terms.terms, account, video)
            if number:
                # The texts of a sum meet the same frames, so that their shares add up second by second.
                given, matched = by_frame[place].shares + given, by_frame[place].matches + matched
                by_frame[place] = FrameShares(times, given, matched)
            else:
                by_frame.append(FrameShares(times, given, matched))
    return by_frame


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
        # (T, N) over the words: what each video token gave
        given_N = account[term.name].contributions[0].sum(dim=0) * term.weight
        real_N = tokens.mask[0]
        times.append(tokens.times_seconds[0][real_N])
        shares.append(given_N[real_N].double())
    if not times:
        return np.zeros(0), np.zeros(0)
    # Tokens of several terms that were seen at one time stand for one second, and add up.
    distinct, place = np.unique(torch.cat(times).cpu().numpy(), return_inverse=True)
    summed = np.zeros(len(distinct))
    np.add.at(summed, place, torch.cat(shares).cpu().numpy())
    return distinct, summed


def frame_matches(
    terms: Sequence[Term], account: Mapping[str, Alignment], video: Features
) -> NDArray[np.float64]:
    """How well each second that was looked at matches, whether or not the score came from it.

    Where every word counts its best frame alone, of two frames that show the same one gives all and the other
    nothing: what they gave tells which frame won, and not how long what was asked for is seen. Here each word
    counts in each frame, by the similarity of the two and the weight of the word; of several tokens with one
    time, as patches have, the best.

    Args:
        terms: of the method.
        account: their alignment, one row each.
        video: the segment's prepared sets, one row each.

    Returns:
        ``(F,)``, by the times that :func:`frame_shares` gives.
    """
    times, matches = [], []
    for term in terms:
        tokens = video[term.video]
        if tokens.times_seconds is None:
            continue
        alignment, real_N = account[term.name], tokens.mask[0]
        distinct, place = np.unique(tokens.times_seconds[0][real_N].cpu().numpy(), return_inverse=True)
        # Tokens of one time, as patches of a frame, stand in one row: the best of them counts.
        best_FT = np.full((len(distinct), alignment.values.shape[1]), -np.inf)
        np.maximum.at(best_FT, place, alignment.values[0][:, real_N].T.double().cpu().numpy())
        times.append(distinct)
        matches.append(best_FT @ alignment.text_weights[0].double().cpu().numpy() * term.weight)
    if not times:
        return np.zeros(0)
    distinct, place = np.unique(np.concatenate(times), return_inverse=True)
    summed = np.zeros(len(distinct))
    np.add.at(summed, place, np.concatenate(matches))
    return summed


def moment_around(
    times_seconds: NDArray[np.float64],
    shares: NDArray[np.float64],
    segment: Span,
    frame: int | None = None,
    matches: NDArray[np.float64] | None = None,
    *,
    rule: MomentRule = _BY_SHARES,
) -> Span:
    """The stretch around the frame that gave most, or around one that is named.

    It takes in the neighbours on both sides for as long as they match at least half as well above the mean as
    that one does; of a frame that was named and matches no better than the mean, none. A frame stands for the
    seconds up to half way to its neighbours; the first and the last one reach as far outwards as inwards,
    within the segment. Which frame, and what "half" is, says the rule.

    Args:
        times_seconds: of the frames, ascending ``(F,)``.
        shares: what each gave, ``(F,)``.
        segment: the limits; also the answer if there are no times.
        frame: place of the frame; the best one when None.
        matches: how well each matches, ``(F,)``; what it gave when None.
        rule: see :class:`MomentRule`.

    Example:
        >>> moment_around(np.array([1.0, 3.0, 5.0, 7.0]), np.array([0.0, 0.1, 0.9, 0.1]), Span(0.0, 8.0))
        Span(start_seconds=4.0, end_seconds=6.0)
    """
    if not len(times_seconds):
        return segment
    matched = shares if matches is None else matches
    if rule.smoothing_seconds:
        matched = _smoothed(times_seconds, matched, rule.smoothing_seconds)
    central = matched if rule.centre == "match" else shares
    best = int(central.argmax()) if frame is None else frame
    mean = float(matched.mean())
    above = float(matched[best]) - mean
    # A hair less, so that frames that match equally well stay together whatever rounding does.
    enough = mean + rule.threshold * above - 1e-12
    if above < -1e-12 or (frame is not None and above <= 0):
        enough = np.inf
    first = last = best
    while first > 0 and matched[first - 1] >= enough:
        first -= 1
    while last + 1 < len(matched) and matched[last + 1] >= enough:
        last += 1
    edges = _edges(times_seconds, segment)
    return Span(float(edges[first]), float(edges[last + 1]))


def _smoothed(
    times_seconds: NDArray[np.float64], values: NDArray[np.float64], seconds: float
) -> NDArray[np.float64]:
    """Mean of the values of the frames in so many seconds around each frame, ``(F,)``."""
    # A hair more: frames that lie half of it away belong to it whatever rounding does.
    near_FF = np.abs(times_seconds[:, None] - times_seconds) <= seconds / 2 + 1e-9
    return np.asarray(near_FF @ values / near_FF.sum(axis=1), np.float64)


def _edges(times_seconds: NDArray[np.float64], segment: Span) -> NDArray[np.float64]:
    """Where each frame's seconds begin, and where the last one's end, ``(F + 1,)``."""
    if len(times_seconds) == 1:
        return np.asarray(segment, np.float64)
    between = (times_seconds[1:] + times_seconds[:-1]) / 2
    start = 2 * times_seconds[0] - between[0]
    end = 2 * times_seconds[-1] - between[-1]
    edges = np.concatenate([[start], between, [end]])
    return np.asarray(np.clip(edges, segment.start_seconds, segment.end_seconds), np.float64)
