"""Open a file on one clock, also where its own timestamps start again on the way.

Whether they do is found by reading all packets once. Files of the kinds that may go on by another clock are
read so when they are opened, and what was learned is kept for who opens the same file again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from vidsift.video.container import OpenVideo, open_video
from vidsift.video.file_parts import starts_of_parts
from vidsift.video.packets import PacketTable, index_packets
from vidsift.video.signatures import transport_stream_head

__all__ = ["in_first_part", "may_start_again", "open_timed", "seek_before", "table_of"]

_MOST_TABLES = 4  # probing, decoding and cutting open the same file one after the other
_MAY_BE_JOINED = frozenset({"flv", "ogg", "nut", "gxf"})
"""Containers whose heads state no length, and of which FFmpeg reads on where another file follows."""

_Key = tuple[str, int, int]
_tables: OrderedDict[_Key, tuple[PacketTable, int]] = OrderedDict()
_lock = threading.Lock()


@contextmanager
def open_timed(
    path: str | Path, on_progress: Callable[[], None] | None = None, *, read_through: bool = False
) -> Iterator[OpenVideo]:
    """Hold a video file open, with its times on one clock that starts at 0 and never goes back.

    Args:
        path: the file.
        on_progress: called as packets are read, see :class:`~vidsift.video.container.OpenVideo`.
        read_through: look for other clocks in it whatever kind it is of.

    Raises:
        VideoReadError: as :func:`~vidsift.video.container.open_video`.
    """
    with open_video(path, on_progress) as video:
        if read_through or _may_go_on(video):
            _known(video)
        yield video


def table_of(
    video: OpenVideo, *, first_seconds: float = 0.0, last_seconds: float = float("inf")
) -> PacketTable:
    """Return the table of packets of a video opened here, see :func:`~vidsift.video.packets.index_packets`.

    Args:
        video: freshly opened.
        first_seconds: the earliest time the table must answer for.
        last_seconds: the latest.
    """
    if _is_read_through(video) or video.clock is not None:
        return _known(video)
    return index_packets(video, first_seconds=first_seconds, last_seconds=last_seconds)


def seek_before(video: OpenVideo, seconds: float) -> int:
    """Go to where decoding has to begin for what is shown from a second on.

    Args:
        video: opened by :func:`open_timed`.
        seconds: on the video's clock.

    Returns:
        The byte at which the container stands, for :meth:`~vidsift.video.container.OpenVideo.streams`.
    """
    if video.clock is None and not video.clock_may_jump:
        origin_seconds = float(video.origin_ticks * video.tick)
        video.container.seek(int((origin_seconds + max(0.0, seconds)) * 1_000_000), backward=True)
        return 0
    table = _known(video)
    before = table.key & (table.places >= 0) & (video.seconds(table.pts) <= seconds + 1e-6)
    if not video.clock_may_jump or not before.any():
        return 0  # from the start: where timestamps lead astray, bytes are no way in other containers
    at = int(np.flatnonzero(before)[-1])
    place = int(table.places[at])
    video.seek(int(table.seek[at]), place)
    return place


def in_first_part(video: OpenVideo, end_seconds: float) -> bool:
    """Whether a video's own timestamps run on until a second: its packets can be taken as they are."""
    clock = video.clock
    return clock is None or (len(clock.begins) == 1 or end_seconds <= video.seconds_of(clock.begins[1]))


def may_start_again(path: Path) -> bool:
    """Whether a file begins as those whose own clock may start again on the way: MPEG-TS, and PS with VOB.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(1024)
    return head.startswith(b"\0\0\x01\xba") or transport_stream_head(head)


def _may_go_on(video: OpenVideo) -> bool:
    """Whether a file may go on by another clock, so that it has to be read through."""
    if _is_read_through(video):
        return True
    return "matroska" in video.format_names and len(starts_of_parts(video.path)) > 1


def _is_read_through(video: OpenVideo) -> bool:
    """Whether all files of its kind are read through."""
    return video.clock_may_jump or bool(video.format_names & _MAY_BE_JOINED)


def _known(video: OpenVideo) -> PacketTable:
    """Have a video follow its clock, which is found when it is not known."""
    key = _key(video)
    with _lock:
        known = _tables.get(key)
    if known is None:
        with open_video(video.path, video.on_progress) as other:
            table = index_packets(other)
            # Without packets: they belong to the container that is closed here.
            known = (replace(table, held=None), other.origin_ticks)
        with _lock:
            _tables[key] = known
            # The oldest goes: tables of long files take megabytes.
            while len(_tables) > _MOST_TABLES:
                _tables.popitem(last=False)
    table, video.origin_ticks = known
    video.clock = table.clock
    return table


def _key(video: OpenVideo) -> _Key:
    status = video.path.stat()
    return str(video.path), status.st_size, status.st_mtime_ns
