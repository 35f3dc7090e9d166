"""Drawing clips of Shapes 2 in groups of four hard negatives.

As in ``groups``, the four clips of a group share background, light, things, places, times and pace, and
differ in exactly the fact that their tag names. Beside what decides, each shows things that come and go and
events that have nothing to do with it. Every split is drawn by this one procedure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vidsift.shapes.clip_casts import (
    CLIP_MOTIONS,
    Acts,
    Cast,
    can_do,
    cast_events,
    compatible,
    draw_cast,
    draw_visit,
    draw_visits,
    fill_slots,
    place_things,
    place_ways,
    seen_together,
    with_visits,
)
from vidsift.shapes.clips import COMING_AND_GOING, ShapesClip
from vidsift.shapes.groups import (
    GROUP_SIZE,
    OPPOSITES,
    SPECK_KINDS,
    STEADY_MOTIONS,
    appearance_variants,
    draw_look,
    half_extents,
    require_group,
    sample,
    speck_variants,
    tiny_thing,
)
from vidsift.shapes.world import (
    BACKGROUNDS,
    CORNERS,
    Event,
    Thing,
    pick,
    unseen_combinations,
)
from vidsift.types import Span

__all__ = ["clip_group"]

_PAIR_SHARE = 0.2


def _clip(
    surroundings: tuple[str, tuple[float, ...]],
    things: tuple[Thing, ...],
    events: tuple[Event, ...],
    tag: str,
    duration: float,
) -> ShapesClip:
    background, look = surroundings
    return ShapesClip(background, things, events, tag, (), look, duration)


def _surroundings(rng: np.random.Generator) -> tuple[str, tuple[float, ...]]:
    return pick(rng, BACKGROUNDS), draw_look(rng)


def _appearance_group(rng: np.random.Generator, unseen: bool) -> list[ShapesClip] | None:
    """Return four clips that differ in how a thing or the background looks."""
    cast = draw_cast(rng, unseen)
    acts: list[tuple[str, int] | None] = [None] * len(cast.slots)
    steady = [m for m in STEADY_MOTIONS if can_do(cast.things[0], m, unseen)]
    if rng.random() < 0.5 and steady:
        acts[int(rng.random() * len(acts))] = (pick(rng, steady), 0)
    fill_slots(rng, cast.things, acts, range(1, len(cast.things)), unseen)
    visits = draw_visits(rng, cast, acts)
    if visits is None:
        return None
    # Room for the largest that a variant may be.
    radii = [max(cast.things[0].radius, 0.18), *(thing.radius for thing in cast.things[1:])]
    things = place_things(rng, cast, [acts], [visits], radii)
    if things is None:
        return None
    base = _clip(_surroundings(rng), things, cast_events(cast, acts, visits), "appearance", cast.duration)
    scenes, decisive = appearance_variants(rng, base)
    return [replace(base, background=s.background, things=s.things, decisive=decisive) for s in scenes]


def _motion_group(rng: np.random.Generator, unseen: bool) -> list[ShapesClip] | None:
    """Return four clips in which a thing does something else in the same seconds."""
    if rng.random() < _PAIR_SHARE:
        return _pair_group(rng, unseen)
    cast = draw_cast(rng, unseen)
    allowed = [m for m in CLIP_MOTIONS if can_do(cast.things[0], m, unseen)]
    if len(allowed) < GROUP_SIZE:
        return None
    first = pick(rng, allowed)
    motions = [first, *(m for m in (OPPOSITES[first],) if m in allowed)]
    motions += sample(rng, [m for m in allowed if m not in motions], GROUP_SIZE - len(motions))
    slot = int(rng.random() * len(cast.slots))
    acts: list[tuple[str, int] | None] = [None] * len(cast.slots)
    acts[slot] = (first, 0)
    fill_slots(rng, cast.things, acts, range(1, len(cast.things)), unseen)
    variants = [[*acts[:slot], (motion, 0), *acts[slot + 1 :]] for motion in motions]
    visits = draw_visits(rng, cast, acts)
    if visits is None:
        return None
    things = place_things(rng, cast, variants, [visits], [thing.radius for thing in cast.things])
    if things is None:
        return None
    surroundings = _surroundings(rng)
    group = []
    for variant in variants:
        clip = _clip(surroundings, things, cast_events(cast, variant, visits), "motion", cast.duration)
        group.append(_with_decisive_events(clip, [cast.slots[slot]]))
    return group


def _with_decisive_events(clip: ShapesClip, slots: Sequence[Span]) -> ShapesClip:
    starts = {slot.start_seconds for slot in slots}
    decisive = [
        number
        for number, event in enumerate(clip.events)
        if event.start_seconds in starts and event.motion not in COMING_AND_GOING
    ]
    return replace(clip, decisive_events=tuple(decisive))


def _pair_group(rng: np.random.Generator, unseen: bool) -> list[ShapesClip] | None:
    """Return: A passes behind B, A passes in front of B, B passes behind A, A and B collide."""
    cast = draw_cast(rng, unseen, 2 + int(rng.random() * 2))
    slot = int(rng.random() * len(cast.slots))
    acts: list[tuple[str, int] | None] = [None] * len(cast.slots)
    fill_slots(rng, cast.things, acts, range(2, len(cast.things)), unseen)
    acts[slot] = None
    shared = draw_visit(rng, cast.duration, [cast.slots[slot]])
    others = draw_visits(rng, cast, acts)
    visits = [
        shared,
        shared,
        *(others[2:] if others else [Span(0.0, cast.duration)] * (len(cast.things) - 2)),
    ]
    first, second = (
        replace(t, radius=min(t.radius, 0.13), size="medium" if t.size == "large" else t.size)
        for t in cast.things[:2]
    )
    across = bool(rng.random() < 0.5)
    reach = first.radius + second.radius + 0.06 + 0.05 * float(rng.random())
    wide, narrow = reach + 0.13, 0.13
    block = (wide, narrow) if across else (narrow, wide)
    rest = [
        half_extents(thing, {act[0] for act in acts if act is not None and act[1] == number + 2}, cast.reach)
        for number, thing in enumerate(cast.things[2:])
    ]
    xy = place_ways(rng, np.array([block, *rest]), seen_together([[shared, *visits[2:]]]))
    if xy is None or shared == Span(0.0, cast.duration):
        return None
    places = [xy[0], xy[0], *xy[1:]]
    things = tuple(
        replace(thing, x=float(x), y=float(y))
        for thing, (x, y) in zip((first, second, *cast.things[2:]), places, strict=True)
    )
    surroundings = _surroundings(rng)
    group = []
    for motion, subject, partner in (("behind", 0, 1), ("front", 0, 1), ("behind", 1, 0), ("collide", 0, 1)):
        pair = Event(motion, subject, partner, *cast.slots[slot], reach, cast.turn, across)
        rest_events = [
            Event(act[0], act[1], None, *stretch, cast.reach, cast.turn)
            for act, stretch in zip(acts, cast.slots, strict=True)
            if act is not None
        ]
        events = with_visits([pair, *rest_events], cast.duration, visits)
        clip = _clip(surroundings, things, events, "motion", cast.duration)
        group.append(_with_decisive_events(clip, [cast.slots[slot]]))
    return group


def _order_group(rng: np.random.Generator, unseen: bool) -> list[ShapesClip] | None:
    """Return four clips told with the same words: who does which of two things, and which is first."""
    cast = draw_cast(rng, unseen)
    first, second = cast.things[:2]
    allowed = [m for m in CLIP_MOTIONS if can_do(first, m, unseen) and can_do(second, m, unseen)]
    same_actor = rng.random() < 0.3
    if len(allowed) < 2:
        return None
    a, b = sample(rng, allowed, 2)
    if same_actor and not compatible(a, [b]):
        return None
    early, late = sorted(rng.permutation(len(cast.slots))[:2])
    if same_actor:
        casts = (((a, 0), (b, 0)), ((b, 0), (a, 0)), ((a, 1), (b, 1)), ((b, 1), (a, 1)))
    else:
        casts = (((a, 0), (b, 1)), ((b, 1), (a, 0)), ((b, 0), (a, 1)), ((a, 1), (b, 0)))
    acts: list[tuple[str, int] | None] = [None] * len(cast.slots)
    fill_slots(rng, cast.things, acts, range(2, len(cast.things)), unseen)
    variants = []
    for before, after in casts:
        variant = list(acts)
        variant[early], variant[late] = before, after
        variants.append(variant)
    visits = _order_visits(rng, cast, acts, variants, (int(early), int(late)))
    if visits is None:
        return None
    things = place_things(rng, cast, variants, visits, [thing.radius for thing in cast.things])
    if things is None:
        return None
    surroundings = _surroundings(rng)
    group = []
    for variant, spans in zip(variants, visits, strict=True):
        clip = _clip(surroundings, things, cast_events(cast, variant, spans), "order", cast.duration)
        group.append(_with_decisive_events(clip, [cast.slots[early], cast.slots[late]]))
    return group


def _order_visits(
    rng: np.random.Generator,
    cast: Cast,
    acts: Acts,
    variants: Sequence[Acts],
    slots: tuple[int, int],
) -> list[list[Span]] | None:
    """Draw when things are seen in each variant: those that act come and go with what they do, or stay."""
    rest = draw_visits(rng, cast, [act if act and act[1] > 1 else None for act in acts])
    if rest is None:
        rest = [Span(0.0, cast.duration)] * len(cast.things)
    both = [cast.slots[slots[0]], cast.slots[slots[1]]]
    comes = rng.random() < 0.5
    longest = draw_visit(rng, cast.duration, both)
    shifts = [draw_visit(rng, cast.duration, [slot]) for slot in both]
    visits = []
    for variant in variants:
        actors = (variant[slots[0]] or ("", 0))[1], (variant[slots[1]] or ("", 0))[1]
        pair = [longest, longest]
        if comes and actors[0] != actors[1]:
            pair[actors[0]], pair[actors[1]] = shifts
        visits.append([*pair, *rest[2:]])
    whole = Span(0.0, cast.duration)
    return visits if any(span != whole for span in visits[0]) else None


def _detail_group(rng: np.random.Generator, unseen: bool) -> list[ShapesClip] | None:
    """Return four clips that differ in something tiny in a corner."""
    cast = draw_cast(rng, unseen)
    *main, speck = cast.things
    last = len(main)
    speck = tiny_thing(rng, speck)
    acts: list[tuple[str, int] | None] = [None] * len(cast.slots)
    fill_slots(rng, cast.things, acts, range(last), unseen)
    visits = draw_visits(rng, cast, acts)
    if visits is None:
        return None
    placed = place_things(rng, cast, [acts], [visits], [thing.radius for thing in main], corners_free=True)
    if placed is None:
        return None
    corner, kind = pick(rng, CORNERS), pick(rng, SPECK_KINDS)
    surroundings = _surroundings(rng)
    events = cast_events(cast, acts, visits)
    group = []
    for changed in speck_variants(rng, speck, kind, corner, main):
        clip = _clip(surroundings, (*placed, changed), events, "detail", cast.duration)
        group.append(replace(clip, decisive=((kind, last),)))
    return group


_DRAW = {
    "appearance": _appearance_group,
    "motion": _motion_group,
    "order": _order_group,
    "detail": _detail_group,
}


def clip_group(
    rng: np.random.Generator, split: str = "train", tag: str = "motion", *, unseen: bool = False
) -> list[ShapesClip]:
    """Draw four clips that differ in exactly the fact that ``tag`` names.

    Args:
        rng: source of every choice; the same state gives the same group.
        split: "train", "val" or "test": drawn alike.
        tag: one of :data:`~vidsift.shapes.world.TAGS`.
        unseen: for test: at least two clips hold a combination that no other group of any split holds
            (:func:`~vidsift.shapes.world.held_out`).

    Raises:
        ValueError: unknown split or tag; unseen combinations asked of train or val.
    """
    require_group(split, tag, unseen=unseen)
    while True:
        group = _DRAW[tag](rng, unseen)
        if group is None:
            continue
        count = sum(bool(unseen_combinations(clip)) for clip in group)
        if count >= 2 if unseen else count == 0:
            return group
