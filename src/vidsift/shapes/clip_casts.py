"""Who is in a clip of Shapes 2, when each thing is seen and does something, and where there is room for it.

A clip has slots, stretches of time one after the other in which one thing does something. A way of a thing
never crosses that of another one that is seen at the same time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from vidsift.shapes.clips import COMING_AND_GOING, LONGEST_SECONDS
from vidsift.shapes.groups import CORNER_XY, SAME_AXIS, draw_thing, half_extents, spinnable
from vidsift.shapes.world import CORNERS, DURATION_SECONDS, MOTIONS, Event, Thing, held_out, pick
from vidsift.types import Span

__all__ = [
    "CLIP_MOTIONS",
    "Acts",
    "Cast",
    "can_do",
    "cast_events",
    "compatible",
    "draw_cast",
    "draw_visit",
    "draw_visits",
    "fill_slots",
    "place_things",
    "place_ways",
    "seen_together",
    "with_visits",
]

# Few pictures of a long clip can all fall between two flashes: what blinks would not be seen to.
CLIP_MOTIONS = tuple(motion for motion in MOTIONS if motion not in (*COMING_AND_GOING, "blink"))
"""What one thing does in a clip, beside coming and going."""

Acts: TypeAlias = Sequence[tuple[str, int] | None]
"""Motion and thing of each slot; None where nothing happens."""

_VISITOR_SHARE = 0.65
_FADE_SECONDS = 0.5
"""Half of how long coming, or going, lasts as an event."""
_LEAST_SLOT_SECONDS = 1.4


@dataclass(frozen=True)
class Cast:
    """Everything of a group that its four clips share, and who acts when.

    Attributes:
        duration: seconds.
        slots: the stretches in which something happens, one after the other.
        things: without places; the first ones are those that the tag is about.
        acts: motion and thing of each slot; None where nothing happens.
        reach: how far things go.
        turn: sense of a rotation.
        visitors: which things come and go.
    """

    duration: float
    slots: tuple[Span, ...]
    things: tuple[Thing, ...]
    acts: tuple[tuple[str, int] | None, ...]
    reach: float
    turn: int
    visitors: tuple[bool, ...]


def _slots(rng: np.random.Generator, duration: float) -> tuple[Span, ...]:
    """Draw the stretches of a clip in which something happens: two to five of the same length."""
    length = float(np.clip(duration * (0.15 + 0.1 * rng.random()), _LEAST_SLOT_SECONDS, 3.2))
    room = duration - 0.4
    count = 2 + int(rng.random() * (min(5, int(room // (length + 0.2))) - 1))
    spare = room - count * (length + 0.2)
    starts = 0.3 + np.sort(rng.random(count)) * spare + np.arange(count) * (length + 0.2)
    return tuple(Span(float(start), float(start) + length) for start in starts)


def _things(rng: np.random.Generator, count: int, unseen: bool) -> tuple[Thing, ...]:
    """Draw things of different shape and colour, so that two words name each."""
    sizes = ("small", "medium", "medium", "large") if count == 2 else ("small", "small", "medium")
    things: list[Thing] = []
    while len(things) < count:
        thing = draw_thing(rng, sizes)
        if not unseen and held_out(thing.shape, thing.colour):
            continue
        if all(thing.shape != other.shape and thing.colour != other.colour for other in things):
            things.append(thing)
    return tuple(things)


def can_do(thing: Thing, motion: str, unseen: bool) -> bool:
    """Whether a thing may do something: one sees it, and training may show it unless ``unseen``."""
    if motion == "spin" and not spinnable(thing):
        return False
    return unseen or not held_out(thing.shape, thing.colour, motion)


def compatible(motion: str, others: Sequence[str]) -> bool:
    """Whether a thing that does the others may do this too: two ways along one axis would add up."""
    return all(motion != other and not any({motion, other} <= axis for axis in SAME_AXIS) for other in others)


def fill_slots(
    rng: np.random.Generator,
    things: Sequence[Thing],
    acts: list[tuple[str, int] | None],
    actors: Sequence[int],
    unseen: bool,
) -> None:
    """Let some of the things do something in the slots that are free, in place."""
    for slot, act in enumerate(acts):
        if act is not None or not actors or rng.random() < 0.15:
            continue
        thing = pick(rng, actors)
        before = [motion for motion, actor in filter(None, acts) if actor == thing]
        motions = [m for m in CLIP_MOTIONS if can_do(things[thing], m, unseen) and compatible(m, before)]
        if motions and len(before) < 2:
            acts[slot] = (pick(rng, motions), thing)


def draw_cast(rng: np.random.Generator, unseen: bool, things: int | None = None) -> Cast:
    """Draw what all tags have: duration, slots, things, pace; nobody acts yet."""
    duration = DURATION_SECONDS + 0.5 * int(rng.random() * (2 * (LONGEST_SECONDS - DURATION_SECONDS) + 1))
    count = 2 + int(rng.random() * 4) if things is None else things
    slots = _slots(rng, duration)
    low, high = (0.12, 0.18) if count <= 3 else (0.09, 0.12)
    return Cast(
        duration,
        slots,
        _things(rng, count, unseen),
        (None,) * len(slots),
        low + (high - low) * float(rng.random()),
        1 if rng.random() < 0.5 else -1,
        tuple(bool(rng.random() < _VISITOR_SHARE) for _ in range(count)),
    )


def draw_visit(rng: np.random.Generator, duration: float, acting: Sequence[Span]) -> Span:
    """Draw when a thing that comes and goes is seen: around what it does."""
    if acting:
        start = acting[0].start_seconds - (_FADE_SECONDS + 0.1 + 0.6 * rng.random())
        end = acting[-1].end_seconds + (_FADE_SECONDS + 0.1 + 0.6 * rng.random())
    else:
        length = max(1.6, duration * (0.2 + 0.25 * rng.random()))
        start = rng.random() * (duration - length)
        end = start + length
    # What would come at once is there from the start; likewise at the end.
    return Span(
        0.0 if start < _FADE_SECONDS else float(start),
        duration if end > duration - _FADE_SECONDS else float(end),
    )


def cast_events(cast: Cast, acts: Acts, visits: Sequence[Span]) -> tuple[Event, ...]:
    """Return all events in the order of time."""
    events = [
        Event(act[0], act[1], None, *slot, cast.reach, cast.turn)
        for act, slot in zip(acts, cast.slots, strict=True)
        if act is not None
    ]
    return with_visits(events, cast.duration, visits)


def with_visits(events: list[Event], duration: float, visits: Sequence[Span]) -> tuple[Event, ...]:
    """Return events and all coming and going, in the order of time."""
    for thing, (start, end) in enumerate(visits):
        if start > 0:
            events.append(Event("appear", thing, None, start - _FADE_SECONDS, start + _FADE_SECONDS))
        if end < duration:
            events.append(Event("vanish", thing, None, end - _FADE_SECONDS, end + _FADE_SECONDS))
    return tuple(sorted(events, key=lambda event: (event.start_seconds, event.subject)))


def _acting(cast: Cast, acts: Acts, thing: int) -> list[Span]:
    return [slot for act, slot in zip(acts, cast.slots, strict=True) if act is not None and act[1] == thing]


def draw_visits(rng: np.random.Generator, cast: Cast, acts: Acts) -> list[Span] | None:
    """Draw when each thing is seen; None where all are seen throughout."""
    visits = [
        draw_visit(rng, cast.duration, _acting(cast, acts, thing)) if visitor else Span(0.0, cast.duration)
        for thing, visitor in enumerate(cast.visitors)
    ]
    whole = Span(0.0, cast.duration)
    return visits if any(visit != whole for visit in visits) else None


def place_ways(
    rng: np.random.Generator,
    half: NDArray[np.float64],
    together: NDArray[np.bool_],
    *,
    corners_free: bool = False,
) -> NDArray[np.float64] | None:
    """Find places where no ways cross of things that are seen together.

    Args:
        rng: source of the places.
        half: half the width and height of each way, ``(N, 2)``.
        together: which things are seen at the same time, ``(N, N)``.
        corners_free: keep room for something tiny in every corner.

    Returns:
        ``(N, 2)``; None where there is no room.
    """
    # Less than half, so that a way as wide as the picture still has a middle.
    margin = np.minimum(half + 0.02, 0.49)
    corners = np.array([CORNER_XY[corner] for corner in CORNERS])
    # The widest first: what is small finds room between them.
    order = np.argsort(-(half[:, 0] * half[:, 1]))
    for _ in range(8):
        xy = np.zeros_like(half)
        for place, thing in enumerate(order):
            draws = margin[thing] + rng.random((48, 2)) * (1 - 2 * margin[thing])
            free = np.ones(48, bool)
            for other in order[:place]:
                if together[thing, other]:
                    apart = np.abs(draws - xy[other]) - (half[thing] + half[other])
                    free[~(apart > 0).any(axis=1)] = False
            if corners_free:
                gap = np.abs(draws[:, None] - corners) - (half[thing] + 0.085)
                free[~(gap > 0).any(axis=2).all(axis=1)] = False
            if not free.any():
                break
            xy[thing] = draws[int(np.argmax(free))]
        else:
            return xy
    return None


def seen_together(visits: Sequence[Sequence[Span]]) -> NDArray[np.bool_]:
    """Which things are seen at the same time in any of the variants, whose visits these are."""
    starts = np.array([[span.start_seconds for span in variant] for variant in visits])
    ends = np.array([[span.end_seconds for span in variant] for variant in visits])
    # A little longer, as what goes fades.
    overlap = (starts[:, :, None] < ends[:, None, :] + 0.2) & (starts[:, None, :] < ends[:, :, None] + 0.2)
    return np.asarray(overlap.any(axis=0), bool)


def place_things(
    rng: np.random.Generator,
    cast: Cast,
    variants: Sequence[Acts],
    visits: Sequence[Sequence[Span]],
    radii: Sequence[float],
    *,
    corners_free: bool = False,
) -> tuple[Thing, ...] | None:
    """Give the things places where whatever they do in any variant has room."""
    count = len(radii)
    motions: list[set[str]] = [set() for _ in range(count)]
    for acts in variants:
        for motion, thing in filter(None, acts):
            motions[thing].add(motion)
    things = cast.things[:count]
    half = np.array(
        [
            half_extents(replace(thing, radius=radius), does, cast.reach)
            for thing, radius, does in zip(things, radii, motions, strict=True)
        ]
    )
    together = seen_together([spans[:count] for spans in visits])
    xy = place_ways(rng, half, together, corners_free=corners_free)
    if xy is None:
        return None
    return tuple(replace(thing, x=float(x), y=float(y)) for thing, (x, y) in zip(things, xy, strict=True))
