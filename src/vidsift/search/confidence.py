"""How sure a hit is: its score beside the best scores of questions about nothing in the library.

A score by itself says little: some sentences score high with every video, and the best of many segments is
high by chance. So some 200 unrelated questions (the *bank*,
:data:`~vidsift.search.calibration_sentences.CALIBRATION_SENTENCES`) are asked of the same index, and the
best answer of each says how high chance reaches, in two ways::

    a(q, v) = s(q, v)                            the score as it is
    b(q, v) = s(q, v) - mean of s(q, .)          the score above the question's own mean over the index

The second is the sharper one, as it takes off what a sentence scores with everything. But a question that
fits all of a library (snow, in films of the mountains) has a high mean and no segment far above it: for it
the first counts. The best of many segments follows a Gumbel distribution, so one is fitted to the best ``a``
and one to the best ``b`` of the bank; a hit counts by the better of the two, in units of these fits, and a
third one says what that is worth::

    t = max((a - location_a) / scale_a, (b - location_b) / scale_b)
    confidence = exp(-exp(-(t - location_t) / scale_t))

That is the share of unrelated questions whose best answer in the whole index is worse. It depends on
question, segment and index, not on filters, on ``k`` or on who else asks; among the hits of a question it
falls with the score. A hit counts as found from :data:`MIN_CONFIDENCE` on, which one in twenty questions
about nothing in the library reaches. Some questions of the bank may fit the library after all: those that
stand out are left out of the fits, which is enough while they are few. Of very many segments the bank is
asked of some, and the fits of the best scores are moved up by what more segments add to the best answer of
one and the same question, which the difference between two halves of them tells. Scores of a black box cannot
be had for all of this; there its first stage is what is sure or not.

Sentences in order are another question: a video's score is a mean over sentences, lower and less spread than
that of one sentence. So they have fits of their own, for each number of sentences: sentences of the bank are
put in order, and asked as people ask theirs. A hit is as sure as its whole score says, and never as its
sentences by themselves. Sums of sentences have no fits, and nothing is said of them.

What people are told, and whether anything fits, follows from it in one place,
:mod:`vidsift.search.match_quality`.

This file says what a confidence is; :mod:`vidsift.search.calibration` measures the fits and keeps them.

Source: normalising scores by those of a cohort is common in speaker verification (Auckenthaler et al., Score
    Normalization for Text-Independent Speaker Verification Systems, 2000); the distribution of maxima is
    Gumbel's (Statistics of Extremes, 1958); fitting the null to the body of the data is Efron's (JASA 99,
    2004). The combination is ours, measured in ``results/found.md``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "MIN_CONFIDENCE",
    "Calibration",
    "Fits",
    "Gumbel",
    "fit_gumbel",
    "fits_of",
    "growth",
]

MIN_CONFIDENCE = 0.95
"""Confidence from which a hit counts as found: one in twenty unrelated questions gets that far."""

_BODY, _FITTED = (0.25, 0.6), (0.5, 0.9)
"""Quantiles by which a first fit finds what stands out, and by which the rest is fitted."""

_STANDS_OUT, _ROUNDS = 0.99, 2


class Gumbel(NamedTuple):
    """A Gumbel distribution."""

    location: float
    scale: float

    def reduced(self, value: float) -> float:
        """How many scales a value lies above the location."""
        return (value - self.location) / self.scale


@dataclass(frozen=True)
class Fits:
    """What the best answers to unrelated questions of one kind are worth.

    Attributes:
        plain: of the scores as they are.
        centred: of the scores above each question's own mean.
        better: of the better of the two, in units of these.
        questions: how many were asked.
    """

    plain: Gumbel
    centred: Gumbel
    better: Gumbel
    questions: int

    def confidence(self, score: float, mean: float) -> float:
        """The share of unrelated questions whose best answer is worse, 0 to 1.

        Args:
            score: of the hit.
            mean: of its question over the index; for sentences in order, the mean of theirs.
        """
        better = self.better.reduced(self._better(score, mean))
        # Beyond these limits the double exponential is 0 or 1 to the last bit, or overflows.
        return math.exp(-math.exp(-min(max(better, -50.0), 50.0)))

    def lead(self, score: float, of_others: float) -> float:
        """How far a hit stands above all other videos, in scales of chance; 0 where one is as good.

        Args:
            score: of the hit.
            of_others: the best score of any other video.
        """
        return max(0.0, (score - of_others) / self.centred.scale)

    def _better(self, score: float, mean: float) -> float:
        return max(self.plain.reduced(score), self.centred.reduced(score - mean))


@dataclass(frozen=True)
class Calibration(Fits):
    """The fits of single sentences, by themselves, and those of other kinds of questions.

    Attributes:
        key: what it was measured with: segments, model and bank.
        in_order: for so many sentences in order, where that was asked already.
    """

    key: str = ""
    in_order: Mapping[int, Fits] = field(default_factory=dict)


def fits_of(best: NDArray[np.float64], means: NDArray[np.float64], higher: float) -> Fits:
    """Fit what the best answers to unrelated questions score.

    Args:
        best: score of the best answer to each question, ``(Q,)``.
        means: of each question over the index, ``(Q,)``.
        higher: how much higher the best answers would lie over all segments than over those that were asked.
    """
    plain, centred = fit_gumbel(best), fit_gumbel(best - means)
    # The better of two is better than either: without a fit of its own chance would look sure.
    better = fit_gumbel(
        np.maximum((best - plain.location) / plain.scale, (best - means - centred.location) / centred.scale)
    )
    # Only where best answers lie depends on the number of segments, not how they are spread.
    plain, centred = (fit._replace(location=fit.location + higher) for fit in (plain, centred))
    return Fits(plain, centred, better, len(best))


def growth(best: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """How much higher the best answer lies over e times as many segments.

    That is the scale of a single question's best answer over different segments, and not that of the best
    answers of different questions, which differ by far more than chance. The best answers to a question in
    two libraries of a size differ by a logistic distribution of this scale, the median of whose size is
    log(3) scales; a median, as some questions fit one of the two.

    Args:
        best: best scores of the questions in one half, ``(Q,)``.
        other: in the other half.
    """
    return float(np.median(np.abs(best - other))) / math.log(3)


def fit_gumbel(values: NDArray[np.float64]) -> Gumbel:
    """Fit a Gumbel distribution by two quantiles, without the values that stand out above.

    Leaving out what a Gumbel distribution has there too makes the fit a few percent narrower.

    Example:
        >>> values = 3 - 2 * np.log(-np.log((np.arange(1000) + 0.5) / 1000))
        >>> location, scale = fit_gumbel(values)
        >>> abs(location - 3) < 0.1, 1.8 < scale < 2
        (True, True)
    """
    fit = _by_quantiles(values, _BODY)
    # Some questions of the bank fit the library after all; they must not widen what chance is.
    for _ in range(_ROUNDS):
        usual = values < fit.location - fit.scale * math.log(-math.log(_STANDS_OUT))
        fit = _by_quantiles(values[usual], _FITTED)
    return fit


def _by_quantiles(values: NDArray[np.float64], quantiles: tuple[float, float]) -> Gumbel:
    low, high = (float(value) for value in np.quantile(values, quantiles))
    reduced_low, reduced_high = (-math.log(-math.log(quantile)) for quantile in quantiles)
    # Where all answers score alike, a scale of nothing would divide by zero.
    scale = max((high - low) / (reduced_high - reduced_low), 1e-6)
    return Gumbel(low - scale * reduced_low, scale)
