"""Questions of several sentences: that their scores are added."""

from __future__ import annotations

import torch

from vidsift.search.questions import Question, mixing_of
from vidsift.types import Features


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
