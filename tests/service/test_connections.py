"""Connections on which no request comes, against a server on a socket."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import uvicorn

from vidsift.service.connections import LimitedProtocol, _first_to_go
from vidsift.service.security import HEADERS
from vidsift.service.server import listen
from vidsift.service.wrong_tokens import client_network

HALF = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "


class Quick(LimitedProtocol):
    """Limits that a test can wait for."""

    header_seconds = 0.4
    waiting_limit = 16


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        return
    if scope["path"] == "/slow":
        await asyncio.sleep(1.0)
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with listen("127.0.0.1", 0) as listening:
        config = uvicorn.Config(application, log_level="critical", http=Quick, ws="none", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join()


def connect(port: int, sent: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(sent)
    return connection


def read_all(connection: socket.socket) -> bytes:
    """What comes until the server ends the connection."""
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def problem_in(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    assert headers["content-type"] == "application/problem+json"
    assert headers["connection"] == "close"
    assert int(headers["content-length"]) == len(body)
    assert headers.items() >= HEADERS.items()
    parsed = json.loads(body)
    assert parsed["status"] == int(status.split()[1])
    return parsed["status"], parsed["detail"]


def ask(port: int, path: str = "/healthz") -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse().read()
    connection.close()
    return answer


def test_headers_that_never_end_keep_nobody_from_an_answer(port: int) -> None:
    with ExitStack() as opened:
        for _ in range(5):  # far more than may wait, again and again
            slow = [opened.enter_context(connect(port, HALF)) for _ in range(60)]
            assert ask(port) == b"ok"
        # Those that were there first have gone for those that came later.
        assert problem_in(read_all(slow[0]))[0] == 408


def test_the_time_for_headers_ends_however_many_bytes_come(port: int) -> None:
    with connect(port, HALF) as slow:
        slow.settimeout(0.05)
        answer = b""
        while not answer:
            try:
                answer = slow.recv(65536)
            except TimeoutError:
                slow.sendall(b"a")
        status, detail = problem_in(answer)
    assert (status, detail) == (
        408,
        "the headers of a request did not come within 0.4 s; send all headers of a request at once",
    )


def test_a_connection_on_which_nothing_came_ends_without_a_word(port: int) -> None:
    with connect(port) as idle:
        assert read_all(idle) == b""


def test_an_answer_may_take_longer_than_the_headers(port: int) -> None:
    assert ask(port, "/slow") == b"ok"


def test_a_body_that_nobody_reads_does_not_hold_a_connection(port: int) -> None:
    begun = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n"
    with connect(port, begun) as slow:
        assert slow.recv(65536).endswith(b"\r\n\r\nok") or slow.recv(65536) == b"ok"
        slow.sendall(b"half of")
        assert read_all(slow) == b""  # no second answer to the same request


def test_requests_follow_each_other_on_a_connection(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for _ in range(3):
        connection.request("GET", "/healthz")
        assert connection.getresponse().read() == b"ok"
    connection.close()
    with connect(port, 2 * (HALF + b"\r\n\r\n")) as pipelined:
        assert read_all(pipelined).count(b"200 OK") == 2


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\n\r\n", b"no request\r\n\r\n"]
)
def test_what_is_no_http_is_a_problem(port: int, sent: bytes) -> None:
    with connect(port, sent + b"\r\n\r\n") as connection:
        status, detail = problem_in(read_all(connection))
    assert status == 400
    assert "speak http here, not https" in detail


def test_who_opens_few_connections_is_not_put_out_by_who_opens_many() -> None:
    def waiting(host: str, since: float) -> LimitedProtocol:
        protocol = LimitedProtocol.__new__(LimitedProtocol)
        protocol._network, protocol._since = client_network(host), since
        return protocol

    patient = waiting("192.168.0.2", 1.0)
    many = [waiting(f"2001:db8::{number}", 2.0 + number) for number in range(3)]
    two = [waiting("192.168.0.3", 0.5), waiting("::ffff:192.168.0.3", 0.4)]
    assert _first_to_go([patient, *many, *two]) is many[0]
    assert _first_to_go([patient, *two]) is two[1]
