"""Why a segment was found: the meetings of words and frames that its score is the sum of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vidsift.methods.base import Term
from vidsift.types import Alignment, Features

__all__ = ["Explanation", "TermAccount", "account_for"]


@dataclass(frozen=True, eq=False)
class TermAccount:
    """One term's part of a score; only real tokens, T of the text and N of the video.

    Attributes:
        name: of the term, e.g. ``word-frame``.
        words: readable text tokens, special ones as they are called, ``T`` of them.
        times_seconds: when each video token is seen ``(N,)``; None if they have no time of their own.
        frame, group: of each video token its frame's place in the segment, and its own within the frame
            (object, patch), ``(N,)``; None where that means nothing.
        values: similarity of each word with each video token ``(T, N)``.
        contributions: what each meeting gave to the score ``(T, N)``, the term's weight included.
        text_weights, video_weights: importance of the tokens, ``(T,)`` and ``(N,)``.
        best_video_token: of each word ``(T,)``.
        best_text_token: of each video token ``(N,)``.
    """

    name: str
    words: list[str]
    times_seconds: NDArray[np.float64] | None
    values: NDArray[np.float32]
    contributions: NDArray[np.float32]
    text_weights: NDArray[np.float32]
    video_weights: NDArray[np.float32]
    best_video_token: NDArray[np.int64]
    best_text_token: NDArray[np.int64]
    frame: NDArray[np.int64] | None = None
    group: NDArray[np.int64] | None = None


@dataclass(frozen=True, eq=False)
class Explanation:
    """The account of one hit; the contributions of all terms sum to ``score``."""

    query: str
    score: float
    terms: list[TermAccount]

    @property
    def total(self) -> float:
        """Sum of all contributions."""
        return float(sum(term.contributions.sum(dtype=np.float64) for term in self.terms))

    def to_dict(self) -> dict[str, Any]:
        """Return the account as JSON can hold it."""
        terms = [
            {
                key: value.tolist() if isinstance(value, np.ndarray) else value
                for key, value in vars(one).items()
            }
            for one in self.terms
        ]
        return {"query": self.query, "score": self.score, "terms": terms}


def account_for(
    query: str,
    *,
    pieces: Sequence[str],
    score: float,
    terms: Sequence[Term],
    text: Features,
    video: Features,
    account: Mapping[str, Alignment],
) -> Explanation:
    """Put the alignment of one pair into words, times and numbers.

    Args:
        query: the sentence.
        pieces: its tokens, readable.
        score: the similarity that the hit reports.
        terms: of the method.
        text: prepared sets, one row each.
        video: likewise.
        account: alignment of every term, one row each.
    """
    parts = []
    for term in terms:
        one = account[term.name]
        words_T, tokens_N = text[term.text].mask[0].cpu(), video[term.video].mask[0].cpu()
        seen = video[term.video]
        # Grouped tokens (levels of the whole sentence) are no words, though there may be as many.
        own_pieces = pieces if text[term.text].group is None else ()
        parts.append(
            TermAccount(
                name=term.name,
                words=_words(term.text, int(words_T.sum()), query, own_pieces),
                times_seconds=_real(seen.times_seconds, tokens_N),
                frame=_real(seen.frame, tokens_N),
                group=_real(seen.group, tokens_N),
                values=one.values[0].cpu()[words_T][:, tokens_N].numpy(),
                contributions=one.contributions[0].cpu()[words_T][:, tokens_N].numpy()
                * np.float32(term.weight),
                text_weights=one.text_weights[0].cpu()[words_T].numpy(),
                video_weights=one.video_weights[0].cpu()[tokens_N].numpy(),
                best_video_token=one.best_video_token[0].cpu()[words_T].numpy(),
                best_text_token=one.best_text_token[0].cpu()[tokens_N].numpy(),
            )
        )
    return Explanation(query, score, parts)


def _real(part_1N: Tensor | None, tokens_N: Tensor) -> NDArray[Any] | None:
    """The entries of real tokens, where the set has that part."""
    return None if part_1N is None else part_1N[0].cpu()[tokens_N].numpy()


def _words(name: str, count: int, query: str, pieces: Sequence[str]) -> list[str]:
    """Readable names of a set's tokens: words where there is one each, the sentence, or numbers."""
    if count == len(pieces):
        return list(pieces)
    return [query] if count == 1 else [f"{name} {number + 1}" for number in range(count)]
