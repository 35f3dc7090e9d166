"""The page and its files: read once from the package, sent from memory; no name leads to another file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request, Response

from vidsift.service.problems import ProblemError

__all__ = ["page_routes"]

_FOLDER = Path(__file__).parent / "page"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}


@dataclass(frozen=True)
class _File:
    content: bytes
    kind: str
    etag: str


def page_routes(folder: Path = _FOLDER) -> APIRouter:
    """The page at ``/`` and what it loads below ``/page/``.

    Args:
        folder: with ``index.html`` and its files; read now.
    """
    files = _read(folder)
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def page(request: Request) -> Response:
        if "index.html" not in files:
            raise ProblemError(404, "this installation has no page; see /docs for what can be asked")
        return _send(request, files["index.html"])

    @router.get("/page/{name:path}")
    async def file(request: Request, name: str) -> Response:
        if name not in files:
            raise ProblemError(
                404, "the page has no such file; install vidsift again if it is one of its own"
            )
        return _send(request, files[name])

    return router


def _read(folder: Path) -> dict[str, _File]:
    found = {}
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        kind = _TYPES.get(path.suffix)
        if kind is not None and path.is_file():
            content = path.read_bytes()
            etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
            found[path.relative_to(folder).as_posix()] = _File(content, kind, etag)
    return found


def _send(request: Request, file: _File) -> Response:
    headers = {"etag": file.etag, "cache-control": "no-cache"}
    if request.headers.get("if-none-match") == file.etag:
        return Response(status_code=304, headers=headers)
    return Response(file.content, headers=headers | {"content-type": file.kind})
