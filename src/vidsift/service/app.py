"""The HTTP service: an application around an index, put together from its parts, without global state."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

try:
    import brotli  # noqa: F401
    import fastapi  # noqa: F401
    import prometheus_client  # noqa: F401
    import uvicorn  # noqa: F401
except ImportError as missing:
    raise ImportError("the service needs the extra 'serve': pip install 'vidsift[serve]'") from missing

import anyio.to_thread
from fastapi import FastAPI
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException

from vidsift import __version__
from vidsift.errors import IndexFolderError
from vidsift.search.searcher import Index
from vidsift.service import (
    collection_routes,
    export_routes,
    folder_routes,
    job_routes,
    library_routes,
    media_routes,
    saved_search_routes,
    search_routes,
)
from vidsift.service.answering import answer_sentences
from vidsift.service.compression import Compression
from vidsift.service.engine import Engine
from vidsift.service.head_requests import HeadRequests
from vidsift.service.job_process import JobRunner, run_in_process
from vidsift.service.jobs import Jobs
from vidsift.service.limits import BodyLimit, RequestLimit, ServiceLimits
from vidsift.service.live_index import LiveIndex
from vidsift.service.monitoring import Metrics, RequestMetrics, monitoring_routes
from vidsift.service.pages import page_routes
from vidsift.service.problems import add_problem_handlers
from vidsift.service.schemas import Problem
from vidsift.service.security import Access, Guard
from vidsift.service.service import Service
from vidsift.workers.async_sandbox import AsyncSandbox
from vidsift.workers.process import ProcessLimits

__all__ = ["create_app"]

_ROUTES = (
    search_routes,
    library_routes,
    media_routes,
    export_routes,
    saved_search_routes,
    collection_routes,
    job_routes,
    folder_routes,
)
"""In the order in which the OpenAPI document, and /docs, list them."""

_SCHEMA = "#/components/schemas/{model}"
_TOKEN_SCHEME = {
    "type": "http",
    "scheme": "bearer",
    "description": "The token that the service printed at its start, where it asks for any. The page "
    "sends it as a cookie.",
}


def create_app(
    index: Index | str | Path,
    *,
    access: Access | None = None,
    limits: ServiceLimits | None = None,
    model: str | None = None,
    device: str = "auto",
    run_job: JobRunner | None = None,
    read_only: bool = False,
    folder_chooser: bool = True,
) -> FastAPI:
    """Build the application that searches an index and shows what is found.

    It may be asked by many at once. The index may grow meanwhile, by its own jobs or by other processes: new
    versions are read in the background, and every answer is made from one version.

    Whatever goes wrong is answered with a :class:`~vidsift.service.schemas.Problem`: 422 for a question that
    cannot be answered as it is, 503 for an index or a model that cannot be read, 500 for a bug, whose
    traceback goes to the server's log and never to the client.

    Args:
        index: an open index, or the folder of one, which need not exist yet: a job can make it.
        access: who may ask; by default this machine, without a token.
        limits: how much one may ask for.
        model: for an index that is made by a job; the default model when None.
        device: where to encode and score.
        run_job: does index jobs; by default each in a process of its own.
        read_only: tags, jobs, and what people save are refused.
        folder_chooser: list the folders of the machine for who adds one; never where others than this
            machine's people may ask without a token.
    """
    access = access or Access()
    service = _make_service(index, limits or ServiceLimits(), model, device, run_job, read_only=read_only)
    service.folder_chooser = folder_chooser and access.is_personal and not read_only
    app = _Application(
        title="vidsift",
        description="Find videos by what they show.",
        version=__version__,
        # FastAPI's pages load scripts from another site; /docs here loads nothing.
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
    )
    app.state.service = service
    app.state.access = access = access or Access()
    add_problem_handlers(app)
    for routes in _ROUTES:
        app.include_router(routes.router)
    app.include_router(monitoring_routes(service.metrics, service.live_index))
    app.include_router(page_routes())
    _add_middleware(app, service, access)
    return app


def _make_service(
    index: Index | str | Path,
    limits: ServiceLimits,
    model: str | None,
    device: str,
    run_job: JobRunner | None,
    *,
    read_only: bool,
) -> Service:
    """Make the parts that answer."""
    opened = index if isinstance(index, Index) else None
    folder = index.store.folder if isinstance(index, Index) else Path(index).expanduser()
    live_index = LiveIndex(folder, opened, device=device, poll_seconds=limits.poll_seconds)
    metrics = Metrics()

    def on_end(state: str) -> None:
        metrics.job(state)
        live_index.look_now()  # what was added is found at once, not at the next look

    jobs = Jobs(folder, run_job or run_in_process, limits, model=model, device=device, on_end=on_end)
    metrics.watch("vidsift_index", "What is in the index.", "what", lambda: _sizes(live_index))
    metrics.watch("vidsift_jobs", "Index jobs that have not ended.", "state", jobs.counts)
    answer = partial(answer_sentences, live_index)
    decode_limits = ProcessLimits(limits.decode_seconds, limits.decode_bytes)
    return Service(
        live_index=live_index,
        engine=Engine(answer, limits.waiting_questions, metrics.batch),
        # Measures beside the engine, which makes both slower; only where a question needs it.
        calibration_engine=Engine(answer, limits.waiting_questions),
        jobs=jobs,
        thumbnail_decoders=AsyncSandbox(decode_limits, limits.decoders),
        upload_decoder=AsyncSandbox(decode_limits),
        clip_cutter=AsyncSandbox(ProcessLimits(limits.cut_seconds, limits.decode_bytes)),
        metrics=metrics,
        limits=limits,
        read_only=read_only,
    )


def _sizes(live_index: LiveIndex) -> dict[str, float]:
    """How much is in the index; nothing while it cannot be read: the other metrics have to be answered."""
    try:
        library = live_index.current.library
    except (HTTPException, IndexFolderError):
        return {}
    return {
        "segments": len(library.owners),
        "videos": len(library.videos),
        "files": len(library.files),
        "failed_files": len(library.failures),
    }


class _Application(FastAPI):
    """Adds to the OpenAPI document what every path can answer, and who may ask."""

    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        components = document.setdefault("components", {})
        schemas = models_json_schema([(Problem, "serialization")], ref_template=_SCHEMA)[1]["$defs"]
        components.setdefault("schemas", {}).update(schemas)
        components["securitySchemes"] = {"token": _TOKEN_SCHEME}
        # An empty one: it may also be left out.
        document["security"] = [{"token": []}] if self.state.access.token else [{}, {"token": []}]
        return document


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.service
    # Both wait for threads, which the event loop must not.
    await anyio.to_thread.run_sync(service.start)
    try:
        yield
    finally:
        await anyio.to_thread.run_sync(service.close)


def _add_middleware(app: FastAPI, service: Service, access: Access) -> None:
    # The last one is the outermost: what is refused is counted too.
    app.add_middleware(Compression)
    app.add_middleware(HeadRequests, own_routes=media_routes.HEAD_ROUTES)
    app.add_middleware(BodyLimit, body_bytes=service.limits.body_bytes, except_path=search_routes.UPLOADS)
    app.add_middleware(RequestLimit, requests=service.limits.requests)
    app.add_middleware(Guard, access=access)
    app.add_middleware(RequestMetrics, metrics=service.metrics)
