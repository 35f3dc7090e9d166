"""Which word of a caption is true of which seconds of its video, and where in the picture.

``captions.jsonl`` may hold ``grounding`` beside ``captions``: a list with a list for each caption, of objects

    {"word": "red", "start": 2, "end": 5, "kind": "appearance", "spans": [[2.0, 7.5]],
     "boxes": [[2.0, 0.1, 0.2, 0.3, 0.4]]}

``start`` and ``end`` are characters of the caption, as a slice in Python. Words that are not listed say
nothing that is seen ("a", "and", "the").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from vidsift.errors import CaptionsError
from vidsift.types import Span

__all__ = ["Box", "GroundedWord", "WordKind", "parse_grounding"]

WordKind: TypeAlias = Literal["appearance", "event", "order", "background"]
_KINDS: tuple[WordKind, ...] = get_args(WordKind)
_KEYS = frozenset({"word", "start", "end", "kind", "spans", "boxes"})


class Box(NamedTuple):
    """Where a thing is seen at one time, in fractions of the picture: 0 at the left and the top, 1 opposite.

    Attributes:
        seconds: when, in the file.
        left: of its left edge.
        top: of its upper edge.
        right: of its right edge.
        bottom: of its lower edge.
    """

    seconds: float
    left: float
    top: float
    right: float
    bottom: float


class GroundedWord(NamedTuple):
    """A word of a caption and where in the video it is true.

    Attributes:
        text: the word, ``caption[start:end]``.
        start: its first character in the caption.
        end: the character after its last.
        kind: ``"appearance"`` (colour, shape, size, texture or place of a thing), ``"event"`` (what happens),
            ``"order"`` (first, then, before, after), or ``"background"``.
        spans: seconds of the file in which it is true: a thing is seen, an event happens, the part of a
            sentence that it belongs to is shown.
        boxes: where the thing that it names is seen at some times; none where nobody says.
    """

    text: str
    start: int
    end: int
    kind: WordKind
    spans: tuple[Span, ...]
    boxes: tuple[Box, ...] = ()


def parse_grounding(
    values: object, captions: Sequence[str], place: str
) -> tuple[tuple[GroundedWord, ...], ...]:
    """Read the grounding of a line of captions.

    Args:
        values: a list with a list of objects for each caption, as the module's docstring shows one.
        captions: the sentences that they belong to.
        place: where they stand, for the message.

    Returns:
        The words of each caption in the order of the sentence.

    Raises:
        CaptionsError: they are none, do not fit the captions, or two of a caption's words overlap.
    """
    if not isinstance(values, list) or len(values) != len(captions):
        given = f"a list of {len(values)}" if isinstance(values, list) else repr(values)
        raise CaptionsError(
            f"{place}: grounding is {given}, expected a list with a list of words for each of the "
            f"{len(captions)} captions"
        )
    return tuple(_words(words, caption, place) for words, caption in zip(values, captions, strict=True))


def _words(values: object, caption: str, place: str) -> tuple[GroundedWord, ...]:
    if not isinstance(values, list):
        raise CaptionsError(f"{place}: the grounding of {caption!r} is {values!r}, expected a list of words")
    words = sorted((_word(value, caption, place) for value in values), key=lambda word: word.start)
    for first, second in pairwise(words):
        if second.start < first.end:
            raise CaptionsError(
                f"{place}: the words {first.text!r} and {second.text!r} of {caption!r} overlap; a character "
                "belongs to one word"
            )
    return tuple(words)


def _word(value: Any, caption: str, place: str) -> GroundedWord:
    if not isinstance(value, dict) or not _KEYS - {"boxes"} <= set(value) <= _KEYS:
        # Boxes of a whole video would bury the message.
        held = (
            f"has {', '.join(map(repr, value)) or 'nothing'}" if isinstance(value, dict) else f"is {value!r}"
        )
        raise CaptionsError(
            f"{place}: a word of the grounding {held}, expected an object with word, start, end, kind, "
            "spans and, where it is known, boxes"
        )
    text, start, end, kind = (value[key] for key in ("word", "start", "end", "kind"))
    whole = all(isinstance(number, int) and not isinstance(number, bool) for number in (start, end))
    if not (whole and 0 <= start < end <= len(caption)) or caption[start:end] != text:
        held = f"are {caption[start:end]!r}" if whole and 0 <= start < end <= len(caption) else "are none"
        raise CaptionsError(
            f"{place}: the characters {start!r} to {end!r} of {caption!r} {held}, the grounding says "
            f"{text!r}; give start and end as a slice of the caption"
        )
    if kind not in _KINDS:
        raise CaptionsError(f"{place}: the kind of {text!r} is {kind!r}, expected one of {', '.join(_KINDS)}")
    spans = tuple(Span(*numbers) for numbers in _rows(value["spans"], 2, text, "spans", place))
    boxes = tuple(Box(*numbers) for numbers in _rows(value.get("boxes", []), 5, text, "boxes", place))
    if not spans or not all(0 <= span.start_seconds < span.end_seconds for span in spans):
        raise CaptionsError(
            f"{place}: the spans of {text!r} are {value['spans']!r}, expected at least one [start, end] in "
            "seconds with an end after its start"
        )
    for box in boxes:
        if not (box.seconds >= 0 and 0 <= box.left < box.right <= 1 and 0 <= box.top < box.bottom <= 1):
            raise CaptionsError(
                f"{place}: a box of {text!r} is {list(box)}, expected [seconds, left, top, right, bottom] in "
                "fractions of the picture, 0 to 1"
            )
    return GroundedWord(text, start, end, kind, spans, boxes)


def _rows(values: object, length: int, text: str, name: str, place: str) -> list[list[float]]:
    """Return lists of so many finite numbers."""
    expected = "[start, end]" if length == 2 else "[seconds, left, top, right, bottom]"
    if not isinstance(values, list):
        raise CaptionsError(f"{place}: {name} of {text!r} is {values!r}, expected a list of {expected}")
    for row in values:
        # A whole number of JSON may be larger than any float.
        if not isinstance(row, list) or len(row) != length or not all(map(_is_finite, row)):
            raise CaptionsError(f"{place}: {name} of {text!r} holds {row!r}, expected {expected}")
    return [[float(number) for number in row] for row in values]


def _is_finite(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
