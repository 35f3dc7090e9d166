from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.index.library import filled
from tests.methods import tiny
from tests.service.serving import served

import vidsift
from vidsift.search.searcher import Index
from vidsift.service.app import create_app
from vidsift.service.security import Access

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
    ("post", "/v1/exports"): {"200", "404", "409", "413", "429"},
    ("get", "/v1/saved-searches"): {"200"},
    ("post", "/v1/saved-searches"): {"201", "409", "413"},
    ("get", "/v1/saved-searches/{search_id}"): {"200", "404"},
    ("patch", "/v1/saved-searches/{search_id}"): {"200", "404", "409", "413"},
    ("delete", "/v1/saved-searches/{search_id}"): {"204", "404", "409"},
    ("get", "/v1/collections"): {"200"},
    ("post", "/v1/collections"): {"201", "409", "413"},
    ("get", "/v1/collections/{collection_id}"): {"200", "404"},
    ("patch", "/v1/collections/{collection_id}"): {"200", "404", "409", "413"},
    ("delete", "/v1/collections/{collection_id}"): {"204", "404", "409"},
    ("post", "/v1/collections/{collection_id}/moments"): {"200", "404", "409", "413"},
    ("delete", "/v1/collections/{collection_id}/moments/{moment_id}"): {"204", "404", "409"},
    ("get", "/v1/index"): {"200"},
    ("get", "/v1/folders"): {"200"},
    ("get", "/v1/suggestions"): {"200"},
    ("post", "/v1/index/jobs"): {"202", "413", "429"},
    ("get", "/v1/index/jobs"): {"200"},
    ("get", "/v1/index/jobs/{job_id}"): {"200", "404"},
    ("get", "/v1/index/jobs/{job_id}/events"): {"200", "404", "429"},
    ("post", "/v1/index/jobs/{job_id}/pause"): {"200", "404", "409"},
    ("post", "/v1/index/jobs/{job_id}/resume"): {"200", "404", "409"},
    ("post", "/v1/index/jobs/{job_id}/cancel"): {"200", "404", "409"},
}
EVERYWHERE = {"401", "403", "421", "422", "429", "500", "503"}
OPERATIONS = {
    "search", "explain", "get_strip", "upload", "list_videos", "get_video", "set_tags", "rank_captions",
    "get_thumbnail", "get_media", "get_media_facts", "cut_clip", "export_moments", "get_index", "start_job",
    "list_jobs", "get_job", "follow_job", "list_folders", "pause_job", "resume_job", "cancel_job",
    "get_health", "get_metrics", "list_saved_searches", "save_search", "get_saved_search",
    "rename_saved_search", "delete_saved_search", "list_collections", "create_collection", "get_collection",
    "rename_collection", "delete_collection", "add_moments", "remove_moment",
    "suggest_questions",
}  # fmt: skip


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    model = tiny.model()
    with served(Index(filled(tmp_path_factory.mktemp("openapi") / "index", model, [3]), model)) as opened:
        yield opened


@pytest.fixture(scope="module")
def document(client: TestClient) -> dict[str, Any]:
    parsed: dict[str, Any] = client.get("/openapi.json").json()
    return parsed


def test_the_document_holds_every_path_and_every_answer(document: dict[str, Any]) -> None:
    assert document["info"] == {
        "title": "vidsift",
        "description": "Find videos by what they show.",
        "version": vidsift.__version__,
    }
    documented = {
        (method, path): set(about["responses"]) - EVERYWHERE
        for path, methods in document["paths"].items()
        for method, about in methods.items()
    }
    expected = {
        operation: (statuses | ({"408"} if "413" in statuses else set())) - EVERYWHERE
        for operation, statuses in ANSWERS.items()
    }
    assert documented == expected


def test_every_operation_and_answer_is_described(document: dict[str, Any]) -> None:
    names = set()
    for path, methods in document["paths"].items():
        for method, about in methods.items():
            where = f"{method} {path}"
            assert about["summary"], where
            assert about["description"], where
            assert set(about["responses"]) >= EVERYWHERE, where
            names.add(about["operationId"])
            for parameter in about.get("parameters", []):
                assert parameter["description"], f"{where} {parameter['name']}"
            for status, answer in about["responses"].items():
                assert answer["description"], f"{where} {status}"
                if int(status) >= 400:
                    assert answer["content"] == {
                        "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
                    }
    assert names == OPERATIONS


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


def test_who_may_ask_is_said(document: dict[str, Any], client: TestClient) -> None:
    scheme = document["components"]["securitySchemes"]["token"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    assert document["security"] == [{}, {"token": []}]  # may be left out
    app = create_app(Path("none"), access=Access(token="x" * 22))
    assert app.openapi()["security"] == [{"token": []}]
    app.state.service.close()


def test_problems_say_where_the_wrong_fields_are(document: dict[str, Any]) -> None:
    problem_schema = document["components"]["schemas"]["Problem"]
    assert set(problem_schema["required"]) == {"type", "title", "status", "detail"}
    assert set(problem_schema["properties"]) == {"type", "title", "status", "detail", "errors"}
    assert "FieldProblem" in document["components"]["schemas"]


def test_a_job_s_place_and_the_events_ids_are_described(document: dict[str, Any]) -> None:
    accepted = document["paths"]["/v1/index/jobs"]["post"]["responses"]["202"]
    assert accepted["headers"]["Location"]["description"]
    events = document["paths"]["/v1/index/jobs/{job_id}/events"]["get"]
    assert "id" in events["responses"]["200"]["content"]["text/event-stream"]["schema"]["required"]
    assert {"job_id", "last-event-id"} == {parameter["name"] for parameter in events["parameters"]}


def test_programs_that_write_clients_find_what_they_need(document: dict[str, Any]) -> None:
    """What openapi-python-client cannot do without; ``tests/soak/test_generated_client.py`` runs it."""
    for path, methods in document["paths"].items():
        for method, about in methods.items():
            where = f"{method} {path}"
            assert about["operationId"].isidentifier(), where
            assert len(about["tags"]) == 1, where
            bodies = set(about.get("requestBody", {}).get("content", {}))
            assert not bodies or bodies & {"application/json", "application/octet-stream"}, where
            named = set(re.findall(r"{(\w+)}", path))
            parameters = {item["name"] for item in about.get("parameters", []) if item["in"] == "path"}
            assert parameters == named, where
            assert any(status.startswith("2") for status in about["responses"]), where
