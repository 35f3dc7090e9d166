"""What text tokens weigh by their place in the sentence, summed over captions (DRL appendix 6, Fig. 8)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidsift.encoders.tokenizer import END, START

__all__ = ["WordWeights", "sum_weights"]

_MOST_PLACES = 16


@dataclass(frozen=True)
class WordWeights:
    """Weights of the text tokens of many captions, each with its own video.

    Attributes:
        captions: how many.
        end_first: share of them in which the end-of-text token weighs most, 0 to 1.
        end_mean: its mean weight.
        others_mean: mean weight of all other tokens.
        by_place: mean weight of the start, and of the first words one by one.
        heaviest: word to the number of captions in which it weighs most of all words, often ones first.
    """

    captions: int
    end_first: float
    end_mean: float
    others_mean: float
    by_place: list[float]
    heaviest: dict[str, int]


def sum_weights(pieces: Sequence[Sequence[str]], weights: Sequence[NDArray[np.float64]]) -> WordWeights:
    """Sum the weights of captions up.

    Args:
        pieces: of each caption its readable tokens, from the start of text to its end.
        weights: of each caption what they weigh ``(T,)``.
    """
    by_place: dict[int, list[float]] = defaultdict(list)
    heaviest: Counter[str] = Counter()
    ends, others, first = [], [], 0
    for words, weight_T in zip(pieces, weights, strict=True):
        ends.append(weight_T[-1])
        others += weight_T[:-1].tolist()
        first += int(weight_T.argmax() == len(words) - 1)
        for place, weight in enumerate(weight_T[:-1][:_MOST_PLACES]):
            by_place[place].append(float(weight))
        # Marks have weights too, and say nothing of what a caption is about.
        ordinary = [
            place
            for place, word in enumerate(words)
            if word not in {START, END} and any(map(str.isalnum, word))
        ]
        if ordinary:
            heaviest[words[max(ordinary, key=lambda place: weight_T[place])]] += 1
    return WordWeights(
        captions=len(pieces),
        end_first=first / len(pieces),
        end_mean=float(np.mean(ends)),
        others_mean=float(np.mean(others)),
        by_place=[float(np.mean(by_place[place])) for place in sorted(by_place)],
        heaviest=dict(heaviest.most_common()),
    )
