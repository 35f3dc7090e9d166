from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from tests.service.serving import served

from vidsift.service.pages import docs_html, page_routes
from vidsift.service.problems import KINDS, add_problem_handlers


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with served(tmp_path_factory.mktemp("pages") / "index") as opened:
        yield opened


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


def test_the_docs_load_nothing_and_name_everything(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    answer = client.get("/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    page = Loads()
    page.feed(answer.text)
    assert not {"script", "link", "img", "iframe", "style"} & page.tags
    assert {place for place in page.places if not place.startswith("#")} == {"/openapi.json", "/problems"}
    assert {place.removeprefix("#") for place in page.places if place.startswith("#")} <= set(page.anchors)
    for path in document["paths"]:
        assert path in answer.text
    assert "Milliseconds from the question to the answer" in answer.text


def test_every_type_of_problem_leads_to_its_description(client: TestClient) -> None:
    answer = client.get("/problems")
    page = Loads()
    page.feed(answer.text)
    assert not {"script", "link", "img", "iframe", "style"} & page.tags
    assert page.anchors == [*(kind.name for kind in KINDS.values()), "other"]
    assert len(set(page.anchors)) == len(KINDS) + 1
    for kind in KINDS.values():
        assert kind.title in answer.text
    place, _, anchor = client.get("/nowhere").json()["type"].partition("#")
    assert (place, anchor) == ("/problems", "not-found")


def test_a_name_in_the_docs_is_escaped() -> None:
    document = {
        "info": {"title": "<script>", "version": "1"},
        "paths": {"/<b>": {"get": {"summary": "<i>", "responses": {"200": {"description": "<u>"}}}}},
        "components": {"schemas": {"<s>": {"properties": {"<p>": {"type": "string", "description": "<q>"}}}}},
    }
    page = docs_html(document)
    assert not re.findall(r"<(script|b|i|u|s|q)>", page)


def test_the_page_is_sent_from_memory(tmp_path: Path) -> None:
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
