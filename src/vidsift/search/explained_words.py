"""What each word of a sentence gave to a score: the sums of its text tokens over all terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vidsift.encoders.tokenizer import Tokenizer
from vidsift.search.sentence_words import sentence_words, word_of_pieces
from vidsift.search.sums import QueryPart

__all__ = ["ExplainedWord", "explain_words"]

TextTokens = tuple[Sequence[str], Sequence[float]]


@dataclass(frozen=True)
class ExplainedWord:
    """A word of the question as it is written, and what it gave to the score.

    Attributes:
        word: as it is written.
        start, end: its characters in ``sentence``.
        sentence: whose word it is: the question, or one part of its arithmetic.
        weight: what the score of that sentence counts for.
        contribution: what its text tokens gave to the score, in all terms together, ``weight`` included; None
            where no term compares words.
    """

    word: str
    start: int
    end: int
    sentence: str
    weight: float
    contribution: float | None


def explain_words(
    part: QueryPart, terms: Sequence[TextTokens], tokenizer: Tokenizer
) -> tuple[list[ExplainedWord], list[list[int] | None]]:
    """Sum up by word what text tokens gave.

    Args:
        part: the sentence, which the model has read whole, and what its score counts for.
        terms: of each what its text tokens are called, and what they gave to the score.
        tokenizer: of the model.

    Returns:
        The words, and for each term which of them its text tokens are of: -1 for start,
        end and punctuation; None where they are not those of words: one for the whole sentence, or phrases.
    """
    owners = [_owners(part.sentence, names, tokenizer) for names, _ in terms]
    words = sentence_words(part.sentence)
    compared = any(word >= 0 for of_term in owners for word in of_term or ())
    contributions = [0.0] * len(words)
    for of_term, (_, gave) in zip(owners, terms, strict=True):
        if of_term is not None:
            for word, value in zip(of_term, gave, strict=True):
                if word >= 0:
                    contributions[word] += value
    explained = [
        ExplainedWord(*word, part.sentence, part.weight, gave if compared else None)
        for word, gave in zip(words, contributions, strict=True)
    ]
    return explained, owners


def _owners(sentence: str, names: Sequence[str], tokenizer: Tokenizer) -> list[int] | None:
    if len(names) < 2:
        return None  # the sentence as a whole, even where it is one word
    try:
        return word_of_pieces(sentence, names, tokenizer)
    except ValueError:
        return None
