"""Index jobs over HTTP, with their progress as server-sent events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import fastapi
from fastapi import APIRouter, Header, Response

from vidsift.files.paths import absolute, typed_path
from vidsift.service.problems import ProblemError, Responses, problem_responses
from vidsift.service.schemas_library import Job, JobRequest, JobsResponse
from vidsift.service.service import CurrentService, Service
from vidsift.service.transfer import ClosingStream

__all__ = ["full_path", "router"]

router = APIRouter(tags=["jobs"])

JobId = Annotated[str, fastapi.Path(pattern="^[0-9a-f]{16}$", description="Identity of the job: its job_id.")]
_POLL_SECONDS = 0.2
_KEEP_ALIVE_SECONDS = 15.0
_EVENT = {
    "type": "object",
    "required": ["event", "id", "data"],
    "properties": {
        "id": {"type": "string", "description": "Counts the changes of the job."},
        "event": {"enum": ["progress", "done"], "description": "'done' is the last one."},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"$ref": "#/components/schemas/Job"},
            "description": "The job as it stands.",
        },
    },
}
_ACCEPTED: Responses = {
    202: {
        "headers": {
            "Location": {"schema": {"type": "string"}, "description": "Where the job can be asked for."}
        }
    }
}
_EVENTS = {
    "content": {"text/event-stream": {"schema": _EVENT}},
    "description": "Server-sent events: 'progress' with the job as data whenever it changes, 'done' with the "
    "job at its end. A stream that broke off goes on, after what had come, for who sends the id of the "
    "last event as Last-Event-ID, as browsers do by themselves.",
}


@router.post(
    "/v1/index/jobs",
    operation_id="start_job",
    summary="Work on the index",
    status_code=202,
    responses=problem_responses(413, 429, also=_ACCEPTED),
)
def start(service: CurrentService, request: JobRequest, response: Response) -> Job:
    """Add folders to the index, look at them again, or take them out of it; jobs run one by one."""
    if service.read_only:
        raise ProblemError(403, "this service only reads; its index cannot be changed here")
    job = service.jobs.add(request, _folders(service, request))
    response.headers["location"] = f"/v1/index/jobs/{job.job_id}"
    return job


@router.get("/v1/index/jobs", operation_id="list_jobs", summary="Jobs", responses=problem_responses())
def jobs(service: CurrentService) -> JobsResponse:
    """List the jobs since the service began, newest first."""
    return JobsResponse(data=service.jobs.all())


@router.get(
    "/v1/index/jobs/{job_id}", operation_id="get_job", summary="One job", responses=problem_responses(404)
)
def job(service: CurrentService, job_id: JobId) -> Job:
    """Return a job as it stands."""
    return service.jobs.look(job_id)[0]


@router.get(
    "/v1/index/jobs/{job_id}/events",
    operation_id="follow_job",
    summary="Progress of a job",
    response_class=Response,
    responses=problem_responses(404, 429, also={200: _EVENTS}),
)
async def events(
    service: CurrentService,
    job_id: JobId,
    last_event_id: Annotated[
        str | None,
        Header(max_length=100, description="Id of the last event that came; it is not sent again."),
    ] = None,
) -> Response:
    """Follow a job: an event whenever it changes, and one at its end."""
    service.jobs.look(job_id)  # one that is not there is a problem now, not a stream that ends
    # nginx would hold events back until it has a few kilobytes of them.
    headers = {"content-type": "text/event-stream; charset=utf-8", "x-accel-buffering": "no"}
    return ClosingStream(
        _events(service, job_id, last_event_id), service.stream_slots.acquire(), headers=headers
    )


@router.post(
    "/v1/index/jobs/{job_id}/pause",
    operation_id="pause_job",
    summary="Pause a job",
    responses=problem_responses(404, 409),
)
def pause(service: CurrentService, job_id: JobId) -> Job:
    """Let a running job wait; what it has finished is in the index."""
    return service.jobs.pause(job_id)


@router.post(
    "/v1/index/jobs/{job_id}/resume",
    operation_id="resume_job",
    summary="Resume a job",
    responses=problem_responses(404, 409),
)
def resume(service: CurrentService, job_id: JobId) -> Job:
    """Let a paused job go on."""
    return service.jobs.resume(job_id)


@router.post(
    "/v1/index/jobs/{job_id}/cancel",
    operation_id="cancel_job",
    summary="Cancel a job",
    responses=problem_responses(404, 409),
)
def cancel(service: CurrentService, job_id: JobId) -> Job:
    """End a job; what it has finished stays in the index, and adding the folder again does the rest."""
    return service.jobs.cancel(job_id)


def _folders(service: Service, request: JobRequest) -> tuple[str, ...]:
    """Full paths of what a job works on."""
    if not request.folders:
        known = service.live_index.current.library.folders
        present = tuple(folder for folder in known if Path(folder).exists())
        if not present:
            raise ProblemError(
                422,
                f"none of the {len(known)} folders of the index is there now; connect their disks, or name a "
                "folder in folders",
            )
        return present
    # What is gone can still be taken out of the index.
    there = request.action != "remove"
    return tuple(dict.fromkeys(full_path(folder, there=there) for folder in request.folders))


def full_path(folder: str, *, there: bool = True) -> str:
    """Return the full path of a folder as a person names it, in quotes or as an address too.

    Args:
        folder: what was named.
        there: it has to be there.

    Raises:
        ProblemError: 422, it is no full path, or is not there.
    """
    typed = typed_path(folder)
    try:
        path = Path(typed).expanduser()
        acceptable = not there or path.exists()
    except (OSError, ValueError, RuntimeError):  # too long, a NUL in it, "~" of nobody
        path, acceptable = Path(typed), False
    if not path.is_absolute() or "\0" in typed:
        raise ProblemError(422, f"{typed!r} is no full path; write it from the root, such as /home/me/Videos")
    if not acceptable:
        raise ProblemError(422, f"{typed!r} is not there, or may not be read; check its name and its disk")
    return absolute(path)


async def _events(service: Service, job_id: str, last_id: str | None) -> AsyncIterator[bytes]:
    last_changes, sent = -1, time.monotonic()
    if last_id is not None and last_id.isdecimal():
        last_changes = int(last_id)
    while not service.stopping.is_set():
        try:
            job, changes, final = service.jobs.look(job_id, brief=True)
        except ProblemError:
            return  # ended so long ago that it is not listed
        # Without changes an event now and then: a proxy closes what is silent.
        if changes != last_changes or time.monotonic() - sent > _KEEP_ALIVE_SECONDS:
            last_changes, sent = changes, time.monotonic()
            yield _event("progress", changes, job)
        if final:  # so that clients need not know which states are final
            yield _event("done", changes, job)
            return
        await asyncio.sleep(_POLL_SECONDS)


def _event(name: str, changes: int, job: Job) -> bytes:
    return f"event: {name}\nid: {changes}\ndata: {job.model_dump_json()}\n\n".encode()
