"""Text arithmetic: what is read out of it, what is taken off its sentences, and what is refused."""

from __future__ import annotations

import pytest

from vidsift.errors import QueryError
from vidsift.search.sums import QueryPart, normalise_query, parse


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("a dog", [("a dog", 1)]),
        ("a spider-man + c++ -x", [("a spider-man", 0.5), ("c++ -x", 0.5)]),
        ("a dog + snow - person", [("a dog", 1 / 3), ("snow", 1 / 3), ("person", -1 / 3)]),
        ("- person + dog", [("person", -0.5), ("dog", 0.5)]),
        ("+ dog", [("dog", 1)]),
        ("a dog \u2212 a person", [("a dog", 0.5), ("a person", -0.5)]),
        ("well-known", [("well-known", 1)]),
    ],
)
def test_operators_have_spaces_around(query: str, expected: list[tuple[str, float]]) -> None:
    assert parse(query) == [QueryPart(*part) for part in expected]


@pytest.mark.parametrize("query", ["a dog + ", "a + - b", "a dog -", " - ", "+ +"])
def test_an_operator_without_something_beside_it_is_refused(query: str) -> None:
    with pytest.raises(ValueError, match="needs a sentence on both sides"):
        parse(query)


def test_something_has_to_be_shown() -> None:
    with pytest.raises(ValueError, match="everything is to be taken off"):
        parse("- a dog - a cat")


@pytest.mark.parametrize(
    "query",
    [
        "a - a",
        "a dog - a dog",
        "a dog  -  a  dog ",
        "A dog - a DOG",
        'a dog - "a dog"',
        "a dog - a dog.",
        "a dog \u2212 a dog",
        "show me a dog - a dog, please",
        "- a dog + a dog",
        "a dog + a cat - a cat - a dog",
        "a dog - a dog - a dog",
        "a dog\u2019s toy - a dog's toy",
        "\uff41 dog - a dog",
        "cafe\u0301 - caf\u00e9",
    ],
)
def test_a_sum_that_takes_off_all_that_it_adds_is_refused(query: str) -> None:
    with pytest.raises(QueryError, match=r"takes off all that it adds.*leave out what is taken off"):
        parse(query)


@pytest.mark.parametrize(
    "query", ["a dog + a cat - a dog", "a dog + a dog", "a dog + a dog - a dog", "a dog - dogs"]
)
def test_a_sum_of_which_something_remains_is_taken(query: str) -> None:
    assert sum(part.weight for part in parse(query)) >= 0


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('show me "a dog" + snow - a person, please', "a dog + snow - a person"),
        ('"a dog + snow"', "a dog + snow"),
        ("\u201ca dog\u201d \u2212 \u201ca person.\u201d", "a dog \u2212 a person"),
        ("find videos of a dog - a person?", "a dog - a person"),
        ("- person + dog", "- person + dog"),
        ("show me a spider-man", "a spider-man"),
        # What makes no sense is refused as it was written.
        ("a dog - ", "a dog -"),
        ("a + - b", "a + - b"),
        (" - ", "-"),
    ],
)
def test_each_sentence_of_a_sum_is_normalised(query: str, expected: str) -> None:
    assert normalise_query(query) == expected
    assert normalise_query(expected) == expected
