"""What is read again of a file that was indexed, where it still is that file. No torch: processes use it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from vidsift.errors import VideoChangedError
from vidsift.types import Frames, Span
from vidsift.video import read_frames
from vidsift.video.container import open_video
from vidsift.video.preprocessing import Preprocessing
from vidsift.video.transforms import shown_size, shrunk_jpeg

__all__ = [
    "IndexedFile",
    "check_unchanged",
    "clock_origin_seconds",
    "segment_frames",
    "thumbnail_at",
]


class IndexedFile(NamedTuple):
    """A file as it was when it was indexed."""

    path: str
    size_bytes: int
    modified_ns: int


def check_unchanged(file: IndexedFile) -> None:
    """Refuse a file that is not the one that was indexed.

    Raises:
        VideoChangedError: it is another one by its size or its time of change.
        OSError: it is not there, or cannot be looked at.
    """
    status = Path(file.path).stat()
    if (status.st_size, status.st_mtime_ns) != (file.size_bytes, file.modified_ns):
        raise VideoChangedError(f"{file.path} is not the file that was indexed; index its folder again")


def thumbnail_at(file: IndexedFile, at_seconds: float, width_px: int) -> bytes:
    """Return the picture shown at a second as a JPEG, no wider than ``width_px``.

    Raises:
        VideoChangedError: the file is not the one that was indexed.
        VideoReadError: it gives no picture.
    """
    check_unchanged(file)
    frames = read_frames(file.path, [at_seconds], hold=True)
    height, width = shown_size(frames.pixels.shape[1], frames.pixels.shape[2], frames.pixel_aspect)
    # The longer side is what is limited: an upright picture may be higher than it is wide.
    side_px = max(1, round(width_px * max(1.0, height / width)))
    return shrunk_jpeg(frames.pixels[0], side_px, pixel_aspect=frames.pixel_aspect)


def clock_origin_seconds(file: IndexedFile) -> float:
    """Return where a file's own clock stands at second 0: what a player that goes by it counts from.

    Raises:
        VideoChangedError: the file is not the one that was indexed.
        VideoReadError: it cannot be read.
    """
    check_unchanged(file)
    with open_video(file.path) as video:
        return float(video.origin_ticks * video.tick)


def segment_frames(file: IndexedFile, span: Span, preprocessing: Preprocessing) -> Frames:
    """Read what a model looked at in a stretch of an indexed file.

    Raises:
        VideoChangedError: the file is not the one that was indexed.
        VideoReadError: it gives no picture.
    """
    check_unchanged(file)
    return read_frames(file.path, preprocessing.wanted_times(span), size_px=preprocessing.size_px)
