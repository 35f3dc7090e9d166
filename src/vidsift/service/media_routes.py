"""Pictures, files and clips of indexed videos over HTTP."""

from __future__ import annotations

from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Query, Request, Response
from fastapi.routing import APIRoute

from vidsift.service.media import (
    clock_start_seconds,
    make_clip,
    open_indexed,
    stored_thumbnail,
    thumbnail_jpeg,
)
from vidsift.service.problems import ProblemError, Responses, problem_responses
from vidsift.service.schemas_library import ClipRequest
from vidsift.service.service import CurrentService, Service, VideoId
from vidsift.service.transfer import (
    ClosingStream,
    byte_range,
    content_disposition,
    media_type,
    read_chunks,
)
from vidsift.types import Span
from vidsift.video.signatures import video_within

if TYPE_CHECKING:
    from collections.abc import Callable

    from vidsift.index.library import Video
    from vidsift.index.schema import FileRecord

__all__ = ["HEAD_ROUTES", "router"]

router = APIRouter(tags=["media"])

_FOR_A_WEEK = "private, max-age=604800"
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_UNCHANGED: dict[str, Any] = {"description": "Not changed since the ETag that was named."}
_JPEG: Responses = {200: {"content": {"image/jpeg": _BINARY}, "description": "A JPEG."}, 304: _UNCHANGED}
_CLIP: Responses = {200: {"content": {"video/mp4": _BINARY}, "description": "An MP4 file to keep."}}
_FILE = {"video/*": _BINARY, "application/octet-stream": _BINARY}
_MEDIA: Responses = {
    200: {"content": _FILE, "description": "The whole file."},
    206: {"content": _FILE, "description": "Bytes of the file."},
    304: _UNCHANGED,
}


@router.get(
    "/v1/videos/{video_id}/thumbnail",
    operation_id="get_thumbnail",
    summary="A picture of a video",
    response_class=Response,
    responses=problem_responses(404, 409, 410, 429, also=_JPEG),
)
async def thumbnail(
    service: CurrentService,
    request: Request,
    video_id: VideoId,
    at: Annotated[
        float, Query(ge=0, le=1e9, allow_inf_nan=False, description="At which second, on the video's clock.")
    ] = 0.0,
    width: Annotated[int, Query(ge=16, le=1920, description="Width in pixels at most.")] = 320,
) -> Response:
    """Return the picture that a player shows at a second; the last one after the end.

    Where the file is away, as on a disk that is not connected, the picture that was kept when its segment
    was indexed stands in.
    """
    snapshot = service.snapshot()
    video = snapshot.video(video_id)
    # A video_id names content, so the picture at a second of it never changes.
    headers = {"etag": f'"{video_id}-{at:.3f}-{width}"', "cache-control": _FOR_A_WEEK}
    if _names_etag(request.headers.get("if-none-match"), headers["etag"]):
        return Response(status_code=304, headers=headers)
    try:
        jpeg: bytes | None = await thumbnail_jpeg(service, video, at, width)
    except ProblemError:
        jpeg = await anyio.to_thread.run_sync(stored_thumbnail, service, snapshot, video_id, at)
        if jpeg is None:
            raise
        headers = {"cache-control": "no-store"}  # the file may come back
    return Response(jpeg, media_type="image/jpeg", headers=headers)


@router.get(
    "/v1/videos/{video_id}/media",
    operation_id="get_media",
    summary="A video's file",
    response_class=Response,
    responses=problem_responses(404, 409, 410, 416, also=_MEDIA),
)
async def media(service: CurrentService, request: Request, video_id: VideoId) -> Response:
    """Return the file of a video, or the bytes of it that a Range header asks for (one range)."""
    return await _media_response(service, request, service.snapshot().video(video_id))


@router.head(
    "/v1/videos/{video_id}/media",
    operation_id="get_media_facts",
    summary="Facts of a video's file",
    response_class=Response,
    responses=problem_responses(404, 409, 410, 416, also=_MEDIA),
)
async def media_facts(service: CurrentService, request: Request, video_id: VideoId) -> Response:
    """Return the headers that GET would (its length, kind and ETag), and X-Start-Seconds.

    That is where the file's own clock stands at second 0; a player may count from there.
    """
    return await _media_response(service, request, service.snapshot().video(video_id))


@router.post(
    "/v1/clips",
    operation_id="cut_clip",
    summary="Cut seconds out of a video",
    response_class=Response,
    responses=problem_responses(404, 409, 410, 413, 429, also=_CLIP),
)
async def clip(service: CurrentService, stretch: ClipRequest) -> Response:
    """Return a stretch of a video as a file: copied where that is possible, else encoded anew.

    A copy begins at a key frame, and may hold more than was wanted; the headers X-Clip-Start-Seconds and
    X-Clip-End-Seconds say which seconds of the video the file holds. 'exact' encodes anew in any case.
    """
    seconds, most_seconds = stretch.end - stretch.start, service.limits.clip_seconds
    if seconds > most_seconds:
        raise ProblemError(422, f"the clip has {seconds:.0f} s; cut at most {most_seconds:.0f} s at once")
    video = service.snapshot().video(stretch.video_id)
    if stretch.start >= video.duration_seconds:
        raise ProblemError(
            422,
            f"start is {stretch.start:g} s and the video has {video.duration_seconds:g} s; begin earlier",
        )
    release = service.clip_slots.acquire()  # until the clip has been sent: so long its file takes room
    try:
        end = min(stretch.end, video.duration_seconds)
        return await _clip_response(service, video, Span(stretch.start, end), stretch.exact, release)
    except BaseException:
        release()
        raise


async def _media_response(service: Service, request: Request, video: Video) -> Response:
    file, record = await anyio.to_thread.run_sync(open_indexed, video, service.content_ids)
    try:
        # A player gets the video of a motion photo, not the photo around it.
        within = await anyio.to_thread.run_sync(video_within, file)
        begin, end = within or (0, record.size_bytes)
        etag = f'"{video.video_id}"'
        headers = {
            "accept-ranges": "bytes",
            "etag": etag,
            "last-modified": formatdate(record.modified_ns // 10**9, usegmt=True),
            "cache-control": "private, no-cache",
            "content-type": media_type(record.path) if within is None else "video/mp4",
            "content-disposition": content_disposition("inline", Path(record.path).name),
        }
        if _names_etag(request.headers.get("if-none-match"), etag):
            file.close()
            return Response(status_code=304, headers=headers)
        if request.method == "HEAD":
            headers |= await _clock_header(service, video)
        if _is_same_file(request.headers.get("if-range"), etag, record):
            part = byte_range(request.headers.get("range"), end - begin)
        else:
            part = None
    except BaseException:  # from here on the response closes it
        file.close()
        raise
    first, stop = part or (0, end - begin)
    headers["content-length"] = str(stop - first)
    if part is not None:
        headers["content-range"] = f"bytes {first}-{stop - 1}/{end - begin}"
    # HEAD has the headers of GET, its content-length too, and no body.
    length = 0 if request.method == "HEAD" else stop - first
    chunks = read_chunks(file, begin + first, length)
    return ClosingStream(chunks, file.close, status=200 if part is None else 206, headers=headers)


async def _clock_header(service: Service, video: Video) -> dict[str, str]:
    seconds = await clock_start_seconds(service, video)
    return {} if seconds is None else {"x-start-seconds": f"{seconds:.3f}"}


def _names_etag(header: str | None, etag: str) -> bool:
    """Whether an ``If-None-Match`` header names an ETag."""
    named = [name.strip().removeprefix("W/") for name in (header or "").split(",")]
    return etag in named or named == ["*"]


def _is_same_file(if_range: str | None, etag: str, record: FileRecord) -> bool:
    """Whether an ``If-Range`` header lets a range be sent: the file is the one that the client began with."""
    if if_range is None or if_range.strip() == etag:
        return True
    try:
        return parsedate_to_datetime(if_range).timestamp() == record.modified_ns // 10**9
    except (TypeError, ValueError, IndexError):  # another ETag, or no date
        return False


async def _clip_response(
    service: Service, video: Video, wanted: Span, exact: bool, at_end: Callable[[], None]
) -> Response:
    cut = await make_clip(service, video, wanted, exact=exact)
    file = cut.path.open("rb")

    def remove() -> None:
        file.close()
        cut.path.unlink(missing_ok=True)
        at_end()

    headers = {
        "content-type": "video/mp4",
        "content-length": str(cut.size_bytes),
        "content-disposition": content_disposition("attachment", cut.name),
        "x-clip-start-seconds": f"{cut.span.start_seconds:.3f}",
        "x-clip-end-seconds": f"{cut.span.end_seconds:.3f}",
    }
    return ClosingStream(read_chunks(file, 0, cut.size_bytes), remove, headers=headers)


HEAD_ROUTES = [
    route for route in router.routes if isinstance(route, APIRoute) and "HEAD" in (route.methods or ())
]
"""Those that say more than GET would."""
