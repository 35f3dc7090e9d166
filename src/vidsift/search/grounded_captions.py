"""Captions of which it is known when their words are true, and what accounts of them are held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from vidsift.data.grounding import GroundedWord
from vidsift.evaluation.evaluate import EncodedGallery
from vidsift.search.sentence_words import SentenceWord, sentence_words

__all__ = [
    "SEED",
    "GroundedCaption",
    "ShuffledSentence",
    "grounded_captions",
    "other_captions",
    "shuffled_sentence",
]

SEED = 0
"""Of what is shuffled."""

_DRAWS = 20
_MOST_NEGATIVES = 7


@dataclass(frozen=True)
class GroundedCaption:
    """A caption of which it is known when its words are true.

    Attributes:
        sentence: the caption.
        truth: the words of which that is known; the others are function words.
        entry: number of its video among the entries of a gallery.
        row: of its video among the encoded ones.
        group: name of its video's group of hard negatives, or "".
        negatives: rows of other videos of that group: of all, or of seven that follow its own.
    """

    sentence: str
    truth: tuple[GroundedWord, ...]
    entry: int
    row: int
    group: str = ""
    negatives: tuple[int, ...] = ()

    @cached_property
    def words(self) -> list[SentenceWord]:
        """All words of the sentence."""
        return sentence_words(self.sentence)

    @cached_property
    def truth_of_words(self) -> list[GroundedWord | None]:
        """For each word what is true of it; None for function words."""
        return [
            next((known for known in self.truth if known.start < word.end and word.start < known.end), None)
            for word in self.words
        ]


def grounded_captions(gallery: EncodedGallery) -> list[GroundedCaption]:
    """Return the captions that have grounding and whose videos are there; maybe none."""
    row_V = np.cumsum(gallery.present) - 1
    members: dict[str, list[int]] = {}
    there = [(place, entry) for place, entry in enumerate(gallery.entries) if gallery.present[place]]
    for place, entry in there:
        if entry.group:
            members.setdefault(entry.group, []).append(int(row_V[place]))
    captions = []
    for place, entry in there:
        row = int(row_V[place])
        others = _following(members.get(entry.group, [row]), row)
        captions += [
            GroundedCaption(sentence, truth, place, row, entry.group, others)
            for sentence, truth in zip(entry.captions, entry.grounding or (), strict=False)
            if truth
        ]
    return captions


def _following(members: list[int], row: int) -> tuple[int, ...]:
    """The members after one, and then from the first on, up to as many as are compared."""
    place = members.index(row)
    return tuple((members[place + 1 :] + members[:place])[:_MOST_NEGATIVES])


class ShuffledSentence(NamedTuple):
    """A sentence with its words in random order.

    Attributes:
        sentence: the words with blanks between them; marks are gone.
        order: which word of the original each of its words is.
    """

    sentence: str
    order: list[int]


def shuffled_sentence(sentence: str, rng: np.random.Generator) -> ShuffledSentence | None:
    """Put a sentence's words in random order; None where they are then other words than before."""
    words = sentence_words(sentence)
    order = rng.permutation(len(words)).tolist()
    texts = [words[place].text for place in order]
    moved = " ".join(texts)
    if not texts or [word.text for word in sentence_words(moved)] != texts:
        return None
    return ShuffledSentence(moved, order)


def other_captions(captions: Sequence[GroundedCaption], rng: np.random.Generator) -> list[int | None]:
    """Draw for each caption another one, of another video and another group; None where none turned up."""
    chosen: list[int | None] = []
    for caption in captions:
        draws = rng.integers(0, len(captions), _DRAWS).tolist()
        others = (
            place
            for place in draws
            if captions[place].entry != caption.entry
            and not (caption.group and captions[place].group == caption.group)
        )
        chosen.append(next(others, None))
    return chosen
