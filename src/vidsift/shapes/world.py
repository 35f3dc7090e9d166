"""The facts of the Shapes world: things, events, scenes, and groups of hard negatives.

A scene is a background, one to three things and up to two events; it lasts four seconds. What a sentence says
about a scene is a :class:`Statement`, and :func:`holds` decides whether it is true. Scenes are drawn in
groups of four hard negatives in ``groups``; pixels are made in ``render``, sentences in ``captions``,
files in ``library``, training batches in ``stream`` and ``set``.

Positions and lengths are fractions of the picture's side, y downwards; time is in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeVar

import numpy as np

__all__ = [
    "BACKGROUNDS",
    "COLOURS",
    "CORNERS",
    "DURATION_SECONDS",
    "MOTIONS",
    "PAIR_MOTIONS",
    "SHAPES",
    "SIZES",
    "SPLITS",
    "TAGS",
    "TEXTURES",
    "Event",
    "Mention",
    "Scene",
    "Statement",
    "Thing",
    "held_out",
    "holds",
    "pick",
    "require_split",
    "unseen_combinations",
]

SHAPES = ("disc", "square", "triangle", "star", "ring", "cross", "heart", "moon")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white")
TEXTURES = ("plain", "striped", "spotted", "checkered")
SIZES = ("tiny", "small", "medium", "large")
BACKGROUNDS = ("night", "grass", "sand", "snow", "bricks", "wood", "water", "tiles")
CORNERS = ("top left", "top right", "bottom left", "bottom right")
MOTIONS = (
    "left", "right", "up", "down", "circle", "bounce", "grow", "shrink", "spin", "blink", "appear", "vanish",
)  # fmt: skip
PAIR_MOTIONS = ("collide", "behind", "front")
TAGS = ("appearance", "motion", "order", "detail")
SPLITS = ("train", "val", "test")
DURATION_SECONDS = 4.0

RADII = {"tiny": (0.052, 0.062), "small": (0.08, 0.09), "medium": (0.115, 0.13), "large": (0.165, 0.19)}
"""Smallest and largest radius of each size; the ranges do not touch, so a size is a fact."""

_ItemT = TypeVar("_ItemT")


@dataclass(frozen=True)
class Thing:
    """One object: what it looks like and where the middle of its way lies.

    Attributes:
        shape: one of :data:`SHAPES`.
        colour: one of :data:`COLOURS`.
        size: one of :data:`SIZES`.
        texture: one of :data:`TEXTURES`.
        radius: as a fraction of the picture's side.
        x: centre of its way, 0 at the left edge, 1 at the right.
        y: centre of its way, 0 at the top, 1 at the bottom.
        place: one of :data:`CORNERS` where that is a fact, else "".
    """

    shape: str
    colour: str
    size: str
    texture: str
    radius: float = 0.12
    x: float = 0.5
    y: float = 0.5
    place: str = ""


@dataclass(frozen=True)
class Event:
    """Something that one thing does, or two things do together.

    Attributes:
        motion: one of :data:`MOTIONS` or :data:`PAIR_MOTIONS`.
        subject: index of the thing that acts.
        partner: index of the other thing of a pair motion, else None.
        start_seconds: when it begins.
        end_seconds: when it is over.
        reach: how far it goes from the middle of the way, as a fraction of the picture's side.
        turn: +1 or -1: sense of a rotation, side from which a pair motion comes.
        across: whether a pair motion runs along x (True) or y.
    """

    motion: str
    subject: int
    partner: int | None = None
    start_seconds: float = 0.4
    end_seconds: float = 3.6
    reach: float = 0.12
    turn: int = 1
    across: bool = True


@dataclass(frozen=True)
class Scene:
    """Everything that a picture of the scene at any time, and a sentence about it, is made from.

    Attributes:
        background: one of :data:`BACKGROUNDS`.
        things: one to three objects.
        events: none, one, or two in the order of time.
        tag: what is needed to tell it from its hard negatives, one of :data:`TAGS`.
        decisive: the facts that a sentence must state: ``("background", -1)``, or an attribute of
            :class:`Thing` with the thing's index. The events are always decisive for motion and order.
        look: phases of the background pattern and the light, eight numbers in [0, 1).
    """

    background: str
    things: tuple[Thing, ...]
    events: tuple[Event, ...]
    tag: str
    decisive: tuple[tuple[str, int], ...]
    look: tuple[float, ...]

    @property
    def duration_seconds(self) -> float:
        """How long it lasts."""
        return DURATION_SECONDS


@dataclass(frozen=True)
class Mention:
    """What a sentence says of one thing; an empty string says nothing.

    Attributes:
        shape: stated shape.
        colour: stated colour.
        size: stated size.
        texture: stated texture.
        place: stated corner.
    """

    shape: str
    colour: str
    size: str = ""
    texture: str = ""
    place: str = ""


@dataclass(frozen=True)
class Statement:
    """What a sentence says of a scene.

    Attributes:
        mentions: the things that it speaks of.
        events: motion, index of the acting mention, index of the partner's mention (-1 for none),
            in the order of time.
        background: stated background, or "".
        ordered: whether the order of the events is stated too.
    """

    mentions: tuple[Mention, ...]
    events: tuple[tuple[str, int, int], ...] = ()
    background: str = ""
    ordered: bool = True


def require_split(split: str) -> None:
    """Refuse what is no split.

    Raises:
        ValueError: it is none of :data:`SPLITS`.
    """
    if split not in SPLITS:
        raise ValueError(f"split {split!r}: expected one of {', '.join(SPLITS)}")


def pick(rng: np.random.Generator, items: Sequence[_ItemT]) -> _ItemT:
    """Return one of the items, each equally likely.

    Example:
        >>> pick(np.random.default_rng(0), ("a", "b", "c"))
        'b'
    """
    return items[int(rng.random() * len(items))]


def held_out(shape: str, colour: str, motion: str | None = None) -> bool:
    """Say whether a combination is kept out of training and validation.

    Of the 64 pairs of shape and colour 8 are held out, one for each shape and each colour. Of the triples
    with a motion one in eleven more is held out, although its pair may be seen with other motions.

    Example:
        >>> sum(held_out(shape, colour) for shape in SHAPES for colour in COLOURS)
        8
    """
    shape_index, colour_index = SHAPES.index(shape), COLOURS.index(colour)
    # 5 has an inverse modulo 8, so each shape is held out with one colour and each colour with one shape.
    if (5 * shape_index + 3) % 8 == colour_index:
        return True
    if motion is None:
        return False
    motion_index = (*MOTIONS, *PAIR_MOTIONS).index(motion)
    return (shape_index + 3 * colour_index + 5 * motion_index) % 11 == 0


def unseen_combinations(scene: Scene) -> tuple[str, ...]:
    """Name the combinations in a scene that training never shows, e.g. ``("red star", "blue disc spin")``."""
    names = [f"{thing.colour} {thing.shape}" for thing in scene.things if held_out(thing.shape, thing.colour)]
    for event in scene.events:
        thing = scene.things[event.subject]
        name = f"{thing.colour} {thing.shape}"
        if name not in names and held_out(thing.shape, thing.colour, event.motion):
            names.append(f"{name} {event.motion}")
    return tuple(names)


def _fits(mention: Mention, thing: Thing, resizes: bool) -> bool:
    return (
        mention.shape == thing.shape
        and mention.colour == thing.colour
        and mention.texture in ("", thing.texture)
        and mention.place in ("", thing.place)
        and (not mention.size or (mention.size == thing.size and not resizes))
    )


def _same_event(stated: tuple[str, int, int], event: Event, chosen: Sequence[int]) -> bool:
    motion, subject, partner = stated
    if motion != event.motion:
        return False
    actors = (chosen[subject], chosen[partner] if partner >= 0 else None)
    real = (event.subject, event.partner)
    # Two things that collide do the same to each other: either may be named first.
    return actors == real or (motion == "collide" and actors == real[::-1])


def holds(statement: Statement, scene: Scene) -> bool:
    """Say whether a statement is true of a scene.

    Each mention must be another thing of the scene that has every stated attribute; the stated events must
    happen, in the stated order if one is stated. What is not stated may be anything, so a short statement
    holds of many scenes. A thing that grows or shrinks has no size.

    Example:
        >>> thing = Thing("star", "red", "large", "plain")
        >>> scene = Scene("sand", (thing,), (Event("up", 0),), "motion", (), (0.0,) * 8)
        >>> holds(Statement((Mention("star", "red"),), (("up", 0, -1),)), scene)
        True
        >>> holds(Statement((Mention("star", "red"),), (("down", 0, -1),)), scene)
        False
    """
    if statement.background not in ("", scene.background) or len(statement.events) > len(scene.events):
        return False
    if len(statement.mentions) > len(scene.things):
        return False
    resizing = {event.subject for event in scene.events if event.motion in ("grow", "shrink")}
    fitting = [
        [i for i, thing in enumerate(scene.things) if _fits(mention, thing, i in resizing)]
        for mention in statement.mentions
    ]
    # A mention does not say which thing it means: all ways are gone through, each thing once.
    return any(
        len(set(chosen)) == len(chosen) and _happens(statement, scene.events, chosen)
        for chosen in product(*fitting)
    )


def _happens(statement: Statement, events: Sequence[Event], chosen: Sequence[int]) -> bool:
    """Say whether each stated event is another one of the events, and a later one where order is stated."""
    left = list(events)
    for stated in statement.events:
        place = next((i for i, event in enumerate(left) if _same_event(stated, event, chosen)), None)
        if place is None:
            return False
        # The first that fits leaves most to the next ones.
        left = left[place + 1 :] if statement.ordered else left[:place] + left[place + 1 :]
    return True
