"""One clock for a file whose timestamps start again, jump, or err: it starts at 0 and never goes back.

Recordings that were joined, recorders that started again and counters that wrapped leave stretches whose own
timestamps overlap. Each stretch is shifted to where the one before it ended. Plain numbers here, no file.
"""

from __future__ import annotations

import statistics
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from av.packet import Packet

__all__ = ["JUMP_SECONDS", "Clock", "Timestamps", "find_clock", "on_clock"]

JUMP_SECONDS = 10.0
"""More than this either way is no pause but another clock, where a container's clock may start again.

Source: ``dts_delta_threshold`` of the ffmpeg program.
"""

_BACK_SECONDS = 0.1
"""Timestamps that go back by less, and by less than a picture, are rounded, and of no other clock."""

# So many packets in a row may be out of line before it is another clock.
_STRAYS = 3
_STRAY_SECONDS = 1.0
# A picture can be shown after at most 16 that are decoded later (H.264, H.265: the largest buffer).
_MOST_REORDERED = 17


@dataclass(frozen=True, eq=False)
class Timestamps:
    """What the packets of pictures say, in the order of the file; one value a packet.

    Attributes:
        pts, dts: when it is shown and decoded, in ticks; None where the file does not say.
        places: byte at which it begins; None where that is not known.
        lasts: how long it is shown, in ticks; 0 where the file does not say.
        step: ticks of a picture at the nominal rate.
        tick: seconds.
    """

    pts: Sequence[int | None]
    dts: Sequence[int | None]
    places: Sequence[int | None]
    lasts: Sequence[int]
    step: int
    tick: Fraction

    def ticks(self, seconds: float) -> int:
        """Length of some seconds."""
        return max(1, round(seconds / self.tick))


@dataclass(frozen=True, eq=False)
class Clock:
    """How far each stretch of a file is shifted.

    Attributes:
        places: byte at which each stretch begins, ascending; what lies before the first belongs to it.
        last_places: byte at which the last packet of pictures of each begins.
        shifts: ticks to add to the timestamps of each.
        begins: when the first packet of each is decoded, in ticks of this clock.
        tick: seconds.
        strays: packets of pictures whose timestamps are not simply shifted, by place and own timestamps, with
            those that they get.
    """

    places: tuple[int, ...]
    last_places: tuple[int, ...]
    shifts: tuple[int, ...]
    begins: tuple[int, ...]
    tick: Fraction
    strays: dict[tuple[int, int | None, int | None], tuple[int | None, int | None]] = field(repr=False)

    def stretch_at(self, place: int) -> int:
        """Which stretch the byte at a place belongs to."""
        return max(0, bisect_right(self.places, place) - 1)

    def shift(self, packet: Packet[Any], place: int, *, pictures: bool) -> None:
        """Give a packet the timestamps of this clock.

        Args:
            packet: is changed.
            place: byte at which it begins, as far as that is known.
            pictures: it belongs to the stream whose clock this is.
        """
        if pictures:
            packet.pts, packet.dts = self._given(place, packet.pts, packet.dts)
        elif packet.time_base is not None:
            shift = self._shift_of_others(packet, place)
            packet.pts, packet.dts = _plus(packet.pts, shift), _plus(packet.dts, shift)

    def timestamps(self, stamps: Timestamps) -> tuple[list[int | None], list[int | None]]:
        """When the packets of pictures are shown and decoded on this clock, in ticks."""
        times: list[tuple[int | None, int | None]] = []
        place = 0
        for pts, dts, known in zip(stamps.pts, stamps.dts, stamps.places, strict=True):
            place = place if known is None else known
            times.append(self._given(place, pts, dts))
        return [pts for pts, _ in times], [dts for _, dts in times]

    def _given(self, place: int, pts: int | None, dts: int | None) -> tuple[int | None, int | None]:
        shift = self.shifts[self.stretch_at(place)]
        # By the timestamps too: packets whose places are not known share that of the one before.
        return self.strays.get((place, pts, dts), (_plus(pts, shift), _plus(dts, shift)))

    def _shift_of_others(self, packet: Packet[Any], place: int) -> int:
        """Shift sound as the pictures are; between two stretches it belongs to the one that it fits."""
        assert packet.time_base is not None
        stretch = self.stretch_at(place)
        ticks = packet.dts if packet.dts is not None else packet.pts
        best = stretch
        if ticks is not None and stretch + 1 < len(self.places) and place > self.last_places[stretch]:
            at = ticks * packet.time_base / self.tick
            edge = self.begins[stretch + 1]
            best = min((stretch, stretch + 1), key=lambda neighbour: abs(at + self.shifts[neighbour] - edge))
        return round(self.shifts[best] * self.tick / packet.time_base)


def on_clock(
    packets: Iterable[Packet[Any]], clock: Clock, picture_stream: int, place: int = 0
) -> Iterator[Packet[Any]]:
    """Packets with the timestamps of a clock.

    Args:
        packets: in the order of the file.
        clock: of the file.
        picture_stream: index of the stream whose clock it is.
        place: byte from which on they are read.
    """
    for packet in packets:
        place = packet.pos if packet.pos is not None else place
        clock.shift(packet, place, pictures=packet.stream.index == picture_stream)
        yield packet


def find_clock(stamps: Timestamps, *, close_jumps: bool) -> Clock | None:
    """Find where a file's timestamps start again.

    Args:
        stamps: of all packets of pictures.
        close_jumps: a jump ahead by more than :data:`JUMP_SECONDS` is another clock, too.

    Returns:
        The clock; None where the file's own one is as good.

    Source: ``ts_discontinuity_detect`` in fftools/ffmpeg_demux.c of FFmpeg.
    Differs: few packets that are out of line with those before and after them change nothing for others; what
        is shown after a start never overlaps what was shown before it.
    """
    if _in_line(stamps):
        return None
    decoded = _Decoded(stamps, close_jumps)
    shown, beside = _shown(stamps, decoded, close_jumps)
    extra = _apart(stamps, shown, beside, len(decoded.shifts))
    strays: dict[tuple[int, int | None, int | None], tuple[int | None, int | None]] = {}
    place = 0
    for at, (pts, dts, known) in enumerate(zip(stamps.pts, stamps.dts, stamps.places, strict=True)):
        place = place if known is None else known
        stretch = decoded.stretch[at]
        shift = decoded.shifts[stretch]
        plain = (_plus(pts, shift), _plus(dts, shift))
        times = (shown[at], None if dts is None else decoded.times[at])
        if times != plain:
            strays[place, pts, dts] = (_plus(times[0], extra[beside[at]]), _plus(times[1], extra[stretch]))
    if len(decoded.shifts) == 1 and not strays:
        return None
    places, last_places = _places(stamps, decoded.firsts)
    return Clock(
        places=places,
        last_places=last_places,
        shifts=tuple(shift + more for shift, more in zip(decoded.shifts, extra, strict=True)),
        begins=tuple(decoded.times[first] + more for first, more in zip(decoded.firsts, extra, strict=True)),
        tick=stamps.tick,
        strays=strays,
    )


def _plus(ticks: int | None, shift: int) -> int | None:
    return None if ticks is None else ticks + shift


def _in_line(stamps: Timestamps) -> bool:
    """Whether nothing is out of the ordinary: a quick look, with which most files are done."""
    known = [
        (pts, dts)
        for pts, dts in zip(stamps.pts, stamps.dts, strict=True)
        if pts is not None and dts is not None
    ]
    times = np.asarray([dts for dts in stamps.dts if dts is not None], np.int64)
    lags = np.asarray([pts - dts for pts, dts in known], np.int64)
    near = stamps.ticks(_STRAY_SECONDS)
    ahead = np.diff(times)
    return bool(
        len(times)
        and (ahead >= 0).all()
        and (ahead <= near + stamps.step).all()
        and (np.abs(lags) <= near).all()
    )


class _Decoded:
    """When packets are decoded, on a clock that never goes back.

    Attributes:
        times: ticks, one a packet.
        stretch: to which one each packet belongs.
        firsts: position of the first packet of each stretch.
        shifts: of each stretch.
    """

    def __init__(self, stamps: Timestamps, close_jumps: bool) -> None:
        self.times: list[int] = []
        self.stretch: list[int] = []
        self.firsts, self.shifts = [0], [0]
        self._stamps, self._close_jumps = stamps, close_jumps
        self._known = list(stamps.pts if all(dts is None for dts in stamps.dts) else stamps.dts)
        # Most containers keep times of showing alone, which go to and fro in the order of decoding.
        self._back = (
            min(stamps.ticks(_BACK_SECONDS), stamps.step // 2)
            if close_jumps
            else _MOST_REORDERED * stamps.step
        )
        first = next((at for at, ticks in enumerate(self._known) if ticks is not None), 0)
        # As though a packet had come just before, so that the first that is known is where it is expected.
        last = (self._known[first] or 0) - (first + 1) * stamps.step if self._known else 0
        if _first_is_astray(stamps, self._known[first:], close_jumps):
            last = (self._known[first + 1] or 0) - (first + 2) * stamps.step
        for at in range(len(self._known)):
            self.times.append(self._place(at, last))
            self.stretch.append(len(self.shifts) - 1)
            last = max(last, self.times[-1])

    def is_known(self, at: int) -> bool:
        """Whether the file says when a packet is decoded."""
        return self._known[at] is not None

    def _place(self, at: int, last: int) -> int:
        """When a packet is decoded, ``last`` being when the one before it is."""
        stamps, ticks = self._stamps, self._known[at]
        step = (stamps.lasts[at - 1] if at else 0) or stamps.step
        expected = last + step
        if ticks is None:
            return expected
        time = ticks + self.shifts[-1]
        low, high = last - self._back, expected + max(stamps.ticks(_STRAY_SECONDS), step)
        # In line; all that follows is about packets that are not.
        if low <= time <= high:
            return time
        if self._returns(at, last, high, max(step, stamps.step)):
            return expected
        if time < low or (self._close_jumps and time - expected > stamps.ticks(JUMP_SECONDS)):
            self.shifts.append(self.shifts[-1] + expected - time)
            self.firsts.append(at)
            return expected
        return time

    def _returns(self, at: int, last: int, high: int, step: int) -> bool:
        """Whether a packet is out of line, since those after it go on where those before it were."""
        for ahead, later in enumerate(self._known[at + 1 : at + 1 + _STRAYS], 1):
            low = last + (ahead - 0.5) * step
            if later is not None and low <= later + self.shifts[-1] <= high + ahead * step:
                return True
        return False


def _first_is_astray(stamps: Timestamps, known: Sequence[int | None], close_jumps: bool) -> bool:
    """Whether a file's first packet is out of line with the two after it, which fit each other."""
    if len(known) < 3:
        return False
    first, second, third = known[:3]
    if first is None or second is None or third is None or not 0 <= third - second <= 2 * stamps.step:
        return False
    ahead = second - first - stamps.step
    return ahead < -_MOST_REORDERED * stamps.step or (close_jumps and ahead > stamps.ticks(_STRAY_SECONDS))


def _latest(stamps: Timestamps, times: Sequence[int], at: int, close_jumps: bool) -> float:
    """When a picture has to be shown at the latest: so many others can be decoded before it, and no more.

    Near the end of a file nothing tells whether it is late, unless it jumps by more than any clock may.
    """
    slack = stamps.ticks(_STRAY_SECONDS)
    if at + _MOST_REORDERED < len(times):
        return max(times[at], times[at + _MOST_REORDERED]) + slack
    return times[-1] + stamps.ticks(JUMP_SECONDS) + slack if close_jumps else float("inf")


def _shown(stamps: Timestamps, decoded: _Decoded, close_jumps: bool) -> tuple[list[int | None], list[int]]:
    """When packets are shown: by the shift of their own stretch or, near an edge, of the one beside it.

    Returns:
        The times, and which stretch each is of.
    """
    slack = max(stamps.ticks(_STRAY_SECONDS), _MOST_REORDERED * stamps.step)
    shown, stretches = [*stamps.pts], [*decoded.stretch]
    lags: list[int] = []
    lost: list[int] = []
    for at, pts in enumerate(stamps.pts):
        time, stretch = decoded.times[at], decoded.stretch[at]
        if pts is None or not decoded.is_known(at):
            shown[at] = _plus(pts, decoded.shifts[stretch])
            continue
        latest = _latest(stamps, decoded.times, at, close_jumps)
        beside = [
            neighbour
            for neighbour in (stretch, stretch + 1, stretch - 1)
            if 0 <= neighbour < len(decoded.shifts)
        ]
        fits = [
            neighbour for neighbour in beside if time - slack <= pts + decoded.shifts[neighbour] <= latest
        ]
        if fits:
            stretches[at] = fits[0]
            shown[at] = pts + decoded.shifts[fits[0]]
            lags.append(pts + decoded.shifts[fits[0]] - time)
        else:
            lost.append(at)
    # Pictures with a time of no stretch at all: shown as long after decoding as the others are.
    # The low median is a lag that occurs, in whole ticks.
    usual = statistics.median_low(lags) if lags else 0
    for at in lost:
        shown[at] = decoded.times[at] + usual
    return shown, stretches


def _apart(
    stamps: Timestamps, shown: Sequence[int | None], stretches: Sequence[int], number: int
) -> list[int]:
    """How much further each stretch is shifted so that its pictures come after those before it."""
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for time, stretch in zip(shown, stretches, strict=True):
        if time is not None:
            first[stretch] = min(time, first.get(stretch, time))
            last[stretch] = max(time, last.get(stretch, time))
    extra, end = [0], last.get(0)
    for stretch in range(1, number):
        more = extra[-1]
        if stretch in first:
            more = more if end is None else max(more, end + stamps.step - first[stretch])
            end = last[stretch] + more
        extra.append(more)
    return extra


def _places(stamps: Timestamps, firsts: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Bytes at which stretches begin, and at which the last packets of pictures before their ends do."""
    begins, lasts = [], []
    for number, first in enumerate(firsts):
        stop = firsts[number + 1] if number + 1 < len(firsts) else len(stamps.places)
        before = _last_known(stamps.places[:first])
        begin = stamps.places[first] if first < len(stamps.places) else None
        begins.append(begin if begin is not None else before + 1)
        lasts.append(max(_last_known(stamps.places[:stop]), begins[-1]))
    return tuple(begins), tuple(lasts)


def _last_known(places: Sequence[int | None]) -> int:
    return next((place for place in reversed(places) if place is not None), 0)
