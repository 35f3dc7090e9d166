"""Work on the files of indexed videos: opened, shown, cut; none is found by a path that a client names.

A video is found by the identity of its content. What reads a file runs in a limited process, since the file
may be damaged, or made to do damage.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import anyio.to_thread

from vidsift.errors import ClipTooLargeError, SandboxError, VideoChangedError, VideoReadError
from vidsift.service.problems import ProblemError, service_problem
from vidsift.video.clip_files import clip_name
from vidsift.video.clips import cut_clip
from vidsift.video.frame_timing import FrameTiming, frame_timing
from vidsift.video.indexed_file import IndexedFile, clock_origin_seconds, segment_frames, thumbnail_at

if TYPE_CHECKING:
    from vidsift.index.library import Video
    from vidsift.index.schema import FileRecord
    from vidsift.service.live_index import Snapshot
    from vidsift.service.service import ContentIdCache, Service
    from vidsift.types import Frames, Span

__all__ = [
    "ClipFile",
    "clock_start_seconds",
    "make_clip",
    "open_indexed",
    "patch_map_frames",
    "stored_thumbnail",
    "thumbnail_jpeg",
    "video_timing",
]

_SPARE_BYTES = 64 << 20
_UPDATE = 'update the index with POST /v1/index/jobs {"action": "update"}'


class ClipFile(NamedTuple):
    """A clip that was cut.

    Attributes:
        path: of the temporary file; whoever asked for the clip removes it.
        size_bytes: of the file.
        name: to save it under.
        span: the seconds of the video that the file holds, see :class:`~vidsift.video.clips.Clip`.
    """

    path: Path
    size_bytes: int
    name: str
    span: Span


def open_indexed(video: Video, content_ids: ContentIdCache) -> tuple[BinaryIO, FileRecord]:
    """Open the file of a video, wherever it lies and is still what was indexed.

    Size and time of change tell a file that was changed. Where a link leads to it, or it has a second name,
    its content is compared too: a link can be turned to any other file.

    Args:
        video: to open.
        content_ids: of files whose content was compared.

    Raises:
        ProblemError: 410, it is nowhere any more; 409, other files lie in its place, or may not be read.
    """
    problems: list[ProblemError] = []
    for record in video.files:
        try:
            return _open_record(record, content_ids), record
        except ProblemError as problem:
            problems.append(problem)
    # A file that is there and has changed says more than one that is gone.
    raise next((problem for problem in problems if problem.status_code != 410), problems[0])


def _open_record(record: FileRecord, content_ids: ContentIdCache) -> BinaryIO:
    # A pipe in its place must not block. Facts are taken from what was opened, not from the path: that may
    # lead elsewhere a moment later.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    name = Path(record.path).name
    try:
        descriptor = os.open(record.path, flags)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ProblemError(
            410, f"the file {name} is not where it was; connect its disk or put it back, or {_UPDATE}"
        ) from error
    except OSError as error:
        raise ProblemError(
            409, f"the file {name} cannot be read ({error.strerror}); give the service permission to read it"
        ) from error
    status = os.fstat(descriptor)
    unchanged = (status.st_size, status.st_mtime_ns) == (record.size_bytes, record.modified_ns)
    unchanged = unchanged and stat.S_ISREG(status.st_mode)
    # The folders of a path may be links as well as the file.
    linked = status.st_nlink > 1 or os.path.realpath(record.path) != record.path
    if unchanged and linked:
        unchanged = content_ids.of(descriptor) == record.video_id
    if not unchanged:
        os.close(descriptor)
        raise ProblemError(409, f"the file {name} has changed since it was indexed; {_UPDATE}")
    return os.fdopen(descriptor, "rb")


async def thumbnail_jpeg(service: Service, video: Video, at_seconds: float, width_px: int) -> bytes:
    """Return the picture that a player shows at a second, from memory or from the file.

    Raises:
        ProblemError: 409, 410 or 422, the file is not there or cannot be read; 429, too many wait.
    """
    key = (video.video_id, round(at_seconds, 3), width_px)
    jpeg = service.thumbnails.get(key)
    service.metrics.thumbnail(cached=jpeg is not None)
    if jpeg is None:
        with service.thumbnail_slots.hold(), _file_problems():
            source, _ = await _source_of(service, video)
            jpeg = await service.thumbnail_decoders.run(thumbnail_at, source, at_seconds, width_px)
        service.thumbnails.put(key, jpeg)
    return jpeg


def stored_thumbnail(service: Service, snapshot: Snapshot, video_id: str, at_seconds: float) -> bytes | None:
    """Return the picture that the index has of the segment around a second; None where it has none."""

    def read(version: Snapshot) -> bytes | None:
        if version.index is None:
            return None
        segments = version.video(video_id).segments
        nearest = min(segments, key=lambda segment: _distance(at_seconds, *segments[segment]))
        jpeg = version.index.thumbnail(nearest)
        return jpeg if jpeg.startswith(b"\xff\xd8") else None

    return service.live_index.run(read, snapshot)


def _distance(at: float, start: float, end: float) -> float:
    return max(start - at, at - end, 0.0)


async def clock_start_seconds(service: Service, video: Video) -> float | None:
    """Return where the file's own clock stands when the video begins; None where it cannot be read now."""
    try:
        with service.thumbnail_slots.hold(), _file_problems():
            source, _ = await _source_of(service, video)
            return await service.thumbnail_decoders.run(clock_origin_seconds, source)
    except ProblemError:
        return None


async def patch_map_frames(service: Service, segment_id: str) -> Frames | str | None:
    """Read the frames of a segment, for the model to look at again: for maps of patches in an explanation.

    Returns:
        The frames; why they cannot be had; or None where the model could tell nothing from them, or the index
        has no such segment.
    """
    snapshot = service.snapshot()
    index, video = snapshot.index, snapshot.library.owners.get(segment_id)
    if index is None or video is None or not index.model.method.traced_sets:
        return None
    try:
        with service.thumbnail_slots.hold(), _file_problems():
            source, _ = await _source_of(service, video)
            span = video.segments[segment_id]
            return await service.thumbnail_decoders.run(
                segment_frames, source, span, index.model.preprocessing
            )
    except ProblemError as problem:
        return problem.detail


async def make_clip(service: Service, video: Video, wanted: Span, *, exact: bool) -> ClipFile:
    """Cut a stretch of a video into a temporary file; ``exact`` as :func:`~vidsift.video.clips.cut_clip`.

    Raises:
        ProblemError: 409, 410 or 422, the file is not there, cannot be read, or gives too large a clip; 503,
            there is no room for it.
    """
    target = service.temporary_file(".mp4")
    try:
        with _file_problems():
            source, record = await _source_of(service, video)
            free_bytes = shutil.disk_usage(target.parent).free - _SPARE_BYTES
            if free_bytes < _SPARE_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            most_bytes = min(service.limits.clip_bytes, free_bytes)
            clip = await service.clip_cutter.run(cut_clip, source, *wanted, str(target), most_bytes, exact)
    except BaseException:  # cancellation too: nobody else knows of the file
        target.unlink(missing_ok=True)
        raise
    service.metrics.clip(copied=clip.copied)
    return ClipFile(target, clip.size_bytes, clip_name(record.path, wanted), clip.span)


async def video_timing(service: Service, video: Video) -> FrameTiming:
    """Count the frames of a video's file, for editors.

    Raises:
        ProblemError: 409, 410 or 422, the file is not there or cannot be read.
    """
    with _file_problems():
        source, _ = await _source_of(service, video)
        return await service.clip_cutter.run(frame_timing, source)


async def _source_of(service: Service, video: Video) -> tuple[IndexedFile, FileRecord]:
    """The place where a video still lies as it was indexed, to which no link leads any more."""
    file, record = await anyio.to_thread.run_sync(open_indexed, video, service.content_ids)
    file.close()
    return IndexedFile(os.path.realpath(record.path), record.size_bytes, record.modified_ns), record


@contextmanager
def _file_problems() -> Iterator[None]:
    """Turn errors of reading a file into problems of whoever asked for it."""
    try:
        yield
    except SandboxError as error:
        raise ProblemError(422, f"this file could not be read: decoding it {error}") from error
    except VideoReadError as error:
        raise ProblemError(422, f"this file could not be read: it {error.reason}") from error
    except ClipTooLargeError as error:
        raise ProblemError(422, f"the clip {error}") from error
    except (VideoChangedError, OSError) as error:
        problem = service_problem(error) if isinstance(error, OSError) else None
        raise problem or ProblemError(
            409, f"the file has changed since it was indexed, or cannot be read; {_UPDATE}"
        ) from error
