"""Whether the service is alive, and what it does, counted for Prometheus; each application by itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily

from vidsift.service.problems import problem_responses
from vidsift.service.schemas import Health

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from vidsift.service.live_index import LiveIndex

__all__ = ["Metrics", "RequestMetrics", "monitoring_routes"]

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PROMETHEUS = {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus text."}
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})


class Metrics:
    """Counters and times of one service."""

    def __init__(self) -> None:
        """Start at zero."""
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "vidsift_requests",
            "Requests by method, route and status.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "vidsift_request_seconds",
            "Seconds until an answer began, by route.",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._batches = Histogram(
            "vidsift_search_batch_size",
            "Sentences that one scan of the index answered.",
            buckets=(1, 2, 4, 8, 16, 32),
            registry=self.registry,
        )
        self._thumbnails = Counter(
            "vidsift_thumbnails",
            "Thumbnails by whether they were at hand.",
            ["cached"],
            registry=self.registry,
        )
        self._clips = Counter(
            "vidsift_clips", "Clips by whether the packets were copied.", ["copied"], registry=self.registry
        )
        self._jobs = Counter(
            "vidsift_jobs_ended", "Index jobs by how they ended.", ["state"], registry=self.registry
        )
        self.in_flight = Gauge(
            "vidsift_requests_in_flight", "Requests being answered.", registry=self.registry
        )

    def watch(self, name: str, about: str, label: str, read: Callable[[], Mapping[str, float]]) -> None:
        """Show values that are read whenever Prometheus asks.

        Args:
            name: of the gauge.
            about: what it says.
            label: tells its values apart.
            read: gives ``{value of the label: number}``.
        """
        self.registry.register(_GaugesOnRead(name, about, label, read))

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        label = method if method in _METHODS else "other"
        self._requests.labels(label, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def batch(self, sentences: int) -> None:
        """Count a scan."""
        self._batches.observe(sentences)

    def thumbnail(self, *, cached: bool) -> None:
        """Count a thumbnail."""
        self._thumbnails.labels(str(cached).lower()).inc()

    def clip(self, *, copied: bool) -> None:
        """Count a clip."""
        self._clips.labels(str(copied).lower()).inc()

    def job(self, state: str) -> None:
        """Count an index job that has ended."""
        self._jobs.labels(state).inc()

    def text(self) -> bytes:
        """Return everything in Prometheus's text format."""
        return generate_latest(self.registry)


class _GaugesOnRead:
    """Values that are read whenever Prometheus asks, with one label; a collector of the registry."""

    def __init__(self, name: str, about: str, label: str, read: Callable[[], Mapping[str, float]]) -> None:
        self._name, self._about, self._label, self._read = name, about, label, read

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(self._name, self._about, labels=[self._label])
        for value, number in self._read().items():
            family.add_metric([value], number)
        yield family

    def describe(self) -> list[Metric]:
        # The registry asks for this as the collector is registered, when the index has not been read yet.
        return [GaugeMetricFamily(self._name, self._about, labels=[self._label])]


class RequestMetrics:
    """Middleware that counts answers by route, and times them."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        """See the class."""
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.monotonic()

        async def send_counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                # Unknown paths are one route: each value of a label takes memory for good.
                route = getattr(scope.get("route"), "path", "other")
                self._metrics.request(scope["method"], route, message["status"], time.monotonic() - start)
            await send(message)

        with self._metrics.in_flight.track_inprogress():
            await self._app(scope, receive, send_counted)


def monitoring_routes(counters: Metrics, live_index: LiveIndex) -> APIRouter:
    """Health and counters, for what watches over the service."""
    router = APIRouter(tags=["state"])

    # Plain functions: the framework runs them in worker threads.
    @router.get(
        "/healthz", operation_id="get_health", summary="Is the service alive", responses=problem_responses()
    )
    def health() -> Health:
        """Tell that the service answers, and how much it searches."""
        return Health(status="ok", segments=len(live_index.current.library.owners))

    @router.get(
        "/metrics",
        operation_id="get_metrics",
        summary="Counters for Prometheus",
        response_class=Response,
        responses=problem_responses(also={200: _PROMETHEUS}),
    )
    def metrics() -> Response:
        """Return the counters in Prometheus's text format."""
        return Response(counters.text(), headers={"content-type": _CONTENT_TYPE})

    return router
