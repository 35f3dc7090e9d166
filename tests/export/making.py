"""Excerpts of made-up files of a rate."""

from __future__ import annotations

from fractions import Fraction

from vidsift.export.excerpts import Excerpt
from vidsift.types import Span
from vidsift.video.frame_timing import FrameTiming

FILM, PAL, NTSC, NTSC_DOUBLE = (
    Fraction(24000, 1001),
    Fraction(25),
    Fraction(30000, 1001),
    Fraction(60000, 1001),
)
RATES = (FILM, PAL, NTSC, NTSC_DOUBLE)

EDGES = (
    (0, 1),
    (1798, 1800),  # to the end of a minute at 29.97
    (1799, 1801),  # over it: 00:00:59;29 is followed by 00:01:00;02
    (1800, 1802),
    (3599, 3601),  # likewise at 59.94
    (17_981, 17_983),  # the tenth minute, which leaves no number out
    (107_891, 107_893),  # the first hour
    (199_990, 200_000),  # to the end of the file
)
"""First pictures and those after the last ones, at the places where timecodes go wrong."""


def excerpt(
    first: int,
    stop: int,
    rate: Fraction,
    *,
    path: str = "/films/the sea.mp4",
    rank: int = 1,
    constant: bool = True,
    first_seconds: float = 0.0,
    first_frame: int = 0,
    frames: int = 200_000,
) -> Excerpt:
    """Pictures from one to another, said in seconds as a search says it."""
    timing = FrameTiming(rate, constant, frames, first_seconds, first_frame, 1920, 1080, has_sound=True)
    span = Span(first_seconds + float(first / rate), first_seconds + float(stop / rate))
    return Excerpt(path, span, timing, rank, 0.25)


def edges(rate: Fraction, **named: float) -> list[Excerpt]:
    """An excerpt for each of :data:`EDGES`, of two files by turns."""
    return [
        excerpt(first, stop, rate, path=f"/films/{place % 2}.mp4", rank=place + 1, **named)  # type: ignore[arg-type]
        for place, (first, stop) in enumerate(EDGES)
    ]
