"""Pictures and files of indexed videos, by the identity of their content; nothing is found by a path."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as PathParameter

from vidsift.errors import ClipTooLargeError, SandboxError, VideoChangedError, VideoReadError
from vidsift.service.files import (
    ClosingStream,
    byte_range,
    bytes_of,
    disposition,
    media_type,
    open_indexed,
    video_of,
)
from vidsift.service.problems import Answers, ProblemError, own_trouble, problems
from vidsift.service.schemas_library import ClipRequest
from vidsift.video.clips import cut_clip
from vidsift.video.photos import video_within
from vidsift.video.thumbnails import Source, start_seconds, thumbnail_at

if TYPE_CHECKING:
    from vidsift.index.library import Video
    from vidsift.index.schema import FileRecord
    from vidsift.service.live_index import Snapshot
    from vidsift.service.service import Service

__all__ = ["VideoId", "media_routes", "media_url", "thumbnail_url"]

VideoId = Annotated[
    str,
    PathParameter(
        pattern="^[0-9a-f]{32}$", description="Identity of the file's content: the video_id of a hit."
    ),
]
_SPARE_BYTES = 64 << 20
_FOR_A_WEEK = "private, max-age=604800"
_BINARY = {"schema": {"type": "string", "format": "binary"}}


def thumbnail_url(video_id: str, at_seconds: float) -> str:
    """Where the picture of a video at a second is."""
    return f"/v1/videos/{video_id}/thumbnail?at={max(0.0, at_seconds):.3f}"


def media_url(video_id: str) -> str:
    """Where a video's file is."""
    return f"/v1/videos/{video_id}/media"


def media_routes(service: Service) -> APIRouter:
    """Thumbnails, files and clips."""
    router = APIRouter(tags=["media"])

    @router.get(
        "/v1/videos/{video_id}/thumbnail",
        summary="A picture of a video",
        response_class=Response,
        responses=problems(404, 409, 410, 429, also=_JPEG),
    )
    async def thumbnail(
        request: Request,
        video_id: VideoId,
        at: Annotated[
            float,
            Query(ge=0, le=1e9, allow_inf_nan=False, description="At which second, on the video's clock."),
        ] = 0.0,
        width: Annotated[int, Query(ge=16, le=1920, description="Width in pixels at most.")] = 320,
    ) -> Response:
        """Return the picture that a player shows at a second; the last one after the end.

        Where the file is away, as on a disk that is not connected, the picture that was kept when its segment
        was indexed stands in.
        """
        snapshot = service.snapshot()
        video = video_of(snapshot.library, video_id)
        headers = {"etag": f'"{video_id}-{at:.3f}-{width}"', "cache-control": _FOR_A_WEEK}
        if _matches(request.headers.get("if-none-match"), headers["etag"]):
            return Response(status_code=304, headers=headers)
        answer = await _thumbnail(service, snapshot, video, at, width)
        if "cache-control" not in answer.headers:
            answer.headers.update(headers)
        return answer

    @router.get(
        "/v1/videos/{video_id}/media",
        summary="A video's file",
        response_class=Response,
        responses=problems(404, 409, 410, 416, also=_MEDIA),
    )
    async def media(request: Request, video_id: VideoId) -> Response:
        """Return the file of a video, or the bytes of it that a Range header asks for (one range)."""
        return await _media(service, request, video_id)

    @router.head(
        "/v1/videos/{video_id}/media",
        summary="Facts of a video's file",
        response_class=Response,
        responses=problems(404, 409, 410, 416, also=_MEDIA),
    )
    async def media_facts(request: Request, video_id: VideoId) -> Response:
        """Return the headers that GET would (its length, kind and ETag), and X-Start-Seconds.

        That is where the file's own clock stands at second 0; a player may count from there.
        """
        return await _media(service, request, video_id)

    @router.post(
        "/v1/clips",
        summary="Cut seconds out of a video",
        response_class=Response,
        responses=problems(404, 409, 410, 413, 429, also=_CLIP),
    )
    async def clip(stretch: ClipRequest) -> Response:
        """Return a stretch of a video as a file: copied where that is possible, else encoded anew."""
        if stretch.end - stretch.start > service.limits.clip_seconds:
            raise ProblemError(
                422,
                f"the clip has {stretch.end - stretch.start:.0f} s; cut at most "
                f"{service.limits.clip_seconds:.0f} s at once",
            )
        video = video_of(service.snapshot().library, stretch.video_id)
        if stretch.start >= video.duration_seconds:
            raise ProblemError(
                422,
                f"start is {stretch.start:g} s and the video has {video.duration_seconds:g} s; begin earlier",
            )
        give = service.clip_slots.take()  # held until the clip has gone
        try:
            return await _clip(service, video, stretch.start, min(stretch.end, video.duration_seconds), give)
        except BaseException:
            give()
            raise

    return router


_UNCHANGED: dict[str, Any] = {"description": "Not changed since the ETag that was named."}
_JPEG: Answers = {200: {"content": {"image/jpeg": _BINARY}, "description": "A JPEG."}, 304: _UNCHANGED}
_CLIP: Answers = {200: {"content": {"video/mp4": _BINARY}, "description": "An MP4 file to keep."}}
_FILE = {"video/*": _BINARY, "application/octet-stream": _BINARY}
_MEDIA: Answers = {
    200: {"content": _FILE, "description": "The whole file."},
    206: {"content": _FILE, "description": "Bytes of the file."},
    304: _UNCHANGED,
}


async def _thumbnail(service: Service, snapshot: Snapshot, video: Video, at: float, width: int) -> Response:
    key = (video.video_id, round(at, 3), width)
    jpeg = service.thumbnails.get(key)
    service.metrics.thumbnail(cached=jpeg is not None)
    if jpeg is None:
        try:
            with service.thumbnail_slots.taken():
                source, _ = await present(service, video)
                jpeg = await service.decoders.run(thumbnail_at, source, at, width)
        except (ProblemError, VideoChangedError, SandboxError, VideoReadError, OSError) as error:
            kept = await anyio.to_thread.run_sync(_kept_picture, service, snapshot, video.video_id, at)
            if kept is None:
                raise told(error) from error
            return Response(kept, media_type="image/jpeg", headers={"cache-control": "no-store"})
        service.thumbnails.put(key, jpeg)
    return Response(jpeg, media_type="image/jpeg")


async def present(service: Service, video: Video) -> tuple[Source, FileRecord]:
    """The place where a video still lies as it was indexed, to which no link leads any more."""
    file, record = await anyio.to_thread.run_sync(open_indexed, video, service.checked)
    file.close()
    return Source(os.path.realpath(record.path), record.size_bytes, record.modified_ns), record


def _kept_picture(service: Service, snapshot: Snapshot, video_id: str, at: float) -> bytes | None:
    """The picture that the index keeps of the segment around a second."""

    def picture(version: Snapshot) -> bytes | None:
        if version.index is None:
            return None
        segments = video_of(version.library, video_id).segments
        segment = min(segments, key=lambda one: _distance(at, *segments[one]))
        jpeg = version.index.thumbnail(segment)
        return jpeg if jpeg.startswith(b"\xff\xd8") else None

    return service.live.asked(picture, snapshot)


def _distance(at: float, start: float, end: float) -> float:
    return max(start - at, at - end, 0.0)


def told(error: Exception) -> ProblemError:
    """Return what an error in a decoding process means for who asks."""
    if isinstance(error, ProblemError):
        return error
    status, words = 409, "the file has changed or cannot be read; update the index"
    if isinstance(error, SandboxError):
        status, words = 422, f"this file cannot be read here: the work on it {error}"
    elif isinstance(error, VideoReadError):
        status, words = 422, f"this file cannot be read here: it {error.reason}"
    elif isinstance(error, ClipTooLargeError):
        status, words = 422, f"the clip {error}"
    elif isinstance(error, OSError) and (trouble := own_trouble(error)) is not None:
        return trouble
    return ProblemError(status, words)


async def _media(service: Service, request: Request, video_id: str) -> Response:
    video = video_of(service.snapshot().library, video_id)
    file, record = await anyio.to_thread.run_sync(open_indexed, video, service.checked)
    try:
        # A player gets the video of a motion photo, not the photo around it.
        within = await anyio.to_thread.run_sync(video_within, file)
    except BaseException:
        file.close()
        raise
    begin, end = within or (0, record.size_bytes)
    etag = f'"{video_id}"'
    headers = {
        "accept-ranges": "bytes",
        "etag": etag,
        "last-modified": formatdate(record.modified_ns // 10**9, usegmt=True),
        "cache-control": "private, no-cache",
        "content-type": media_type(record.path) if within is None else "video/mp4",
        "content-disposition": disposition("inline", Path(record.path).name),
    }
    if _matches(request.headers.get("if-none-match"), etag):
        file.close()
        return Response(status_code=304, headers=headers)
    if request.method == "HEAD":
        headers |= await _start(service, video)
    asked = request.headers.get("range")
    if not _still_the_same(request.headers.get("if-range"), etag, record):
        asked = None
    try:
        part = byte_range(asked, end - begin)
    except ProblemError:
        file.close()
        raise
    first, stop = part or (0, end - begin)
    headers["content-length"] = str(stop - first)
    if part is not None:
        headers["content-range"] = f"bytes {first}-{stop - 1}/{end - begin}"
    length = 0 if request.method == "HEAD" else stop - first
    return ClosingStream(
        bytes_of(file, begin + first, length),
        file.close,
        status=200 if part is None else 206,
        headers=headers,
    )


async def _start(service: Service, video: Video) -> dict[str, str]:
    """Say where the file's own clock stands when the video begins; nothing where that is not known now."""
    try:
        with service.thumbnail_slots.taken():
            source, _ = await present(service, video)
            seconds = await service.decoders.run(start_seconds, source)
    except (ProblemError, VideoChangedError, SandboxError, VideoReadError, OSError):
        return {}
    return {"x-start-seconds": f"{seconds:.3f}"}


def _matches(header: str | None, etag: str) -> bool:
    """Whether an ``If-None-Match`` header names an ETag."""
    named = [one.strip().removeprefix("W/") for one in (header or "").split(",")]
    return etag in named or named == ["*"]


def _still_the_same(if_range: str | None, etag: str, record: FileRecord) -> bool:
    """Whether an ``If-Range`` header lets a range be sent: the file is the one that the client began with."""
    if if_range is None or if_range.strip() == etag:
        return True
    try:
        return parsedate_to_datetime(if_range).timestamp() == record.modified_ns // 10**9
    except (TypeError, ValueError, IndexError):
        return False


async def _clip(
    service: Service, video: Video, start: float, end: float, at_end: Callable[[], None]
) -> Response:
    source, record = await present(service, video)
    target = service.temporary(".mp4")
    try:
        room = shutil.disk_usage(target.parent).free - _SPARE_BYTES
        if room < _SPARE_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        most_bytes = min(service.limits.clip_bytes, room)
        made = await service.cutter.run(cut_clip, source, start, end, str(target), most_bytes)
        file = target.open("rb")
    except BaseException as error:
        target.unlink(missing_ok=True)
        if isinstance(error, (VideoChangedError, SandboxError, ClipTooLargeError, VideoReadError, OSError)):
            raise told(error) from error
        raise
    service.metrics.clip(copied=made.copied)
    name = f"{Path(record.path).stem} {start:.0f}-{end:.0f}s.mp4"
    headers = {
        "content-type": "video/mp4",
        "content-length": str(made.size_bytes),
        "content-disposition": disposition("attachment", name),
    }

    def remove() -> None:
        file.close()
        target.unlink(missing_ok=True)
        at_end()

    return ClosingStream(bytes_of(file, 0, made.size_bytes), remove, headers=headers)
