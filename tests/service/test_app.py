from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.index.library import filled
from tests.methods import tiny
from tests.service.serving import problem, served

from vidsift.errors import IndexFolderError
from vidsift.index.library import Library
from vidsift.index.storage import Store
from vidsift.search.searcher import Index

VIDEOS = 9


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    """Nine segments of six videos."""
    model = tiny.model()
    return Index(filled(tmp_path_factory.mktemp("service") / "index", model, [5] * VIDEOS), model)


@pytest.fixture(scope="module")
def client(index: Index) -> Iterator[TestClient]:
    with served(index) as opened:
        yield opened


def ask(client: TestClient, **question: Any) -> list[dict[str, Any]]:
    answer = client.post("/v1/search", json=question)
    assert answer.status_code == 200, answer.text
    hits: list[dict[str, Any]] = answer.json()["data"]
    return hits


def test_health_counts_segments(client: TestClient) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "segments": VIDEOS})


def test_hits_are_those_of_the_index(client: TestClient, index: Index) -> None:
    hits = ask(client, query="a red circle moves left", k=4)
    expected = index.search("a red circle moves left", k=4)
    assert [(hit["rank"], hit["path"], hit["score"]) for hit in hits] == [
        (hit.rank, hit.path, hit.score) for hit in expected
    ]
    assert [(hit["start"], hit["end"]) for hit in hits] == [tuple(hit.moment) for hit in expected]
    assert [(hit["segment_start"], hit["segment_end"]) for hit in hits] == [
        tuple(hit.segment) for hit in expected
    ]


def test_k_limits_and_grouping(client: TestClient) -> None:
    assert len(ask(client, query="circle", k=1)) == 1
    assert len(ask(client, query="circle")) == VIDEOS  # ten are asked for by default
    assert len(ask(client, query="circle", k=100)) == VIDEOS
    by_video = ask(client, query="circle", k=100, group_by="video")
    assert len(by_video) == len({hit["video_id"] for hit in by_video}) == 6


def test_many_questions_at_once_get_their_own_hits(client: TestClient) -> None:
    queries = [f"a {colour} {shape}" for colour in ("red", "blue") for shape in ("circle", "ring", "square")]
    alone = [ask(client, query=query) for query in queries]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda query: ask(client, query=query), queries))
    assert together == alone
    assert len({json.dumps(hits) for hits in alone}) == len(queries)


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"query": "  "}, "the query is empty"),
        ({"query": "\x00"}, "there is nothing in it to look for"),
        ({"query": "circle " * 99}, "too long: the model takes 16 tokens"),
        ({"query": ""}, "query"),
        ({"query": "x" * 2001}, "query"),
        ({"query": None}, "exactly one of query, video and image"),
        ({"query": [7]}, "query"),
        ({}, "exactly one of query, video and image"),
        ({"query": "circle", "k": 0}, "k: "),
        ({"query": "circle", "k": -1}, "k: "),
        ({"query": "circle", "k": 101}, "k: "),
        ({"query": "circle", "k": 1e99}, "k: "),
        ({"query": "circle", "k": "many"}, "k: "),
        ({"query": "circle", "group_by": "day"}, "group_by: "),
        ({"query": "circle", "under": "/etc"}, "under: "),
        ([], "the body: "),
        ("circle", "the body: "),
        (None, "the body: "),
    ],
)
def test_a_bad_question_is_a_problem_of_its_sender(client: TestClient, question: Any, message: str) -> None:
    assert message in problem(client.post("/v1/search", json=question), 422)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the body"),
        (b"{", "the body is not JSON"),
        (b"\xff\xfe\x00", "the body"),
        (b'{"query": "circle", "k": NaN}', "k: "),
        (b'{"query": "circle", "k": Infinity}', "k: "),
        (b'{"query": "\\ud800"}', "query"),
        (b"[" * 100_000, "the body"),
    ],
)
def test_a_body_that_is_no_question_is_a_problem_too(
    client: TestClient, content: bytes, message: str
) -> None:
    answer = client.post("/v1/search", content=content, headers={"content-type": "application/json"})
    assert message in problem(answer, 422)


@pytest.mark.parametrize(
    "query", ["\x00a", "<|endoftext|>", "🦊" * 2, "red\n\ncircle", "' OR 1 --", "\u202edlrow", "é" * 4]
)
def test_odd_sentences_get_hits(client: TestClient, query: str) -> None:
    assert len(ask(client, query=query)) == VIDEOS


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/v1/search", 405), ("GET", "/nowhere", 404)])
def test_other_paths_are_problems(client: TestClient, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    assert path in problem(answer, status)
    assert status == 404 or answer.headers["allow"] == "POST"


def test_a_model_that_is_gone_is_a_problem_of_the_service(index: Index, tmp_path: Path) -> None:
    gone = replace(index.store.manifest, model=str(tmp_path / "gone"))
    store = Store.create(tmp_path / "index", gone)
    with served(Index(store)) as client:
        detail = problem(client.post("/v1/search", json={"query": "circle"}), 503)
    assert "cannot be loaded" in detail
    assert str(tmp_path / "gone") in detail


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (IndexFolderError("the index is damaged; index again"), 503, "the index is damaged; index again"),
        (OSError("disk gone"), 503, "disk gone; look at the disk"),
        (OSError(5, "Input/output error", "/secret"), 503, "Input/output error; look at the disk"),
        (RuntimeError("secret of the house"), 500, "unexpected; the log of the service says where"),
        (ValueError("secret shapes do not fit"), 500, "unexpected; the log of the service says where"),
    ],
)
def test_trouble_inside_is_a_problem_without_its_insides(
    index: Index, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, message: str
) -> None:
    def fail(*_arguments: Any, **_options: Any) -> None:
        raise error

    with served(index) as client:
        monkeypatch.setattr(Index, "search_many", fail)
        monkeypatch.setattr(Library, "owners", property(fail))
        for answer in (client.post("/v1/search", json={"query": "circle"}), client.get("/healthz")):
            detail = problem(answer, status)
            assert message in detail
            assert "secret" not in answer.text
            assert answer.headers["content-security-policy"].startswith("default-src 'self'")
