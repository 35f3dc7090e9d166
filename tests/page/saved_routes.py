"""What people save, for the made-up service: the real routes, over a folder that ends with its library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

from fastapi import FastAPI

from vidsift.index.manifest import Manifest, write_manifest
from vidsift.service import collection_routes, saved_search_routes
from vidsift.service.problems import add_problem_handlers

__all__ = ["SavedFolder", "saved_app"]


@dataclass
class SavedFolder:
    """An index folder without videos, for what people save beside them."""

    _held: TemporaryDirectory[str] = field(default_factory=TemporaryDirectory)

    def __post_init__(self) -> None:
        """Make it an index, which is what the routes ask for."""
        write_manifest(self.path, Manifest("", "made up", "wti", "0", "auto", {}, {}))

    @property
    def path(self) -> Path:
        """Where it is."""
        return Path(self._held.name)


def saved_app(folder: Callable[[], SavedFolder], videos: Callable[[], Mapping[str, Any]]) -> FastAPI:
    """The routes of saved searches and collections.

    Args:
        folder: of the library as it is now.
        videos: what it holds, by identity; each with ``path`` and ``duration_seconds``.
    """

    class _Snapshot:
        @property
        def library(self) -> SimpleNamespace:
            return SimpleNamespace(videos=videos())

        def video(self, video_id: str) -> Any:
            return videos()[video_id]

    class _Service:
        read_only = False

        @property
        def live_index(self) -> SimpleNamespace:
            return SimpleNamespace(folder=folder().path)

        def snapshot(self) -> _Snapshot:
            return _Snapshot()

    app = FastAPI()
    app.state.service = _Service()
    add_problem_handlers(app)
    for routes in (saved_search_routes, collection_routes):
        app.include_router(routes.router)
    return app
