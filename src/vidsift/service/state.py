"""How the service is: alive, its counters, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Response

from vidsift.service.docs import docs_page
from vidsift.service.metrics import CONTENT_TYPE
from vidsift.service.problems import problems
from vidsift.service.schemas import Health

if TYPE_CHECKING:
    from vidsift.service.service import Service

__all__ = ["state_routes"]

_TEXT = {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus text."}


def state_routes(service: Service, document: Callable[[], dict[str, Any]]) -> APIRouter:
    """Health, metrics, documentation.

    Args:
        service: what is told of.
        document: gives the OpenAPI document.
    """
    router = APIRouter(tags=["state"])

    # Plain functions: the framework runs them in worker threads.
    @router.get("/healthz", summary="Is the service alive", responses=problems())
    def health() -> Health:
        """Tell that the service answers, and how much it searches."""
        return Health(status="ok", segments=len(service.live.current.library.owners))

    @router.get(
        "/metrics",
        summary="Counters for Prometheus",
        response_class=Response,
        responses=problems(also={200: _TEXT}),
    )
    def metrics() -> Response:
        """Return the counters in Prometheus's text format."""
        return Response(service.metrics.text(), headers={"content-type": CONTENT_TYPE})

    @router.get("/docs", include_in_schema=False)
    def docs() -> Response:
        return Response(docs_page(document()), media_type="text/html")

    return router
