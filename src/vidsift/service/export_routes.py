"""Moments as a file for editors, tables and players, over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

import anyio.to_thread
from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from vidsift.export.excerpts import Excerpt
from vidsift.export.write import export_text
from vidsift.files.new_names import portable_name
from vidsift.index.moment_collections import MOST_MOMENTS
from vidsift.service.live_index import Snapshot
from vidsift.service.media import video_timing
from vidsift.service.problems import ProblemError, Responses, problem_responses
from vidsift.service.schemas import MAX_QUERY, VideoStretch
from vidsift.service.service import CurrentService, Service
from vidsift.service.transfer import content_disposition
from vidsift.types import Span
from vidsift.video.frame_timing import FrameTiming

__all__ = ["router"]

router = APIRouter(tags=["media"])

_MEDIA_TYPES = {
    "otio": "application/json",
    "edl": "text/plain; charset=utf-8",
    "fcpxml": "application/xml",
    "csv": "text/csv; charset=utf-8",
    "m3u8": "application/vnd.apple.mpegurl",
}
_FILE: Responses = {
    200: {
        "content": {kind.partition(";")[0]: {"schema": {"type": "string"}} for kind in _MEDIA_TYPES.values()},
        "description": "The file. X-Export-Notes says, percent-encoded, what was conformed and left out.",
    }
}


class ExportedMoment(VideoStretch):
    """A moment to write down."""

    score: Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)] | None = Field(
        default=None, description="Of the hit."
    )


class ExportRequest(BaseModel):
    """Which moments to write down, and how."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["otio", "edl", "fcpxml", "csv", "m3u8"] = Field(
        description="A timeline (OpenTimelineIO, edit decision list, Final Cut Pro XML), a table, a playlist."
    )
    moments: list[ExportedMoment] = Field(
        min_length=1, max_length=MOST_MOMENTS, description="In the order in which they are shown."
    )
    title: str = Field(default="", max_length=MAX_QUERY, description="Of a timeline: the question.")


@router.post(
    "/v1/exports",
    operation_id="export_moments",
    summary="Write moments to a file for editors, tables or players",
    response_class=Response,
    responses=problem_responses(404, 409, 413, 429, also=_FILE),
)
async def export_moments(service: CurrentService, request: ExportRequest) -> Response:
    """Return moments as a file, exact to the frame; those whose file cannot be read now are left out.

    Frames are counted as the files' own rates and timecodes say. What was brought to another rate, and what
    was left out, stands in X-Export-Notes.
    """
    with service.clip_slots.hold():
        excerpts, left_out = await _excerpts(service, service.snapshot(), request)
    if not excerpts:
        raise ProblemError(409, f"no file of these moments can be read now: {left_out[0]}")
    try:
        # OpenTimelineIO takes a moment to be imported.
        text, notes = await anyio.to_thread.run_sync(
            export_text, excerpts, request.kind, request.title or "vidsift"
        )
    except ImportError as error:
        raise ProblemError(
            503, f"{error.name} is not installed beside the service; csv, m3u8 and fcpxml need nothing"
        ) from error
    headers = {
        "content-type": _MEDIA_TYPES[request.kind],
        "content-disposition": content_disposition("attachment", _file_name(request)),
    }
    if said := [*notes, *(f"left out: {reason}" for reason in left_out)]:
        headers["x-export-notes"] = quote("; ".join(said), errors="replace")
    return Response(text.encode(errors="surrogateescape"), headers=headers)


async def _excerpts(
    service: Service, snapshot: Snapshot, request: ExportRequest
) -> tuple[list[Excerpt], list[str]]:
    """Count the frames of each file once; return what can be read, and why the rest cannot."""
    timings: dict[str, FrameTiming | None] = {}
    excerpts, left_out = [], []
    for rank, moment in enumerate(request.moments, 1):
        video = snapshot.video(moment.video_id)
        if video.video_id not in timings:
            try:
                timings[video.video_id] = await video_timing(service, video)
            except ProblemError as problem:
                timings[video.video_id] = None
                left_out.append(f"{Path(video.path).name}: {problem.detail}")
        timing: Any = timings[video.video_id]
        if timing is not None:
            span = Span(moment.start, moment.end)
            excerpts.append(Excerpt(video.path, span, timing, rank, moment.score))
    return excerpts, left_out


def _file_name(request: ExportRequest) -> str:
    return f"{portable_name(request.title)[:60].strip() if request.title else 'vidsift'}.{request.kind}"
