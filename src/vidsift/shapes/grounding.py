"""Which word of a caption of Shapes is true of which seconds of its clip, and where in the picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vidsift.shapes.captions import Caption
from vidsift.shapes.clips import ShapesClip, event_span, seen_span, thing_boxes
from vidsift.shapes.sentence_parts import CaptionWord
from vidsift.shapes.world import Scene
from vidsift.types import Span

__all__ = ["caption_span", "ground_caption", "ground_words"]


def ground_caption(clip: Scene, caption: Caption, start_seconds: float = 0.0) -> list[dict[str, Any]]:
    """Return the grounding of a caption as ``captions.jsonl`` has it, see :func:`ground_words`."""
    return ground_words(clip, caption.text, caption.words, start_seconds)


def ground_words(
    clip: Scene, text: str, words: Sequence[CaptionWord], start_seconds: float = 0.0
) -> list[dict[str, Any]]:
    """Return when and where words are true, as ``captions.jsonl`` has it (:mod:`vidsift.data.grounding`).

    A word for how a thing looks is true while that thing is seen, one for what happens while it happens. Of
    a caption that says what comes first and what then, the things of a clause are meant in its part of the
    clip, and in that of a clause that goes on with "it": their words are true there alone, while the things
    are seen. A part lasts to the middle between its event and the next. Of the words of order, "first" and
    "before" are true while the event that comes first happens, "then" while what follows it does, "after"
    while the last one does. The background is there throughout. Boxes are those of the thing that is named,
    while it is seen, or that acts.

    Args:
        clip: what is shown.
        text: the caption.
        words: its words that say something that is seen, see
            :func:`~vidsift.shapes.sentence_parts.text_and_words`.
        start_seconds: where the clip begins in its file.
    """
    # Words of one thing have the same boxes.
    boxes: dict[tuple[tuple[int, ...], Span], list[list[float]]] = {}
    grounded = []
    for word in words:
        things, seen, true = _things_and_spans(clip, words, word)
        if (things, seen) not in boxes:
            boxes[things, seen] = [
                [_rounded(time + start_seconds), *box] for time, *box in thing_boxes(clip, things, seen)
            ]
        grounded.append(
            {
                "word": text[word.start : word.end],
                "start": word.start,
                "end": word.end,
                "kind": word.kind,
                "spans": [[_rounded(seconds + start_seconds) for seconds in true]],
                "boxes": boxes[things, seen],
            }
        )
    return grounded


def _things_and_spans(
    clip: Scene, words: Sequence[CaptionWord], word: CaptionWord
) -> tuple[tuple[int, ...], Span, Span]:
    """The things that a word names, when they are seen or act, and when the word is true."""
    if word.kind == "appearance":
        seen = seen_span(clip, word.fact)
        part = _part(clip, words, word.clauses)
        true = Span(max(seen.start_seconds, part.start_seconds), min(seen.end_seconds, part.end_seconds))
        return (word.fact,), seen, true
    if word.kind == "background":
        throughout = Span(0.0, clip.duration_seconds)
        return (), throughout, throughout
    event = clip.events[word.fact]
    acting = (event.subject, event.partner) if word.kind == "event" else ()
    happens = event_span(clip, event)
    return tuple(thing for thing in acting if thing is not None), happens, happens


def _part(clip: Scene, words: Sequence[CaptionWord], clauses: Sequence[int]) -> Span:
    """The part of the clip that clauses speak of: all of it where no order is stated."""
    start, end = 0.0, clip.duration_seconds
    if clauses:
        stated = {number for word in words for number in word.clauses}
        before = [number for number in stated if number < min(clauses)]
        after = [number for number in stated if number > max(clauses)]
        start = _middle(clip, max(before), min(clauses)) if before else start
        end = _middle(clip, max(clauses), min(after)) if after else end
    return Span(start, end)


def _middle(clip: Scene, first: int, then: int) -> float:
    return (clip.events[first].end_seconds + clip.events[then].start_seconds) / 2


def _rounded(seconds: float) -> float:
    return round(float(seconds), 3)


def caption_span(clip: ShapesClip, caption: Caption) -> Span | None:
    """Return from where the first to where the last event that a caption names happens; None without one."""
    events = {word.fact for word in caption.words if word.kind == "event"}
    spans = [event_span(clip, clip.events[number]) for number in events]
    if not spans:
        return None
    return Span(min(span.start_seconds for span in spans), max(span.end_seconds for span in spans))
