"""Drawing scenes of the Shapes world in groups of four hard negatives.

The four scenes of a group share background, things, places and pace, and differ in exactly the fact that
their tag names: a colour, shape, texture, size, background or binding (appearance), what happens (motion),
which event comes first and who acts (order), or a tiny thing in a corner (detail).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from vidsift.shapes.world import (
    BACKGROUNDS,
    COLOURS,
    CORNERS,
    MOTIONS,
    RADII,
    SHAPES,
    TAGS,
    TEXTURES,
    Event,
    Scene,
    Thing,
    pick,
    require_split,
    unseen_combinations,
)

__all__ = [
    "CORNER_XY",
    "GROUP_SIZE",
    "OPPOSITES",
    "SAME_AXIS",
    "SPECK_KINDS",
    "STEADY_MOTIONS",
    "appearance_variants",
    "draw_look",
    "draw_scene",
    "draw_thing",
    "half_extents",
    "hard_negative_group",
    "require_group",
    "require_groups",
    "sample",
    "speck_variants",
    "spinnable",
    "tiny_thing",
]

GROUP_SIZE = 4
STEADY_MOTIONS = ("left", "right", "up", "down", "circle", "bounce", "spin")
OPPOSITES = {
    "left": "right", "right": "left", "up": "down", "down": "up", "grow": "shrink", "shrink": "grow",
    "appear": "vanish", "vanish": "appear", "circle": "bounce", "bounce": "circle", "spin": "blink",
    "blink": "spin",
}  # fmt: skip
SAME_AXIS = (
    {"left", "right"}, {"up", "down", "bounce"}, {"grow", "shrink"}, {"appear", "vanish", "blink"},
    {"circle", "left", "right", "up", "down", "bounce"},
)  # fmt: skip
SPECK_KINDS = ("colour", "shape", "place")
"""By which fact tiny things in a corner differ."""

_X_MOTIONS = frozenset({"left", "right", "circle"})
_Y_MOTIONS = frozenset({"up", "down", "circle", "bounce"})
CORNER_XY = {
    "top left": (0.1, 0.1), "top right": (0.9, 0.1), "bottom left": (0.1, 0.9), "bottom right": (0.9, 0.9),
}  # fmt: skip


def sample(rng: np.random.Generator, items: Sequence[str], count: int) -> list[str]:
    """Return ``count`` different items in random order."""
    order = rng.permutation(len(items))
    return [items[i] for i in order[:count]]


def draw_thing(rng: np.random.Generator, sizes: Sequence[str]) -> Thing:
    """Draw a thing of one of the sizes."""
    size = pick(rng, sizes)
    texture = "plain" if rng.random() < 0.5 else pick(rng, TEXTURES[1:])
    low, high = RADII[size]
    return Thing(pick(rng, SHAPES), pick(rng, COLOURS), size, texture, low + (high - low) * rng.random())


def draw_things(rng: np.random.Generator, count: int, sizes: Sequence[str]) -> list[Thing]:
    """Draw things of different shape and colour, so that two words name each."""
    things: list[Thing] = []
    while len(things) < count:
        thing = draw_thing(rng, sizes)
        if all(thing.shape != other.shape and thing.colour != other.colour for other in things):
            things.append(thing)
    return things


def draw_look(rng: np.random.Generator) -> tuple[float, ...]:
    """Draw the phases of the background and the light."""
    return tuple(float(value) for value in rng.random(8))


def spinnable(thing: Thing) -> bool:
    """Whether one sees that a thing turns."""
    # Round things look the same however they turn.
    return thing.shape not in ("disc", "ring")


def half_extents(thing: Thing, motions: set[str], reach: float) -> tuple[float, float]:
    """Return half the width and height of the way of a thing, with the thing itself."""
    grown = 1.4 if motions & {"grow", "shrink"} else 1.0
    half = thing.radius * grown
    return half + reach * bool(motions & _X_MOTIONS), half + reach * bool(motions & _Y_MOTIONS)


def _place(
    rng: np.random.Generator,
    things: Sequence[Thing],
    motions: Sequence[set[str]],
    reach: float,
    corner_free: str = "",
) -> list[Thing]:
    """Put things where their ways neither leave the picture nor cross: the best of 40 draws."""
    half = np.array([half_extents(t, m, reach) for t, m in zip(things, motions, strict=True)])
    # Less than half, so that a way as wide as the picture still has a middle.
    margin = np.minimum(half + 0.02, 0.49)
    xy = margin + rng.random((40, len(things), 2)) * (1.0 - 2.0 * margin)
    crossing = np.zeros(40)
    for i in range(len(things)):
        for j in range(i):
            room = np.maximum(half[i] + half[j] - np.abs(xy[:, i] - xy[:, j]), 0.0)
            # The area in which two ways overlap, 0 where they are apart along either axis.
            crossing += room[:, 0] * room[:, 1]
        # 0.08: a tiny thing and room around it.
        for corner in CORNERS if corner_free == "all" else ():
            room = np.maximum(half[i] + 0.08 - np.abs(xy[:, i] - np.array(CORNER_XY[corner])), 0.0)
            crossing += room[:, 0] * room[:, 1]
    best = xy[int(np.argmin(crossing))]
    return [
        thing if thing.place else replace(thing, x=float(x), y=float(y))
        for thing, (x, y) in zip(things, best, strict=True)
    ]


def _reach(rng: np.random.Generator, actors: int) -> float:
    low, high = (0.2, 0.27) if actors == 1 else (0.11, 0.15)
    return low + (high - low) * float(rng.random())


def _one_event(motion: str, subject: int, reach: float, turn: int) -> Event:
    return Event(motion, subject, None, 0.3, 3.7, reach, turn)


def appearance_variants(
    rng: np.random.Generator, base: Scene
) -> tuple[list[Scene], tuple[tuple[str, int], ...]]:
    """Return four scenes that differ in how the first thing or the background looks."""
    kinds = ["colour", "shape", "texture", "background", "size"] + ["binding"] * 2 * (len(base.things) > 1)
    kind = pick(rng, kinds)
    first, rest = base.things[0], base.things[1:]
    others_colours = {t.colour for t in rest}
    others_shapes = {t.shape for t in rest}
    if kind == "background":
        scenes = [replace(base, background=name) for name in sample(rng, BACKGROUNDS, 4)]
        return scenes, (("background", -1),)
    if kind == "binding":
        second = rest[0]
        pairs = [
            (first.colour, second.colour), (second.colour, first.colour),
            (first.colour, first.colour), (second.colour, second.colour),
        ]  # fmt: skip
        scenes = [
            replace(base, things=(replace(first, colour=a), replace(second, colour=b), *rest[1:]))
            for a, b in pairs
        ]
        return scenes, (("colour", 0), ("colour", 1))
    if kind == "size":
        textures = sample(rng, TEXTURES, 2)
        pairs = [(size, texture) for size in ("small", "large") for texture in textures]
        # The middle of each range, so that two variants of one size differ in texture alone.
        radius = {size: sum(RADII[size]) / 2 for size in ("small", "large")}
        variants = [replace(first, size=s, radius=radius[s], texture=t) for s, t in pairs]
        decisive: tuple[tuple[str, int], ...] = (("size", 0), ("texture", 0))
    elif kind == "texture":
        variants = [replace(first, texture=name) for name in TEXTURES]
        decisive = (("texture", 0),)
    elif kind == "colour":
        free = [name for name in COLOURS if name not in others_colours]
        variants = [replace(first, colour=name) for name in sample(rng, free, 4)]
        decisive = (("colour", 0),)
    else:
        free = [name for name in SHAPES if name not in others_shapes]
        variants = [replace(first, shape=name) for name in sample(rng, free, 4)]
        decisive = (("shape", 0),)
    return [replace(base, things=(variant, *rest)) for variant in variants], decisive


def _appearance_group(rng: np.random.Generator) -> list[Scene]:
    count = 1 if rng.random() < 0.35 else 2
    things = draw_things(rng, count, ("small", "medium", "large") if count == 1 else ("small", "medium"))
    reach = _reach(rng, count)
    motion = pick(rng, STEADY_MOTIONS) if rng.random() < 0.7 else ""
    if motion == "spin" and not spinnable(things[0]):
        motion = "bounce"
    events = (_one_event(motion, 0, reach, 1 if rng.random() < 0.5 else -1),) if motion else ()
    # The way is kept free for a large first thing, so that no variant leaves the picture.
    roomy = [replace(things[0], radius=max(things[0].radius, 0.15)), *things[1:]]
    placed = _place(rng, roomy, [{motion}] + [set() for _ in things[1:]], reach)
    placed[0] = replace(placed[0], radius=things[0].radius)
    base = Scene(pick(rng, BACKGROUNDS), tuple(placed), events, "appearance", (), draw_look(rng))
    scenes, decisive = appearance_variants(rng, base)
    return [replace(scene, decisive=decisive) for scene in scenes]


def _motion_group(rng: np.random.Generator) -> list[Scene]:
    if rng.random() < 0.25:
        return _pair_group(rng)
    count = 1 if rng.random() < 0.5 else 2
    things = draw_things(rng, count, ("small", "medium"))
    allowed = [m for m in MOTIONS if m != "spin" or spinnable(things[0])]
    first = pick(rng, allowed)
    opposite = OPPOSITES[first]
    motions = [first, opposite] if opposite in allowed else [first]
    motions += sample(rng, [m for m in allowed if m not in motions], GROUP_SIZE - len(motions))
    reach = _reach(rng, count)
    placed = _place(rng, things, [set(motions)] + [set() for _ in things[1:]], reach)
    turn = 1 if rng.random() < 0.5 else -1
    background, look = pick(rng, BACKGROUNDS), draw_look(rng)
    return [
        Scene(background, tuple(placed), (_one_event(m, 0, reach, turn),), "motion", (), look)
        for m in motions
    ]


def _pair_group(rng: np.random.Generator) -> list[Scene]:
    """Return: A passes behind B, A passes in front of B, B passes behind A, A and B collide."""
    a, b = draw_things(rng, 2, ("small", "medium"))
    across, turn = bool(rng.random() < 0.5), 1 if rng.random() < 0.5 else -1
    reach = a.radius + b.radius + 0.06 + 0.05 * float(rng.random())
    free, narrow = 0.04 + max(reach, 0.3), 0.16
    along = free + (1 - 2 * free) * float(rng.random())
    beside = narrow + (1 - 2 * narrow) * float(rng.random())
    x, y = (along, beside) if across else (beside, along)
    things = (replace(a, x=x, y=y), replace(b, x=x, y=y))
    background, look = pick(rng, BACKGROUNDS), draw_look(rng)
    cast = (("behind", 0, 1), ("front", 0, 1), ("behind", 1, 0), ("collide", 0, 1))
    return [
        Scene(
            background, things, (Event(motion, s, p, 0.3, 3.7, reach, turn, across),), "motion", (), look
        )
        for motion, s, p in cast
    ]  # fmt: skip


def _order_group(rng: np.random.Generator) -> list[Scene]:
    """Return four scenes told with the same words: who does which of two things, and which is first."""
    same_actor = rng.random() < 0.3
    things = draw_things(rng, 2, ("small", "medium"))
    allowed = [m for m in MOTIONS if m != "spin" or all(spinnable(t) for t in things)]
    first, second = sample(rng, allowed, 2)
    while same_actor and any({first, second} <= axis for axis in SAME_AXIS):
        first, second = sample(rng, allowed, 2)
    cast: tuple[tuple[tuple[str, int], tuple[str, int]], ...]
    if same_actor:
        cast = (
            ((first, 0), (second, 0)),
            ((second, 0), (first, 0)),
            ((first, 1), (second, 1)),
            ((second, 1), (first, 1)),
        )
    else:
        cast = (
            ((first, 0), (second, 1)),
            ((second, 1), (first, 0)),
            ((second, 0), (first, 1)),
            ((first, 1), (second, 0)),
        )
    reach = _reach(rng, 2)
    placed = tuple(_place(rng, things, [{first, second}, {first, second}], reach))
    start, middle = 0.1 + 0.1 * float(rng.random()), 1.9 + 0.2 * float(rng.random())
    background, look, turn = pick(rng, BACKGROUNDS), draw_look(rng), 1 if rng.random() < 0.5 else -1
    return [
        Scene(
            background,
            placed,
            (
                Event(first, i, None, start, middle - 0.05, reach, turn),
                Event(then, j, None, middle + 0.05, 4.0 - start, reach, turn),
            ),
            "order",
            (),
            look,
        )
        for (first, i), (then, j) in cast
    ]


def tiny_thing(rng: np.random.Generator, thing: Thing) -> Thing:
    """Return a thing as small as the one that decides about a detail."""
    low, high = RADII["tiny"]
    return replace(thing, size="tiny", texture="plain", radius=low + (high - low) * float(rng.random()))


def speck_variants(
    rng: np.random.Generator, speck: Thing, kind: str, corner: str, others: Sequence[Thing]
) -> list[Thing]:
    """Return the four of a tiny thing in a corner that differ in one fact.

    Args:
        rng: source of where in the corner, and of the four values.
        speck: the thing.
        kind: the fact, one of :data:`SPECK_KINDS`.
        corner: where it is, unless that is the fact.
        others: things of the scene; none of their colours or shapes is taken.
    """
    values = {
        "colour": [c for c in COLOURS if all(c != thing.colour for thing in others)],
        "shape": [s for s in SHAPES if all(s != thing.shape for thing in others)],
        "place": list(CORNERS),
    }[kind]
    shift_x, shift_y = 0.04 * (rng.random(2) - 0.5)
    variants = []
    for value in sample(rng, values, GROUP_SIZE):
        x, y = CORNER_XY[value if kind == "place" else corner]
        facts: dict[str, Any] = {"place": corner, kind: value}
        variants.append(replace(speck, x=x + float(shift_x), y=y + float(shift_y), **facts))
    return variants


def _detail_group(rng: np.random.Generator) -> list[Scene]:
    actors = 1 if rng.random() < 0.6 else 2
    sizes = ("medium", "large") if actors == 1 else ("small", "medium")
    *main, speck = draw_things(rng, actors + 1, sizes)
    speck = tiny_thing(rng, speck)
    reach = _reach(rng, 2)
    motion = pick(rng, [m for m in STEADY_MOTIONS if m != "spin" or spinnable(main[0])])
    moved = _place(rng, main, [{motion}] + [set() for _ in main[1:]], reach, corner_free="all")
    corner, kind = pick(rng, CORNERS), pick(rng, SPECK_KINDS)
    event = _one_event(motion, 0, reach, 1 if rng.random() < 0.5 else -1)
    background, look = pick(rng, BACKGROUNDS), draw_look(rng)
    decisive = ((kind, len(moved)),)
    return [
        Scene(background, (*moved, changed), (event,), "detail", decisive, look)
        for changed in speck_variants(rng, speck, kind, corner, main)
    ]


_DRAW = {
    "appearance": _appearance_group,
    "motion": _motion_group,
    "order": _order_group,
    "detail": _detail_group,
}


def require_groups(name: str, count: int) -> None:
    """Refuse a number of videos that is not one of whole groups.

    Args:
        name: what they are called to the caller.
        count: how many.

    Raises:
        ValueError: it is no positive multiple of four.
    """
    if count < GROUP_SIZE or count % GROUP_SIZE:
        raise ValueError(f"{name} is {count}: expected a multiple of {GROUP_SIZE}, the size of a group")


def require_group(split: str, tag: str, *, unseen: bool) -> None:
    """Refuse a group of hard negatives that there is none of.

    Raises:
        ValueError: unknown split or tag; unseen combinations asked of train or val.
    """
    require_split(split)
    if tag not in TAGS:
        raise ValueError(f"tag {tag!r}: expected one of {', '.join(TAGS)}")
    if unseen and split != "test":
        raise ValueError(f"split {split!r} holds no unseen combinations; only test does")


def hard_negative_group(
    rng: np.random.Generator, split: str = "train", tag: str = "motion", *, unseen: bool | None = None
) -> list[Scene]:
    """Draw four scenes that differ in exactly the fact that ``tag`` names.

    Args:
        rng: source of every choice; the same state gives the same group.
        split: train and val hold no combination that is held out (:func:`~vidsift.shapes.world.held_out`).
        tag: one of :data:`~vidsift.shapes.world.TAGS`.
        unseen: for test: True for a group in which at least two scenes hold an unseen combination, False for
            none, None to toss a coin.

    Raises:
        ValueError: unknown split or tag; unseen combinations asked of train or val.
    """
    require_group(split, tag, unseen=bool(unseen))
    is_unseen = bool(rng.random() < 0.5) if unseen is None and split == "test" else bool(unseen)
    while True:
        group = _DRAW[tag](rng)
        count = sum(bool(unseen_combinations(scene)) for scene in group)
        if count >= 2 if is_unseen else count == 0:
            return group


def draw_scene(rng: np.random.Generator, split: str = "train", tag: str = "motion") -> Scene:
    """Draw one scene: any of a group of hard negatives (see :func:`hard_negative_group`)."""
    return pick(rng, hard_negative_group(rng, split, tag))
