"""The OpenAPI document as a plain page: nothing is loaded from elsewhere, and there is no script."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

__all__ = ["docs_page"]

_FOR_PROGRAMS = (
    '<p>For programs: <a href="/openapi.json">openapi.json</a>; for Python '
    "<code>vidsift.service.client.Client</code>. Every problem is a body of "
    "<code>application/problem+json</code> whose <code>detail</code> says what to do.</p>"
)
_METHODS = ("get", "head", "post", "put", "delete")


def docs_page(document: Mapping[str, Any]) -> str:
    """Write an OpenAPI document as HTML.

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
    for name, about in operations:
        parts.append(f'<li><a href="#{_anchor(name)}">{escape(name)}</a> {escape(about["summary"])}')
    parts.append("</ul>")
    for name, about in operations:
        parts += _operation(name, about)
    parts.append("<h2>What goes in and out</h2>")
    for name, schema in document["components"]["schemas"].items():
        parts += _schema(name, schema)
    return "\n".join(parts) + "\n</html>\n"


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if method in methods:
                yield f"{method.upper()} {path}", methods[method]


def _operation(name: str, about: Mapping[str, Any]) -> Iterator[str]:
    yield f'<h2 id="{_anchor(name)}"><code>{escape(name)}</code></h2>'
    yield f"<p>{escape(about.get('description', ''))}</p>"
    if about.get("parameters"):
        yield "<table><tr><th>Parameter<th>Kind<th>Meaning</tr>"
        for one in about["parameters"]:
            kind = f"{one['in']}, {_kind(one['schema'])}"
            meaning = one.get("description", "")
            yield f"<tr><td><code>{escape(one['name'])}</code><td>{kind}<td>{escape(meaning)}</tr>"
        yield "</table>"
    for kind, content in about.get("requestBody", {}).get("content", {}).items():
        yield f"<p>Body: <code>{escape(kind)}</code>, {_kind(content['schema'])}</p>"
    yield "<table><tr><th>Answer<th>Body<th>Meaning</tr>"
    for status, answer in sorted(about["responses"].items()):
        bodies = ", ".join(
            f"<code>{escape(kind)}</code> {_kind(content.get('schema', {}))}"
            for kind, content in answer.get("content", {}).items()
        )
        yield f"<tr><td>{escape(status)}<td>{bodies}<td>{escape(answer['description'])}</tr>"
    yield "</table>"


def _schema(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
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
        return " or ".join(dict.fromkeys(_kind(one) for one in schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        return " or ".join(escape(json.dumps(one)) for one in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    limits = [
        f"{word} {schema[key]}"
        for key, word in (("minimum", "from"), ("maximum", "to"), ("maxLength", "of at most"))
        if key in schema
    ]
    return escape(" ".join([str(schema.get("format", schema.get("type", "anything"))), *limits]))


def _anchor(name: str) -> str:
    return escape("".join(one if one.isalnum() else "-" for one in name), quote=True)
