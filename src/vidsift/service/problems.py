"""What goes wrong, told as problem bodies (RFC 9457): what it is, and what to do about it."""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Any, TypeAlias

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from vidsift.errors import IndexFolderError, QueryError, VideoReadError
from vidsift.files.disk_errors import is_disk_full
from vidsift.service.error_messages import words_for
from vidsift.service.schemas import Problem

if TYPE_CHECKING:
    from fastapi import FastAPI, Request

__all__ = [
    "PROBLEM_TYPE",
    "Answers",
    "ProblemError",
    "answer_with_problems",
    "fault_response",
    "own_trouble",
    "problem_response",
    "problems",
]

PROBLEM_TYPE = "application/problem+json"

Answers: TypeAlias = dict[int | str, dict[str, Any]]
"""What a path can answer, as the OpenAPI document describes it."""

_LOG = logging.getLogger(__name__)

_TITLES = {
    401: "A token is needed",
    403: "Not allowed",
    404: "There is no such thing",
    405: "Not a method of this path",
    408: "Too slow",
    409: "Not as things are now",
    410: "The file is not there any more",
    413: "Too large",
    415: "Not a kind that can be read",
    416: "Outside of the file",
    421: "Not a name of this service",
    422: "The question cannot be answered",
    429: "Too much at once",
    500: "A fault of the service",
    503: "The service cannot answer now",
}


class ProblemError(HTTPException):
    """Ends a request with a problem; ``detail`` says what went wrong and the remedy."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        """Remember the answer."""
        super().__init__(status, detail, headers)


def problem_response(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return a problem as an answer."""
    title = _TITLES.get(status, "The request cannot be answered")
    body = Problem(title=title, status=status, detail=detail)
    return JSONResponse(body.model_dump(), status_code=status, headers=headers, media_type=PROBLEM_TYPE)


def own_trouble(error: OSError) -> ProblemError | None:
    """Return the problem of a full disk, or of a process that cannot be started; None for other trouble."""
    if is_disk_full(error):
        return ProblemError(503, "there is no room for temporary files; make room on the service's disk")
    return (
        ProblemError(503, str(error))
        if error.errno is None and "could not be started" in str(error)
        else None
    )


def fault_response(error: BaseException) -> JSONResponse:
    """Return the answer to a fault of ours, and leave in the log what it was, under the same number."""
    number = secrets.token_hex(4)
    _LOG.error("fault %s", number, exc_info=error)
    return problem_response(
        500, f"unexpected; the log of the service says where, under fault {number}; please report it"
    )


def problems(*statuses: int, also: Answers | None = None) -> Answers:
    """How the OpenAPI document names the problems of a path; those that every path has come along.

    Args:
        statuses: of the path's own problems.
        also: its other answers.
    """
    schema = {"$ref": "#/components/schemas/Problem"}
    body = {408} if 413 in statuses else set()  # what has a body can be too slow with it
    answers: Answers = {
        status: {"description": _TITLES[status], "content": {PROBLEM_TYPE: {"schema": schema}}}
        for status in sorted({*statuses, *body, 401, 403, 421, 422, 500, 503})
    }
    return (also or {}) | answers


def answer_with_problems(app: FastAPI) -> None:
    """Turn everything that goes wrong in an application into problems; none shows the insides."""

    def unreadable(_request: Request, error: Exception) -> JSONResponse:
        return problem_response(503, words_for(error))

    def unanswerable(_request: Request, error: Exception) -> JSONResponse:
        return problem_response(422, str(error))

    def malformed(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return problem_response(422, "; ".join(dict.fromkeys(_in_words(one) for one in error.errors())))

    def elsewhere(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        headers = dict(error.headers or {})
        if isinstance(error, ProblemError):
            return problem_response(error.status_code, error.detail, headers)
        if error.status_code == 400:
            return problem_response(422, "the body is not JSON in UTF-8")
        detail = f"{request.method} {request.url.path}: see /docs for what can be asked"
        return problem_response(error.status_code, detail, headers)

    app.add_exception_handler(IndexFolderError, unreadable)
    app.add_exception_handler(OSError, unreadable)
    app.add_exception_handler(QueryError, unanswerable)
    app.add_exception_handler(VideoReadError, unanswerable)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(HTTPException, elsewhere)


def _in_words(error: dict[str, Any]) -> str:
    """Name the part of the request that is wrong, and how; never its value, which may not be text."""
    # First where it was found; then names and numbers, between which stand kinds that a field may have.
    place = ".".join(str(part) for part in error["loc"][1:] if str(part).isidentifier() or type(part) is int)
    if error["type"] == "json_invalid":
        return f"the body is not JSON ({error.get('ctx', {}).get('error', 'unreadable')})"
    return f"{place or 'the body'}: {error['msg'].removeprefix('Value error, ')}"
