"""The table of a stream's packets: what can be decoded from where, without decoding anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from vidsift.video.clock import Clock, Timestamps, find_clock
from vidsift.video.container import DECODE_ERRORS, OpenVideo, message_of

__all__ = ["NalReader", "PacketTable", "Run", "SeekError", "index_packets", "packets_from", "plan_runs"]

# The packets of a stream no larger than this stay in memory: its file is read once, not twice.
_HELD_BYTES = 32 * 2**20
# Reading on over so little is cheaper than a seek, which throws away what was buffered.
_STRIDE_BYTES = 2 * 2**20
_SEEK_FIRST_SECONDS = 60.0
# These keep an index of key frames; elsewhere a seek may be a guess by the bit rate.
_SEEKS_WELL = frozenset({"mov", "matroska"})
# A pause of the recorder, and no slide show: longer than both.
_GAP_SECONDS, _GAP_STEPS = 2.0, 10
_MARKED_AT_EDGE = 3
_FIRST_NON_VIDEO = 32
_LAST_SUBLAYER = 15
_UNITS_READ = 16

VideoPacket: TypeAlias = "Packet[VideoStream]"


# Not a ValueError: reading takes that from the codecs for damage, and a missed seek is none.
class SeekError(Exception):
    """Seeking did not arrive where the table says; :mod:`vidsift.video.decode` then decodes through."""


@dataclass(frozen=True, eq=False)
class PacketTable:
    """Facts of each packet in decoding order, ``(N,)`` each.

    Attributes:
        pts: presentation timestamps in ticks (the decoding timestamp, or the count, where there is none).
        key: the decoder can start here.
        shown: its picture is shown (an edit list may hide it).
        spare: no other picture depends on its picture, as far as the packets themselves say (HEVC).
        held: the packets themselves, for a file small enough to keep in memory.
        sizes: bytes.
        places: byte at which each packet begins; -1 where that is not known.
        seek: where to seek for each packet, in ticks: when it is decoded, which is never after it is shown.
        whole: the table reaches the end of the stream.
        doubt: why the table cannot be trusted to find a picture; None when it can.
        damage: what went wrong while reading the file; None when nothing did.
        end_ticks: where the last shown picture ends.
        gaps: stretches without pictures, ``(G, 2)`` in ticks: the end of one, the begin of the next.
        clock: how the timestamps of the file were brought onto one clock; None where they are on one.
    """

    pts: NDArray[np.int64]
    key: NDArray[np.bool_]
    shown: NDArray[np.bool_]
    spare: NDArray[np.bool_]
    sizes: NDArray[np.int64]
    places: NDArray[np.int64]
    seek: NDArray[np.int64]
    held: list[VideoPacket] | None
    whole: bool
    doubt: str | None
    damage: str | None
    end_ticks: int
    gaps: NDArray[np.int64]
    clock: Clock | None

    def shown_pts(self) -> NDArray[np.int64]:
        """Timestamps of the shown pictures in the order in which they are shown."""
        return np.sort(self.pts[self.shown])


def _doubt(video: OpenVideo, read: _Packets, clock: Clock | None) -> str | None:
    if video.without_pts:
        return f"{video.container.format.name} files keep no presentation times"
    # MPEG-TS and PS are left out: there a packet is reached by its byte, whatever its timestamp.
    if clock is not None and not video.clock_may_jump:
        return "its clock starts again"
    if any(value is None for value in read.pts):
        return "packets without a presentation time"
    if len(set(read.pts)) != len(read.pts):
        return "two packets with the same presentation time"
    if not read.key or not read.key[0]:
        return "the stream does not begin with a key frame"
    return "a packet is marked as damaged" if _damaged(read, clock) else None


def _damaged(read: _Packets, clock: Clock | None) -> bool:
    """Whether packets are damaged; at the edges of parts whole ones are marked, as counters do not run on."""
    begins = set() if clock is None else set(clock.places)
    edges = [at for at, place in enumerate(read.places) if place in begins]
    return any(not any(edge - _MARKED_AT_EDGE <= at <= edge for edge in edges) for at in read.corrupt)


def _filled(video: OpenVideo, pts: list[int | None], dts: list[int | None]) -> NDArray[np.int64]:
    """Give every packet a time: its own, else when it is decoded, else its place at the nominal rate."""
    # Bare streams and AVI keep no presentation times: those of decoding are all that there is.
    if video.without_pts:
        pts = dts
    step = video.step_ticks
    times: list[int] = []
    for shown, decoded in zip(pts, dts, strict=True):
        known = shown if shown is not None else decoded
        times.append(known if known is not None else times[-1] + step if times else video.origin_ticks)
    return np.asarray(times, np.int64)


def _seek_near(video: OpenVideo, first_seconds: float) -> VideoPacket | None:
    """Start the table at the key frame before ``first_seconds`` where the container can be trusted to."""
    if first_seconds < _SEEK_FIRST_SECONDS or not video.format_names & _SEEKS_WELL:
        return None
    target = video.origin_ticks + int(first_seconds / video.tick)
    video.container.seek(target, stream=video.stream)
    first = next((packet for packet in video.packets() if packet.size), None)
    if first is not None and first.is_keyframe and first.pts is not None and first.pts <= target:
        return first
    video.container.seek(video.stream.start_time or 0, stream=video.stream)
    return None


@dataclass
class _Packets:
    """What is learned from the packets of a stream, in the order of the file."""

    pts: list[int | None] = field(default_factory=list)
    dts: list[int | None] = field(default_factory=list)
    places: list[int | None] = field(default_factory=list)
    lasts: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    key: list[bool] = field(default_factory=list)
    shown: list[bool] = field(default_factory=list)
    layers: list[tuple[int, bool]] = field(default_factory=list)
    held: list[VideoPacket] = field(default_factory=list)
    held_bytes: int = 0
    from_start: bool = True
    whole: bool = False
    corrupt: list[int] = field(default_factory=list)
    damage: str | None = None

    def add(self, packet: VideoPacket, nal: NalReader | None) -> None:
        self.pts.append(packet.pts)
        self.dts.append(packet.dts)
        self.places.append(packet.pos)
        self.lasts.append(packet.duration or 0)
        self.sizes.append(packet.size)
        self.key.append(packet.is_keyframe)
        self.shown.append(not packet.is_discard)
        self.layers.append(nal.layer(packet) if nal is not None else (0, False))
        if packet.is_corrupt:
            self.corrupt.append(len(self.pts) - 1)
        self.held_bytes += packet.size
        if self.held_bytes <= _HELD_BYTES:
            self.held.append(packet)


def index_packets(
    video: OpenVideo, *, first_seconds: float = 0.0, last_seconds: float = float("inf")
) -> PacketTable:
    """Read the packets of the stream once, decoding nothing.

    Args:
        video: freshly opened.
        first_seconds: the earliest time the table must answer for.
        last_seconds: the latest.

    Returns:
        The table; ``doubt`` and ``damage`` say what is wrong with it. Where the file's timestamps start
        again, those of the table run on, and ``clock`` says how.
    """
    read = _read(video, first_seconds, last_seconds)
    clock = None
    if not video.without_pts:
        stamps = Timestamps(read.pts, read.dts, read.places, read.lasts, video.step_ticks, video.tick)
        clock = find_clock(stamps, close_jumps=video.clock_may_jump)
    if clock is not None:
        read.pts, read.dts = clock.timestamps(stamps)
        read.held = []  # their timestamps are still the file's own
        moved = read.dts[0] != stamps.dts[0] or read.pts[0] != stamps.pts[0]
        video.follow(clock, int(_filled(video, read.pts, read.dts).min()), first_moved=moved)
    return _table(video, read, clock)


def _read(video: OpenVideo, first_seconds: float, last_seconds: float) -> _Packets:
    last_ticks = video.origin_ticks + last_seconds / float(video.tick)
    nal = NalReader(video.decoder.extradata) if video.decoder.name == "hevc" else None
    read = _Packets()
    try:
        first = _seek_near(video, first_seconds)
        read.from_start = first is None
        for packet in _chain(first, video):
            if not packet.size:
                continue
            read.add(packet, nal)
            # By dts, which ascends: a later packet cannot be shown earlier than it is decoded.
            if packet.dts is not None and packet.dts > last_ticks and not video.without_pts:
                break
        else:
            read.whole = True
    except DECODE_ERRORS as error:
        read.damage = f"reading stopped: {message_of(error)}"
    return read


def _table(video: OpenVideo, read: _Packets, clock: Clock | None) -> PacketTable:
    times = _filled(video, read.pts, read.dts)
    top = max((layer for layer, _ in read.layers), default=0)
    earliest = [time if d is None else min(time, d) for time, d in zip(times.tolist(), read.dts, strict=True)]
    shown_N = np.asarray(read.shown, bool)
    lasts_N = np.asarray(read.lasts, np.int64)
    last = next((ticks for ticks in reversed(read.lasts) if ticks), 0)
    step = video.step_ticks if video.without_pts or not last else last
    end = int(times[shown_N].max()) + step if shown_N.any() else video.origin_ticks
    return PacketTable(
        pts=times,
        key=np.asarray(read.key, bool),
        shown=shown_N,
        spare=np.asarray([spare and layer == top for layer, spare in read.layers], bool),
        sizes=np.asarray(read.sizes, np.int64),
        places=np.asarray([-1 if place is None else place for place in read.places], np.int64),
        seek=np.asarray(earliest, np.int64),
        held=read.held if len(read.held) == len(read.pts) else None,
        whole=read.whole,
        doubt=_doubt(video, read, clock),
        damage=read.damage,
        end_ticks=end,
        gaps=_gaps(video, times[shown_N], lasts_N[shown_N], read.from_start),
        clock=clock,
    )


def _gaps(
    video: OpenVideo, times: NDArray[np.int64], lasts: NDArray[np.int64], from_start: bool
) -> NDArray[np.int64]:
    """Where no picture is shown for long, as when a recorder was paused; ``(G, 2)``.

    A picture that is shown for long is no gap: the container says for how long, as MP4 does, or few
    pictures a second are all that the stream has.
    """
    if video.without_pts or not len(times):
        return np.empty((0, 2), np.int64)
    order = np.argsort(times, kind="stable")
    begins = times[order]
    ends = np.maximum.accumulate(begins + np.maximum(lasts[order], video.step_ticks))
    if from_start:
        begins, ends = np.append(begins, begins[-1]), np.insert(ends, 0, video.origin_ticks)
    else:
        begins = np.append(begins[1:], begins[-1])
    least = max(round(_GAP_SECONDS / video.tick), _GAP_STEPS * video.step_ticks)
    long = begins - ends > least
    return np.stack([ends[long], begins[long]], axis=1)


def _chain(first: VideoPacket | None, video: OpenVideo) -> Iterator[VideoPacket]:
    if first is not None:
        yield first
    yield from video.packets()


@dataclass(frozen=True)
class Run:
    """A stretch of packets to decode in one go.

    Attributes:
        start, stop: positions in the table, from a key frame to just after the last wanted packet.
        wanted: positions whose pictures are wanted.
    """

    start: int
    stop: int
    wanted: frozenset[int]


def plan_runs(table: PacketTable, wanted_pts: NDArray[np.int64]) -> list[Run]:
    """Choose what to decode for the pictures wanted.

    A picture shown before the key frame that precedes it in the file may need the group before
    (open GOP), so decoding starts at a key frame that is neither later in the file nor shown later.

    Args:
        table: without doubt.
        wanted_pts: distinct timestamps of shown pictures, ascending.

    Returns:
        Runs in the order in which their pictures are shown.
    """
    keys = np.flatnonzero(table.key)
    position_of = {int(pts): position for position, pts in enumerate(table.pts)}
    runs: list[Run] = []
    for pts in wanted_pts.tolist():
        position = position_of[pts]
        at = int(np.searchsorted(keys, position, side="right")) - 1
        # Open GOP: a picture shown before its key frame refers to the group before that.
        while at > 0 and table.pts[keys[at]] > pts:
            at -= 1
        start = int(keys[max(at, 0)])
        if runs and start < runs[-1].stop:
            last = runs[-1]
            runs[-1] = Run(last.start, max(last.stop, position + 1), last.wanted | {position})
        else:
            runs.append(Run(start, position + 1, frozenset({position})))
    return runs


def packets_from(
    video: OpenVideo, table: PacketTable, runs: list[Run]
) -> Iterator[tuple[Run, Iterator[VideoPacket]]]:
    """Give each run its packets, from memory or by the shortest way through the file.

    Raises:
        SeekError: a seek landed beyond the packet it was meant for.
    """
    if table.held is not None:
        for run in runs:
            yield run, iter(table.held[run.start : run.stop])
        return
    reader = _Reader(video, table)
    for run in runs:
        yield run, reader.read(run.start, run.stop)


class _Reader:
    """Walks the file forward, seeking where the way is long."""

    def __init__(self, video: OpenVideo, table: PacketTable) -> None:
        self._video = video
        self._table = table
        self._position_of = {int(pts): position for position, pts in enumerate(table.pts)}
        self._packets: Iterator[VideoPacket] | None = None
        self._next = 0

    def _place(self, position: int) -> int:
        """Byte from which a packet is reached: where the last key frame begins of which that is known."""
        stop = position + 1
        # By bytes a reader can take up anywhere: it has to be where a picture is that needs no other.
        known = np.flatnonzero((self._table.places[:stop] >= 0) & self._table.key[:stop])
        return int(self._table.places[known[-1]]) if len(known) else 0

    def read(self, start: int, stop: int) -> Iterator[VideoPacket]:
        sizes = self._table.sizes
        if (
            self._packets is None
            or start < self._next
            or int(sizes[self._next : start].sum()) > _STRIDE_BYTES
        ):
            self._packets = self._video.packets_from(int(self._table.seek[start]), self._place(start))
        for packet in self._packets:
            if not packet.size:
                continue
            position = self._position_of.get(packet.pts if packet.pts is not None else -1)
            if position is None or position < start:
                continue
            if position > start:
                raise SeekError(f"packet {position} came where {start} was expected")
            self._next = position + 1
            yield packet
            start += 1
            if start == stop:
                return
        raise SeekError(f"the file ended before packet {start}")


class NalReader:
    """Reads the header of the first coded slice of each packet of a stream.

    A picture marked as not referred to within its temporal layer may still serve a higher layer, so it can
    be left out only in the stream's highest layer, which is known when all packets were seen.

    Source: ITU-T H.265, 7.4.2.2 (unit types, TemporalId) and 7.3.1.2 (header).
    """

    def __init__(self, extradata: bytes | None) -> None:
        """Learn from the decoder's configuration how units are marked off."""
        in_container = extradata is not None and len(extradata) > 21 and extradata[0] == 1
        # lengthSizeMinusOne of hvcC (ISO/IEC 14496-15, 8.3.3.1); without that box units begin with codes.
        self._length_bytes = (extradata[21] & 3) + 1 if in_container and extradata is not None else 0

    def layer(self, packet: Packet[Any]) -> tuple[int, bool]:
        """Return the packet's temporal layer, and whether its picture serves none within that layer.

        A packet that cannot be read counts as serving others, in layer 0.
        """
        data = memoryview(packet)
        at = 0
        for _ in range(_UNITS_READ):
            start, following = self._unit(data, at)
            if start + 2 > len(data):
                break
            kind = (data[start] >> 1) & 0x3F
            if kind < _FIRST_NON_VIDEO:
                # Of the types 0 to 14 the even ones are pictures that no other of their layer refers to (_N).
                return (data[start + 1] & 7) - 1, kind < _LAST_SUBLAYER and kind % 2 == 0
            at = following
        return 0, False

    def _unit(self, data: memoryview, at: int) -> tuple[int, int]:
        """Return where the unit at or after ``at`` starts, and where to look for the next."""
        if self._length_bytes:
            start = at + self._length_bytes
            return start, start + int.from_bytes(data[at:start], "big")
        offset = bytes(data[at : at + 4096]).find(b"\x00\x00\x01")
        return (len(data), len(data)) if offset < 0 else (at + offset + 3, at + offset + 3)
