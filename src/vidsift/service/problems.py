"""What goes wrong, as problem bodies (RFC 9457): what it is, and what to do about it.

People who ask a service are not at its machine. So an error gives them its remedy, and the rest (paths of the
service, words of other libraries, tracebacks) goes to the log.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from vidsift.errors import IndexFolderError, ProcessStartError, QueryError, VideoReadError, VidsiftError
from vidsift.files.disk_errors import is_disk_full
from vidsift.service.schemas import FieldProblem, Problem

if TYPE_CHECKING:
    from fastapi import FastAPI, Request

__all__ = [
    "KINDS",
    "OTHER_KIND",
    "PROBLEM_TYPE",
    "ProblemError",
    "ProblemKind",
    "Responses",
    "add_problem_handlers",
    "error_message",
    "fault_response",
    "problem_response",
    "problem_responses",
    "service_problem",
    "without_commands",
]

PROBLEM_TYPE = "application/problem+json"

Responses: TypeAlias = dict[int | str, dict[str, Any]]
"""What a path can answer, as the OpenAPI document describes it."""

_LOG = logging.getLogger(__name__)


class ProblemKind(NamedTuple):
    """A kind of problem.

    Attributes:
        name: in the URI of the type, ``/problems#name``.
        title: of every problem of the kind.
        about: when it occurs, and what to do.
    """

    name: str
    title: str
    about: str


KINDS = {
    400: ProblemKind(
        "no-request",
        "Not a request",
        "What came is no HTTP/1.1. The service speaks http; a proxy in front of it can speak https.",
    ),
    401: ProblemKind(
        "token-needed",
        "A token is needed",
        "The service answers those who bring its token: as Authorization: Bearer TOKEN, or once in the "
        "address of the page, which keeps it as a cookie. Whoever runs the service has it.",
    ),
    403: ProblemKind(
        "not-allowed",
        "Not allowed",
        "The request comes from a page of another site, or the service only reads and this would change it.",
    ),
    404: ProblemKind(
        "not-found",
        "There is no such thing",
        "Nothing is at this path, or what it names is not in the library or was forgotten since: "
        "identities come from answers, and uploads are forgotten a while after their last use.",
    ),
    405: ProblemKind(
        "no-method",
        "Not a method of this path",
        "The path answers other methods; the Allow header names some, /docs all of them.",
    ),
    408: ProblemKind(
        "too-slow",
        "Too slow",
        "The headers or the body did not come in time. Send them at once, a large upload over a "
        "quicker line.",
    ),
    409: ProblemKind(
        "conflict",
        "Not as things are now",
        "It could be done at another time: nothing is indexed yet, the file has changed since it was "
        "indexed, or the job is in another state.",
    ),
    410: ProblemKind(
        "file-gone",
        "The file is not there any more",
        "The library knows the video, but its file is not where it was: connect its disk, or update "
        "the index.",
    ),
    413: ProblemKind(
        "too-large", "Too large", "The body has more bytes than the service takes; the detail says how many."
    ),
    415: ProblemKind(
        "no-such-kind",
        "Not a kind that can be read",
        "The Content-Type of an upload is neither that of a picture nor that of a video.",
    ),
    416: ProblemKind(
        "no-such-bytes", "Outside of the file", "The Range header asks for no byte of the file."
    ),
    421: ProblemKind(
        "wrong-name",
        "Not a name of this service",
        "The Host header holds a name by which the service is not called, so that no page of another "
        "site can point its name here. Whoever runs the service can allow more names.",
    ),
    422: ProblemKind(
        "no-answer",
        "The question cannot be answered",
        "A field is missing, unknown, of another kind or out of its range, or what it asks for makes "
        "no sense. Where fields are to blame, errors has each of them with its place.",
    ),
    429: ProblemKind(
        "too-many",
        "Too much at once",
        "So many requests of this kind are under way that one more has to wait; or too many wrong "
        "tokens came. Retry-After says for how many seconds.",
    ),
    500: ProblemKind(
        "fault",
        "A fault of the service",
        "A bug. The detail has a number, under which the log of the service says where it was.",
    ),
    503: ProblemKind(
        "unavailable",
        "The service cannot answer now",
        "The index or the model cannot be read, a disk is full, the service starts or stops, or too "
        "many requests are under way. The detail says which, and what to do.",
    ),
}
"""The kinds of problems by their status; ``/problems`` of a service shows them."""

OTHER_KIND = ProblemKind("other", "The request cannot be answered", "Any other; the status says what it is.")

_LONGEST_VALUE = 100

_PLACES = {
    "name": ("filter", "name"),
    "tags": ("filter", "tags"),
    "min_duration_seconds": ("filter", "min_duration"),
    "max_duration_seconds": ("filter", "max_duration"),
    "min_score": ("min_score",),
    "group_by": ("group_by",),
    "candidates": ("candidates",),
    "skip": ("page",),
}
"""Where the fields of a Filter stand in a question."""

# The verbs, as prose speaks of "a newer vidsift than this" too.
_VERBS = (
    "open|index|search|explain|cut|demo|serve|mcp|"
    "train|ablate|data|evaluate|table|figure|compare|convert|info"
)
_COMMAND = re.compile(rf"(?:\bvidsift ({_VERBS})\b|(?<!\S)--[a-z])")
_OVER_HTTP = {
    "index": 'update the index with POST /v1/index/jobs {"action": "update"}',
    "info": "GET /v1/index lists what is indexed",
}
_IN_THE_LOG = "the log of the service has the remedy, for whoever runs it"

_EVERYWHERE = frozenset({401, 403, 421, 422, 429, 500, 503})

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


def problem_response(
    status: int,
    detail: str,
    headers: dict[str, str] | None = None,
    errors: Sequence[FieldProblem] = (),
) -> JSONResponse:
    """Return a problem as an answer.

    Args:
        status: of the answer.
        detail: what went wrong, and the remedy.
        headers: of the answer.
        errors: the fields that are wrong.
    """
    kind = KINDS.get(status, OTHER_KIND)
    body = Problem(
        type=f"/problems#{kind.name}",
        title=kind.title,
        status=status,
        detail=without_commands(detail),
        errors=list(errors) or None,
    )
    return JSONResponse(
        body.model_dump(exclude_none=True), status_code=status, headers=headers, media_type=PROBLEM_TYPE
    )


def without_commands(text: str) -> str:
    """What an error says, without the commands and options of a terminal, which nobody has over HTTP.

    Example:
        >>> without_commands("no video lies under /v; see what is indexed with: vidsift info")
        'no video lies under /v; GET /v1/index lists what is indexed'
    """
    said: list[str] = []
    for clause in text.split("; "):
        command = _COMMAND.search(clause)
        if command is None:
            said.append(clause)
            continue
        _LOG.warning("%s", text)  # whoever runs the service can use what is left out here
        said.append(_OVER_HTTP.get(command[1] or "", _IN_THE_LOG))
    return "; ".join(dict.fromkeys(said))


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
        status: {"description": KINDS[status].title, "content": {PROBLEM_TYPE: {"schema": schema}}}
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
                return f"{before}{mark}; the log of the service says how, and whoever runs it can repair it"
    if isinstance(error, OSError):
        text = f"{text}; look at the disk and the folder of the index, then ask again"
    return without_commands(text)


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
    text, field = without_commands(str(error)), getattr(error, "field", None)
    errors = [] if field is None else [FieldProblem(detail=text, pointer=_pointer(_PLACES[field]))]
    return problem_response(422, text, errors=errors)


def _bad_request(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    # A field that may be of several kinds has an error for each of them, often in the same words.
    errors: dict[str, FieldProblem] = {}
    for wrong in error.errors():
        message = _field_message(wrong)
        errors.setdefault(message, _field_problem(message, wrong["loc"]))
    return problem_response(422, "; ".join(errors), errors=list(errors.values()))


def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if isinstance(error, ProblemError):
        return problem_response(error.status_code, error.detail, headers)
    if error.status_code == 400:  # FastAPI's answer to a body that it cannot decode
        return problem_response(422, "the body is not JSON in UTF-8")
    detail = f"{request.method} {request.url.path} is not answered here; GET /docs lists what is"
    return problem_response(error.status_code, detail, headers)


def _field_problem(message: str, loc: Sequence[str | int]) -> FieldProblem:
    kind, *names = loc
    if kind == "body":
        return FieldProblem(detail=message, pointer=_pointer(_field_names(names)))
    return FieldProblem(detail=message, parameter=str(names[0]) if names else None)


def _pointer(names: Sequence[str | int]) -> str:
    """A JSON Pointer as a fragment (RFC 6901)."""
    return "#" + "".join("/" + str(name).replace("~", "~0").replace("/", "~1") for name in names)


def _field_names(loc: Sequence[str | int]) -> list[str | int]:
    """The names and numbers of a place; between them stand the kinds that a field may have."""
    return [part for part in loc if type(part) is int or str(part).isidentifier()]


def _field_message(error: dict[str, Any]) -> str:
    """Name the field that is wrong, what was expected, and its value if that is short."""
    place = ".".join(map(str, _field_names(error["loc"][1:])))  # the first is "body", "query" or "path"
    if error["type"] == "json_invalid":
        return f"the body is not JSON ({error.get('ctx', {}).get('error', 'unreadable')})"
    message = f"{place or 'the body'}: {error['msg'].removeprefix('Value error, ')}"
    value = error.get("input")
    if not isinstance(value, (str, int, float)) or len(shown := repr(value)) > _LONGEST_VALUE:
        return message
    # What is no text (half of a surrogate pair) is escaped by repr, and can be sent.
    return f"{message}; it is {shown}"
