"""Which seconds of a video: the segments that a long one is cut into, and where in a stretch to look.

Plain functions: a span and a count in, float64 seconds out. A segment is what the index stores and what a
hit shows.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vidsift.types import Span

__all__ = [
    "MAX_SEGMENT_SECONDS",
    "cut",
    "head",
    "one_fps_linspace",
    "pick_linspace",
    "random_per_segment",
    "random_within_seconds",
    "uniform",
]

MAX_SEGMENT_SECONDS = 30.0


def cut(duration_seconds: float, segment: Literal["auto"] | float | None = "auto") -> list[Span]:
    """Cut a video into windows of equal length that cover it without gap or overlap.

    Args:
        duration_seconds: length of the video.
        segment: the most seconds a window may have; "auto" for 30; None for one window.

    Returns:
        At least one span, in order; the last ends at the video's end exactly.

    Raises:
        ValueError: a duration or a window that is not a positive number (a duration of 0 is one window).

    Example:
        >>> [(s.start_seconds, s.end_seconds) for s in cut(75.0)]
        [(0.0, 25.0), (25.0, 50.0), (50.0, 75.0)]
    """
    if not math.isfinite(duration_seconds) or duration_seconds < 0:
        raise ValueError(f"duration is {duration_seconds} seconds, expected a finite number, 0 or more")
    if isinstance(segment, str) and segment != "auto":
        raise ValueError(f"segment is {segment!r}, expected 'auto', None, or a number of seconds")
    longest = MAX_SEGMENT_SECONDS if segment == "auto" else segment
    if longest is None:
        return [Span(0.0, duration_seconds)]
    longest = float(longest)
    if not math.isfinite(longest) or longest <= 0:
        raise ValueError(f"segment is {longest} seconds, expected a positive number")
    # A hair over a whole number of windows is rounding in the file's clock, not another window.
    pieces = max(1, math.ceil(duration_seconds / longest - 1e-6))
    edges = [duration_seconds * piece / pieces for piece in range(pieces)] + [duration_seconds]
    return [Span(start, end) for start, end in pairwise(edges)]


def _check(span: Span, frames: int) -> None:
    if frames < 1:
        raise ValueError(f"frames is {frames}, expected at least 1")
    start, end = span
    if not (math.isfinite(start) and math.isfinite(end)) or end < start:
        raise ValueError(
            f"span is {start} to {end} seconds, expected finite seconds and an end after the start"
        )


def uniform(span: Span, frames: int) -> NDArray[np.float64]:
    """Cut the span into ``frames`` equal parts and take the middle of each.

    Args:
        span: seconds.
        frames: how many.

    Returns:
        Seconds, ``(frames,)``, ascending.

    Example:
        >>> uniform(Span(0.0, 12.0), 3)
        array([ 2.,  6., 10.])
    """
    _check(span, frames)
    parts = np.arange(frames, dtype=np.float64) + 0.5
    return np.asarray(span.start_seconds + parts * (span.duration_seconds / frames), np.float64)


def pick_linspace(candidates: int, frames: int) -> NDArray[np.int64]:
    """Indices of ``frames`` among ``candidates``, evenly from first to last, rounded down; all when fewer.

    Source: CLIP4Clip@508ffa3 dataloaders, ``slice_framepos`` 2.

    Example:
        >>> pick_linspace(17, 12)
        array([ 0,  1,  2,  4,  5,  7,  8, 10, 11, 13, 14, 16])
    """
    if candidates <= frames:
        return np.arange(candidates)
    return np.linspace(0, candidates - 1, frames, dtype=np.int64)


def _whole_seconds(span: Span) -> NDArray[np.float64]:
    # Rounding in a clock makes no further second.
    count = max(1, math.ceil(span.duration_seconds - 1e-9))
    return span.start_seconds + np.arange(count, dtype=np.float64)


def one_fps_linspace(span: Span, frames: int) -> NDArray[np.float64]:
    """One picture a second from the start; of these, when there are more than ``frames``, an even choice.

    What the published results of CLIP4Clip and DRL were computed from.

    Args:
        span: seconds.
        frames: at most how many.

    Returns:
        Seconds, ``(at most frames,)``, ascending.

    Source: CLIP4Clip@508ffa3 dataloaders/rawvideo_util.py:34 and ``slice_framepos`` 2.
    Differs: a second is a second of the video's clock; the loader steps by ``int(fps)`` frames, so at
        29.97 frames per second its steps are a little shorter.

    Example:
        >>> one_fps_linspace(Span(0.0, 3.5), 12)
        array([0., 1., 2., 3.])
    """
    _check(span, frames)
    seconds = _whole_seconds(span)
    return seconds[pick_linspace(len(seconds), frames)]


def head(span: Span, frames: int) -> NDArray[np.float64]:
    """One picture a second from the start, and of these the first ``frames``.

    Args:
        span: seconds.
        frames: at most how many.

    Returns:
        Seconds, ``(at most frames,)``, ascending.

    Source: CLIP4Clip@508ffa3 dataloaders, ``slice_framepos`` 0 (its default).
    """
    _check(span, frames)
    return _whole_seconds(span)[:frames]


def random_per_segment(
    span: Span, frames: int, rng: np.random.Generator, jitter: float = 1.0
) -> NDArray[np.float64]:
    """Cut the span into ``frames`` equal parts and take a random second of each; for training.

    Args:
        span: seconds.
        frames: how many.
        rng: where the randomness comes from.
        jitter: how much of each part may be taken, around its middle: 1 for all of it, 0 gives
            :func:`uniform`.

    Returns:
        Seconds, ``(frames,)``, ascending.
    """
    _check(span, frames)
    within = 0.5 * (1.0 - jitter) + jitter * rng.random(frames)
    parts = np.arange(frames, dtype=np.float64) + within
    return np.asarray(span.start_seconds + parts * (span.duration_seconds / frames), np.float64)


def random_within_seconds(
    times_seconds: NDArray[np.float64], span: Span, rng: np.random.Generator, jitter: float = 1.0
) -> NDArray[np.float64]:
    """Take for each second, which began at the times given, a random time in it; for training.

    Args:
        times_seconds: of :func:`one_fps_linspace` or :func:`head`, ``(frames,)``.
        span: seconds; none leaves it.
        rng: where the randomness comes from.
        jitter: how much of the second may be taken, from its start: 1 for all of it, 0 for none.

    Returns:
        Seconds, ``(frames,)``, ascending.
    """
    room = np.clip(span.end_seconds - times_seconds, 0.0, 1.0)
    return np.asarray(times_seconds + jitter * rng.random(len(times_seconds)) * room, np.float64)
