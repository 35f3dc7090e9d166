"""The HTTP service: an application around an open index, without global state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vidsift.search.searcher import Index
from vidsift.service.schemas import Health, Problem, SearchHit, SearchRequest, SearchResponse

if TYPE_CHECKING:
    from fastapi import FastAPI, Request
    from fastapi.responses import JSONResponse

__all__ = ["create_app"]


def create_app(index: Index) -> FastAPI:
    """Build the application that searches ``index``.

    Args:
        index: an open index; the application reads it and never closes it.

    Raises:
        ImportError: if the extra ``serve`` is not installed.
    """
    try:
        from fastapi import FastAPI
        from fastapi.responses import JSONResponse
    except ImportError as missing:
        raise ImportError("the service needs the extra 'serve': pip install 'vidsift[serve]'") from missing

    app = FastAPI(title="vidsift", description="Find videos by what they show.")

    def refuse(_request: Request, error: Exception) -> JSONResponse:
        body = Problem(title="The question cannot be answered", status=422, detail=str(error))
        return JSONResponse(body.model_dump(), status_code=422, media_type="application/problem+json")

    app.add_exception_handler(ValueError, refuse)

    # Plain functions: the framework runs them in worker threads, so a slow search blocks nobody's request.
    @app.get("/healthz")
    def health() -> Health:
        """Tell that the service answers."""
        return Health(status="ok", segments=len(index))

    @app.post("/v1/search", responses={422: {"model": Problem}})
    def search(question: SearchRequest) -> SearchResponse:
        """Find the segments that fit the sentence best."""
        hits = index.search(question.query, k=question.k, group_by=question.group_by)
        return SearchResponse(data=[SearchHit.of(hit) for hit in hits])

    return app
