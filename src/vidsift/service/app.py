"""The HTTP service: an application around an index, put together from its parts, without global state."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidsift.errors import IndexFolderError
from vidsift.search.searcher import Index

if TYPE_CHECKING:
    from fastapi import FastAPI

    from vidsift.service.indexing import Work
    from vidsift.service.limits import Limits
    from vidsift.service.live_index import LiveIndex
    from vidsift.service.security import Access
    from vidsift.service.service import Service

__all__ = ["create_app", "require_extra"]


def create_app(
    index: Index | str | Path,
    *,
    access: Access | None = None,
    limits: Limits | None = None,
    model: str | None = None,
    device: str = "auto",
    work: Work | None = None,
    read_only: bool = False,
) -> FastAPI:
    """Build the application that searches an index and shows what is found.

    It may be asked by many at once. The index may grow meanwhile, by its own jobs or by other processes: new
    versions are read in the background, and every answer is made from one version.

    Whatever goes wrong is answered with a :class:`~vidsift.service.schemas.Problem`: 422 for a question that
    cannot be answered as it is, 503 for an index or a model that cannot be read, 500 for a fault of ours,
    whose traceback goes to the server's log and never to the client.

    Args:
        index: an open index, or the folder of one, which need not exist yet: a job can make it.
        access: who may ask; by default this machine, without a token.
        limits: how much one may ask for.
        model: for an index that is made by a job; the default model when None.
        device: where to encode and score.
        work: does what index jobs ask for; by default in a process of its own.
        read_only: tags and jobs are refused.

    Raises:
        ImportError: if the extra ``serve`` is not installed.
    """
    require_extra()
    from vidsift.service.limits import Limits
    from vidsift.service.security import Access

    service = _service(index, limits or Limits(), model, device, work, read_only=read_only)
    app = _application(service)
    _add_routes(app, service)
    _wrap(app, service, access or Access())
    return app


def require_extra() -> None:
    """Check that the extra ``serve`` is installed.

    Raises:
        ImportError: it is not.
    """
    try:
        import fastapi  # noqa: F401
        import prometheus_client  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as missing:
        raise ImportError("the service needs the extra 'serve': pip install 'vidsift[serve]'") from missing


def _service(
    index: Index | str | Path,
    limits: Limits,
    model: str | None,
    device: str,
    work: Work | None,
    *,
    read_only: bool,
) -> Service:
    """Make the parts that answer."""
    from vidsift.service.answering import answer_sentences
    from vidsift.service.decoding import Decoders
    from vidsift.service.engine import Engine
    from vidsift.service.indexing import run_apart
    from vidsift.service.jobs import Jobs
    from vidsift.service.live_index import LiveIndex
    from vidsift.service.metrics import Metrics
    from vidsift.service.service import Service

    opened = index if isinstance(index, Index) else None
    folder = index.store.folder if isinstance(index, Index) else Path(index).expanduser()
    live = LiveIndex(folder, opened, device=device, poll_seconds=limits.poll_seconds)
    metrics = Metrics()

    def ended(state: str) -> None:
        metrics.job(state)
        live.look_now()

    jobs = Jobs(folder, work or run_apart, limits, model=model, device=device, on_end=ended)
    metrics.watch("vidsift_index", "What is in the index.", "what", lambda: _sizes(live))
    metrics.watch("vidsift_jobs", "Index jobs that have not ended.", "state", jobs.counts)
    return Service(
        live=live,
        engine=Engine(partial(answer_sentences, live), limits.waiting, metrics.batch),
        measuring=Engine(partial(answer_sentences, live), limits.waiting),
        jobs=jobs,
        decoders=Decoders(limits.decoders, limits.decode_seconds, limits.decode_bytes),
        readers=Decoders(1, limits.decode_seconds, limits.decode_bytes),
        cutter=Decoders(1, limits.cut_seconds, limits.decode_bytes),
        metrics=metrics,
        limits=limits,
        read_only=read_only,
    )


def _sizes(live: LiveIndex) -> dict[str, float]:
    """How much is in the index; nothing while it cannot be told."""
    from starlette.exceptions import HTTPException

    try:
        library = live.current.library
    except (HTTPException, IndexFolderError):
        return {}
    return {
        "segments": len(library.owners),
        "videos": len(library.videos),
        "files": len(library.files),
        "failed_files": len(library.failures),
    }


def _application(service: Service) -> FastAPI:
    from fastapi import FastAPI

    from vidsift import __version__
    from vidsift.service.problems import answer_with_problems
    from vidsift.service.schemas import Problem

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        import anyio.to_thread

        await anyio.to_thread.run_sync(service.start)
        try:
            yield
        finally:
            await anyio.to_thread.run_sync(service.close)

    class Application(FastAPI):
        """Adds what every path can answer to the document."""

        def openapi(self) -> dict[str, Any]:
            document = super().openapi()
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas.setdefault("Problem", Problem.model_json_schema())
            return document

    app = Application(
        title="vidsift",
        description="Find videos by what they show.",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        lifespan=life,
    )
    app.state.service = service
    answer_with_problems(app)
    return app


def _add_routes(app: FastAPI, service: Service) -> None:
    from vidsift.service.job_routes import job_routes
    from vidsift.service.media import media_routes
    from vidsift.service.pagefiles import page_routes
    from vidsift.service.search import search_routes
    from vidsift.service.state import state_routes
    from vidsift.service.uploads import upload_routes
    from vidsift.service.videos import video_routes

    for routes in (search_routes, upload_routes, video_routes, media_routes, job_routes):
        app.include_router(routes(service))
    app.include_router(state_routes(service, app.openapi))
    app.include_router(page_routes())


def _wrap(app: FastAPI, service: Service, access: Access) -> None:
    from vidsift.service.limits import BodyLimit, RequestLimit
    from vidsift.service.metrics import Measured
    from vidsift.service.security import Guard
    from vidsift.service.uploads import UPLOADS

    # The last one is the outermost: what is refused is counted too.
    app.add_middleware(BodyLimit, body_bytes=service.limits.body_bytes, except_path=UPLOADS)
    app.add_middleware(RequestLimit, requests=service.limits.requests)
    app.add_middleware(Guard, access=access)
    app.add_middleware(Measured, metrics=service.metrics)
