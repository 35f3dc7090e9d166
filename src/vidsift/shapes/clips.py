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

from vidsift.shapes.render import outline, thing_state
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


def seen_span(clip: Scene, thing: int) -> Span:
    """Return the seconds in which a thing of a scene is seen; that it blinks meanwhile does not count."""
    start, end = 0.0, clip.duration_seconds
    for event in clip.events:
        if event.subject == thing and event.motion in COMING_AND_GOING:
            middle = (event.start_seconds + event.end_seconds) / 2
            start, end = (middle, end) if event.motion == "appear" else (start, middle)
    return Span(start, end)


def event_span(clip: Scene, event: Event) -> Span:
    """Return the seconds of the clip in which an event happens."""
    return Span(max(0.0, event.start_seconds), min(clip.duration_seconds, event.end_seconds))


def thing_boxes(clip: Scene, things: Sequence[int], span: Span) -> list[list[float]]:
    """Return where things are seen every half second of a stretch.

    Args:
        clip: what is shown.
        things: indices of the things.
        span: seconds; a shorter stretch than half a second is looked at in its middle.

    Returns:
        ``[seconds, left, top, right, bottom]`` for each time and thing that is seen then, in fractions of the
        picture: the smallest box around the thing as it stands then, grown or turned.
    """
    first = int(np.ceil(span.start_seconds / _BOX_EVERY_SECONDS - 1e-9))
    last = int(np.floor(span.end_seconds / _BOX_EVERY_SECONDS + 1e-9))
    times = np.arange(first, last + 1) * _BOX_EVERY_SECONDS
    if not len(times):
        times = np.array([(span.start_seconds + span.end_seconds) / 2])
    boxes = []
    for thing in things:
        state = thing_state(clip, thing, times.astype(np.float32))
        u_P, v_P = clip.things[thing].radius * outline(clip.things[thing].shape).T
        cos_F1, sin_F1, scale_F1 = (
            np.asarray(of, np.float64)[:, None]
            for of in (np.cos(state.angle), np.sin(state.angle), state.scale)
        )
        x_FP = state.x[:, None] + scale_F1 * (u_P * cos_F1 - v_P * sin_F1)
        y_FP = state.y[:, None] + scale_F1 * (u_P * sin_F1 + v_P * cos_F1)
        edges = np.stack([x_FP.min(1), y_FP.min(1), x_FP.max(1), y_FP.max(1)], axis=1)
        for time, box, alpha in zip(times, np.clip(edges, 0.0, 1.0), state.alpha, strict=True):
            if alpha > 0.5:
                boxes.append([float(time), *(round(float(edge), 3) for edge in box)])
    return sorted(boxes)
