"""Captions of which it is known when their words are true, and what accounts of them are held against."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from vidsift.data.grounding import GroundedWord
from vidsift.evaluation.evaluate import EncodedGallery
from vidsift.methods.model import Model
from vidsift.search.sentence_words import SentenceWord, sentence_words, without_word
from vidsift.types import Features

__all__ = [
    "SEED",
    "GroundedCaption",
    "ShuffledSentence",
    "grounded_captions",
    "other_captions",
    "score_falls",
    "shuffled_sentence",
]

SEED = 0
"""Of what is shuffled."""

_AT_ONCE = 32
_DRAWS = 20


@dataclass(frozen=True)
class GroundedCaption:
    """A caption of which it is known when its words are true.

    Attributes:
        sentence: the caption.
        truth: the words of which that is known; the others are function words.
        entry: number of its video among the entries of a gallery.
        row: of its video among the encoded ones.
        group: name of its video's group of hard negatives, or "".
        negatives: rows of the other videos of that group.
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
        others = tuple(other for other in members.get(entry.group, ()) if other != row)
        captions += [
            GroundedCaption(sentence, truth, place, row, entry.group, others)
            for sentence, truth in zip(entry.captions, entry.grounding or (), strict=False)
            if truth
        ]
    return captions


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


def score_falls(
    model: Model, videos: Features, captions: Sequence[GroundedCaption]
) -> Iterator[NDArray[np.float64]]:
    """Encode each caption again without each of its content words, and score it with its own video.

    Yields:
        How far the score falls without each word ``(W,)``; NaN for function words, and for a word that is the
        whole sentence.
    """
    for start in range(0, len(captions), _AT_ONCE):
        some = captions[start : start + _AT_ONCE]
        left_out = [_without_content_words(caption) for caption in some]
        texts = list(
            dict.fromkeys(
                [caption.sentence for caption in some] + [text for of in left_out for text in of.values()]
            )
        )
        place = {text: number for number, text in enumerate(texts)}
        encoded = model.encode_text(texts)
        for caption, without in zip(some, left_out, strict=True):
            rows = [place[caption.sentence], *(place[text] for text in without.values())]
            text = {name: tokens[torch.tensor(rows)] for name, tokens in encoded.items()}
            video = {name: tokens[caption.row : caption.row + 1] for name, tokens in videos.items()}
            score_B = model.similarity(text, video)[:, 0].double().cpu().numpy()
            falls_W = np.full(len(caption.words), np.nan)
            falls_W[list(without)] = score_B[0] - score_B[1:]
            yield falls_W


def _without_content_words(caption: GroundedCaption) -> dict[int, str]:
    """The sentence without each of its content words, by the word's place."""
    texts = {
        place: without_word(caption.sentence, word)
        for place, (word, known) in enumerate(zip(caption.words, caption.truth_of_words, strict=True))
        if known is not None
    }
    return {place: text for place, text in texts.items() if sentence_words(text)}
