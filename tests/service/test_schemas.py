from __future__ import annotations

import pytest
from pydantic import BaseModel, ValidationError

from vidsift.service import schemas, schemas_library
from vidsift.service.schemas import SearchRequest
from vidsift.service.schemas_library import ClipRequest, JobRequest

MODELS = [
    model
    for module in (schemas, schemas_library)
    for name in module.__all__
    if isinstance(model := getattr(module, name), type) and issubclass(model, BaseModel)
]


def test_a_question_needs_only_its_words() -> None:
    question = SearchRequest(query="a red circle")
    assert (question.k, question.group_by, question.filter.tags, question.explain) == (
        10,
        "segment",
        [],
        False,
    )


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"query": ""}, "query"),
        ({"query": "x" * 2001}, "query"),
        ({"query": 7}, "query"),
        ({"query": ["circle"] * 9}, "query"),
        ({"query": "circle", "k": 0}, "k"),
        ({"query": "circle", "k": 101}, "k"),
        ({"query": "circle", "k": 2.5}, "k"),
        ({"query": "circle", "group_by": "day"}, "group_by"),
        ({"query": "circle", "limit": 3}, "limit"),
        ({"query": "circle", "min_score": float("nan")}, "min_score"),
        ({"query": "circle", "filter": {"tags": ["x"] * 33}}, "filter"),
        ({"query": "circle", "page": "x" * 201}, "page"),
    ],
)
def test_a_bad_question_is_refused_by_the_name_of_its_part(body: dict[str, object], place: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SearchRequest.model_validate(body)
    assert {error["loc"][0] for error in caught.value.errors()} == {place}


@pytest.mark.parametrize(
    "body", [{}, {"query": "a", "image": "b"}, {"query": "a", "video": "b"}, {"video": "a", "explain": True}]
)
def test_one_thing_is_asked_at_a_time(body: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SearchRequest.model_validate(body)


def test_a_clip_is_a_stretch_and_work_has_a_place() -> None:
    with pytest.raises(ValidationError, match="end must be after start"):
        ClipRequest(video_id="0" * 32, start=2.0, end=2.0)
    with pytest.raises(ValidationError, match="needs at least one folder"):
        JobRequest(action="add")
    assert JobRequest(action="update").folders == []


@pytest.mark.parametrize("schema", MODELS)
def test_every_field_is_described(schema: type[BaseModel]) -> None:
    assert schema.__doc__
    for name, field in schema.model_fields.items():
        assert field.description, f"{schema.__name__}.{name}"
    if schema.__name__.endswith("Request") or schema.__name__ == "Filter":
        assert schema.model_config.get("extra") == "forbid"
