from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.index.library import filled
from tests.methods import tiny
from tests.service.serving import problem, served

from vidsift.index.saved_searches import SavedSearches
from vidsift.search.searcher import Index

PATH = "/v1/saved-searches"
QUESTION = {
    "query": ["a dog", "snow"],
    "verbatim": True,
    "filter": {"tags": ["sea"], "min_duration": 5, "modified_after": "2026-05-01T00:00:00Z"},
    "within_days": 7,
    "sort": "date",
    "group_by": "video",
    "min_match": "good match",
}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    model = tiny.model()
    return Index(filled(tmp_path_factory.mktemp("saved") / "index", model, [3]), model)


@pytest.fixture(scope="module")
def client(index: Index) -> Iterator[TestClient]:
    with served(index) as opened:
        yield opened


def save(client: TestClient, name: str, question: dict[str, Any] | None = None) -> dict[str, Any]:
    answer = client.post(PATH, json={"name": name, "question": question or {"query": "a dog"}})
    assert answer.status_code == 201, answer.text
    saved: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"{PATH}/{saved['search_id']}"
    return saved


def test_a_search_is_saved_listed_renamed_and_deleted(client: TestClient, index: Index) -> None:
    assert client.get(PATH).json() == {"data": []}
    first = save(client, " Sea & snow ", QUESTION)
    question = first["question"]
    assert first["name"] == "Sea & snow"
    assert {name: question[name] for name in QUESTION if name != "filter"} == {
        name: value for name, value in QUESTION.items() if name != "filter"
    }
    narrowed = {name: value for name, value in question["filter"].items() if value}
    assert narrowed == {"tags": ["sea"], "min_duration": 5.0, "modified_after": "2026-05-01T00:00:00Z"}
    assert abs((datetime.now(UTC) - datetime.fromisoformat(first["created"])).total_seconds()) < 60
    second = save(client, "dogs")
    assert client.get(PATH).json() == {"data": [second, first]}
    assert client.get(f"{PATH}/{first['search_id']}").json() == first
    # Nothing that was left out is written down.
    assert SavedSearches(index.store.folder).read()[1].question == {"query": "a dog"}
    renamed = client.patch(f"{PATH}/{first['search_id']}", json={"name": "winter"})
    assert renamed.json() == first | {"name": "winter"}
    for saved in (first, second):
        gone = client.delete(f"{PATH}/{saved['search_id']}")
        assert (gone.status_code, gone.content) == (204, b"")
    assert client.get(PATH).json() == {"data": []}


def test_what_cannot_be_saved_is_a_problem(client: TestClient) -> None:
    saved = save(client, "dogs")
    other = save(client, "cats")
    taken = client.post(PATH, json={"name": "Dogs", "question": {"query": "a dog"}})
    assert problem(taken, 409).startswith("the name 'Dogs' is taken")
    assert "is taken" in problem(client.patch(f"{PATH}/{other['search_id']}", json={"name": "dogs"}), 409)
    for answer in (
        client.get(f"{PATH}/{'0' * 16}"),
        client.patch(f"{PATH}/{'0' * 16}", json={"name": "x"}),
        client.delete(f"{PATH}/{'0' * 16}"),
    ):
        assert "it may have been deleted" in problem(answer, 404)
    problem(client.get(f"{PATH}/nothing"), 422)
    problem(client.post(PATH, json={"name": "a\nb", "question": {"query": "x"}}), 409)
    for body in (
        {"name": "", "question": {"query": "x"}},
        {"name": "x" * 101, "question": {"query": "x"}},
        {"name": "x"},
        {"name": "x", "question": {"query": ""}},
        {"name": "x", "question": {"query": "x", "k": 3}},
        {"name": "x", "question": {"query": "x", "within_days": 0}},
    ):
        problem(client.post(PATH, json=body), 422)
    assert [search["name"] for search in client.get(PATH).json()["data"]] == ["cats", "dogs"]
    client.delete(f"{PATH}/{saved['search_id']}")
    client.delete(f"{PATH}/{other['search_id']}")


def test_a_service_that_only_reads_saves_nothing(index: Index) -> None:
    with served(index, read_only=True) as client:
        assert client.get(PATH).status_code == 200
        answer = client.post(PATH, json={"name": "x", "question": {"query": "x"}})
        assert "only reads" in problem(answer, 403)


def test_without_an_index_there_is_nothing_and_nowhere(tmp_path: Path) -> None:
    with served(tmp_path / "none") as client:
        assert client.get(PATH).json() == {"data": []}
        answer = client.post(PATH, json={"name": "x", "question": {"query": "x"}})
        assert "nothing has been indexed yet" in problem(answer, 409)


def test_damage_is_said_without_what_lies_on_the_disk(client: TestClient, index: Index) -> None:
    file = index.store.folder / "saved-searches.json"
    before = file.read_text("utf-8")
    try:
        file.write_text("{", "utf-8")
        for answer, status in (
            (client.get(PATH), 503),
            (client.post(PATH, json={"name": "x", "question": {"query": "x"}}), 409),
        ):
            detail = problem(answer, status)
            assert detail.endswith(
                "cannot be read; the log of the service says how, and whoever runs it can repair it"
            )
        later = {"id": "0" * 16, "name": "odd", "question": {"query": "x", "mood": 3}, "created_seconds": 1}
        file.write_text(json.dumps({"format": 1, "entries": [later]}), "utf-8")
        assert problem(client.get(PATH), 503).startswith("the saved search 'odd' holds what this version")
    finally:
        file.write_text(before, "utf-8")
