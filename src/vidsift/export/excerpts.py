"""Stretches of files counted in pictures, and laid one after the other on a timeline of one rate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from pathlib import Path

from vidsift.types import Span
from vidsift.video.frame_timing import TIMECODE_RATES, FrameTiming

__all__ = ["Excerpt", "Placed", "conforming_notes", "laid_out", "printable", "rate_label", "timeline_rate"]

_HALF = Fraction(1, 2)


@dataclass(frozen=True)
class Excerpt:
    """A stretch of a file.

    Attributes:
        path: of the file, absolute.
        span: in seconds on the video's clock.
        timing: how its pictures are counted.
        rank: 1 for the best hit.
        score: of the hit; None where there is none.
    """

    path: str
    span: Span
    timing: FrameTiming
    rank: int
    score: float | None = None

    @property
    def name(self) -> str:
        """The file's name in one line, by which editors find it again."""
        return printable(Path(self.path).name)

    @property
    def first(self) -> int:
        """The first picture, counted from 0; each edge is the nearest one, so half a picture off at most."""
        return min(self.timing.frame_at(self.span.start_seconds), self.timing.frames - 1)

    @property
    def stop(self) -> int:
        """The picture after the last one; there is at least one."""
        return max(self.first + 1, self.timing.frame_at(self.span.end_seconds))


@dataclass(frozen=True)
class Placed:
    """An excerpt on a timeline.

    Attributes:
        excerpt: what is shown.
        offset: where it begins, in pictures of the timeline.
        length: for how many of them it is shown.
    """

    excerpt: Excerpt
    offset: int
    length: int


def printable(text: str) -> str:
    r"""Text in one line, without what would break a list, or what XML cannot hold.

    Example:
        >>> printable("two\nlines")
        'two_lines'
    """
    return "".join(mark if mark.isprintable() else "_" for mark in text)


def timeline_rate(excerpts: Sequence[Excerpt]) -> Fraction:
    """The rate of a timeline: that of most of its excerpts, of the best one where several are as many.

    Only rates that timecodes have count. Where no file has one of them, it is the smallest whole multiple of
    the best one's rate that is one, so that each of its pictures is a whole number of the timeline's, or else
    the nearest.

    Raises:
        ValueError: there is no excerpt.
    """
    if not excerpts:
        raise ValueError("there is nothing to put on a timeline; at least one hit is needed")
    usable = [excerpt.timing.rate for excerpt in excerpts if excerpt.timing.rate in TIMECODE_RATES]
    if usable:
        # The first of the most common ones, in the order of rank.
        return Counter(usable).most_common(1)[0][0]
    rate = excerpts[0].timing.rate
    multiples = [known for known in TIMECODE_RATES if (known / rate).denominator == 1]
    return min(multiples, default=min(TIMECODE_RATES, key=lambda known: abs(known - rate)))


def laid_out(excerpts: Iterable[Excerpt], rate: Fraction) -> list[Placed]:
    """Lay excerpts one after the other on a timeline of a rate.

    An excerpt of the same rate keeps its number of pictures. One of another rate plays at its own speed for
    the nearest whole number of the timeline's pictures, one less where its file would end before.
    """
    placed, offset = [], 0
    for excerpt in excerpts:
        own_rate = excerpt.timing.rate
        length = excerpt.stop - excerpt.first
        if own_rate != rate:
            most = floor((excerpt.timing.frames - excerpt.first) / own_rate * rate)
            length = max(1, min(floor(length / own_rate * rate + _HALF), most))
        placed.append(Placed(excerpt, offset, length))
        offset += length
    return placed


def rate_label(rate: Fraction) -> str:
    """A rate as editors write it.

    Example:
        >>> rate_label(Fraction(24000, 1001)), rate_label(Fraction(25)), rate_label(Fraction(60000, 1001))
        ('23.98', '25', '59.94')
    """
    return f"{float(rate):.2f}".rstrip("0").rstrip(".")


def conforming_notes(excerpts: Sequence[Excerpt], rate: Fraction | None) -> list[str]:
    """What was brought to another rate, in lines for people.

    Args:
        excerpts: of the timeline.
        rate: of the timeline; None where each file is counted by itself.
    """
    uneven = {excerpt.path: excerpt for excerpt in excerpts if not excerpt.timing.constant}
    notes = [
        f"{excerpt.name} has a variable frame rate; it is counted at {rate_label(excerpt.timing.rate)} "
        "frames a second, so that edges are off by half a frame at most"
        for excerpt in uneven.values()
    ]
    others = {excerpt.path for excerpt in excerpts if rate is not None and excerpt.timing.rate != rate}
    if others:
        notes.append(
            f"the timeline has {rate_label(rate or Fraction(1))} frames a second; files of another rate "
            f"({len(others)}) are played at their own speed, for whole frames of the timeline"
        )
    return notes
