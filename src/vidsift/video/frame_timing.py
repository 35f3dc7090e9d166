"""The pictures of a file by number: at which rate they come, whether they keep to it, which is shown when.

Editors count pictures; a search counts seconds on the video's clock.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from math import floor, log

import numpy as np
from numpy.typing import NDArray

from vidsift.errors import VideoReadError
from vidsift.video.container import DECODE_ERRORS, OpenVideo, message_of
from vidsift.video.indexed_file import IndexedFile, check_unchanged
from vidsift.video.probe import probe
from vidsift.video.timed import open_timed, table_of

__all__ = ["TIMECODE_RATES", "FrameTiming", "counted_from", "frame_timing", "nearest_rate"]

TIMECODE_RATES = (
    Fraction(24000, 1001),
    Fraction(24),
    Fraction(25),
    Fraction(30000, 1001),
    Fraction(30),
    Fraction(48),
    Fraction(50),
    Fraction(60000, 1001),
    Fraction(60),
)
"""Rates of timelines and timecodes in editors, in pictures per second."""

DROP_FRAME_RATES = frozenset({Fraction(30000, 1001), Fraction(60000, 1001)})

# 24 and 23.976 differ by a thousandth.
_SAME_RATE = 4e-4
# Of a picture's length: further from the place of its number a picture would be taken for its neighbour.
_CONSTANT_WITHIN = 0.25
_TIMECODE = re.compile(r"(\d\d):(\d\d):(\d\d)([:;.])(\d\d)")


@dataclass(frozen=True)
class FrameTiming:
    """How the pictures of a file are counted.

    Attributes:
        rate: pictures per second; of a file whose pictures come unevenly the rate of :data:`TIMECODE_RATES`
            that it is conformed to.
        constant: every picture is shown at its number divided by the rate, to a quarter of a picture.
        frames: how many there are; of an uneven file at the rate that it is conformed to.
        first_seconds: when the first is shown, on the video's clock.
        first_frame: its number by the timecode that the file carries; 0 without one.
        width_px, height_px: size as shown, see :class:`~vidsift.video.probe.VideoInfo`.
        has_sound: it has sound beside the pictures.
    """

    rate: Fraction
    constant: bool
    frames: int
    first_seconds: float = 0.0
    first_frame: int = 0
    width_px: int = 0
    height_px: int = 0
    has_sound: bool = False

    def frame_at(self, seconds: float) -> int:
        """The picture that begins nearest to a second, counted from 0; ``frames`` is the end of the last."""
        nearest = floor((Fraction(seconds) - Fraction(self.first_seconds)) * self.rate + Fraction(1, 2))
        return min(max(nearest, 0), self.frames)


def frame_timing(source: IndexedFile) -> FrameTiming:
    """Count the pictures of a file: its packets are read once, and its first picture is decoded.

    Raises:
        VideoChangedError: the file is not the one that was indexed.
        VideoReadError: it gives no picture.
    """
    check_unchanged(source)
    info = probe(source.path)
    with open_timed(source.path) as video:
        try:
            table = table_of(video)
        except DECODE_ERRORS as error:
            raise VideoReadError(source.path, f"cannot be read ({message_of(error)})") from error
        shown = video.seconds(table.shown_pts())
        end = max(video.seconds_of(table.end_ticks), float(shown[-1]))
        rate, constant = _rate_of(shown, video)
        frames = len(shown) if constant else max(1, round((end - float(shown[0])) * rate))
        return FrameTiming(
            rate=rate,
            constant=constant,
            frames=frames,
            first_seconds=float(shown[0]),
            first_frame=counted_from(_timecode(video), rate),
            width_px=info.width_px,
            height_px=info.height_px,
            has_sound=any(stream.type == "audio" for stream in video.container.streams),
        )


def _rate_of(shown: NDArray[np.float64], video: OpenVideo) -> tuple[Fraction, bool]:
    """The rate by which every picture keeps its place; else the one of timelines that is nearest to most."""
    nominal = nearest_rate(video.frames_per_second)
    if len(shown) < 2:
        return nominal, True
    length = float(shown[-1] - shown[0])
    average = nearest_rate(Fraction((len(shown) - 1) / length))
    for rate in dict.fromkeys((nominal, average)):
        astray = shown - np.arange(len(shown)) / float(rate)
        if float(np.ptp(astray)) * float(rate) <= 2 * _CONSTANT_WITHIN:
            return rate, True
    usual = 1 / float(np.median(np.diff(shown)))
    return min(TIMECODE_RATES, key=lambda known: abs(log(usual / float(known)))), False


def nearest_rate(rate: Fraction) -> Fraction:
    """The rate that is meant by a rounded or averaged one.

    Example:
        >>> nearest_rate(Fraction("29.97")), nearest_rate(Fraction("24.0001")), nearest_rate(Fraction(15, 2))
        (Fraction(30000, 1001), Fraction(24, 1), Fraction(15, 2))
    """
    for known in TIMECODE_RATES:
        if abs(rate / known - 1) < _SAME_RATE:
            return known
    whole = Fraction(max(1, round(rate)))
    return whole if abs(rate / whole - 1) < _SAME_RATE else rate.limit_denominator(1001)


def _timecode(video: OpenVideo) -> str | None:
    """The timecode of the first picture, which cameras write into a track or a tag."""
    places = [video.stream, video.container, *video.container.streams]
    return next((place.metadata["timecode"] for place in places if "timecode" in place.metadata), None)


def counted_from(timecode: str | None, rate: Fraction) -> int:
    """Number of the picture with a timecode; 0 where that is none, or of no rate that timecodes have.

    Drop-frame timecodes, with a semicolon, leave out numbers and no pictures: two a minute at 29.97 and four
    at 59.94, but for every tenth minute.

    Source: SMPTE ST 12-1, "drop frame".

    Example:
        >>> ntsc = Fraction(30000, 1001)
        >>> [counted_from(text, ntsc) for text in ("00:01:00;02", "00:10:00;00", "00:01:00:00")]
        [1800, 17982, 1800]
    """
    read = _TIMECODE.fullmatch(timecode or "")
    if read is None or rate not in TIMECODE_RATES:
        return 0
    hours, minutes, seconds, frames = (int(read[group]) for group in (1, 2, 3, 5))
    in_a_second = round(rate)
    number = ((hours * 60 + minutes) * 60 + seconds) * in_a_second + frames
    if read[4] != ":" and rate in DROP_FRAME_RATES:
        passed = hours * 60 + minutes
        number -= (passed - passed // 10) * (in_a_second // 15)
    return number
