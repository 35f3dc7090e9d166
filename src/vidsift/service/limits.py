"""How much one may ask for: the limits of the service in one place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import BoundedSemaphore
from typing import TYPE_CHECKING

import anyio

from vidsift.service.problems import ProblemError, problem_response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["BodyLimit", "RequestLimit", "ServiceLimits", "Slots", "content_length"]

_BODY_SECONDS = 60.0
# What watches over the service has an answer when it is needed most.
_ALWAYS = ("/healthz", "/metrics")


@dataclass(frozen=True)
class ServiceLimits:
    """What the service takes at most.

    Attributes:
        requests: that are being answered at once, whatever they ask for.
        body_bytes: of a JSON body.
        image_bytes, video_bytes: of an upload.
        uploads_at_once: that are received and decoded side by side.
        uploads_held, upload_seconds: frames of so many uploads stay for so long after their last use.
        waiting_questions: that wait for their turn.
        decoders: processes that decode thumbnails side by side.
        decode_seconds, decode_bytes: of time and memory for a thumbnail or an upload.
        thumbnails_bytes: of thumbnails in memory.
        thumbnails_waiting: thumbnails that wait or are decoded.
        clip_seconds, clip_bytes: length and size of a clip.
        cut_seconds: of time for cutting one.
        clips_at_once: that wait, are cut or are sent.
        jobs_waiting, jobs_listed: index jobs that wait, and that are listed after their end.
        streams: progress streams that are open at once.
        poll_seconds: between two looks at whether the index has grown.
        stop_seconds: that an index job has to end when the service does.
    """

    requests: int = 448
    body_bytes: int = 1 << 20
    image_bytes: int = 32 << 20
    video_bytes: int = 512 << 20
    uploads_at_once: int = 4
    uploads_held: int = 32
    upload_seconds: float = 1800.0
    waiting_questions: int = 512
    decoders: int = 2
    decode_seconds: float = 20.0
    decode_bytes: int = 2 << 30
    thumbnails_bytes: int = 64 << 20
    thumbnails_waiting: int = 64
    clip_seconds: float = 600.0
    clip_bytes: int = 1 << 30
    cut_seconds: float = 300.0
    clips_at_once: int = 8
    jobs_waiting: int = 16
    jobs_listed: int = 100
    streams: int = 64
    poll_seconds: float = 1.0
    stop_seconds: float = 30.0


class Slots:
    """So many of a kind at once; one more is asked to come back later.

    Args:
        capacity: how many at once.
        what: they are called in the problem, as "uploads".
    """

    def __init__(self, capacity: int, what: str) -> None:
        """See the class."""
        self._free = BoundedSemaphore(capacity)
        self._capacity = capacity
        self._what = what

    def acquire(self) -> Callable[[], None]:
        """Take a slot; what is returned gives it back, the first time that it is called.

        A slot may outlive the function that took it: a clip holds one until it has been sent.

        Raises:
            ProblemError: 429, all are taken.
        """
        if not self._free.acquire(blocking=False):
            raise ProblemError(
                429,
                f"{self._capacity} {self._what} are under way, which is the limit; try again in a few "
                "seconds",
                {"retry-after": "5"},
            )
        held = [self._free]

        def release() -> None:
            # A response may end twice, as by an error and by its client.
            if held:
                held.pop().release()

        return release

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Take a slot for the length of a block; raises as :meth:`acquire`."""
        release = self.acquire()
        try:
            yield
        finally:
            release()


class RequestLimit:
    """Middleware that refuses a request while too many others are being answered.

    Connections on which no request has come are limited apart (:mod:`~vidsift.service.connections`). What
    watches over the service is always answered.

    Args:
        app: the application.
        requests: the limit.
    """

    def __init__(self, app: ASGIApp, requests: int) -> None:
        """See the class."""
        self._app = app
        self._limit = requests
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"] in _ALWAYS:
            await self._app(scope, receive, send)
            return
        if self._under_way >= self._limit:
            refusal = problem_response(
                503,
                f"{self._limit} requests are being answered, which is the limit; close what you do not need, "
                "and ask again in a few seconds",
                {"retry-after": "5"},
            )
            await refusal(scope, receive, send)
            return
        self._under_way += 1  # needs no lock: all requests are on the thread of the event loop
        try:
            await self._app(scope, receive, send)
        finally:
            self._under_way -= 1


class BodyLimit:
    """Middleware that ends a request whose body is larger, or slower, than it may be, while it comes in.

    Args:
        app: the application.
        body_bytes: the limit.
        except_path: limits its bodies itself.
    """

    def __init__(self, app: ASGIApp, body_bytes: int, except_path: str) -> None:
        """See the class."""
        self._app = app
        self._limit = body_bytes
        self._except_path = except_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"] == self._except_path:
            await self._app(scope, receive, send)
            return
        detail = (
            f"the body has more than {self._limit} bytes, which is the limit; ask for less in one request"
        )
        if content_length(scope) > self._limit:
            await problem_response(413, detail)(scope, receive, send)
            return
        received, more, deadline = 0, True, anyio.current_time() + _BODY_SECONDS

        async def receive_limited() -> Message:
            nonlocal received, more
            if not more:
                return await receive()  # waits for the client to disconnect, however long
            message: Message | None = None
            with anyio.move_on_after(deadline - anyio.current_time()):
                message = await receive()
            if message is None:
                raise ProblemError(408, f"the body took longer than {_BODY_SECONDS:.0f} s; send it again")
            more = bool(message.get("more_body"))
            received += len(message.get("body", b""))
            if received > self._limit:  # the header may say less than comes, or nothing
                raise ProblemError(413, detail)
            return message

        await self._app(scope, receive_limited, send)


def content_length(scope: Scope) -> int:
    """How long the body is by its header; 0 where none says."""
    for name, value in scope["headers"]:
        if name.lower() == b"content-length" and value.isdigit():
            return int(value[:18])  # longer numbers are too large as well, and slow to read
    return 0
