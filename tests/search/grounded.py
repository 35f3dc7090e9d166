"""Videos of random pictures with captions of which it is made up when their words are true."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tests.methods import tiny

from vidsift.data.entries import Entry
from vidsift.data.grounding import Box, GroundedWord, WordKind
from vidsift.evaluation.evaluate import EncodedGallery
from vidsift.methods.model import Model
from vidsift.types import Span

CAPTIONS = (
    ("a red circle moves left",),
    ("a yellow ring blinks", "two triangles"),
    ("a blue square grows",),
    ("a green star spins, a circle",),
)
FUNCTION_WORDS = ("a", "two")
EVENTS = ("moves", "left", "blinks", "grows", "spins")


def grounded_words(caption: str, spans: Sequence[tuple[float, float]]) -> tuple[GroundedWord, ...]:
    """Everything but the function words, true in these spans, and seen in the left upper quarter."""
    words, start = [], 0
    for text in caption.replace(",", " ,").split():
        start = caption.index(text, start)
        kind: WordKind = "event" if text in EVENTS else "appearance"
        if text not in (*FUNCTION_WORDS, ","):
            boxes = tuple(Box(0.5 + step, 0.0, 0.0, 0.5, 0.5) for step in range(tiny.FRAMES))
            words.append(
                GroundedWord(
                    text, start, start + len(text), kind, tuple(Span(*span) for span in spans), boxes
                )
            )
        start += len(text)
    return tuple(words)


def entries(spans: Sequence[tuple[float, float]] = ((0.0, 1.6),)) -> list[Entry]:
    """Two groups of two hard negatives."""
    return [
        Entry(
            Path(f"/v/{number}.mp4"),
            captions,
            group=f"group {number // 2}",
            grounding=tuple(grounded_words(caption, spans) for caption in captions),
        )
        for number, captions in enumerate(CAPTIONS)
    ]


def gallery(model: Model, of: Sequence[Entry], missing: Sequence[int] = ()) -> EncodedGallery:
    """Random pictures at 0.5, 1.5, ... seconds."""
    there = np.array([place not in missing for place in range(len(of))])
    pixels, times = tiny.videos([tiny.FRAMES] * int(there.sum()), seed=3)
    return EncodedGallery(list(of), there, model.encode_frames(pixels, times), "miss", len(of), [], [])
