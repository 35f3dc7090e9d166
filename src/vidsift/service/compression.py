"""Answers made smaller on their way: JSON, the page and what it loads; never media, nor streams."""

from __future__ import annotations

import gzip
import re
from typing import TYPE_CHECKING

import anyio.to_thread
import brotli
from starlette.datastructures import Headers, MutableHeaders

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Compression", "accepted_coding"]

_SMALLEST_BYTES = 1000
_BESIDE_BYTES = 32 << 10
_TYPES = re.compile(
    r"(application/(json|problem\+json|manifest\+json)|text/(html|css|javascript|plain)|image/svg\+xml)\b"
)
_QUALITY = re.compile(r"\s*;\s*q\s*=\s*0(\.0*)?\s*$")


class Compression:
    """Middleware that compresses whole bodies of text for clients that accept it.

    What comes in pieces goes on as it is: files and clips, which are compressed already and whose bytes have
    numbers, and events, which must not wait. No secret can be read from the lengths (BREACH): the token is in
    headers alone, which are not compressed, and pages of other sites cannot have people's browsers ask.
    """

    def __init__(self, app: ASGIApp) -> None:
        """See the class."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        coding = accepted_coding(Headers(scope=scope).get("accept-encoding", ""))
        start: Message | None = None

        async def send_compressed(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and _is_text(message):
                start = message  # its headers depend on the body
                return
            if start is None:
                await send(message)
                return
            body = message.get("body", b"")
            headers = MutableHeaders(scope=start)
            headers.add_vary_header("accept-encoding")
            if coding is not None and len(body) >= _SMALLEST_BYTES and not message.get("more_body"):
                message = {**message, "body": await _compressed(body, coding)}
                headers["content-encoding"] = coding
                headers["content-length"] = str(len(message["body"]))
                if "etag" in headers:  # other bytes than those that it names
                    headers["etag"] = "W/" + headers["etag"].removeprefix("W/")
            begun, start = start, None
            await send(begun)
            await send(message)

        await self._app(scope, receive, send_compressed)


def accepted_coding(header: str) -> str | None:
    """What to compress by for an ``Accept-Encoding`` header; None for nothing.

    Example:
        >>> accepted_coding("gzip, deflate, br"), accepted_coding("br;q=0, gzip"), accepted_coding("identity")
        ('br', 'gzip', None)
    """
    accepted = {
        part.partition(";")[0].strip().lower() for part in header.split(",") if not _QUALITY.search(part)
    }
    return next((coding for coding in ("br", "gzip") if coding in accepted), None)


def _is_text(start: Message) -> bool:
    headers = Headers(raw=start["headers"])
    kind = headers.get("content-type", "")
    return (
        _TYPES.match(kind) is not None and "content-encoding" not in headers and "content-length" in headers
    )


async def _compressed(body: bytes, coding: str) -> bytes:
    if len(body) < _BESIDE_BYTES:
        return _compress(body, coding)
    return await anyio.to_thread.run_sync(_compress, body, coding)


def _compress(body: bytes, coding: str) -> bytes:
    if coding == "br":
        compressed: bytes = brotli.compress(body, quality=4)
        return compressed
    return gzip.compress(body, compresslevel=6, mtime=0)
