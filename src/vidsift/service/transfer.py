"""Bytes of files over HTTP: what is sent, whole or in part, and what is received."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import quote

import anyio
import anyio.to_thread
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse

from vidsift.service.limits import content_length
from vidsift.service.problems import ProblemError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

__all__ = [
    "ClosingStream",
    "byte_range",
    "content_disposition",
    "media_type",
    "read_chunks",
    "receive_body",
    "too_large",
]

_CHUNK_BYTES = 256 << 10
_CHUNK_SECONDS, _SLOWEST_BYTES_PER_SECOND = 30.0, 100_000
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")

_MEDIA_TYPES = {
    ".3gp": "video/3gpp",
    ".avi": "video/x-msvideo",
    ".flv": "video/x-flv",
    ".m2ts": "video/mp2t",
    ".m4v": "video/mp4",
    ".mkv": "video/x-matroska",
    ".mov": "video/quicktime",
    ".mp4": "video/mp4",
    ".mpeg": "video/mpeg",
    ".mpg": "video/mpeg",
    ".mts": "video/mp2t",
    ".ogv": "video/ogg",
    ".ts": "video/mp2t",
    ".webm": "video/webm",
    ".wmv": "video/x-ms-wmv",
}


def media_type(path: str) -> str:
    """The kind of a file by its name, from a short list: never one that a browser runs.

    Example:
        >>> media_type("/v/a.MP4"), media_type("/v/a.html")
        ('video/mp4', 'application/octet-stream')
    """
    # mimetypes would know .html and .svg too, and what the machine's own tables say.
    return _MEDIA_TYPES.get(Path(path).suffix.lower(), "application/octet-stream")


def content_disposition(kind: str, name: str) -> str:
    """Value of a ``Content-Disposition`` header for a file name of any characters.

    Args:
        kind: "attachment" for a file to save, "inline" for one to show.
        name: of the file.

    Example:
        >>> content_disposition("inline", 'a "b".mp4')
        "inline; filename*=UTF-8''a%20%22b%22.mp4"
    """
    # The plain filename= cannot hold all characters, and every browser of today reads this one.
    return f"{kind}; filename*=UTF-8''{quote(name, safe='', errors='replace')}"


def byte_range(header: str | None, size_bytes: int) -> tuple[int, int] | None:
    """Which bytes a ``Range`` header asks for.

    Args:
        header: its value; several ranges at once, or anything that is not understood, mean the whole file.
        size_bytes: of the file.

    Returns:
        First byte and the one after the last, or None for the whole file.

    Raises:
        ProblemError: 416, the range has no byte of the file.

    Example:
        >>> byte_range("bytes=10-19", 100), byte_range("bytes=-5", 100), byte_range("bytes=0-1,5-6", 100)
        ((10, 20), (95, 100), None)
    """
    match = _RANGE.fullmatch(header.strip()) if header is not None else None
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match.groups()
    if not first:  # the last so many bytes
        start, stop = max(0, size_bytes - int(last)), size_bytes
    else:
        start, stop = int(first), min(size_bytes, int(last) + 1 if last else size_bytes)
        if last and int(last) < start:
            return None
    if start >= stop:
        raise ProblemError(
            416,
            f"the range is {header!r} and the file has {size_bytes} bytes; ask for some of them",
            {"content-range": f"bytes */{size_bytes}"},
        )
    return start, stop


class ClosingStream(StreamingResponse):
    """Sends what an iterator gives, and calls something when the sending has ended, however it ended.

    Args:
        content: what is sent; a slow client holds no thread, the next is asked for when the last has gone.
        at_end: called once.
        status: of the answer.
        headers: of the answer.
    """

    def __init__(
        self,
        content: AsyncIterator[bytes],
        at_end: Callable[[], None],
        *,
        status: int = 200,
        headers: Mapping[str, str],
    ) -> None:
        """See the class."""
        super().__init__(content, status, headers)
        self._at_end = at_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send."""
        # Not at the end of the iterator: one that was never begun, since the client had gone, has no end.
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._at_end()


async def read_chunks(file: BinaryIO, first: int, length: int) -> AsyncIterator[bytes]:
    """Read a stretch of an open file piece by piece.

    Raises:
        OSError: the file is shorter by now.
    """

    def read(at: int) -> bytes:
        file.seek(at)
        return file.read(min(_CHUNK_BYTES, stop - at))

    at, stop = first, first + length
    while at < stop:
        chunk = await anyio.to_thread.run_sync(read, at)
        if not chunk:
            raise OSError("the file became shorter while it was sent")
        at += len(chunk)
        yield chunk


async def receive_body(request: Request, path: Path, limit_bytes: int) -> None:
    """Write the body of a request to a file, for so long as a slow line needs for it.

    Args:
        request: whose body comes.
        path: of the file.
        limit_bytes: of the body.

    Raises:
        ProblemError: 413, it is larger; 422, it is empty; 408, it takes too long, or its sender has gone
            (who then reads no answer).
    """
    seconds = _CHUNK_SECONDS + (content_length(request.scope) or limit_bytes) / _SLOWEST_BYTES_PER_SECOND
    try:
        with anyio.fail_after(seconds):
            await _write_body(request, path, limit_bytes)
    except TimeoutError as error:
        raise ProblemError(408, f"the upload took longer than {seconds:.0f} s; send it again") from error
    except ClientDisconnect as error:
        raise ProblemError(
            408, "the connection closed before the upload was complete; send it again"
        ) from error


async def _write_body(request: Request, path: Path, limit_bytes: int) -> None:
    received_bytes = 0
    chunks = request.stream()
    with path.open("wb") as file:
        while True:
            try:
                with anyio.fail_after(_CHUNK_SECONDS):
                    chunk = await anext(chunks, None)
            except TimeoutError as error:
                raise ProblemError(
                    408, f"nothing of the upload came for {_CHUNK_SECONDS:.0f} s; send it again"
                ) from error
            if chunk is None:
                break
            received_bytes += len(chunk)
            if received_bytes > limit_bytes:
                raise too_large(limit_bytes)
            await anyio.to_thread.run_sync(file.write, chunk)  # a slow disk holds nobody else up
    if not received_bytes:
        raise ProblemError(422, "the upload is empty; send the bytes of a file as the body")


def too_large(limit_bytes: int) -> ProblemError:
    """Return the problem of an upload over its limit."""
    return ProblemError(
        413,
        f"the upload has more than {limit_bytes >> 20} MiB, which is the limit; send a smaller picture or a "
        "shorter video",
    )
