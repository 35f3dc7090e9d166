"""Uploads to ask with: a picture or a video comes in, what the model looks at stays, the file does not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import anyio
import anyio.to_thread
from fastapi import APIRouter, Request
from starlette.requests import ClientDisconnect

from vidsift.errors import SandboxError
from vidsift.service.limits import announced_bytes
from vidsift.service.problems import ProblemError, own_trouble, problems
from vidsift.service.schemas import UploadResponse
from vidsift.service.service import Upload
from vidsift.video.thumbnails import frames_of

if TYPE_CHECKING:
    from vidsift.service.service import Service

__all__ = ["UPLOADS", "upload_routes"]

UPLOADS = "/v1/uploads"
_CHUNK_SECONDS, _SLOWEST_BYTES = 30.0, 100_000
_ANY_FILE = {"schema": {"type": "string", "format": "binary"}}
_UPLOAD_BODY = {
    "requestBody": {
        "required": True,
        "description": "The bytes of a picture (JPEG, PNG, WebP, GIF, BMP) or of a video file.",
        "content": {"image/*": _ANY_FILE, "video/*": _ANY_FILE},
    }
}


def upload_routes(service: Service) -> APIRouter:
    """Taking uploads."""
    router = APIRouter(tags=["search"])

    @router.post(
        UPLOADS,
        summary="Upload a picture or a video to ask with",
        status_code=201,
        openapi_extra=_UPLOAD_BODY,
        responses=problems(408, 409, 413, 415, 429),
    )
    async def upload(request: Request) -> UploadResponse:
        """Take a picture or a video to ask with.

        It is decoded at once in a separate, limited process. What the model looks at is kept in memory for a
        while; the file is not kept.
        """
        kind, limit = _kind(request, service)
        snapshot = service.snapshot()
        if snapshot.index is None:
            raise ProblemError(
                409, "nothing has been indexed yet, so there is nothing to compare with; add a folder"
            )
        with service.upload_slots.taken():
            path = service.temporary(f".{kind}")
            try:
                await _in_time(request, path, limit)
                reading = snapshot.index.model.reading
                frames = await service.readers.run(frames_of, str(path), kind, reading)
            except SandboxError as error:
                raise ProblemError(422, f"the {kind} cannot be read here: the work on it {error}") from error
            except OSError as error:
                raise (own_trouble(error) or ProblemError(422, _without(str(error), path, kind))) from error
            except ValueError as error:
                raise ProblemError(422, _without(str(error), path, kind)) from error
            finally:
                path.unlink(missing_ok=True)
        key = service.uploads.put(Upload(kind, frames))
        return UploadResponse(upload_id=key, kind=kind, expires_seconds=service.uploads.seconds)

    return router


def _kind(request: Request, service: Service) -> tuple[Literal["image", "video"], int]:
    """What an upload says it is, and how long it may be.

    Raises:
        ProblemError: 415, neither picture nor video; 413, too long by its own account.
    """
    kind = request.headers.get("content-type", "").partition("/")[0].strip().lower()
    if kind == "image":
        limit = service.limits.image_bytes
    elif kind == "video":
        limit = service.limits.video_bytes
    else:
        raise ProblemError(
            415, "send a picture as Content-Type image/jpeg or alike, a video as video/mp4 or alike"
        )
    if announced_bytes(request.scope) > limit:
        raise _too_large(limit)
    return ("image" if kind == "image" else "video"), limit


def _too_large(limit: int) -> ProblemError:
    return ProblemError(
        413, f"the upload has more than {limit >> 20} MiB; send a smaller picture or a shorter video"
    )


async def _in_time(request: Request, path: Path, limit: int) -> None:
    """Receive a body, for so long as a slow line needs for it; who goes away meanwhile is told nothing.

    Raises:
        ProblemError: as :func:`_receive`; 408, it takes too long, or its sender has gone.
    """
    seconds = _CHUNK_SECONDS + (announced_bytes(request.scope) or limit) / _SLOWEST_BYTES
    try:
        with anyio.fail_after(seconds):
            await _receive(request, path, limit)
    except TimeoutError as error:
        raise ProblemError(408, f"the upload took longer than {seconds:.0f} s; send it again") from error
    except ClientDisconnect as error:
        raise ProblemError(408, "the upload broke off; send it again") from error


async def _receive(request: Request, path: Path, limit: int) -> None:
    """Write a body to a file while it comes, and no more of it than the limit."""
    came = 0
    parts = request.stream()
    with path.open("wb") as file:
        while True:
            try:
                with anyio.fail_after(_CHUNK_SECONDS):
                    part = await anext(parts, None)
            except TimeoutError as error:
                raise ProblemError(408, "nothing came for a while; send it again") from error
            if part is None:
                break
            came += len(part)
            if came > limit:
                raise _too_large(limit)
            await anyio.to_thread.run_sync(file.write, part)
    if not came:
        raise ProblemError(422, "the upload is empty; send the bytes of a file as the body")


def _without(text: str, path: Path, kind: str) -> str:
    """An error's words without the name of our own file."""
    return text.replace(str(path), f"the {kind}").replace(path.name, f"the {kind}")
