"""Files that hold one picture and nothing that moves, whatever their container.

A camera writes photos as HEIF, AVIF or one-picture MP4; a GIF may be a drawing. A video of which one picture
is left is none of these: something of it is missing, or its file holds more than that picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vidsift.video.container import DECODE_ERRORS, OpenVideo, open_video
from vidsift.video.photos import PNG, pictures_in_png
from vidsift.video.through import Shown, missing_end

__all__ = ["gif_is_cut_off", "is_single_picture"]

_SMALL_BYTES = 1 << 16
_GIF_END = b"\x3b"


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
        return gif and not file.read().rstrip(b"\0").endswith(_GIF_END)


def _holds_more(video: OpenVideo, first: Shown) -> bool:
    """Whether a file announces more than its one picture, or has bytes that are no part of anything read."""
    with video.path.open("rb") as file:
        if file.read(len(PNG)) == PNG:
            return pictures_in_png(file) > 1
        size = file.seek(0, 2)
    length = video.container.duration
    alone = len(video.container.streams) == 1
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
