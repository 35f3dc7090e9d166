from __future__ import annotations

import gzip
import json
from typing import Any

import brotli
import pytest
from fastapi.testclient import TestClient
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from tests.service.serving import ask

from vidsift.service.compression import Compression, accepted_coding

NUMBERS = {"numbers": list(range(20_000))}


async def application(scope: Any, receive: Any, send: Any) -> None:
    async def pieces() -> Any:
        yield b"a" * 5000
        yield b"b" * 5000

    answers: dict[str, Response] = {
        "/large": JSONResponse(NUMBERS, headers={"etag": '"x"', "vary": "origin"}),
        "/small": JSONResponse({"ok": True}),
        "/picture": Response(bytes(5000), media_type="image/jpeg"),
        "/video": Response(bytes(5000), media_type="video/mp4"),
        "/stream": StreamingResponse(pieces(), media_type="text/event-stream"),
        "/text": PlainTextResponse("word " * 1000),
    }
    await answers[scope["path"]](scope, receive, send)


@pytest.fixture
def small() -> TestClient:
    return TestClient(Compression(application), base_url="http://127.0.0.1")


@pytest.mark.parametrize(("accepted", "coding"), [("gzip", "gzip"), ("gzip, deflate, br", "br")])
def test_text_is_compressed(small: TestClient, accepted: str, coding: str) -> None:
    with small.stream("GET", "/large", headers={"accept-encoding": accepted}) as answer:
        raw = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == coding
    assert int(answer.headers["content-length"]) == len(raw) < 60_000
    assert answer.headers["etag"] == 'W/"x"'
    assert answer.headers["vary"] == "origin, accept-encoding"
    decompress = {"gzip": gzip.decompress, "br": brotli.decompress}[coding]
    assert json.loads(decompress(raw)) == NUMBERS
    assert small.get("/text", headers={"accept-encoding": accepted}).text == "word " * 1000


@pytest.mark.parametrize("path", ["/small", "/picture", "/video", "/stream"])
def test_media_streams_and_small_bodies_stay_as_they_are(small: TestClient, path: str) -> None:
    answer = small.get(path, headers={"accept-encoding": "gzip, br"})
    assert "content-encoding" not in answer.headers
    assert answer.status_code == 200
    assert answer.content


@pytest.mark.parametrize("accepted", ["", "identity", "gzip;q=0", "br; q=0.000, gzip;q=0", "deflate"])
def test_who_does_not_accept_it_gets_the_plain_text(small: TestClient, accepted: str) -> None:
    assert accepted_coding(accepted) is None
    answer = small.get("/large", headers={"accept-encoding": accepted})
    assert "content-encoding" not in answer.headers
    assert answer.headers["etag"] == '"x"'
    assert answer.headers["vary"] == "origin, accept-encoding"  # a cache must not give it to others
    assert answer.json() == NUMBERS


def test_the_service_s_json_and_page_are_compressed(client: TestClient) -> None:
    for path in ("/", "/openapi.json", "/docs"):
        answer = client.get(path, headers={"accept-encoding": "gzip"})
        assert answer.headers["content-encoding"] == "gzip"
    hits = ask(client)["data"]
    media = client.get(hits[0]["media_url"], headers={"accept-encoding": "gzip, br", "range": "bytes=0-1999"})
    assert media.status_code == 206
    assert len(media.content) == 2000
    assert "content-encoding" not in media.headers
    page = client.get("/", headers={"accept-encoding": "br"})
    unchanged = {"if-none-match": page.headers["etag"], "accept-encoding": "br"}
    assert client.get("/", headers=unchanged).status_code == 304
