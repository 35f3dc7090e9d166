"""What each word counts for, by leaving it out: how far a score falls where the sentence lacks the word.

Every method has this account, plain CLIP and black boxes too: the sentence is encoded again without the word,
and scored as hits are. It is no part of the score: see :data:`MEANING`.

Source: occlusion (Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", 2014, section
4.2) for words, as Li, Monroe and Jurafsky ("Understanding Neural Networks through Representation Erasure",
2016, Eq. 1) erase them. Differs: the difference of scores itself, and not its share of the score.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from vidsift.methods.base import Method
from vidsift.methods.model import Model
from vidsift.search.gallery import Gallery
from vidsift.search.moments import frame_shares
from vidsift.search.questions import Question, one_thread
from vidsift.search.rescore import PrefetchedTokens, align_exactly, score_exactly
from vidsift.search.sentence_words import SentenceWord, sentence_words, without_word, word_of_pieces
from vidsift.search.sums import QueryPart
from vidsift.types import Features

__all__ = [
    "MEANING",
    "LeavingOut",
    "WordFall",
    "WordsLeftOut",
    "fall_without_words",
    "leave_words_out",
    "texts_without_words",
]

MEANING = (
    "how much the score falls without the word; interactions between words are counted in each of them, so "
    "falls need not add up to the score"
)
_NO_ACCOUNT = "the model cannot say what each frame gave: only the fall of the score is known"
_NO_TIMES = "no token of the model has a time: only the fall of the score is known"


@dataclass(frozen=True, eq=False)
class WordsLeftOut:
    """A sentence without each of its words, encoded.

    Attributes:
        words: W, those that the model read; what it cut off at its longest text is not among them.
        texts: the sentence without each; "" where no other word is left.
        rows: of each text among the encoded; None where there is no text.
        encoded: prepared sets, a row for each distinct text.
    """

    words: list[SentenceWord]
    texts: list[str]
    rows: list[int | None]
    encoded: Features

    @property
    def count(self) -> int:
        """How many texts were encoded."""
        return len(next(iter(self.encoded.values()))) if self.encoded else 0


@dataclass(frozen=True, eq=False)
class WordFall:
    """What leaving out one word does to the score.

    Attributes:
        word: as it is written.
        start, end: its characters in ``sentence``.
        sentence: whose word it is: the question, or one part of its arithmetic.
        weight: what the score of that sentence counts for; falls are multiplied by it.
        without: the sentence that was scored in its place; "" where no other word is left.
        fall: the score less that without the word, as it counts in the question; negative where the score
            rises. None for the only word of a sentence, without which there is nothing to score.
        frame_falls: what each frame gave less what it gives without the word ``(F,)``; None where ``fall`` is
            or the account has no frames.
        untimed_fall: likewise for all tokens without a time (patch cubes, events) together, where a term has
            such tokens; with it the frames' falls sum to ``fall``.
    """

    word: str
    start: int
    end: int
    sentence: str
    weight: float
    without: str
    fall: float | None
    frame_falls: NDArray[np.float64] | None = None
    untimed_fall: float | None = None


@dataclass(frozen=True, eq=False)
class LeavingOut:
    """What each word of a question counts for, by leaving it out.

    Attributes:
        words: in the order of the question; a word that occurs twice is there twice.
        times_seconds: of the F frames, ascending; None where the account has none.
        frames_missing: why it has none; "" where it has.
    """

    words: list[WordFall]
    times_seconds: NDArray[np.float64] | None = None
    frames_missing: str = ""

    @property
    def by_sentence(self) -> list[list[WordFall]]:
        """The words of each sentence of the question, of one that stands twice too."""
        sentences: list[list[WordFall]] = []
        for word in self.words:
            last = sentences[-1][-1] if sentences else None
            # The words of a sentence stand in order: one further left begins another sentence.
            if (
                last is None
                or (word.sentence, word.weight) != (last.sentence, last.weight)
                or word.start <= last.start
            ):
                sentences.append([])
            sentences[-1].append(word)
        return sentences

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        times = self.times_seconds
        return {
            "meaning": MEANING,
            "times_seconds": None if times is None else times.tolist(),
            "frames_missing": self.frames_missing,
            "words": [
                {
                    key: value.tolist() if isinstance(value, np.ndarray) else value
                    for key, value in vars(word).items()
                }
                for word in self.words
            ],
        }


def leave_words_out(model: Model, sentence: str) -> WordsLeftOut:
    """Encode a sentence without each of its words, in one batch.

    Of a sentence that is too long for the model only what it reads is taken: else a word that was cut off
    would move up into the place of the one that is left out.

    Args:
        model: whose text tower reads them.
        sentence: one sentence, no sum.

    Raises:
        ValueError: the sentence is empty.
    """
    words, texts = texts_without_words(model, sentence)
    # Of "very very" two words leave the same text.
    rows = {text: row for row, text in enumerate(dict.fromkeys(filter(None, texts)))}
    with one_thread():
        encoded = model.encode_text(list(rows)) if rows else {}
    return WordsLeftOut(words, texts, [rows.get(text) for text in texts], encoded)


def texts_without_words(model: Model, sentence: str) -> tuple[list[SentenceWord], list[str]]:
    """Return the words of a sentence that a model reads, and what it reads of the sentence without each.

    The text is "" where no other word is left. See :func:`leave_words_out`.
    """
    words = sentence_words(sentence)
    tokens = model.tokenize([sentence])
    if tokens.cut[0]:
        owners = word_of_pieces(sentence, tokens.pieces[0], model.tokenizer)
        words = words[: max(owners) + 1]
        sentence = sentence[: words[-1].end] if words else sentence
    if len(words) < 2:
        return words, [""] * len(words)
    return words, [_if_readable(model, without_word(sentence, word)) for word in words]


def _if_readable(model: Model, text: str) -> str:
    """A text, or "" where the model reads nothing of it: marks, or an entity that is a blank."""
    try:
        model.tokenize([text])
    except ValueError:
        return ""
    return text


class _Given(NamedTuple):
    """What a sentence gives to a segment: its score, by frame, and by tokens without a time."""

    score: float
    times_seconds: NDArray[np.float64]
    shares: NDArray[np.float64]
    untimed: float | None


class _Segment:
    """A segment that many sentences are compared with, read once."""

    def __init__(self, method: Method, gallery: Gallery, row: int) -> None:
        self._method = method
        self._gallery = gallery
        self._row = row
        self._tokens = PrefetchedTokens(gallery, [row])
        self._with_times = gallery.exact([row]) if method.explains else {}

    def given_by(self, text: Features) -> _Given:
        method, rows = self._method, [self._row]
        score = float(score_exactly(method, self._tokens, Question((text,)), rows)[0])
        if not method.explains:
            return _Given(score, np.zeros(0), np.zeros(0), None)
        read = self._read
        account, video = next(align_exactly(method, self._gallery, text, rows, read=read))
        times, shares = frame_shares(method.terms, account, video)
        untimed = [
            term.weight * float(account[term.name].contributions[0].sum(dtype=torch.float64))
            for term in method.terms
            if video[term.video].times_seconds is None
        ]
        return _Given(score, times, shares, sum(untimed) if untimed else None)

    def _read(self, rows: Sequence[int]) -> Features:  # noqa: ARG002 - the one row is asked for
        return self._with_times


def fall_without_words(
    method: Method,
    gallery: Gallery,
    row: int,
    question: Question,
    parts: Sequence[QueryPart],
    *,
    left_out: Callable[[str], WordsLeftOut],
) -> LeavingOut:
    """Tell how far the score of a question with a segment falls when a word is left out.

    In a sum of sentences each word is left out of its own sentence, and the others stay as they are.

    Args:
        method: of the index.
        gallery: holds the segment.
        row: of the segment.
        question: as it was encoded for the hits.
        parts: its sentences.
        left_out: gives :func:`leave_words_out` of a sentence, maybe remembered.
    """
    segment, words, times = _Segment(method, gallery, row), [], np.zeros(0)
    for part, text in zip(parts, question.texts, strict=True):
        whole, reduced = segment.given_by(text), left_out(part.sentence)
        times = whole.times_seconds
        less = [
            segment.given_by({name: tokens[place : place + 1] for name, tokens in reduced.encoded.items()})
            for place in range(reduced.count)
        ]
        for word, without, place in zip(reduced.words, reduced.texts, reduced.rows, strict=True):
            fall = WordFall(word.text, word.start, word.end, part.sentence, part.weight, without, None)
            words.append(fall if place is None else _filled(fall, whole, less[place]))
    if not len(times):
        return LeavingOut(words, None, _NO_TIMES if method.explains else _NO_ACCOUNT)
    return LeavingOut(words, times)


def _filled(word: WordFall, whole: _Given, less: _Given) -> WordFall:
    weight = word.weight
    fall = weight * (whole.score - less.score)
    if not len(whole.times_seconds):
        return replace(word, fall=fall)
    frame_falls = weight * (whole.shares - less.shares)
    if whole.untimed is None or less.untimed is None:
        return replace(word, fall=fall, frame_falls=frame_falls)
    return replace(
        word, fall=fall, frame_falls=frame_falls, untimed_fall=weight * (whole.untimed - less.untimed)
    )
