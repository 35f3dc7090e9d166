"""Files of indexed videos, found by the identity of their content alone, and sent whole or in part."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import quote

import anyio
import anyio.to_thread
from starlette.responses import StreamingResponse

from vidsift.files.paths import absolute
from vidsift.service.problems import ProblemError

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from vidsift.index.library import Library, Video
    from vidsift.index.schema import FileRecord

__all__ = [
    "Checked",
    "ClosingStream",
    "byte_range",
    "bytes_of",
    "disposition",
    "media_type",
    "open_indexed",
    "place_of",
    "video_of",
]

_CHUNK_BYTES = 256 << 10
_REMEMBERED = 4096
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


def video_of(library: Library, video_id: str) -> Video:
    """Look a video up.

    Raises:
        ProblemError: 404, the index has none of that identity.
    """
    found = library.videos.get(video_id)
    if found is None:
        raise ProblemError(404, "no video of the index has this video_id; GET /v1/videos lists those it has")
    return found


class Checked:
    """Contents of files that links lead to; a file that has not changed is not read again."""

    def __init__(self) -> None:
        """Begin with none."""
        self._ids: OrderedDict[tuple[int, ...], str] = OrderedDict()
        self._lock = threading.Lock()

    def content_id(self, descriptor: int) -> str:
        """Identity of the content of an open file."""
        status = os.fstat(descriptor)
        key = (status.st_dev, status.st_ino, status.st_ctime_ns, status.st_mtime_ns, status.st_size)
        with self._lock:
            known = self._ids.get(key)
        if known is None:
            with os.fdopen(os.dup(descriptor), "rb") as file:
                known = hashlib.file_digest(file, "sha256").hexdigest()[:32]
            with self._lock:
                self._ids[key] = known
                while len(self._ids) > _REMEMBERED:
                    self._ids.popitem(last=False)
        return known


def open_indexed(video: Video, checked: Checked) -> tuple[BinaryIO, FileRecord]:
    """Open the file of a video, wherever it lies and is still what was indexed.

    Size and time of change tell a file that was changed. Where a link leads to it, or it has a second name,
    its content is compared too: a link can be turned to any other file.

    Args:
        video: to open.
        checked: remembers contents.

    Raises:
        ProblemError: 410, it is nowhere any more; 409, other files lie in its place, or may not be read.
    """
    trouble: list[ProblemError] = []
    for record in video.files:
        try:
            return _open_one(record, checked), record
        except ProblemError as problem:
            trouble.append(problem)
    raise next((one for one in trouble if one.status_code != 410), trouble[0])


def _open_one(record: FileRecord, checked: Checked) -> BinaryIO:
    # A pipe in its place must not hold us up, and what is opened is what is looked at.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    name = Path(record.path).name
    try:
        descriptor = os.open(record.path, flags)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ProblemError(
            410,
            f"the file {name} is not where it was; connect its disk or put it back, or update the index with "
            'POST /v1/index/jobs {"action": "update"}',
        ) from error
    except OSError as error:
        raise ProblemError(
            409, f"the file {name} cannot be read ({error.strerror}); give the service permission to read it"
        ) from error
    status = os.fstat(descriptor)
    same = (status.st_size, status.st_mtime_ns) == (record.size_bytes, record.modified_ns)
    same = same and stat.S_ISREG(status.st_mode)
    # The folders of a path may be links as well as the file.
    linked = status.st_nlink > 1 or os.path.realpath(record.path) != record.path
    if same and linked:
        same = checked.content_id(descriptor) == record.video_id
    if not same:
        os.close(descriptor)
        raise ProblemError(
            409,
            f"the file {name} has changed since it was indexed; update the index with "
            'POST /v1/index/jobs {"action": "update"}',
        )
    return os.fdopen(descriptor, "rb")


def media_type(path: str) -> str:
    """The kind of a file by its name, from a short list: never one that a browser runs.

    Example:
        >>> media_type("/v/a.MP4"), media_type("/v/a.html")
        ('video/mp4', 'application/octet-stream')
    """
    return _MEDIA_TYPES.get(Path(path).suffix.lower(), "application/octet-stream")


def disposition(kind: str, name: str) -> str:
    """Value of a ``Content-Disposition`` header for a file name of any characters.

    Example:
        >>> disposition("inline", 'a "b".mp4')
        "inline; filename*=UTF-8''a%20%22b%22.mp4"
    """
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
    asked = _RANGE.fullmatch(header.strip()) if header is not None else None
    if asked is None or asked[0] == "bytes=-":
        return None
    first, last = asked.groups()
    if not first:
        start, stop = max(0, size_bytes - int(last)), size_bytes
    else:
        start, stop = int(first), min(size_bytes, int(last) + 1 if last else size_bytes)
        if last and int(last) < start:
            return None
    if start >= stop:
        raise ProblemError(
            416,
            f"the file has {size_bytes} bytes; ask for some of them",
            {"content-range": f"bytes */{size_bytes}"},
        )
    return start, stop


class ClosingStream(StreamingResponse):
    """Sends what an iterator gives, and calls something when the sending has ended, however it ended.

    Args:
        content: what is sent; a slow reader holds no thread, the next is asked for when the last has gone.
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
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._at_end()


async def bytes_of(file: BinaryIO, first: int, length: int) -> AsyncIterator[bytes]:
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


def place_of(folder: str) -> str:
    """The full path that a folder's name means.

    Raises:
        ProblemError: 422, it means none.
    """
    try:
        return absolute(folder)
    except (OSError, ValueError, RuntimeError) as error:
        raise ProblemError(
            422, "under is no folder's name; write its full path, as /home/me/Videos"
        ) from error
