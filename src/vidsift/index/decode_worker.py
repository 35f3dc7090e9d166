"""One video file to the pictures of its segments, read in a worker process. No torch here.

:func:`read_video` is what a process does with a file; :func:`decode_pool` makes the processes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vidsift.errors import PictureError, VideoReadError
from vidsift.types import Span
from vidsift.video import FrameStream, cut, iter_frames, probe
from vidsift.video.completeness import unread_end
from vidsift.video.preprocessing import Preprocessing
from vidsift.video.transforms import clip_pixels, shrunk_jpeg
from vidsift.workers.pool import ProcessPool
from vidsift.workers.process import ProcessLimits

__all__ = [
    "Done",
    "Facts",
    "Failed",
    "Known",
    "Message",
    "ReadSettings",
    "Segment",
    "SinglePicture",
    "content_id",
    "decode_pool",
    "read_video",
    "stamp",
]

SegmentLength: TypeAlias = Literal["auto"] | float | None

_PIECE_BYTES = 1 << 22
_SAME_SECONDS = 0.5


def _nobody() -> None:
    """Nobody wants to know."""


@dataclass(frozen=True)
class ReadSettings:
    """How videos are read, the same for all of an index.

    Attributes:
        preprocessing: which pictures of a segment, and how large.
        segment: how videos are cut, see :func:`vidsift.video.cut`.
        known: videos that are stored already and need not be decoded.
        lengths: of those of them that an earlier version may have read with wrong times, in seconds: they are
            read anew where the length found now is another.
        named: paths that were asked for by themselves; of others, files with a single picture are no videos.
        pictures: those of ``known`` that may have a single picture.
    """

    preprocessing: Preprocessing
    segment: SegmentLength
    known: frozenset[str]
    lengths: Mapping[str, float] = field(default_factory=dict)
    named: frozenset[str] = frozenset()
    pictures: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Facts:
    """The first message about a file that can be read; its segments follow."""

    video_id: str
    duration_seconds: float
    width_px: int
    height_px: int
    codec: str
    fps: float | None


@dataclass(frozen=True, eq=False)
class Segment:
    """One segment: cropped pictures ``(F, S, S, 3)``, their times ``(F,)``, a JPEG of each whole picture."""

    span: Span
    pixels: NDArray[np.uint8]
    times_seconds: NDArray[np.float64]
    thumbnails: list[bytes]


@dataclass(frozen=True)
class Known:
    """The last message about a file whose content is stored already."""

    video_id: str
    size_bytes: int
    modified_ns: int


@dataclass(frozen=True)
class Done:
    """The last message about a file that was read."""

    size_bytes: int
    modified_ns: int
    damage: str | None


@dataclass(frozen=True)
class SinglePicture:
    """The last message about a file that holds one picture and was not asked for by itself."""

    size_bytes: int
    modified_ns: int


@dataclass(frozen=True)
class Failed:
    """The last message about a file that cannot be read."""

    reason: str
    size_bytes: int
    modified_ns: int


Message: TypeAlias = Facts | Segment | Known | Done | SinglePicture | Failed

_LAST = (Known, Done, SinglePicture, Failed)


def decode_pool(
    settings: ReadSettings, workers: int, limits: ProcessLimits | None = None
) -> ProcessPool[str, Message]:
    """Return the processes that read files, of paths; each path is answered as :func:`read_video` does.

    What kills, hangs or outgrows its process ends with ``Failed`` too.

    Args:
        settings: how to read.
        workers: how many processes.
        limits: of each; the time is that without progress within a file.

    Raises:
        ValueError: there is to be no worker.
    """
    return ProcessPool(
        partial(read_video, settings=settings),
        messages=Message,
        is_last=_is_last,
        failure=_failure,
        subject="the decoder",
        workers=workers,
        limits=limits,
    )


def _is_last(message: Message) -> bool:
    return isinstance(message, _LAST)


def _failure(path: str, reason: str) -> Failed:
    try:
        return Failed(reason, *stamp(path))
    except OSError:
        return Failed(reason, 0, 0)


def content_id(path: str | Path | int, on_progress: Callable[[], None] = _nobody) -> str:
    """Identity of a file's content: the first half of its SHA-256.

    Args:
        path: the file; the descriptor of an open one is read on from where it stands, and closed.
        on_progress: called after every few MB.

    Raises:
        OSError: the file cannot be read.
    """
    digest = hashlib.sha256()
    piece = bytearray(_PIECE_BYTES)
    # Into one piece of memory again and again: a buffer of its own would copy all of a large file.
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - Path takes no descriptor
        while count := file.readinto(piece):
            digest.update(memoryview(piece)[:count])
            on_progress()
    # 128 bits tell any library's files apart, and the id stands in every row.
    return digest.hexdigest()[:32]


def read_video(
    path: str, settings: ReadSettings, on_progress: Callable[[], None] = _nobody
) -> Iterator[Message]:
    """Read one file, in one pass and with the pictures of one segment in memory.

    Args:
        path: the file.
        settings: how to read.
        on_progress: called whenever more of the file has been read.

    Yields:
        ``Facts`` and ``Segment`` messages and then ``Done``; or ``Known``; or ``SinglePicture``; or, at any
        point, ``Failed``.
    """
    size, modified = 0, 0
    try:
        # Before the content is read: a file that changes meanwhile then shows that it did.
        size, modified = stamp(path)
        video_id = content_id(path, on_progress)
        suspect, judged = video_id in settings.lengths, path not in settings.named
        sure = not suspect and not (judged and video_id in settings.pictures)
        if video_id in settings.known and sure:
            yield Known(video_id, size, modified)
            return
        info = probe(path, on_progress=on_progress)
        if judged and info.single_picture:
            yield SinglePicture(size, modified)
            return
        same = not suspect or abs(info.duration_seconds - settings.lengths[video_id]) <= _SAME_SECONDS
        if video_id in settings.known and same:
            yield Known(video_id, size, modified)
            return
        yield Facts(
            video_id, info.duration_seconds, info.width_px, info.height_px, info.codec, info.average_fps
        )
        yield from _segments_and_end(path, info.duration_seconds, settings, (size, modified), on_progress)
    except PictureError as error:
        named = path in settings.named
        yield Failed(error.reason, size, modified) if named else SinglePicture(size, modified)
    except VideoReadError as error:
        where = "" if error.at_seconds is None else f" (at {error.at_seconds:.2f} s)"
        # What cannot be reached any more, as on a drive that was pulled out, is no fault of the file.
        there = _stamp_now(path) == (size, modified)
        yield Failed(f"{error.reason}{where}", *((size, modified) if there else (0, 0)))
    except OSError as error:
        # Missing rights and a disk that fails are not the file's: the next run looks again.
        yield Failed(error.strerror or str(error), 0, 0)


def _segments_and_end(
    path: str,
    duration_seconds: float,
    settings: ReadSettings,
    stamp_before: tuple[int, int],
    on_progress: Callable[[], None],
) -> Iterator[Message]:
    """Decode a file: its segments, and then ``Done``, or ``Failed`` where it changed meanwhile."""
    spans = cut(duration_seconds, settings.segment)
    wanted = [settings.preprocessing.wanted_times(span) for span in spans]
    owners = np.repeat(np.arange(len(spans)), [len(times) for times in wanted])
    stream = iter_frames(path, np.concatenate(wanted), on_progress=on_progress)
    any_segment = False
    for segment in _segments(stream, spans, owners, settings.preprocessing.size_px):
        any_segment = True
        yield segment
    if not any_segment:
        raise VideoReadError(path, stream.damage or "holds no picture at the times wanted")
    damage = [reason for reason in (stream.damage, unread_end(path)) if reason is not None]
    if stamp(path) != stamp_before:
        # As while it is copied or downloaded. Size 0 is never that of a file: the next run looks again.
        yield Failed("changed while it was being read; index again", 0, 0)
        return
    yield Done(*stamp_before, "; ".join(damage) or None)


def _segments(
    stream: FrameStream, spans: list[Span], owners: NDArray[np.int64], size_px: int
) -> Iterator[Segment]:
    """Gather pictures, which come in ascending time, by segment; one without a picture is left out."""
    for owner, pictures in groupby(stream, key=lambda picture: int(owners[picture.wanted_index])):
        times, crops, thumbnails = [], [], []
        before: NDArray[np.uint8] | None = None
        for picture in pictures:
            # A picture that answers several times is one object: cropped once.
            if picture.pixels is not before:
                crop = clip_pixels(picture.pixels, size_px)
                small = shrunk_jpeg(picture.pixels, pixel_aspect=stream.pixel_aspect)
            before = picture.pixels
            times.append(picture.time_seconds)
            crops.append(crop)
            thumbnails.append(small)
        yield Segment(spans[owner], np.stack(crops), np.asarray(times, np.float64), thumbnails)


def _stamp_now(path: str) -> tuple[int, int] | None:
    try:
        return stamp(path)
    except OSError:
        return None


def stamp(path: str) -> tuple[int, int]:
    """Size in bytes and time of the last change in nanoseconds."""
    status = Path(path).stat()
    return status.st_size, status.st_mtime_ns
