"""Sentences about scenes of the Shapes world, with what each of them states.

A caption always states the facts that tell its scene from its hard negatives; everything else is stated by
chance. :func:`describe_scene` returns the statement beside the words, so that truth can be checked by
:func:`~vidsift.shapes.world.holds`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from typing import NamedTuple

import numpy as np

from vidsift.shapes.sentence_parts import (
    CaptionWord,
    SentencePart,
    event_parts,
    in_clause,
    join_clauses,
    text_and_words,
)
from vidsift.shapes.world import Mention, Scene, Statement, pick

__all__ = [
    "BACKGROUND_WORDS",
    "MAX_WORDS",
    "SHAPE_WORDS",
    "SIZE_WORDS",
    "TEXTURE_WORDS",
    "TWO_IN_ORDER",
    "VERBS",
    "Caption",
    "count_tokens",
    "describe_scene",
    "draw_captions",
    "say_event",
]

MAX_WORDS = 28
"""No caption is longer, so that with start and end 32 tokens hold it."""

SHAPE_WORDS = {"disc": ("disc", "disc", "circle"), "moon": ("moon", "moon", "crescent")}
SIZE_WORDS = {
    "tiny": ("tiny", "tiny", "very small"), "small": ("small", "small", "little"),
    "medium": ("medium-sized",), "large": ("large", "large", "big"),
}  # fmt: skip
TEXTURE_WORDS = {
    "plain": ("plain",), "striped": ("striped",), "spotted": ("spotted", "dotted"),
    "checkered": ("checkered",),
}  # fmt: skip
BACKGROUND_WORDS = {
    "night": ("at night", "in the night sky", "in front of a night sky"),
    "grass": ("on grass", "on the grass", "on a green lawn"),
    "sand": ("on sand", "on the sand", "on a sandy beach"),
    "snow": ("on snow", "in the snow", "on white snow"),
    "bricks": ("in front of a brick wall", "on a brick wall", "on bricks"),
    "wood": ("on wood", "on a wooden table", "on a wooden floor"),
    "water": ("on water", "in the water", "on blue water"),
    "tiles": ("on tiles", "on grey tiles", "on a tiled floor"),
}
VERBS: dict[str, tuple[tuple[str, str], ...]] = {
    "left": (("moves left", "moving left"), ("moves to the left", "moving to the left"),
             ("slides left", "sliding left"), ("goes left", "going left")),
    "right": (("moves right", "moving right"), ("moves to the right", "moving to the right"),
              ("slides right", "sliding right"), ("goes right", "going right")),
    "up": (("moves up", "moving up"), ("goes up", "going up"), ("rises", "rising"),
           ("moves upwards", "moving upwards")),
    "down": (("moves down", "moving down"), ("goes down", "going down"), ("sinks", "sinking"),
             ("moves downwards", "moving downwards")),
    "circle": (("moves in a circle", "moving in a circle"), ("circles around", "circling around"),
               ("goes round in a circle", "going round in a circle")),
    "bounce": (("bounces", "bouncing"), ("bounces up and down", "bouncing up and down"),
               ("hops", "hopping")),
    "grow": (("grows", "growing"), ("gets bigger", "getting bigger"), ("becomes larger", "becoming larger")),
    "shrink": (("shrinks", "shrinking"), ("gets smaller", "getting smaller"),
               ("becomes smaller", "becoming smaller")),
    "spin": (("spins", "spinning"), ("rotates", "rotating"), ("turns around", "turning around")),
    "blink": (("blinks", "blinking"), ("flashes", "flashing"), ("blinks on and off", "blinking on and off")),
    "appear": (("appears", "appearing"), ("shows up", "showing up"), ("comes into view", "coming into view")),
    "vanish": (("vanishes", "vanishing"), ("disappears", "disappearing"), ("goes away", "going away")),
    "behind": (("passes behind {}", "passing behind {}"), ("moves behind {}", "moving behind {}"),
               ("goes behind {}", "going behind {}")),
    "front": (("passes in front of {}", "passing in front of {}"),
              ("moves in front of {}", "moving in front of {}"),
              ("goes in front of {}", "going in front of {}")),
    "collide": (("collides with {}", "colliding with {}"), ("bumps into {}", "bumping into {}"),
                ("hits {}", "hitting {}")),
}  # fmt: skip

TWO_IN_ORDER = (
    "{0}, then {1}",
    "{0}, then {1}",
    "{0} and then {1}",
    "first {0}, then {1}",
    "{0} before {1}",
    "after {0}, {1}",
)
"""Ways to say of two events which comes first; what stands twice is said twice as often."""


class Caption(NamedTuple):
    """A sentence, what it says, and by which words."""

    text: str
    statement: Statement
    words: tuple[CaptionWord, ...] = ()


class _Speech:
    """One sentence in the making: which things were mentioned, in what words."""

    def __init__(self, scene: Scene, rng: np.random.Generator, fullness: float) -> None:
        self.scene = scene
        self.rng = rng
        self.fullness = fullness
        self.said: dict[int, int] = {}
        self.mentions: list[Mention] = []
        self.article = "the " if rng.random() < 0.4 else "a "
        if rng.random() < 0.12:
            self.article = ""
        self.background = ""
        self.resizing = {e.subject for e in scene.events if e.motion in ("grow", "shrink")}

    def chance(self, likely: float) -> bool:
        """Toss a coin whose odds rise with the fullness of the sentence (0 short, 1 everything)."""
        odds = (
            likely * 2 * self.fullness if self.fullness < 0.5 else 1 - (1 - likely) * 2 * (1 - self.fullness)
        )
        return bool(self.rng.random() < odds)

    def thing(self, index: int) -> list[SentencePart]:
        """Mention a thing: article, size, texture, colour, shape."""
        thing, rng = self.scene.things[index], self.rng
        decisive = {name for name, i in self.scene.decisive if i == index}
        size, texture, words = "", "", []
        sized = thing.size != "medium" and index not in self.resizing
        if "size" in decisive or (sized and self.chance(0.4)):
            size = thing.size
            words.append(pick(rng, SIZE_WORDS[size]))
        if "texture" in decisive or (thing.texture != "plain" and self.chance(0.6)):
            texture = thing.texture
            words.append(pick(rng, TEXTURE_WORDS[texture]))
        words += [thing.colour, pick(rng, SHAPE_WORDS.get(thing.shape, (thing.shape,)))]
        self.said[index] = len(self.mentions)
        self.mentions.append(Mention(thing.shape, thing.colour, size, texture))
        article = self.article
        # The only word that may follow here and begins with a vowel.
        if article == "a " and words[0] == "orange":
            article = "an "
        return [SentencePart(article), SentencePart(" ".join(words), "appearance", index)]

    def clause(self, number: int, finite: bool, subject: str | None = None) -> list[SentencePart]:
        """See :func:`say_event`."""
        return say_event(self.rng, self.scene, number, self.thing, finite=finite, subject=subject)

    def bystanders(self) -> list[list[SentencePart]]:
        """Mention things that nothing was said of: those that decide always, others by chance."""
        mentioned = []
        for index, thing in enumerate(self.scene.things):
            if index in self.said:
                continue
            decisive = {name for name, i in self.scene.decisive if i == index}
            if not decisive and not self.chance(0.6):
                continue
            parts = self.thing(index)
            link = pick(self.rng, ("with", "next to") if not thing.place else ("with", "beside"))
            if thing.place and ("place" in decisive or self.chance(0.35)):
                where = pick(self.rng, (" in the {}", " in the {} corner", " at the {}")).format(thing.place)
                parts.append(SentencePart(where, "appearance", index))
                # The place is said after the thing, whose mention is there already.
                last = self.mentions[-1]
                self.mentions[-1] = Mention(last.shape, last.colour, last.size, last.texture, thing.place)
            mentioned.append([SentencePart(f" {link} "), *parts])
        return mentioned

    def setting(self) -> list[SentencePart]:
        """Mention the background if it decides or by chance."""
        if ("background", -1) not in self.scene.decisive and not self.chance(0.5):
            return []
        self.background = self.scene.background
        return [
            SentencePart(" "),
            SentencePart(pick(self.rng, BACKGROUND_WORDS[self.background]), "background"),
        ]

    def caption(self, parts: Iterable[SentencePart], events: bool = True) -> Caption:
        """Close the sentence, which says all events or none."""
        stated = tuple(
            (e.motion, self.said[e.subject], -1 if e.partner is None else self.said[e.partner])
            for e in (self.scene.events if events else ())
        )
        text, words = text_and_words(parts)
        return Caption(text, Statement(tuple(self.mentions), stated, self.background), words)


def say_event(
    rng: np.random.Generator,
    scene: Scene,
    number: int,
    thing: Callable[[int], list[SentencePart]],
    *,
    finite: bool = True,
    subject: str | None = None,
) -> list[SentencePart]:
    """Say what happens in an event of a scene.

    Args:
        rng: source of the words.
        scene: what is shown.
        number: of the event.
        thing: mentions the thing of an index.
        finite: "moves" and not "moving".
        subject: stands for the thing that acts, or leaves it out as ""; it is mentioned when None.
    """
    event = scene.events[number]
    # Either may be the subject of a collision.
    swap = event.motion == "collide" and subject is None and rng.random() < 0.5
    actor, other = (event.partner, event.subject) if swap else (event.subject, event.partner)
    assert actor is not None
    noun = thing(actor) if subject is None else [SentencePart(subject)]
    verb = pick(rng, VERBS[event.motion])[0 if finite else 1]
    # The partner of a pair ends the verb.
    parts = [*noun, SentencePart(" "), *event_parts(verb.removesuffix("{}"), number)]
    return parts if other is None else [*parts, *thing(other)]


def _still(speech: _Speech) -> Caption:
    lead = pick(speech.rng, ("", "", "", "there is ", "a video of ", "a scene with "))
    thing = speech.thing(0)
    bystanders = speech.bystanders()
    # Of things that stand still, "and" says the same.
    if bystanders and speech.rng.random() < 0.5:
        for link in (" next to ", " with "):
            linked = next((parts for parts in bystanders if parts[0].text == link), None)
            if linked is not None:
                linked[0] = SentencePart(" and ")
    return speech.caption([SentencePart(lead), *thing, *chain(*bystanders), *speech.setting()], events=False)


def _single(speech: _Speech) -> Caption:
    finite = bool(speech.rng.random() < 0.6)
    lead = "" if finite else pick(speech.rng, ("", "", "there is ", "a video of "))
    parts = [SentencePart(lead), *speech.clause(0, finite)]
    if speech.rng.random() < 0.25:
        return speech.caption([*parts, *speech.setting(), *chain(*speech.bystanders())])
    return speech.caption([*parts, *chain(*speech.bystanders()), *speech.setting()])


def _double(speech: _Speech) -> Caption:
    earlier, later = speech.scene.events
    first = speech.clause(0, True)
    if earlier.subject == later.subject:
        second = speech.clause(1, True, "" if speech.rng.random() < 0.6 else "it")
        template = pick(speech.rng, ("{0}, then {1}", "{0} and then {1}", "first {0}, then {1}"))
        clauses = [in_clause(first, 0, 1), in_clause(second, 1)]
    else:
        second = speech.clause(1, True)
        template = pick(speech.rng, TWO_IN_ORDER)
        if speech.rng.random() < 0.08:
            template = "{1} after {0}"
        clauses = [in_clause(first, 0), in_clause(second, 1)]
    parts = join_clauses(template, clauses, (0, 1))
    return speech.caption([*parts, *chain(*speech.bystanders()), *speech.setting()])


def count_tokens(text: str) -> int:
    """Count words and marks of a caption; start and end of text are two more.

    Example:
        >>> count_tokens("a medium-sized disc, then a star.")
        10
    """
    # Marks are tokens of their own: a comma is one, a hyphen parts two words and is a third.
    return len(text.split()) + text.count(",") + text.count(".") + text.count("-") * 2


def describe_scene(scene: Scene, rng: np.random.Generator, fullness: float = 0.5) -> Caption:
    """Say one sentence about a scene, true of it and of none of its hard negatives.

    Args:
        scene: what to describe.
        rng: chooses the words and what is said beside the deciding facts.
        fullness: 0 says the deciding facts only, 1 everything that has words, 0.5 as people would.

    Returns:
        Lower-case words, at most :data:`MAX_WORDS` of them, and their statement.
    """
    while True:
        speech = _Speech(scene, rng, fullness)
        if len(scene.events) == 2:
            caption = _double(speech)
        elif scene.events and (scene.tag != "appearance" or speech.chance(0.4)):
            caption = _single(speech)
        else:
            caption = _still(speech)
        if count_tokens(caption.text) <= MAX_WORDS:
            return caption
        fullness = max(0.0, fullness - 0.1)


def draw_captions(scene: Scene, rng: np.random.Generator, count: int = 3) -> list[str]:
    """Return different sentences about a scene, e.g. ``"a red square moves left on grass"``."""
    sentences: list[str] = []
    while len(sentences) < count:
        text = describe_scene(scene, rng).text
        if text not in sentences:
            sentences.append(text)
    return sentences
