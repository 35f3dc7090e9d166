"""How right the moments are that a search shows: the overlap of a stretch of video with the true one.

Spans in, numbers out; :mod:`vidsift.search.moment_evaluation` gets the moments.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vidsift.data.entries import Entry
from vidsift.types import Span

__all__ = [
    "IOU_THRESHOLDS",
    "TimedSentence",
    "best_iou",
    "chance_of_moments",
    "moment_summary",
    "timed_sentences",
]

IOU_THRESHOLDS = (0.3, 0.5, 0.7)
"""Overlaps from which on a moment counts as right: those that the field reports."""

_ENDS = 100  # places where a stretch by chance may begin and end: 4,950 stretches


@dataclass(frozen=True)
class TimedSentence:
    """A sentence, its video, and when what it says is seen.

    Attributes:
        sentence: what is searched for.
        path: the file.
        spans: where it is right, in seconds of the file; several where people disagree, any of which counts.
    """

    sentence: str
    path: Path
    spans: tuple[Span, ...]


def timed_sentences(entries: Iterable[Entry]) -> list[TimedSentence]:
    """Return the sentences of entries that have moments, in order.

    A sentence that stands several times with one file is one question with several right spans.
    """
    spans: dict[tuple[str, Path], dict[Span, None]] = {}
    for entry in entries:
        for moment in entry.moments:
            span = Span(moment.start_seconds, moment.end_seconds)
            spans.setdefault((moment.caption, entry.path), {})[span] = None
    return [TimedSentence(sentence, path, tuple(of)) for (sentence, path), of in spans.items()]


def best_iou(starts: ArrayLike, ends: ArrayLike, spans: Sequence[Span]) -> NDArray[np.float64]:
    """Return the overlap of stretches with the one of the true spans that each overlaps most.

    It is the intersection over the union of the two, in seconds; 0 where they do not meet.

    Args:
        starts: of the stretches, in seconds, any shape.
        ends: likewise, not before the starts.
        spans: at least one, each of some length.

    Returns:
        From 0 to 1, of the same shape.

    Raises:
        ValueError: a stretch ends before it begins, or there is no true span of some length.

    Example:
        >>> float(best_iou(2.0, 6.0, [Span(4.0, 8.0), Span(20.0, 30.0)]))
        0.3333333333333333
    """
    start, end = np.asarray(starts, np.float64), np.asarray(ends, np.float64)
    if not (start <= end).all():
        raise ValueError(f"a stretch from {start} to {end} s: expected an end that is not before the start")
    if not spans or any(not span.end_seconds > span.start_seconds for span in spans):
        raise ValueError(f"true spans are {spans}, expected at least one, each with an end after its start")
    overlaps = []
    for span in spans:
        shared = np.minimum(end, span.end_seconds) - np.maximum(start, span.start_seconds)
        shared = np.maximum(shared, 0.0)
        overlaps.append(shared / ((end - start) + span.duration_seconds - shared))
    return np.asarray(np.max(overlaps, axis=0), np.float64)


def moment_summary(ious: ArrayLike) -> dict[str, float]:
    """Return R@1 at each IoU threshold and the mean IoU, in percent, and the number of sentences.

    Args:
        ious: of the moment shown first for each sentence, ``(N,)``; 0 for one in a wrong video, or none.

    Raises:
        ValueError: there is none, or one is no number from 0 to 1.

    Source: R@n, IoU=m of TALL (Gao et al., ICCV 2017), which ActivityNet Captions and Charades-STA are
    reported by. A moment at the threshold counts as right.

    Example:
        >>> moment_summary([0.5, 0.0])["R@1 IoU 0.5"], moment_summary([0.5, 0.0])["mIoU"]
        (50.0, 25.0)
    """
    iou_N = np.asarray(ious, np.float64)
    if iou_N.ndim != 1 or not len(iou_N):
        raise ValueError(f"overlaps have shape {iou_N.shape}, expected one for each of at least 1 sentence")
    if not ((iou_N >= 0) & (iou_N <= 1)).all():
        raise ValueError("an overlap is not a number from 0 to 1")
    # A hair less: 0.7 of a sum of frames' seconds may come out below 0.7 by rounding.
    recalls = {f"R@1 IoU {limit}": 100.0 * float((iou_N >= limit - 1e-9).mean()) for limit in IOU_THRESHOLDS}
    return recalls | {"mIoU": 100.0 * float(iou_N.mean()), "sentences": len(iou_N)}


def chance_of_moments(sentences: Sequence[TimedSentence], durations_seconds: ArrayLike) -> dict[str, Any]:
    """Say what no model gets, given the video: by a stretch at random, and by the whole video as the answer.

    Args:
        sentences: with their true spans.
        durations_seconds: of the video of each, ``(N,)``.

    Returns:
        ``random_stretch``, the expectation for a stretch whose two ends lie anywhere in the video, and
        ``whole_video``, both as :func:`moment_summary`.

    Raises:
        ValueError: a length is not above 0, or there are not as many as sentences.
    """
    duration_N = np.asarray(durations_seconds, np.float64)
    if duration_N.shape != (len(sentences),) or not (duration_N > 0).all():
        raise ValueError(f"durations are {duration_N}: expected {len(sentences)} numbers of seconds above 0")
    first, last = np.triu_indices(_ENDS, k=1)
    # Middles of as many equal pieces: ends are spread evenly, without the corners' excess.
    places = (np.arange(_ENDS) + 0.5) / _ENDS
    sums: dict[str, float] = {}
    whole = []
    for sentence, duration in zip(sentences, duration_N, strict=True):
        stretches = best_iou(places[first] * duration, places[last] * duration, sentence.spans)
        for name, value in moment_summary(stretches).items():
            sums[name] = sums.get(name, 0.0) + value
        whole.append(float(best_iou(0.0, duration, sentence.spans)))
    mean = {name: value / len(sentences) for name, value in sums.items() if name != "sentences"}
    return {"random_stretch": mean | {"sentences": len(sentences)}, "whole_video": moment_summary(whole)}
