"""What the service does, counted for Prometheus; each application has counters of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["CONTENT_TYPE", "Measured", "Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
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
        """Show values that are read when somebody looks."""
        self.registry.register(_Looked(name, about, label, read))

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        known = method if method in _METHODS else "other"
        self._requests.labels(known, route, str(status)).inc()
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


class _Looked:
    """Values that are read when somebody looks."""

    def __init__(self, name: str, about: str, label: str, read: Callable[[], Mapping[str, float]]) -> None:
        self._name, self._about, self._label, self._read = name, about, label, read

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(self._name, self._about, labels=[self._label])
        for value, number in self._read().items():
            family.add_metric([value], number)
        yield family

    def describe(self) -> list[Metric]:
        # Nothing is read before somebody looks.
        return [GaugeMetricFamily(self._name, self._about, labels=[self._label])]


class Measured:
    """Wraps an application: counts its answers by route, and times them."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        """See the class."""
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()

        async def send_counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                # Unknown paths are one route: nobody may fill the memory with names.
                route = getattr(scope.get("route"), "path", "other")
                self._metrics.request(scope["method"], route, message["status"], time.monotonic() - began)
            await send(message)

        with self._metrics.in_flight.track_inprogress():
            await self._app(scope, receive, send_counted)
