"""Index jobs over HTTP, with their progress as server-sent events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Response
from fastapi import Path as PathParameter

from vidsift.files.paths import absolute
from vidsift.service.files import ClosingStream
from vidsift.service.problems import ProblemError, problems
from vidsift.service.schemas_library import Job, JobRequest, JobsResponse

if TYPE_CHECKING:
    from vidsift.service.service import Service

__all__ = ["job_routes"]

JobId = Annotated[
    str, PathParameter(pattern="^[0-9a-f]{16}$", description="Identity of the job: its job_id.")
]
_LOOK_SECONDS = 0.2
_ALIVE_SECONDS = 15.0
_EVENT = {
    "type": "object",
    "required": ["event", "data"],
    "properties": {
        "event": {"enum": ["progress", "done"], "description": "'done' is the last one."},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"$ref": "#/components/schemas/Job"},
            "description": "The job as it stands.",
        },
    },
}
_EVENTS = {
    "content": {"text/event-stream": {"schema": _EVENT}},
    "description": "Server-sent events: 'progress' with the job as data whenever it changes, 'done' with the "
    "job at its end.",
}


def job_routes(service: Service) -> APIRouter:
    """Adding, watching and steering jobs."""
    router = APIRouter(tags=["jobs"])

    @router.post("/v1/index/jobs", summary="Work on the index", status_code=202, responses=problems(413, 429))
    def start(request: JobRequest) -> Job:
        """Add folders to the index, look at them again, or take them out of it; jobs run one by one."""
        if service.read_only:
            raise ProblemError(403, "this service was started with --read-only; its index cannot be changed")
        return service.jobs.add(request, _places(service, request))

    @router.get("/v1/index/jobs", summary="Jobs", responses=problems())
    def jobs() -> JobsResponse:
        """List the jobs since the service began, newest first."""
        return JobsResponse(data=service.jobs.all())

    @router.get("/v1/index/jobs/{job_id}", summary="One job", responses=problems(404))
    def job(job_id: JobId) -> Job:
        """Return a job as it stands."""
        return service.jobs.look(job_id)[0]

    @router.get(
        "/v1/index/jobs/{job_id}/events",
        summary="Progress of a job",
        response_class=Response,
        responses=problems(404, 429, also={200: _EVENTS}),
    )
    async def events(job_id: JobId) -> Response:
        """Follow a job: an event whenever it changes, and one at its end."""
        service.jobs.look(job_id)
        headers = {"content-type": "text/event-stream; charset=utf-8", "x-accel-buffering": "no"}
        return ClosingStream(_events(service, job_id), service.stream_slots.take(), headers=headers)

    @router.post("/v1/index/jobs/{job_id}/pause", summary="Pause a job", responses=problems(404, 409))
    def pause(job_id: JobId) -> Job:
        """Let a running job wait; what it has finished is in the index."""
        return service.jobs.pause(job_id)

    @router.post("/v1/index/jobs/{job_id}/resume", summary="Resume a job", responses=problems(404, 409))
    def resume(job_id: JobId) -> Job:
        """Let a paused job go on."""
        return service.jobs.resume(job_id)

    @router.post("/v1/index/jobs/{job_id}/cancel", summary="Cancel a job", responses=problems(404, 409))
    def cancel(job_id: JobId) -> Job:
        """End a job; what it has finished stays in the index, and adding the folder again does the rest."""
        return service.jobs.cancel(job_id)

    return router


def _places(service: Service, request: JobRequest) -> tuple[str, ...]:
    """Full paths of what a job works on."""
    if not request.folders:
        known = tuple(one for one in service.live.current.library.folders if Path(one).exists())
        if not known:
            raise ProblemError(422, "no known folder is there to look at; name one in folders")
        return known
    places = []
    for folder in request.folders:
        try:
            path = Path(folder).expanduser()
            there = request.action == "remove" or path.exists()
        except (OSError, ValueError, RuntimeError):
            path, there = Path(folder), False
        if not path.is_absolute() or "\0" in folder:
            raise ProblemError(
                422, f"folders: {folder!r} is no full path; write it from the root, as /home/me/Videos"
            )
        if not there:
            raise ProblemError(
                422, f"folders: {folder!r} is not there, or may not be read; check its name and its disk"
            )
        places.append(absolute(path))
    return tuple(dict.fromkeys(places))


async def _events(service: Service, job_id: str) -> AsyncIterator[bytes]:
    seen, said = -1, time.monotonic()
    while not service.stopping.is_set():
        try:
            job, changes, final = service.jobs.look(job_id, brief=True)
        except ProblemError:
            return  # ended so long ago that it is forgotten
        if changes != seen or time.monotonic() - said > _ALIVE_SECONDS:
            seen, said = changes, time.monotonic()
            yield _event("progress", job)
        if final:
            yield _event("done", job)
            return
        await asyncio.sleep(_LOOK_SECONDS)


def _event(name: str, job: Job) -> bytes:
    return f"event: {name}\ndata: {job.model_dump_json()}\n\n".encode()
