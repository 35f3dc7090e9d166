"""Text arithmetic: what is read out of it, and that scores are added."""

from __future__ import annotations

import pytest
import torch

from vidsift.search.questions import QueryPart, Question, mixing_of, parse
from vidsift.types import Features


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


def test_scores_of_the_texts_are_added_with_their_weights() -> None:
    scores = [torch.tensor([1.0, 2.0]), torch.tensor([3.0, -1.0])]
    texts: tuple[Features, ...] = ({}, {})
    both = iter(scores)
    summed = Question(texts, (0.5, -0.5)).score(lambda _: next(both))
    assert summed.tolist() == [-1.0, 1.5]
    assert Question(({},)).score(lambda _: scores[1]) is scores[1]
    assert mixing_of([Question(({},)), Question(({},))]) is None
    mixing = mixing_of([Question(({},)), Question(texts, (0.5, -0.5))])
    assert mixing is not None
    assert mixing.tolist() == [[1, 0, 0], [0, 0.5, -0.5]]
