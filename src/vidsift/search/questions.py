"""What is asked: one sentence, or several whose scores are added and taken off."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from vidsift.errors import QueryError
from vidsift.methods.base import TermSum
from vidsift.methods.model import Model
from vidsift.types import Features

__all__ = ["QueryPart", "Question", "can_read", "encode_question", "mixing_of", "one_thread", "parse"]

# Between spaces, so that hyphens in words are none; U+2212 is the minus that word processors write.
_OPERATOR = re.compile(r"(?:^|(?<=\s))[+\-\u2212](?=\s|$)")


MOST_PARTS = 8
"""Parts of a sum at most: each is a question to every segment."""


@dataclass(frozen=True)
class QueryPart:
    """One sentence of a sum, and what its score counts for."""

    sentence: str
    weight: float


def parse(query: str) -> list[QueryPart]:
    """Read text arithmetic: ``a dog + snow - person``; operators have spaces around.

    The score of a sum is the mean of the scores of its parts, those after a minus taken with the other sign:
    for methods whose score is a dot product, that of the sum of the texts' vectors, up to a factor.

    Returns:
        The parts in their order, their weights of equal size; a plain sentence is one part of weight 1.

    Raises:
        QueryError: if an operator has nothing to work on, or everything is to be taken off.

    Source: the arithmetic of rclip (yurijmikhalevich/rclip), which adds and subtracts unit vectors.
    Differs: scores are added instead of vectors, so that every method keeps its own similarity.

    Example:
        >>> [(part.sentence, part.weight) for part in parse("a dog - person")]
        [('a dog', 0.5), ('person', -0.5)]
    """
    signs = [1.0]
    sentences: list[str] = []
    start = 0
    for operator in _OPERATOR.finditer(query):
        before = query[start : operator.start()].strip()
        # An operator in front of everything is the sign of the first part.
        if before or start:
            sentences.append(before)
        else:
            signs.pop()
        signs.append(1.0 if operator[0] == "+" else -1.0)
        start = operator.end()
    sentences.append(query[start:].strip())
    # One sentence is itself, whatever it begins with; a lone minus falls through to be refused.
    if len(sentences) == 1 and signs == [1.0]:
        return [QueryPart(sentences[0], 1.0)]
    if not all(sentences):
        raise QueryError(
            f"{query!r}: a + or - between spaces needs a sentence on both sides; write for example: "
            '"a dog + snow - person"'
        )
    if len(sentences) > MOST_PARTS:
        raise QueryError(
            f"the query is a sum of {len(sentences)} parts, expected at most {MOST_PARTS}; leave some out"
        )
    if max(signs) < 0:
        raise QueryError(
            f"{query!r}: everything is to be taken off; say what the video shows too, for example: "
            '"a dog - person"'
        )
    return [QueryPart(sentence, sign / len(signs)) for sentence, sign in zip(sentences, signs, strict=True)]


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
