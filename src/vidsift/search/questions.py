"""What is asked, encoded: one sentence, or several whose scores are added and taken off."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from vidsift.errors import QueryError
from vidsift.methods.base import TermSum
from vidsift.methods.model import Model
from vidsift.search.sums import parse
from vidsift.types import Features

__all__ = ["Question", "can_read", "encode_question", "mixing_of", "one_thread"]


@dataclass(frozen=True, eq=False)
class Question:
    """What a segment is scored with.

    Attributes:
        texts: prepared sets of one row each.
        weights: what the score of each text counts for.
    """

    texts: tuple[Features, ...]
    weights: tuple[float, ...] = (1.0,)

    @property
    def is_plain(self) -> bool:
        """Whether it is one sentence as it is, and no sum."""
        return self.weights == (1.0,)

    @property
    def words(self) -> int:
        """Tokens of all texts, padding included."""
        return sum(max(tokens.tokens.shape[1] for tokens in text.values()) for text in self.texts)

    def adapted(self, terms: TermSum) -> Question:
        """Return the question as these terms compare it."""
        return Question(tuple(terms.adapt_text(text) for text in self.texts), self.weights)

    def score(self, score_text: Callable[[Features], Tensor]) -> Tensor:
        """Add the scores of the texts up.

        Args:
            score_text: gives those of one text, fp32 ``(rows,)``.
        """
        if self.is_plain:
            return score_text(self.texts[0])
        parts = [
            weight * score_text(text).double() for text, weight in zip(self.texts, self.weights, strict=True)
        ]
        # In fp64: scores that nearly cancel keep their digits.
        return torch.stack(parts).sum(dim=0).float()


def encode_question(model: Model, query: str) -> Question:
    """Read and encode a query.

    Raises:
        QueryError: it is empty, longer than the model takes, or a sum that makes no sense.
    """
    parts = parse(query)
    for part in parts:
        _check_sentence(model, part.sentence)
    # Each text by itself and on one thread: how a batch is padded and how sums are split among threads shows
    # in the last bits, and a question must be the same bits whoever asks beside it.
    with one_thread():
        texts = tuple(model.encode_text([part.sentence]) for part in parts)
    return Question(texts, tuple(part.weight for part in parts))


def can_read(model: Model, sentence: str) -> bool:
    """Whether a model can read a whole sentence."""
    try:
        _check_sentence(model, sentence)
    except QueryError:
        return False
    return True


def _check_sentence(model: Model, sentence: str) -> None:
    if not sentence.strip():
        raise QueryError(
            'the query is empty; say what the video shows, for example: "a dog catches a frisbee"'
        )
    try:
        tokens = model.tokenize([sentence])
    except ValueError as no_words:
        raise QueryError(str(no_words)) from no_words
    if tokens.cut[0]:
        raise QueryError(
            f"the query is too long: the model takes {model.max_words} tokens (about "
            f"{model.max_words * 3 // 4} words); shorten it"
        )


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread: how a sum is split among threads would show in its last bits."""
    before = torch.get_num_threads()
    if before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def mixing_of(questions: Sequence[Question]) -> Tensor | None:
    """How scores of all texts, one after the other, become those of the questions: ``(Q, texts)``.

    None where each question is one text.
    """
    if all(question.is_plain for question in questions):
        return None
    mixing = torch.zeros(len(questions), sum(len(question.texts) for question in questions))
    start = 0
    for row, question in enumerate(questions):
        mixing[row, start : start + len(question.texts)] = torch.tensor(question.weights)
        start += len(question.texts)
    return mixing
