"""Long videos in pieces: the segment is what the index stores and what a hit shows."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

from vidsift.types import Span

__all__ = ["MAX_SEGMENT_SECONDS", "cut"]

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
