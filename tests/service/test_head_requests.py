from __future__ import annotations

import threading
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from tests.service.serving import problem, served, video_id
from tests.service.test_jobs import Worked

from vidsift.search.searcher import Index


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/docs",
        "/problems",
        "/openapi.json",
        "/page/search.js",
        "/healthz",
        "/v1/videos",
        "/v1/videos/{video_id}",
        "/v1/videos/{video_id}/thumbnail",
        "/v1/videos/{video_id}/media",
        "/v1/index",
        "/v1/index/jobs",
        "/nowhere",
        "/v1/videos/x",
    ],
)
def test_head_has_the_headers_of_get(client: TestClient, files: list[Path], path: str) -> None:
    path = path.replace("{video_id}", video_id(files[0]))
    get, head = client.get(path), client.head(path)
    assert head.status_code == get.status_code
    assert head.content == b""
    extra = {"x-start-seconds"} if path.endswith("media") else set()
    assert set(head.headers) == set(get.headers) | extra
    for name in ("content-type", "etag", "content-encoding"):
        assert head.headers.get(name) == get.headers.get(name), name
    if path != "/openapi.json":
        assert head.headers["content-length"] == get.headers["content-length"]


def test_head_of_what_only_takes_questions_is_refused(client: TestClient) -> None:
    answer = client.head("/v1/search")
    assert answer.status_code == 405
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["allow"] == "POST"
    assert "HEAD /v1/search" not in problem(client.get("/v1/search"), 405)


def test_head_of_a_stream_ends(index: Index) -> None:
    work = Worked()
    with served(index, run_job=work) as client:
        job = client.post("/v1/index/jobs", json={"action": "remove", "folders": ["/v"]}).json()
        ended = threading.Event()

        def ask_head() -> None:
            answer = client.head(f"/v1/index/jobs/{job['job_id']}/events")
            assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
            assert answer.content == b""
            ended.set()

        threading.Thread(target=ask_head, daemon=True).start()
        assert ended.wait(20)
        work.go.set()


def test_head_is_counted_by_its_route(client: TestClient) -> None:
    client.head("/v1/index")
    assert (
        'vidsift_requests_total{method="HEAD",route="/v1/index",status="200"}' in client.get("/metrics").text
    )
