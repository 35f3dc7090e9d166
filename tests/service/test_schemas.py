from __future__ import annotations

import pytest
from pydantic import ValidationError

from vidsift.service.schemas import Health, Problem, SearchHit, SearchRequest, SearchResponse
from vidsift.types import Hit, Span

HIT = Hit(2, 0.75, "/videos/a b.mp4", "f" * 32, Span(30.0, 60.0), Span(34.5, 41.25))


def test_a_hit_goes_over_the_wire_with_all_that_it_holds() -> None:
    assert SearchHit.of(HIT).model_dump() == {
        "rank": 2,
        "score": 0.75,
        "path": "/videos/a b.mp4",
        "video_id": "f" * 32,
        "start": 34.5,
        "end": 41.25,
        "segment_start": 30.0,
        "segment_end": 60.0,
        "candidates": None,
    }


def test_a_question_needs_only_its_words() -> None:
    question = SearchRequest(query="a red circle")
    assert (question.k, question.group_by) == (10, "segment")


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, "query"),
        ({"query": ""}, "query"),
        ({"query": "x" * 2001}, "query"),
        ({"query": 7}, "query"),
        ({"query": "circle", "k": 0}, "k"),
        ({"query": "circle", "k": 101}, "k"),
        ({"query": "circle", "k": 2.5}, "k"),
        ({"query": "circle", "group_by": "day"}, "group_by"),
        ({"query": "circle", "limit": 3}, "limit"),
    ],
)
def test_a_bad_question_is_refused_by_the_name_of_its_part(body: dict[str, object], place: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SearchRequest.model_validate(body)
    assert [one["loc"] for one in caught.value.errors()] == [(place,)]


@pytest.mark.parametrize("schema", [SearchRequest, SearchHit, SearchResponse, Health, Problem])
def test_every_field_is_described(schema: type[SearchRequest]) -> None:
    assert schema.__doc__
    for name, field in schema.model_fields.items():
        assert field.description, f"{schema.__name__}.{name}"
