"""Sentences of the Shapes world put together from parts that know what they speak of.

Both worlds write their captions so: which word says what is kept while a sentence is made, and not read out
of it afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

__all__ = ["CaptionWord", "SentencePart", "event_parts", "in_clause", "join_clauses", "text_and_words"]

_WORD = re.compile(r"[a-z0-9]+(?:[-'][a-z0-9]+)*")
_FUNCTION_WORDS = frozenset(
    ("a", "an", "the", "in", "on", "of", "to", "and", "with", "at", "it", "is", "there", "into", "front",
     "next", "video", "scene", "everything")
)  # fmt: skip


class CaptionWord(NamedTuple):
    """A word of a caption that says something that is seen.

    Attributes:
        start: its first character in the caption.
        end: the character after its last.
        kind: "appearance", "event", "order" or "background".
        fact: what it speaks of: index of the thing (appearance) or of the event (event, order), else -1.
        clauses: indices of the events that its clause speaks of, and those after it that go on with "it",
            where the caption says in which order events happen ("first the red disc spins, then it grows");
            else none.
    """

    start: int
    end: int
    kind: str
    fact: int = -1
    clauses: tuple[int, ...] = ()


class SentencePart(NamedTuple):
    """A piece of a sentence; its words have a kind and speak of a fact, see :class:`CaptionWord`.

    Words of a part without a kind say nothing that is seen, nor do "a", "in" and the like of any part, but
    where the kind ends with "!".
    """

    text: str
    kind: str = ""
    fact: int = -1
    clauses: tuple[int, ...] = ()


def event_parts(text: str, event: int) -> list[SentencePart]:
    """Return what is said of an event, without the things: of "in front of" the word "front" counts."""
    head, front, tail = text.partition("front")
    kinds = ((head, "event"), (front, "event!"), (tail, "event"))
    return [SentencePart(piece, kind, event) for piece, kind in kinds if piece]


def in_clause(parts: Iterable[SentencePart], *events: int) -> list[SentencePart]:
    """Say of parts which events their clause speaks of, see :class:`CaptionWord`."""
    return [part._replace(clauses=events) for part in parts]


def join_clauses(
    template: str, clauses: Sequence[list[SentencePart]], events: Sequence[int]
) -> list[SentencePart]:
    """Put clauses into a template; its words of order speak of the event that they place.

    "First" and "before" stand with what happens first, "then" with what follows it, "after" with the last.

    Args:
        template: e.g. "first {0}, then {1}".
        clauses: one an event.
        events: indices of the events, in the order of time.
    """
    parts: list[SentencePart] = []
    for text, place in re.findall(r"([^{]*)(?:\{(\d)\})?", template):
        for word in re.findall(r"\w+|\W+", text):
            about = {"first": 0, "before": 0, "after": -1, "then": int(place or -1)}.get(word)
            parts.append(SentencePart(word) if about is None else SentencePart(word, "order", events[about]))
        if place:
            parts += clauses[int(place)]
    return parts


def text_and_words(parts: Iterable[SentencePart]) -> tuple[str, tuple[CaptionWord, ...]]:
    """Return the sentence, and its words that speak of a fact."""
    text, words = "", []
    for part in parts:
        # A blank ends what was said, or begins what follows: there is one.
        piece = part.text.lstrip() if not text or text.endswith(" ") else part.text
        for match in _WORD.finditer(piece) if part.kind else ():
            if match[0] not in _FUNCTION_WORDS or part.kind.endswith("!"):
                start, end = len(text) + match.start(), len(text) + match.end()
                words.append(CaptionWord(start, end, part.kind.rstrip("!"), part.fact, part.clauses))
        text += piece
    return text.rstrip(), tuple(words)
