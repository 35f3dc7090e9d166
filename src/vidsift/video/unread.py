"""How much of a file lies behind all that can be read of it, as where another was joined to it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from vidsift.video.container import DECODE_ERRORS, demuxed, open_video
from vidsift.video.joined import starts_of_parts
from vidsift.video.photos import video_in_photo
from vidsift.video.stills import gif_is_cut_off
from vidsift.video.timed import open_timed, table_of

__all__ = ["unread_end"]

_SMALL_BYTES, _SMALL_SHARE = 1 << 16, 0.05
_PARTS_READ = {"matroska": 2, "mov": 1, "asf": 1}
_READ_TO_THE_END = frozenset({"flv", "ivf", "nut", "gxf"})
"""Containers that keep next to nothing behind their last packet."""


def unread_end(path: str | Path) -> str | None:
    """Say that much of a file lies behind what can be read of it, or that a GIF is cut off; None for others.

    Where heads tell by their lengths where another file begins, nothing else is read.

    Args:
        path: of a file that can be read.

    Raises:
        VideoReadError: it cannot.
        OSError: the same.
    """
    path = Path(path)
    if video_in_photo(path) is not None:
        return None
    if gif_is_cut_off(path):
        return "the file ends before its animation does; it may be cut off"
    with open_timed(path) as video:
        names, size = video.format_names, path.stat().st_size
        read = next((number for name, number in _PARTS_READ.items() if name in names), None)
        if read is not None:
            starts = starts_of_parts(path)
            if len(starts) <= read or ("mov" in names and _goes_on(path, starts[read])):
                return None
            return _said(size - starts[read], size)
        if not names & _READ_TO_THE_END:
            return None
        last = int(table_of(video).places.max(initial=0))
    # The last packet of pictures may be followed by sound; one that is cut short is not what it claims to be.
    end = _last_byte(path) if _many(size - last, size) else size
    return _said(size - end, size) if _many(size - end, size) else None


def _many(count: int, size: int) -> bool:
    return count > max(_SMALL_BYTES, _SMALL_SHARE * size)


def _said(count: int, size: int) -> str:
    share = f"the last {max(1.0, 100 * count / size):.0f} % of the file cannot be read"
    return f"{share}; another recording seems to be joined to it: index the parts by themselves"


def _goes_on(path: Path, place: int) -> bool:
    """Whether pictures behind a byte are read and go on in time, as in a stream stored piece by piece."""
    latest, beyond = None, False
    with open_video(path) as video, suppress(*DECODE_ERRORS):
        for packet in video.packets():
            if packet.size and packet.dts is not None:
                if latest is not None and packet.dts < latest:
                    return False
                latest = packet.dts
                beyond = beyond or (packet.pos is not None and packet.pos >= place)
    return beyond


def _last_byte(path: Path) -> int:
    end = 0
    with open_video(path) as video, suppress(*DECODE_ERRORS):
        for packet in demuxed(video.container, None):
            if packet.size and packet.pos is not None and not packet.is_corrupt:
                end = max(end, packet.pos + packet.size)
    return end
