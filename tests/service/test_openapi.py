from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.index.library import filled
from tests.methods import tiny
from tests.service.serving import served

import vidsift
from vidsift.search.searcher import Index

# Every path with the answers that it can give beside 401, 403, 421, 422, 500 and 503.
ANSWERS = {
    ("get", "/healthz"): {"200"},
    ("get", "/metrics"): {"200"},
    ("post", "/v1/search"): {"200", "404", "413"},
    ("post", "/v1/explain"): {"200", "404", "409", "413"},
    ("post", "/v1/strip"): {"200", "404", "409", "413"},
    ("post", "/v1/uploads"): {"201", "408", "409", "413", "415", "429"},
    ("get", "/v1/videos"): {"200"},
    ("get", "/v1/videos/{video_id}"): {"200", "404"},
    ("put", "/v1/videos/{video_id}/tags"): {"200", "404", "409", "413"},
    ("get", "/v1/videos/{video_id}/captions"): {"200", "404"},
    ("get", "/v1/videos/{video_id}/thumbnail"): {"200", "304", "404", "409", "410", "429"},
    ("get", "/v1/videos/{video_id}/media"): {"200", "206", "304", "404", "409", "410", "416"},
    ("head", "/v1/videos/{video_id}/media"): {"200", "206", "304", "404", "409", "410", "416"},
    ("post", "/v1/clips"): {"200", "404", "409", "410", "413", "429"},
    ("get", "/v1/index"): {"200"},
    ("post", "/v1/index/jobs"): {"202", "413", "429"},
    ("get", "/v1/index/jobs"): {"200"},
    ("get", "/v1/index/jobs/{job_id}"): {"200", "404"},
    ("get", "/v1/index/jobs/{job_id}/events"): {"200", "404", "429"},
    ("post", "/v1/index/jobs/{job_id}/pause"): {"200", "404", "409"},
    ("post", "/v1/index/jobs/{job_id}/resume"): {"200", "404", "409"},
    ("post", "/v1/index/jobs/{job_id}/cancel"): {"200", "404", "409"},
}
EVERYWHERE = {"401", "403", "421", "422", "500", "503"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    model = tiny.model()
    with served(Index(filled(tmp_path_factory.mktemp("openapi") / "index", model, [3]), model)) as opened:
        yield opened


@pytest.fixture(scope="module")
def document(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


def test_the_document_holds_every_path_and_every_answer(document: dict[str, Any]) -> None:
    assert document["info"] == {
        "title": "vidsift",
        "description": "Find videos by what they show.",
        "version": vidsift.__version__,
    }
    found = {
        (method, path): set(about["responses"]) - EVERYWHERE
        for path, methods in document["paths"].items()
        for method, about in methods.items()
    }
    expected = {one: known | ({"408"} if "413" in known else set()) for one, known in ANSWERS.items()}
    assert found == expected


def test_every_operation_and_answer_is_described(document: dict[str, Any]) -> None:
    names = set()
    for path, methods in document["paths"].items():
        for method, about in methods.items():
            where = f"{method} {path}"
            assert about["summary"], where
            assert about["description"], where
            assert set(about["responses"]) >= EVERYWHERE, where
            names.add(about["operationId"])
            for one in about.get("parameters", []):
                assert one["description"], f"{where} {one['name']}"
            for status, answer in about["responses"].items():
                assert answer["description"], f"{where} {status}"
                if int(status) >= 400:
                    assert answer["content"] == {
                        "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
                    }
    assert len(names) == len(ANSWERS)


def test_every_field_is_described(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert {"Problem", "SearchRequest", "SearchHit", "Explanation", "Job", "VideoFacts"} <= set(schemas)
    assert not {"HTTPValidationError", "ValidationError"} & set(schemas)
    for name, schema in schemas.items():
        assert schema["description"], name
        for field, about in schema["properties"].items():
            target = about.get("$ref", "").rpartition("/")[2]  # a field that is one thing says what that says
            assert about.get("description") or schemas[target]["description"], f"{name}.{field}"


def test_references_lead_somewhere(document: dict[str, Any], client: TestClient) -> None:
    named = set(re.findall(r'"#/components/schemas/(\w+)"', client.get("/openapi.json").text))
    assert named <= set(document["components"]["schemas"])


class Loads(HTMLParser):
    """What a page loads and leads to, and the scripts that it has."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[str] = []
        self.anchors: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            assert not name.startswith("on")
            assert name != "style"
            if name in ("src", "href"):
                self.places.append(value or "")
            if name == "id":
                self.anchors.append(value or "")


def test_the_docs_load_nothing_and_name_everything(client: TestClient, document: dict[str, Any]) -> None:
    answer = client.get("/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    page = Loads()
    page.feed(answer.text)
    assert not {"script", "link", "img", "iframe", "style"} & page.tags
    assert {one for one in page.places if not one.startswith("#")} == {"/openapi.json"}
    assert {one.removeprefix("#") for one in page.places if one.startswith("#")} <= set(page.anchors)
    for path in document["paths"]:
        assert path in answer.text
    assert "Milliseconds from the question to the answer" in answer.text


def test_a_name_in_the_docs_is_escaped() -> None:
    from vidsift.service.pages import docs_html

    document = {
        "info": {"title": "<script>", "version": "1"},
        "paths": {"/<b>": {"get": {"summary": "<i>", "responses": {"200": {"description": "<u>"}}}}},
        "components": {"schemas": {"<s>": {"properties": {"<p>": {"type": "string", "description": "<q>"}}}}},
    }
    page = docs_html(document)
    assert not re.findall(r"<(script|b|i|u|s|q)>", page)


def test_the_page_is_sent_from_memory(tmp_path: Path) -> None:
    from fastapi import FastAPI

    from vidsift.service.pages import page_routes
    from vidsift.service.problems import add_problem_handlers

    folder = tmp_path / "page"
    folder.mkdir()
    (folder / "index.html").write_text("<!doctype html><p>é", "utf-8")
    (folder / "main.js").write_text("export {}", "utf-8")
    (folder / "notes.txt").write_text("secret", "utf-8")
    (tmp_path / "outside.js").write_text("secret", "utf-8")
    app = FastAPI()
    add_problem_handlers(app)
    app.include_router(page_routes(folder))
    (folder / "late.js").write_text("secret", "utf-8")
    with TestClient(app, raise_server_exceptions=False) as client:
        page = client.get("/")
        assert (page.text, page.headers["content-type"]) == (
            "<!doctype html><p>é",
            "text/html; charset=utf-8",
        )
        script = client.get("/page/main.js")
        assert script.headers["content-type"] == "text/javascript; charset=utf-8"
        again = client.get("/page/main.js", headers={"if-none-match": script.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        for name in ("notes.txt", "late.js", "../outside.js", "..%2foutside.js", "%2e%2e/outside.js", ""):
            answer = client.get(f"/page/{name}")
            assert answer.status_code == 404
            assert "secret" not in answer.text
