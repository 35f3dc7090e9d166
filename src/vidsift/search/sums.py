"""Text arithmetic: a query read as the sum of sentences that it is, mostly of one."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ftfy import fix_text

from vidsift.errors import QueryError
from vidsift.search.phrasing import normalise_sentence

__all__ = ["QueryPart", "normalise_query", "parse"]

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
        QueryError: if an operator has nothing to work on, everything is to be taken off, or whatever is added
            is taken off again, however it is written there.

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
    _check_that_something_remains(query, sentences, signs)
    return [QueryPart(sentence, sign / len(signs)) for sentence, sign in zip(sentences, signs, strict=True)]


def normalise_query(query: str) -> str:
    """Take off what says nothing about the video, of each sentence of a sum.

    See :func:`~vidsift.search.phrasing.normalise_sentence`.

    Example:
        >>> normalise_query('show me "a dog" + snow - a person, please')
        'a dog + snow - a person'
    """
    # Quotes may stand around all of it, and "please" behind.
    whole = normalise_sentence(query)
    parts = []
    start = 0
    for operator in _OPERATOR.finditer(whole):
        parts += [normalise_sentence(whole[start : operator.start()]), operator[0]]
        start = operator.end()
    parts.append(normalise_sentence(whole[start:]))
    return " ".join(part for part in parts if part)


def _check_that_something_remains(query: str, sentences: Sequence[str], signs: Sequence[float]) -> None:
    """Refuse a sum in which nothing is added that is not taken off again: all videos would score alike."""
    remains: defaultdict[str, float] = defaultdict(float)
    for sentence, sign in zip(sentences, signs, strict=True):
        remains[_spelling(sentence)] += sign
    if max(remains.values()) <= 0:
        raise QueryError(
            f"{query!r} takes off all that it adds, so that every video would fit alike; leave out what is "
            'taken off, or take off something else, for example: "a dog - person"'
        )


def _spelling(sentence: str) -> str:
    """What is equal for sentences that differ in case, blanks, marks and phrasing alone."""
    return unicodedata.normalize("NFKC", normalise_sentence(fix_text(sentence))).casefold()
