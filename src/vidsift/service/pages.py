"""What people look at in a browser: the page with its files, and the OpenAPI document as a plain page.

The files are read once from the package and sent from memory, so no name leads to another file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response

from vidsift.service.problems import KINDS, OTHER_KIND, ProblemError

__all__ = ["docs_html", "page_routes", "problems_html"]

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

_FOR_PROGRAMS = (
    '<p>For programs: <a href="/openapi.json">openapi.json</a>; for Python '
    "<code>vidsift.service.client.Client</code>. Every problem is a body of "
    "<code>application/problem+json</code> whose <code>detail</code> says what to do "
    '(<a href="/problems">the kinds of problems</a>). Where GET is answered, HEAD is too.</p>'
)
_PROBLEMS_ARE = (
    "<p>What cannot be answered is answered with a body of <code>application/problem+json</code> (RFC "
    "9457). Its <code>type</code> leads here, its <code>detail</code> says what went wrong that time and "
    "what to do. "
    '<a href="/docs">/docs</a> lists what can be asked.</p>'
)
_METHODS = ("get", "head", "post", "put", "patch", "delete")


@dataclass(frozen=True)
class _PageFile:
    content: bytes
    content_type: str
    etag: str


def page_routes(folder: Path = _FOLDER) -> APIRouter:
    """The page at ``/`` with what it loads below ``/page/``, and ``/docs`` and ``/problems`` to read.

    Args:
        folder: with ``index.html`` and its files; read now.
    """
    files = _read_files(folder)
    router = APIRouter(include_in_schema=False)

    # A plain function, in a thread: the document is made by the first request.
    @router.get("/docs")
    def docs(request: Request) -> Response:
        return Response(docs_html(request.app.openapi()), media_type="text/html")

    @router.get("/problems")
    async def problems() -> Response:
        return Response(problems_html(), media_type="text/html")

    @router.get("/")
    async def page(request: Request) -> Response:
        if "index.html" not in files:
            raise ProblemError(404, "this installation has no page; GET /docs lists what can be asked")
        return _file_response(request, files["index.html"])

    @router.get("/page/{name:path}")
    async def file(request: Request, name: str) -> Response:
        if name not in files:
            raise ProblemError(
                404, f"the page has no file {name!r}; install vidsift again if index.html names it"
            )
        return _file_response(request, files[name])

    return router


def _read_files(folder: Path) -> dict[str, _PageFile]:
    files = {}
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        # Only kinds that are listed: what else lies there by accident is not sent.
        content_type = _TYPES.get(path.suffix)
        if content_type is not None and path.is_file():
            content = path.read_bytes()
            etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
            files[path.relative_to(folder).as_posix()] = _PageFile(content, content_type, etag)
    return files


def _file_response(request: Request, file: _PageFile) -> Response:
    # "no-cache" lets a browser keep the file and ask whether it changed: an update of vidsift shows at once.
    headers = {"etag": file.etag, "cache-control": "no-cache"}
    # Compressed, it was sent with a weak one.
    if (request.headers.get("if-none-match") or "").removeprefix("W/") == file.etag:
        return Response(status_code=304, headers=headers)
    return Response(file.content, headers=headers | {"content-type": file.content_type})


def docs_html(document: Mapping[str, Any]) -> str:
    """Write an OpenAPI document as HTML: nothing is loaded from elsewhere, and there is no script.

    Args:
        document: of OpenAPI 3.1, as FastAPI makes it.
    """
    title = escape(f"{document['info']['title']} {document['info']['version']}: what can be asked")
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title}</title><h1>{title}</h1>",
        f"<p>{escape(document['info'].get('description', ''))}</p>",
        _FOR_PROGRAMS,
        "<ul>",
    ]
    operations = list(_operations(document))
    for name, operation in operations:
        parts.append(f'<li><a href="#{_anchor(name)}">{escape(name)}</a> {escape(operation["summary"])}')
    parts.append("</ul>")
    for name, operation in operations:
        parts += _operation_html(name, operation)
    parts.append("<h2>What goes in and out</h2>")
    for name, schema in document["components"]["schemas"].items():
        parts += _schema_html(name, schema)
    return "\n".join(parts) + "\n</html>\n"


def problems_html() -> str:
    """Write the kinds of problems as HTML, each at the place to which the type of its problems points."""
    title = "vidsift: problems"
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title}</title><h1>{title}</h1>",
        _PROBLEMS_ARE,
    ]
    for status, kind in [*KINDS.items(), ("Else", OTHER_KIND)]:
        parts.append(
            f'<h2 id="{escape(kind.name)}">{status}: {escape(kind.title)}</h2><p>{escape(kind.about)}</p>'
        )
    return "\n".join(parts) + "\n</html>\n"


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if method in methods:
                yield f"{method.upper()} {path}", methods[method]


def _operation_html(name: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f'<h2 id="{_anchor(name)}"><code>{escape(name)}</code></h2>'
    yield f"<p>{escape(operation.get('description', ''))}</p>"
    if operation.get("parameters"):
        yield "<table><tr><th>Parameter<th>Kind<th>Meaning</tr>"
        for parameter in operation["parameters"]:
            kind = f"{parameter['in']}, {_kind(parameter['schema'])}"
            meaning = parameter.get("description", "")
            yield f"<tr><td><code>{escape(parameter['name'])}</code><td>{kind}<td>{escape(meaning)}</tr>"
        yield "</table>"
    for content_type, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"<p>Body: <code>{escape(content_type)}</code>, {_kind(content['schema'])}</p>"
    yield "<table><tr><th>Answer<th>Body<th>Meaning</tr>"
    for status, answer in sorted(operation["responses"].items()):
        bodies = ", ".join(
            f"<code>{escape(content_type)}</code> {_kind(content.get('schema', {}))}"
            for content_type, content in answer.get("content", {}).items()
        )
        yield f"<tr><td>{escape(status)}<td>{bodies}<td>{escape(answer['description'])}</tr>"
    yield "</table>"


def _schema_html(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield f'<h3 id="{_anchor(name)}">{escape(name)}</h3><p>{escape(schema.get("description", ""))}</p>'
    yield "<table><tr><th>Field<th>Kind<th>Meaning</tr>"
    for field, about in schema.get("properties", {}).items():
        meaning = escape(about.get("description", ""))
        if field in schema.get("required", ()):
            meaning = f"<b>needed.</b> {meaning}"
        elif "default" in about and not isinstance(about["default"], dict):
            meaning += f" Default: <code>{escape(json.dumps(about['default']))}</code>."
        yield f"<tr><td><code>{escape(field)}</code><td>{_kind(about)}<td>{meaning}</tr>"
    yield "</table>"


def _kind(schema: Mapping[str, Any]) -> str:
    """A schema in a few words, with links to those that have a name."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#{_anchor(name)}">{escape(name)}</a>'
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(map(_kind, schema["anyOf"])))
    if "enum" in schema or "const" in schema:
        return " or ".join(escape(json.dumps(value)) for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    bounds = [
        f"{word} {schema[key]}"
        for key, word in (("minimum", "from"), ("maximum", "to"), ("maxLength", "of at most"))
        if key in schema
    ]
    return escape(" ".join([str(schema.get("format", schema.get("type", "anything"))), *bounds]))


def _anchor(name: str) -> str:
    return escape("".join(letter if letter.isalnum() else "-" for letter in name), quote=True)
