"""Shapes 2: clips of 4 to 16 seconds in which things come and go, and several of them do something.

A :class:`ShapesClip` is a :class:`~vidsift.shapes.world.Scene` that lasts longer and shows more: two to five
things, of which some are seen for a part of the clip alone, and events one after the other, of which a
sentence speaks of some. So a word is true of some seconds of a clip and not of others, and
:func:`seen_span` and :func:`thing_boxes` say exactly of which, and where. What comes has an event "appear",
what goes an event "vanish"; :func:`~vidsift.shapes.render.render` and
:func:`~vidsift.shapes.world.holds` take clips as they take scenes.

Clips are drawn in ``clip_casts`` and ``clip_groups``, sentences in ``clip_captions``, splits and files in
``clip_library``, training batches in ``clip_stream`` and ``clip_set``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidsift.shapes.render import thing_state
from vidsift.shapes.world import DURATION_SECONDS, Event, Scene
from vidsift.types import Span

__all__ = [
    "COMING_AND_GOING",
    "LONGEST_SECONDS",
    "ShapesClip",
    "event_span",
    "seen_span",
    "thing_boxes",
]

LONGEST_SECONDS = 16.0
COMING_AND_GOING = ("appear", "vanish")
"""The motions that say from when, or until when, a thing is seen."""

_BOX_EVERY_SECONDS = 0.5


@dataclass(frozen=True)
class ShapesClip(Scene):
    """A scene of Shapes 2: as :class:`~vidsift.shapes.world.Scene`, with any number of events.

    Attributes:
        duration_seconds: how long it lasts.
        decisive_events: indices of the events that a sentence must state.
    """

    duration_seconds: float = DURATION_SECONDS
    decisive_events: tuple[int, ...] = ()


def seen_span(clip: ShapesClip, thing: int) -> Span:
    """Return the seconds in which a thing is seen; that it blinks meanwhile does not count."""
    start, end = 0.0, clip.duration_seconds
    for event in clip.events:
        if event.subject == thing and event.motion in COMING_AND_GOING:
            middle = (event.start_seconds + event.end_seconds) / 2
            start, end = (middle, end) if event.motion == "appear" else (start, middle)
    return Span(start, end)


def event_span(clip: ShapesClip, event: Event) -> Span:
    """Return the seconds of the clip in which an event happens."""
    return Span(max(0.0, event.start_seconds), min(clip.duration_seconds, event.end_seconds))


def thing_boxes(clip: ShapesClip, things: Sequence[int], span: Span) -> list[list[float]]:
    """Return where things are seen every half second of a stretch.

    Args:
        clip: what is shown.
        things: indices of the things.
        span: seconds; a shorter stretch than half a second is looked at in its middle.

    Returns:
        ``[seconds, left, top, right, bottom]`` for each time and thing that is seen then, in fractions of the
        picture. The box is that of a circle around the thing: shapes fill it more or less.
    """
    first = int(np.ceil(span.start_seconds / _BOX_EVERY_SECONDS - 1e-9))
    last = int(np.floor(span.end_seconds / _BOX_EVERY_SECONDS + 1e-9))
    times = np.arange(first, last + 1) * _BOX_EVERY_SECONDS
    if not len(times):
        times = np.array([(span.start_seconds + span.end_seconds) / 2])
    boxes = []
    for thing in things:
        state = thing_state(clip, thing, times.astype(np.float32))
        # The points of a star reach farther than its radius.
        reach = 1.12 if clip.things[thing].shape == "star" else 1.0
        half = clip.things[thing].radius * reach * state.scale
        edges = np.stack([state.x - half, state.y - half, state.x + half, state.y + half], axis=1)
        for time, box, alpha in zip(times, np.clip(edges, 0.0, 1.0), state.alpha, strict=True):
            if alpha > 0.5:
                boxes.append([float(time), *(round(float(edge), 3) for edge in box)])
    return sorted(boxes)
