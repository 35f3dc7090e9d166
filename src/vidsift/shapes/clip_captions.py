"""Sentences about clips of Shapes 2: random subsets of the facts, and by which words each is stated.

A caption states what tells its clip from its hard negatives. Of all other facts (further events, things,
sizes, textures, the background, the order) it states some by chance, and so many in any case that few other
clips share them: at least :data:`LEAST_BITS` of information where the clip has as much.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from vidsift.shapes.captions import (
    BACKGROUND_WORDS,
    MAX_WORDS,
    SHAPE_WORDS,
    SIZE_WORDS,
    TEXTURE_WORDS,
    TWO_IN_ORDER,
    Caption,
    count_tokens,
    say_event,
)
from vidsift.shapes.clips import COMING_AND_GOING, ShapesClip
from vidsift.shapes.sentence_parts import (
    SentencePart,
    in_clause,
    join_clauses,
    text_and_words,
)
from vidsift.shapes.world import Event, Mention, Statement, pick

__all__ = ["LEAST_BITS", "MAX_PARAGRAPH_WORDS", "describe_clip"]

MAX_PARAGRAPH_WORDS = 60
"""No paragraph is longer, so that with start and end 64 tokens hold it."""
LEAST_BITS = 16.0

# A pair of shape and colour among 64, of which a clip shows three or four; a motion among nine; and so on.
_THING_BITS, _EVENT_BITS, _BACKGROUND_BITS, _ORDER_BITS = 4.2, 3.2, 3.0, 1.0
_ATTRIBUTE_BITS = {"size": 1.5, "texture": 2.2, "place": 2.0, "colour": 0.0, "shape": 0.0}
_MOST_EVENTS = 3
_COMING_SHARE = 0.4
_CHANCE = {"fact": 0.3, "attribute": 0.35, "order": 0.6}
_PARAGRAPH_CHANCE = {"fact": 0.85, "attribute": 0.6, "order": 0.7}
_TWO_IN_ORDER = (*TWO_IN_ORDER, "{1} after {0}")
_THREE_IN_ORDER = ("{0}, then {1}, then {2}", "first {0}, then {1}, then {2}", "{0}, then {1} and then {2}")


@dataclass
class _Content:
    """Which facts a caption states."""

    events: list[int]
    bystanders: list[int]
    attributes: set[tuple[str, int]]
    background: bool
    ordered: bool


@dataclass
class _ClipSpeech:
    """A caption in the making: what was mentioned, in what words."""

    clip: ShapesClip
    rng: np.random.Generator
    content: _Content
    article: str
    said: dict[int, int] = field(default_factory=dict)
    mentions: list[Mention] = field(default_factory=list)

    def thing(self, index: int) -> list[SentencePart]:
        """Mention a thing: with all that is stated of it the first time, then by colour and shape."""
        thing, rng = self.clip.things[index], self.rng
        shape = pick(rng, SHAPE_WORDS.get(thing.shape, (thing.shape,)))
        if index in self.said:
            return [SentencePart("the "), SentencePart(f"{thing.colour} {shape}", "appearance", index)]
        stated = {name for name, i in self.content.attributes if i == index}
        size = thing.size if "size" in stated else ""
        texture = thing.texture if "texture" in stated else ""
        place = thing.place if "place" in stated else ""
        words = [pick(rng, SIZE_WORDS[size])] if size else []
        words += [pick(rng, TEXTURE_WORDS[texture])] if texture else []
        words += [thing.colour, shape]
        self.said[index] = len(self.mentions)
        self.mentions.append(Mention(thing.shape, thing.colour, size, texture, place))
        # The only word that may follow here and begins with a vowel.
        article = "an " if self.article == "a " and words[0] == "orange" else self.article
        parts = [SentencePart(article), SentencePart(" ".join(words), "appearance", index)]
        if place:
            where = pick(rng, (" in the {}", " in the {} corner", " at the {}")).format(place)
            parts.append(SentencePart(where, "appearance", index))
        return parts

    def clause(self, number: int, finite: bool = True, subject: str | None = None) -> list[SentencePart]:
        """See :func:`~vidsift.shapes.captions.say_event`."""
        return say_event(self.rng, self.clip, number, self.thing, finite=finite, subject=subject)

    def setting(self) -> list[SentencePart]:
        """Say where it happens."""
        return [SentencePart(pick(self.rng, BACKGROUND_WORDS[self.clip.background]), "background")]

    def statement(self) -> Statement:
        """Return what was said; all events were."""
        events = [self.clip.events[number] for number in sorted(self.content.events)]
        stated = tuple((e.motion, self.said[e.subject], self._partner(e)) for e in events)
        background = self.clip.background if self.content.background else ""
        return Statement(tuple(self.mentions), stated, background, self.content.ordered)

    def _partner(self, event: Event) -> int:
        return -1 if event.partner is None else self.said[event.partner]


def _follow_each_other(clip: ShapesClip, events: Sequence[int]) -> bool:
    """Whether each event is over before the next begins, so that their order can be stated."""
    ordered = [clip.events[number] for number in sorted(events)]
    return all(first.end_seconds <= second.start_seconds for first, second in pairwise(ordered))


def _sayable(clip: ShapesClip, thing: int) -> Iterator[str]:
    """The attributes of a thing that have words."""
    resizes = any(e.subject == thing and e.motion in ("grow", "shrink") for e in clip.events)
    if clip.things[thing].size != "medium" and not resizes:
        yield "size"
    if clip.things[thing].texture != "plain":
        yield "texture"
    if clip.things[thing].place:
        yield "place"


def _actors(clip: ShapesClip, events: Sequence[int]) -> set[int]:
    named = (clip.events[number] for number in events)
    return {thing for e in named for thing in (e.subject, e.partner) if thing is not None}


def _choose(
    clip: ShapesClip,
    rng: np.random.Generator,
    chance: dict[str, float],
    most_events: int,
    only_event: int | None,
) -> _Content:
    """Choose the facts of a caption: those that decide, so many that few clips share them, and some more."""
    decisive = clip.decisive if only_event is None else ()
    events = list(clip.decisive_events) if only_event is None else [only_event]
    attributes = {(name, thing) for name, thing in decisive if thing >= 0}
    background = ("background", -1) in decisive
    bystanders = list(dict.fromkeys(thing for _, thing in decisive if thing >= 0))
    must_order = clip.tag == "order" and only_event is None

    def bits() -> float:
        things = _actors(clip, events) | set(bystanders)
        stated = sum(_ATTRIBUTE_BITS[name] for name, _ in attributes)
        return _THING_BITS * len(things) + _EVENT_BITS * len(events) + _BACKGROUND_BITS * background + stated

    # Things come and go more often than they do something; a sentence says it less often.
    pool = [
        ("event", n)
        for n, event in enumerate(clip.events)
        if n not in events and (event.motion not in COMING_AND_GOING or rng.random() < _COMING_SHARE)
    ]
    pool += [("thing", n) for n in range(len(clip.things)) if n not in bystanders]
    pool += [] if background else [("background", -1)]
    for kind, number in (pool[i] for i in rng.permutation(len(pool))):
        if bits() >= LEAST_BITS and rng.random() >= chance["fact"]:
            continue
        if kind == "event" and len(events) < most_events:
            if not must_order or _follow_each_other(clip, [*events, number]):
                events.append(number)
        elif kind == "thing" and number not in _actors(clip, events):
            bystanders.append(number)
        elif kind == "background":
            background = True
    actors = _actors(clip, events)
    bystanders = [thing for thing in bystanders if thing not in actors]
    options = [(name, thing) for thing in sorted(actors | set(bystanders)) for name in _sayable(clip, thing)]
    for option in (options[i] for i in rng.permutation(len(options))):
        if bits() < LEAST_BITS or rng.random() < chance["attribute"]:
            attributes.add(option)
    ordered = must_order or (
        len(events) > 1 and _follow_each_other(clip, events) and rng.random() < chance["order"]
    )
    return _Content(events, bystanders, attributes, background, ordered)


def _clauses(speech: _ClipSpeech, events: Sequence[int]) -> list[list[SentencePart]]:
    """Say events one after the other; who acts again is "it" where order is stated."""
    if not speech.content.ordered:
        return [speech.clause(number) for number in events]
    actors = [(speech.clip.events[number].subject, speech.clip.events[number].partner) for number in events]
    again = [False, *(first == (then, None) for first, (then, _) in pairwise(actors))]
    clauses: list[list[SentencePart]] = []
    for place, number in enumerate(events):
        clause = speech.clause(number, subject="it" if again[place] else None)
        goes_on = [
            events[later] for later in range(place + 1, len(events)) if all(again[place + 1 : later + 1])
        ]
        clauses.append(in_clause(clause, number, *goes_on))
    return clauses


def _spoken_order(speech: _ClipSpeech) -> list[int]:
    """The events as they are named: in order of time where that is stated."""
    events = sorted(speech.content.events)
    if speech.content.ordered:
        return events
    return [events[i] for i in speech.rng.permutation(len(events))]


def _sentence(speech: _ClipSpeech) -> list[SentencePart]:
    rng, events = speech.rng, _spoken_order(speech)
    parts: list[SentencePart]
    bystanders = list(speech.content.bystanders)
    if not events:
        lead = pick(rng, ("", "", "there is ", "a video of ", "a scene with "))
        parts = [SentencePart(lead), *speech.thing(bystanders.pop(0))]
    elif len(events) == 1:
        finite = bool(rng.random() < 0.6)
        lead = "" if finite else pick(rng, ("", "", "there is ", "a video of "))
        parts = [SentencePart(lead), *speech.clause(events[0], finite)]
    elif not speech.content.ordered:
        clauses = _clauses(speech, events)
        template = "{0} and {1}" if len(events) == 2 else "{0}, {1} and {2}"
        parts = join_clauses(template, clauses, events)
    else:
        template = pick(rng, _TWO_IN_ORDER if len(events) == 2 else _THREE_IN_ORDER)
        if template.startswith("{1}"):
            # What is said first is what a thing is described with, and "it" needs something before it.
            later = speech.clause(events[1])
            clauses = [in_clause(speech.clause(events[0]), events[0]), in_clause(later, events[1])]
        else:
            clauses = _clauses(speech, events)
        parts = join_clauses(template, clauses, events)
    for place, thing in enumerate(bystanders):
        parts += [SentencePart(" and " if place > 0 or (not events and rng.random() < 0.5) else " with ")]
        parts += speech.thing(thing)
    return [*parts, SentencePart(" "), *speech.setting()] if speech.content.background else parts


def _paragraph(speech: _ClipSpeech) -> list[SentencePart]:
    """Several sentences: an event each, what else there is, and where."""
    rng, events = speech.rng, sorted(speech.content.events)
    sentences: list[list[SentencePart]] = []
    for place, (number, clause) in enumerate(zip(events, _clauses(speech, events), strict=True)):
        lead = []
        if speech.content.ordered and place > 0:
            lead = [SentencePart("then", "order", number), SentencePart(" ")]
        elif speech.content.ordered and rng.random() < 0.5:
            lead = [SentencePart("first", "order", number), SentencePart(" ")]
        sentences.append([*lead, *clause])
    for thing in speech.content.bystanders:
        sentences.append([SentencePart("there is "), *speech.thing(thing)])
    if speech.content.background:
        sentences.append([SentencePart("everything is "), *speech.setting()])
    parts: list[SentencePart] = []
    for sentence in sentences:
        parts += [*sentence, SentencePart(". ")]
    return parts


def describe_clip(
    clip: ShapesClip, rng: np.random.Generator, *, paragraph: bool = False, event: int | None = None
) -> Caption:
    """Say a sentence about a clip, or a paragraph, true of it and of none of its hard negatives.

    Args:
        clip: what to describe.
        rng: chooses the facts and the words.
        paragraph: several sentences with most of the facts.
        event: index of the only event to be named; then hard negatives play no part.

    Returns:
        Lower-case words, at most :data:`~vidsift.shapes.captions.MAX_WORDS` (of a paragraph
        :data:`MAX_PARAGRAPH_WORDS`), their statement, and the words that state it.
    """
    chance = _PARAGRAPH_CHANCE if paragraph else _CHANCE
    limit = MAX_PARAGRAPH_WORDS if paragraph else MAX_WORDS
    most_events = 1 if event is not None else len(clip.events) if paragraph else _MOST_EVENTS
    while True:
        content = _choose(clip, rng, chance, most_events, event)
        article = pick(rng, ("a ", "a ", "a ", "the ", "the ", "")) if not paragraph else "a "
        speech = _ClipSpeech(clip, rng, content, article)
        text, words = text_and_words((_paragraph if paragraph else _sentence)(speech))
        if count_tokens(text) <= limit:
            return Caption(text, speech.statement(), words)
        chance = {name: value * 0.8 for name, value in chance.items()}
