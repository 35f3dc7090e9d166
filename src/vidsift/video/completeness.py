"""Whether what can be read of a file is all that it holds.

A camera writes photos as HEIF, AVIF or one-picture MP4; a GIF may be a drawing: such files hold one picture
and nothing that moves. A video of which one picture is left is none of these, and behind what can be read of
a file another one may lie that was joined to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from vidsift.video.container import DECODE_ERRORS, OpenVideo, demuxed, open_video
from vidsift.video.decoder_loops import Shown, missing_end
from vidsift.video.file_parts import starts_of_parts
from vidsift.video.signatures import PNG, pictures_in_png, video_in_photo
from vidsift.video.timed import open_timed, table_of

__all__ = ["gif_is_cut_off", "is_single_picture", "unread_end"]

_SMALL_BYTES, _SMALL_SHARE = 1 << 16, 0.05
_GIF_END = b"\x3b"
# How many of several files that were joined FFmpeg reads, before it stops in silence.
_PARTS_READ = {"matroska": 2, "mov": 1, "asf": 1}
_READ_TO_THE_END = frozenset({"flv", "ivf", "nut", "gxf"})
"""Containers that keep next to nothing behind their last packet."""


def is_single_picture(video: OpenVideo, first: Shown, rest: Iterator[Shown], damage: list[str]) -> bool:
    """Whether the picture that came first is all that a file was made to hold.

    Args:
        video: open.
        first: its first picture.
        rest: those that follow; at most one is taken, and none where the headers count them.
        damage: what was found to be wrong so far; ``rest`` may add to it.
    """
    if damage or video.stream.frames > 1:
        return False
    if next(rest, None) is not None or damage or missing_end(video, first.end_seconds) is not None:
        return False
    # Containers that count their pictures say it themselves; others may be the rest of a longer file.
    return not gif_is_cut_off(video.path) if video.stream.frames else not _holds_more(video, first)


def gif_is_cut_off(path: Path) -> bool:
    """Whether a file is a GIF that does not end as one; it counts only those pictures that are there."""
    with path.open("rb") as file:
        gif = file.read(4) == b"GIF8"
        end = file.seek(0, 2)
        file.seek(max(0, end - 64))
        # Zeros behind the end, with which some writers fill up, are no cut.
        return gif and not file.read().rstrip(b"\0").endswith(_GIF_END)


def _holds_more(video: OpenVideo, first: Shown) -> bool:
    """Whether a file announces more than its one picture, or has bytes that are no part of anything read."""
    with video.path.open("rb") as file:
        if file.read(len(PNG)) == PNG:
            return pictures_in_png(file) > 1
        size = file.seek(0, 2)
    length = video.container.duration
    alone = len(video.container.streams) == 1
    # Headers round, so half a second more than the picture lasts announces nothing.
    if alone and length and length / 1_000_000 > first.end_seconds + 0.5:
        return True
    return size > _SMALL_BYTES and 2 * _bytes_in_packets(video.path) < size


def _bytes_in_packets(path: Path) -> int:
    total = 0
    try:
        with open_video(path) as video:
            for packet in video.container.demux():
                total += packet.size
    except (*DECODE_ERRORS, IndexError):
        pass
    return total


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
            return _joined_reason(size - starts[read], size)
        if not names & _READ_TO_THE_END:
            return None
        last = int(table_of(video).places.max(initial=0))
    # The last packet of pictures may be followed by sound; one that is cut short is not what it claims to be.
    end = _last_byte(path) if _many(size - last, size) else size
    return _joined_reason(size - end, size) if _many(size - end, size) else None


def _many(count: int, size: int) -> bool:
    return count > max(_SMALL_BYTES, _SMALL_SHARE * size)


def _joined_reason(count: int, size: int) -> str:
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
