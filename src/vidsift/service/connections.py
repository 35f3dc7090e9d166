"""Connections on which no request has come yet: for how long, how many, and which one has to go.

uvicorn waits for the headers of a request for as long as a byte comes now and then, and counts such
connections like those of people who wait for an answer. Here they have a time limit and places of their own,
so that a client that opens hundreds of them takes nothing from anybody.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from http import HTTPStatus

from uvicorn.protocols.http.h11_impl import H11Protocol

from vidsift.service.problems import problem_response
from vidsift.service.security import HEADERS
from vidsift.service.wrong_tokens import client_network

__all__ = ["LimitedProtocol"]

_GRACE_SECONDS = 0.2


class LimitedProtocol(H11Protocol):
    """A connection of uvicorn that has to bring the headers of a request in time.

    It waits from its beginning, and from the end of each answer, until all of them have come.

    Attributes:
        header_seconds: for the headers of a request.
        waiting_limit: connections that may wait at once; a new one beyond them ends the oldest one of the
            client that has most of them waiting.
    """

    header_seconds = 10.0
    waiting_limit = 256

    _deadline: asyncio.TimerHandle | None = None
    _since = 0.0
    _network = ""
    _headers_begun = False

    @property
    def waits(self) -> bool:
        """Whether it is open, and no request is being answered on it."""
        return self._deadline is not None and not self.transport.is_closing()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait."""
        super().connection_made(transport)
        self._network = client_network(self.client[0] if self.client else "")
        self._wait()
        if len(self._waiting()) > self.waiting_limit:
            # Hundreds are accepted before what has come on the first of them is read.
            self.loop.call_later(_GRACE_SECONDS, self._make_room)

    def data_received(self, data: bytes) -> None:
        """Take bytes; no more waiting once all headers have come."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        else:
            self._headers_begun = True

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the rest of a body that nobody reads any more."""
        self._wait()
        # It may find the next request among what has come already.
        super().on_response_complete()
        if not self.cycle.response_complete:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline."""
        self._stop_waiting()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words, which give no remedy
        """Answer what is no HTTP with a problem."""
        self._end_with(
            400, "what came is no HTTP/1.1 request; speak http here, not https, and no other protocol"
        )

    def give_up(self, why: str) -> None:
        """End a connection that waits, with a problem where some of the headers have come."""
        unread_body = self.cycle is not None and self.cycle.more_body
        if self.transport.is_closing():
            self.transport.abort()  # its client does not even take what was sent
        elif self._headers_begun and not unread_body:
            self._end_with(408, f"{why}; send all headers of a request at once")
        else:
            self.transport.close()

    def _make_room(self) -> None:
        waiting = self._waiting()
        if len(waiting) > self.waiting_limit:
            _first_to_go(waiting).give_up("too many connections bring no request")

    def _waiting(self) -> list[LimitedProtocol]:
        """All of the server that wait."""
        return [other for other in self.connections if isinstance(other, LimitedProtocol) and other.waits]

    def _end_with(self, status: int, detail: str) -> None:
        # Written as bytes: what has come may be of no state in which h11 would write an answer.
        answer = problem_response(status, detail, {**HEADERS, "connection": "close"})
        head = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode()]
        head += [name + b": " + value for name, value in answer.raw_headers]
        self.transport.write(b"\r\n".join([*head, b"", bytes(answer.body)]))
        self.transport.close()

    def _wait(self) -> None:
        self._stop_waiting()
        self._headers_begun = False
        self._since = self.loop.time()
        self._deadline = self.loop.call_later(self.header_seconds, self._time_is_up)

    def _time_is_up(self) -> None:
        # Once more as long: closing waits for a client to take what was sent.
        self._deadline = self.loop.call_later(self.header_seconds, self._time_is_up)
        self.give_up(f"the headers of a request did not come within {self.header_seconds:g} s")

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _first_to_go(waiting: list[LimitedProtocol]) -> LimitedProtocol:
    """The oldest of the client that has most; who has few is not put out by who has many."""
    [(greediest, _)] = Counter(connection._network for connection in waiting).most_common(1)
    theirs = (connection for connection in waiting if connection._network == greediest)
    return min(theirs, key=lambda connection: connection._since)
