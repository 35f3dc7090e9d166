"""Which word of a caption of Shapes 2 is true of which seconds of its clip, and where in the picture."""

from __future__ import annotations

from typing import Any

from vidsift.shapes.captions import Caption, CaptionWord
from vidsift.shapes.clips import ShapesClip, event_span, seen_span, thing_boxes
from vidsift.types import Span

__all__ = ["caption_span", "ground_caption"]


def ground_caption(clip: ShapesClip, caption: Caption, start_seconds: float = 0.0) -> list[dict[str, Any]]:
    """Return the grounding of a caption as ``captions.jsonl`` has it, see :mod:`vidsift.data.grounding`.

    A word for how a thing looks is true while that thing is seen, one for what happens while it happens. Of
    the words of order, "first" and "before" are true while the event that comes first happens, "then" while
    what follows it does, "after" while the last one does. The background is there throughout. Boxes are those
    of the thing that is named, or that acts.

    Args:
        clip: what is shown.
        caption: drawn by :func:`~vidsift.shapes.clip_captions.describe_clip`.
        start_seconds: where the clip begins in its file.
    """
    return [_grounded(clip, caption, word, start_seconds) for word in caption.words]


def _grounded(clip: ShapesClip, caption: Caption, word: CaptionWord, start: float) -> dict[str, Any]:
    things: list[int] = []
    if word.kind == "appearance":
        things, span = [word.fact], seen_span(clip, word.fact)
    elif word.kind == "background":
        span = Span(0.0, clip.duration_seconds)
    else:
        event = clip.events[word.fact]
        span = event_span(clip, event)
        if word.kind == "event":
            things = [thing for thing in (event.subject, event.partner) if thing is not None]
    boxes = [[_rounded(time + start), *box] for time, *box in thing_boxes(clip, things, span)]
    return {
        "word": caption.text[word.start : word.end],
        "start": word.start,
        "end": word.end,
        "kind": word.kind,
        "spans": [[_rounded(span.start_seconds + start), _rounded(span.end_seconds + start)]],
        "boxes": boxes,
    }


def _rounded(seconds: float) -> float:
    return round(float(seconds), 3)


def caption_span(clip: ShapesClip, caption: Caption) -> Span | None:
    """Return from where the first to where the last event that a caption names happens; None without one."""
    events = {word.fact for word in caption.words if word.kind == "event"}
    spans = [event_span(clip, clip.events[number]) for number in events]
    if not spans:
        return None
    return Span(min(span.start_seconds for span in spans), max(span.end_seconds for span in spans))
