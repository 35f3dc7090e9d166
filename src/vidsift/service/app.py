"""The HTTP service: an application around an open index, without global state."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from vidsift.index.storage import IndexFolderError
from vidsift.search.searcher import Index, QueryError
from vidsift.service.schemas import Health, Problem, SearchHit, SearchRequest, SearchResponse

if TYPE_CHECKING:
    from fastapi import FastAPI, Request
    from fastapi.responses import JSONResponse

__all__ = ["create_app"]

_PROBLEM_TYPE = "application/problem+json"


def create_app(index: Index) -> FastAPI:
    """Build the application that searches ``index``.

    Whatever goes wrong is answered with a :class:`~vidsift.service.schemas.Problem`: 422 for a question that
    cannot be answered as it is, 503 for an index or a model that cannot be read, 500 for a fault of ours,
    whose traceback goes to the server's log and never to the client.

    Args:
        index: an open index; the application reads it and never closes it.

    Raises:
        ImportError: if the extra ``serve`` is not installed.
    """
    try:
        from fastapi import FastAPI
    except ImportError as missing:
        raise ImportError("the service needs the extra 'serve': pip install 'vidsift[serve]'") from missing
    from vidsift import __version__

    app = FastAPI(title="vidsift", description="Find videos by what they show.", version=__version__)
    _answer_with_problems(app)
    # A search uses every core by itself, and sets torch's number of threads for its exact part.
    one_at_a_time = threading.Lock()

    # Plain functions: the framework runs them in worker threads, so a slow search blocks no health check.
    @app.get("/healthz", summary="Is the service alive", responses=_problems(503))
    def health() -> Health:
        """Tell that the service answers, and how much it searches."""
        return Health(status="ok", segments=len(index))

    @app.post("/v1/search", summary="Find moments of videos", responses=_problems(422, 503))
    def search(question: SearchRequest) -> SearchResponse:
        """Find the segments that fit the sentence best, with the moment in each."""
        with one_at_a_time:
            hits = index.search(question.query, k=question.k, group_by=question.group_by)
        return SearchResponse(data=[SearchHit.of(hit) for hit in hits])

    return app


_TITLES = {
    422: "The question cannot be answered",
    500: "A fault of the service",
    503: "The index cannot be searched",
}


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """How the OpenAPI document names the problems of a path."""
    schema = Problem.model_json_schema()
    return {
        status: {"description": _TITLES[status], "content": {_PROBLEM_TYPE: {"schema": schema}}}
        for status in (*statuses, 500)
    }


def _answer_with_problems(app: FastAPI) -> None:
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse
    from starlette.exceptions import HTTPException

    def problem(status: int, detail: str, title: str | None = None) -> JSONResponse:
        body = Problem(title=title or _TITLES[status], status=status, detail=detail)
        return JSONResponse(body.model_dump(), status_code=status, media_type=_PROBLEM_TYPE)

    def unreadable(_request: Request, error: Exception) -> JSONResponse:
        return problem(503, str(error))

    def unanswerable(_request: Request, error: Exception) -> JSONResponse:
        return problem(422, str(error))

    def malformed(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return problem(422, "; ".join(_in_words(one) for one in error.errors()))

    def elsewhere(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        if error.status_code == 400:
            return problem(422, "the body is not JSON in UTF-8")
        detail = f"{request.method} {request.url.path}: see /docs for what can be asked"
        answer = problem(error.status_code, detail, error.detail)
        answer.headers.update(error.headers or {})
        return answer

    def fault(_request: Request, error: Exception) -> JSONResponse:
        return problem(500, f"unexpected {type(error).__name__}; the log of the service says where")

    app.add_exception_handler(IndexFolderError, unreadable)
    app.add_exception_handler(OSError, unreadable)
    app.add_exception_handler(QueryError, unanswerable)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(HTTPException, elsewhere)
    app.add_exception_handler(Exception, fault)


def _in_words(error: dict[str, Any]) -> str:
    """Name the part of the request that is wrong, and how; never its value, which may not be text."""
    place = ".".join(str(part) for part in error["loc"] if part != "body")
    if error["type"] == "json_invalid":
        return f"the body is not JSON ({error.get('ctx', {}).get('error', 'unreadable')})"
    return f"{place or 'the body'}: {error['msg']}"
