"""Searching over HTTP: questions, explanations, strips, and uploads to ask with."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

import anyio.to_thread
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from vidsift.errors import NoAlignmentError, SandboxError, VideoReadError
from vidsift.service import schemas
from vidsift.service.answering import (
    Settings,
    answer_in_order,
    answer_similar,
    explanation_of,
    is_calibrated,
    measure_in_order,
    next_page,
    rephrased,
    searched_query,
    settings_of,
    strip_of_video,
)
from vidsift.service.engine import wait_for
from vidsift.service.limits import content_length
from vidsift.service.media import patch_map_frames
from vidsift.service.problems import ProblemError, problem_responses, service_problem
from vidsift.service.schemas import (
    ExplainRequest,
    SearchRequest,
    SearchResponse,
    StripRequest,
    StripResponse,
    UploadResponse,
)
from vidsift.service.service import CurrentService, Service, Upload
from vidsift.service.transfer import receive_body, too_large
from vidsift.video.footage import UNREADABLE_PICTURE, is_picture, read_footage

__all__ = ["UPLOADS", "router"]

router = APIRouter(tags=["search"])

UPLOADS = "/v1/uploads"
_ANY_FILE = {"schema": {"type": "string", "format": "binary"}}
_UPLOAD_BODY = {
    "requestBody": {
        "required": True,
        "description": "The bytes of a picture (JPEG, PNG, WebP, GIF, BMP) or of a video file; as "
        "application/octet-stream, what it is is found out.",
        # First what programs can send that know no patterns of kinds.
        "content": {"application/octet-stream": _ANY_FILE, "image/*": _ANY_FILE, "video/*": _ANY_FILE},
    }
}


@router.post(
    "/v1/search",
    operation_id="search",
    summary="Find moments of videos",
    response_model=SearchResponse,
    responses=problem_responses(404, 413),
)
async def search(service: CurrentService, request: Request, question: SearchRequest) -> Response:
    """Find the segments that fit a sentence, or that are like other footage, with the moment in each.

    Nothing found is no problem: the list is empty, or ``found`` is false.
    """
    start = time.monotonic()
    settings = settings_of(question)
    query = None if question.query is None else searched_query(question.query, verbatim=question.verbatim)
    answer = await _answer(service, request, question, query, settings)
    if question.query is not None and query is not None:
        answer.searched_for = rephrased(question.query, query)
    answer.next_page = next_page(question, answer, settings, more=answer.next_page is not None)
    answer.took_ms = (time.monotonic() - start) * 1000
    return await _json_response(answer)


@router.post(
    "/v1/explain",
    operation_id="explain",
    summary="Why a segment was found",
    response_model=schemas.Explanation,
    responses=problem_responses(404, 409, 413),
)
async def explain(service: CurrentService, request: Request, body: ExplainRequest) -> Response:
    """Account for the score of a sentence with a segment: which word met which frame, with what."""
    sentence, live_index = searched_query(body.query, verbatim=body.verbatim), service.live_index
    if not isinstance(sentence, str):
        raise ProblemError(
            422,
            "sentences in order are explained one by one, since the order takes something off their "
            "mean: ask for each with the segment_id of its part",
        )
    frames = await patch_map_frames(service, body.segment_id) if body.maps else None
    waiting = service.engine.run(lambda: explanation_of(live_index, body, sentence, frames))
    try:
        account = await wait_for(waiting, request)
    except NoAlignmentError as error:
        raise ProblemError(422, str(error)) from error
    return await _json_response(account)


@router.post(
    "/v1/strip",
    operation_id="get_strip",
    summary="Where in a video a sentence fits",
    response_model=StripResponse,
    responses=problem_responses(404, 409, 413),
)
async def strip(service: CurrentService, request: Request, body: StripRequest) -> Response:
    """Lay a sentence along a whole video: what each second gave, and the score of each segment."""
    waiting = service.engine.run(lambda: strip_of_video(service.live_index, body))
    answer = await wait_for(waiting, request)
    return await _json_response(answer)


@router.post(
    UPLOADS,
    operation_id="upload",
    summary="Upload a picture or a video to ask with",
    status_code=201,
    openapi_extra=_UPLOAD_BODY,
    responses=problem_responses(408, 409, 413, 415, 429),
)
async def upload(service: CurrentService, request: Request) -> UploadResponse:
    """Take a picture or a video to ask with.

    It is decoded at once in a separate, limited process. What the model looks at is kept in memory for a
    while; the file is not kept.
    """
    named_kind, limit_bytes = _upload_kind(request, service)
    kind = named_kind or "video"
    preprocessing = service.snapshot().opened().model.preprocessing
    with service.upload_slots.hold():
        path = service.temporary_file(f".{kind}")
        try:
            await receive_body(request, path, limit_bytes)
            if named_kind is None and await service.upload_decoder.run(is_picture, str(path)):
                kind = "image"
            # The frames are all that stays; the model looks at them when it is asked about them.
            frames = await service.upload_decoder.run(read_footage, str(path), preprocessing)
        except SandboxError as error:
            raise ProblemError(422, f"the {kind} could not be read: decoding it {error}") from error
        except (OSError, ValueError) as error:
            problem = service_problem(error) if isinstance(error, OSError) else None
            # What is no picture was tried as a video too; whoever sent it as a picture hears of that.
            no_picture = kind == "image" and isinstance(error, VideoReadError)
            text = UNREADABLE_PICTURE if no_picture else _without_path(str(error), path, kind)
            raise problem or ProblemError(422, text) from error
        finally:
            path.unlink(missing_ok=True)
    upload_id = service.uploads.put(Upload(kind, frames))
    return UploadResponse(upload_id=upload_id, kind=kind, expires_seconds=service.uploads.seconds)


async def _answer(
    service: Service,
    request: Request,
    question: SearchRequest,
    query: str | list[str] | None,
    settings: Settings,
) -> SearchResponse:
    """Have the engine answer a question: its query as it is searched for, or its footage."""
    live_index = service.live_index
    if isinstance(query, str):
        waiting = service.engine.ask(query, settings)
    elif query is not None:
        if not is_calibrated(service.snapshot(), query):
            # Takes seconds, in which the engine has to answer others.
            calibration = service.calibration_engine.run(lambda: measure_in_order(live_index, query))
            await wait_for(calibration, request)
        waiting = service.engine.run(lambda: answer_in_order(live_index, settings, query))
    else:
        footage = _footage(service, question)
        waiting = service.engine.run(lambda: answer_similar(live_index, settings, footage))
    answer: SearchResponse = await wait_for(waiting, request)
    return answer


def _footage(service: Service, question: SearchRequest) -> str | Upload:
    """What to find more like: an upload, or the id of a segment."""
    name = question.video or question.image or ""
    kind: Literal["image", "video"] = "image" if question.image is not None else "video"
    stored = service.uploads.get(name)
    if stored is not None and stored.kind == kind:
        return stored
    if kind == "image":
        raise ProblemError(
            404, f"there is no picture with the upload_id {name!r}, or it was dropped since; upload it again"
        )
    return name


async def _json_response(answer: BaseModel) -> Response:
    """Write an answer as JSON beside the event loop: an account may have a million numbers."""
    text = await anyio.to_thread.run_sync(answer.model_dump_json)
    return Response(text, media_type="application/json")


def _upload_kind(request: Request, service: Service) -> tuple[Literal["image", "video"] | None, int]:
    """What an upload says it is, None where it does not, and how long it may be.

    Raises:
        ProblemError: 415, neither picture nor video; 413, too long by its own account.
    """
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition("/")[0].strip().lower()
    unnamed = content_type.partition(";")[0].strip().lower() == "application/octet-stream"
    if kind not in ("image", "video") and not unnamed:
        raise ProblemError(
            415,
            f"the Content-Type is {content_type!r}; send a picture as image/jpeg or alike, a video as "
            "video/mp4 or alike, and what is one of the two as application/octet-stream",
        )
    limit_bytes = service.limits.image_bytes if kind == "image" else service.limits.video_bytes
    if content_length(request.scope) > limit_bytes:
        raise too_large(limit_bytes)
    if unnamed:
        return None, limit_bytes
    return ("image" if kind == "image" else "video"), limit_bytes


def _without_path(text: str, path: Path, kind: str) -> str:
    """An error's words without the name of the temporary file, which is of the service's machine."""
    return text.replace(str(path), f"the {kind}").replace(path.name, f"the {kind}")
