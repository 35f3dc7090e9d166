"""What goes wrong, as problem bodies (RFC 9457): what it is, and what to do about it.

People who ask a service are not at its machine. So an error gives them its remedy, and the rest (paths of the
service, words of other libraries, tracebacks) goes to the log.
"""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Any, TypeAlias

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from vidsift.errors import IndexFolderError, ProcessStartError, QueryError, VideoReadError, VidsiftError
from vidsift.files.disk_errors import is_disk_full
from vidsift.service.schemas import Problem

if TYPE_CHECKING:
    from fastapi import FastAPI, Request

__all__ = [
    "PROBLEM_TYPE",
    "ProblemError",
    "Responses",
    "add_problem_handlers",
    "error_message",
    "fault_response",
    "problem_response",
    "problem_responses",
    "service_problem",
]

PROBLEM_TYPE = "application/problem+json"

Responses: TypeAlias = dict[int | str, dict[str, Any]]
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
_LONGEST_VALUE = 100
_EVERYWHERE = frozenset({401, 403, 421, 422, 500, 503})

# An error of the index quotes another library after one of these.
_QUOTING = ("is damaged", "could not be written", "cannot be read")


class ProblemError(HTTPException):
    """Ends a request with a problem.

    Args:
        status: of the answer.
        detail: what went wrong, and the remedy.
        headers: of the answer, as ``retry-after``.
    """

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        """See the class."""
        super().__init__(status, detail, headers)


def problem_response(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return a problem as an answer."""
    title = _TITLES.get(status, "The request cannot be answered")
    body = Problem(title=title, status=status, detail=detail)
    return JSONResponse(body.model_dump(), status_code=status, headers=headers, media_type=PROBLEM_TYPE)


def fault_response(error: BaseException) -> JSONResponse:
    """Return the answer to a bug of the service, and log what it was under the same number."""
    number = secrets.token_hex(4)
    _LOG.error("fault %s", number, exc_info=error)
    return problem_response(
        500, f"unexpected; the log of the service says where, under fault {number}; please report it"
    )


def problem_responses(*statuses: int, also: Responses | None = None) -> Responses:
    """How the OpenAPI document names the problems of a path; those that every path has come along.

    Args:
        statuses: of the path's own problems.
        also: its other answers.
    """
    schema = {"$ref": "#/components/schemas/Problem"}
    slow_body = {408} if 413 in statuses else set()  # what has a body can be too slow with it
    answers: Responses = {
        status: {"description": _TITLES[status], "content": {PROBLEM_TYPE: {"schema": schema}}}
        for status in sorted({*statuses, *slow_body, *_EVERYWHERE})
    }
    return (also or {}) | answers


def service_problem(error: OSError) -> ProblemError | None:
    """Return the problem of a full disk, or of a process that cannot be started; None for any other error.

    Neither is the fault of the file that was being read.
    """
    if is_disk_full(error):
        return ProblemError(503, "there is no room for temporary files; make room on the service's disk")
    if isinstance(error, ProcessStartError):
        return ProblemError(503, str(error))
    return None


def error_message(error: Exception) -> str:
    """Return what an error says to people who are not at the machine; the rest is logged.

    Args:
        error: of reading or writing the index.
    """
    if is_disk_full(error):
        _LOG.error("no room", exc_info=error)
        return "the disk of the service is full; what was there before is whole: make room and ask again"
    if isinstance(error, OSError) and error.strerror:
        # str() would show the path; strerror is the system's words alone.
        _LOG.error("trouble with a file", exc_info=error)
        return f"{error.strerror}; look at the disk and the folder of the index, then ask again"
    text = str(error) or type(error).__name__
    cause = error.__cause__
    if cause is not None and not isinstance(cause, VidsiftError):
        for mark in _QUOTING:
            before, quoting, _ = text.partition(mark)
            if quoting:
                _LOG.error("trouble with the index", exc_info=error)
                return f"{before}{mark}; the log of the service says how: run vidsift index check --repair"
    if isinstance(error, OSError):
        return f"{text}; look at the disk and the folder of the index, then ask again"
    return text


def add_problem_handlers(app: FastAPI) -> None:
    """Have an application answer every error with a problem."""
    app.add_exception_handler(IndexFolderError, _index_or_disk)
    app.add_exception_handler(OSError, _index_or_disk)
    app.add_exception_handler(QueryError, _bad_question)
    app.add_exception_handler(VideoReadError, _bad_question)
    app.add_exception_handler(RequestValidationError, _bad_request)
    app.add_exception_handler(HTTPException, _http_error)


def _index_or_disk(_request: Request, error: Exception) -> JSONResponse:
    return problem_response(503, error_message(error))


def _bad_question(_request: Request, error: Exception) -> JSONResponse:
    return problem_response(422, str(error))


def _bad_request(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    # A field that may be of several kinds has an error for each of them, often in the same words.
    return problem_response(422, "; ".join(dict.fromkeys(map(_field_message, error.errors()))))


def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if isinstance(error, ProblemError):
        return problem_response(error.status_code, error.detail, headers)
    if error.status_code == 400:  # FastAPI's answer to a body that it cannot decode
        return problem_response(422, "the body is not JSON in UTF-8")
    detail = f"{request.method} {request.url.path} is not answered here; GET /docs lists what is"
    return problem_response(error.status_code, detail, headers)


def _field_message(error: dict[str, Any]) -> str:
    """Name the field that is wrong, what was expected, and its value if that is short."""
    # The first is "body" or "query"; between names and numbers stand the kinds that a field may have.
    place = ".".join(str(part) for part in error["loc"][1:] if str(part).isidentifier() or type(part) is int)
    if error["type"] == "json_invalid":
        return f"the body is not JSON ({error.get('ctx', {}).get('error', 'unreadable')})"
    message = f"{place or 'the body'}: {error['msg'].removeprefix('Value error, ')}"
    value = error.get("input")
    if not isinstance(value, (str, int, float)) or len(shown := repr(value)) > _LONGEST_VALUE:
        return message
    # What is no text (half of a surrogate pair) is escaped by repr, and can be sent.
    return f"{message}; it is {shown}"
