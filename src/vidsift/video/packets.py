"""The table of a stream's packets: what can be decoded from where, without decoding anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from vidsift.video.container import DECODE_ERRORS, OpenVideo, message_of
from vidsift.video.hevc import NalReader

__all__ = ["PacketTable", "Run", "index_packets", "packets_from", "plan_runs"]

_HELD_BYTES = 32 * 2**20
_STRIDE_BYTES = 2 * 2**20
_SEEK_FIRST_SECONDS = 60.0
_SEEKS_WELL = frozenset({"mov", "matroska"})

VideoPacket: TypeAlias = "Packet[VideoStream]"


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
        seek: where to seek for each packet, in ticks: when it is decoded, which is never after it is shown.
        whole: the table reaches the end of the stream.
        doubt: why the table cannot be trusted to find a picture; None when it can.
        damage: what went wrong while reading the file; None when nothing did.
        end_ticks: where the last shown picture ends.
    """

    pts: NDArray[np.int64]
    key: NDArray[np.bool_]
    shown: NDArray[np.bool_]
    spare: NDArray[np.bool_]
    sizes: NDArray[np.int64]
    seek: NDArray[np.int64]
    held: list[VideoPacket] | None
    whole: bool
    doubt: str | None
    damage: str | None
    end_ticks: int

    def shown_pts(self) -> NDArray[np.int64]:
        """Timestamps of the shown pictures in the order in which they are shown."""
        return np.sort(self.pts[self.shown])


def _doubt(video: OpenVideo, pts: list[int | None], key: list[bool], corrupt: bool) -> str | None:
    if video.without_pts:
        return f"{video.container.format.name} files keep no presentation times"
    if any(value is None for value in pts):
        return "packets without a presentation time"
    if len(set(pts)) != len(pts):
        return "two packets with the same presentation time"
    if not key or not key[0]:
        return "the stream does not begin with a key frame"
    return "a packet is marked as damaged" if corrupt else None


def _filled(video: OpenVideo, pts: list[int | None], dts: list[int | None]) -> NDArray[np.int64]:
    """Give every packet a time: its own, else when it is decoded, else its place at the nominal rate."""
    if video.without_pts:
        pts = dts
    step = video.step_ticks
    times: list[int] = []
    for own, decoded in zip(pts, dts, strict=True):
        known = own if own is not None else decoded
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


def index_packets(
    video: OpenVideo, *, first_seconds: float = 0.0, last_seconds: float = float("inf")
) -> PacketTable:
    """Read the packets of the stream once, decoding nothing.

    Args:
        video: freshly opened.
        first_seconds: the earliest time the table must answer for.
        last_seconds: the latest.

    Returns:
        The table; ``doubt`` and ``damage`` say what is wrong with it.
    """
    last_ticks = video.origin_ticks + last_seconds / float(video.tick)
    pts: list[int | None] = []
    dts: list[int | None] = []
    key: list[bool] = []
    shown: list[bool] = []
    sizes: list[int] = []
    layers: list[tuple[int, bool]] = []
    nal = NalReader(video.decoder.extradata) if video.decoder.name == "hevc" else None
    held: list[VideoPacket] = []
    held_bytes, last_duration, whole, corrupt, damage = 0, 0, False, False, None
    try:
        first = _seek_near(video, first_seconds)
        for packet in _chain(first, video):
            if not packet.size:
                continue
            pts.append(packet.pts)
            dts.append(packet.dts)
            key.append(packet.is_keyframe)
            shown.append(not packet.is_discard)
            sizes.append(packet.size)
            layers.append(nal.layer(packet) if nal is not None else (0, False))
            corrupt = corrupt or packet.is_corrupt
            last_duration = packet.duration or last_duration
            held_bytes += packet.size
            if held_bytes <= _HELD_BYTES:
                held.append(packet)
            if packet.dts is not None and packet.dts > last_ticks and not video.without_pts:
                break
        else:
            whole = True
    except DECODE_ERRORS as error:
        damage = f"reading stopped: {message_of(error)}"
    times = _filled(video, pts, dts)
    top = max((layer for layer, _ in layers), default=0)
    earliest = [own if d is None else min(own, d) for own, d in zip(times.tolist(), dts, strict=True)]
    shown_N = np.asarray(shown, bool)
    step = video.step_ticks if video.without_pts or not last_duration else last_duration
    end = int(times[shown_N].max()) + step if shown_N.any() else video.origin_ticks
    return PacketTable(
        pts=times,
        key=np.asarray(key, bool),
        shown=shown_N,
        spare=np.asarray([spare and layer == top for layer, spare in layers], bool),
        sizes=np.asarray(sizes, np.int64),
        seek=np.asarray(earliest, np.int64),
        held=held if len(held) == len(pts) else None,
        whole=whole,
        doubt=_doubt(video, pts, key, corrupt),
        damage=damage,
        end_ticks=end,
    )


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
        while at > 0 and table.pts[keys[at]] > pts:
            at -= 1
        start = int(keys[max(at, 0)])
        if runs and start < runs[-1].stop:
            last = runs[-1]
            runs[-1] = Run(last.start, max(last.stop, position + 1), last.wanted | {position})
        else:
            runs.append(Run(start, position + 1, frozenset({position})))
    return runs


class AstrayError(Exception):
    """Seeking did not arrive where the table says; the file has to be decoded through."""


def packets_from(
    video: OpenVideo, table: PacketTable, runs: list[Run]
) -> Iterator[tuple[Run, Iterator[VideoPacket]]]:
    """Give each run its packets, from memory or by the shortest way through the file.

    Raises:
        AstrayError: a seek landed beyond the packet it was meant for.
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

    def read(self, start: int, stop: int) -> Iterator[VideoPacket]:
        sizes = self._table.sizes
        if (
            self._packets is None
            or start < self._next
            or int(sizes[self._next : start].sum()) > _STRIDE_BYTES
        ):
            self._video.container.seek(int(self._table.seek[start]), stream=self._video.stream)
            self._packets = self._video.packets()
        for packet in self._packets:
            if not packet.size:
                continue
            position = self._position_of.get(packet.pts if packet.pts is not None else -1)
            if position is None or position < start:
                continue
            if position > start:
                raise AstrayError(f"packet {position} came where {start} was expected")
            self._next = position + 1
            yield packet
            start += 1
            if start == stop:
                return
        raise AstrayError(f"the file ended before packet {start}")
