"""How sure a hit is: its score beside the best scores of questions about nothing in the library.

A score by itself says little: some sentences score high with every video, and the best of many segments is
high by chance. So some 200 unrelated questions (the *bank*,
:data:`~vidsift.search.calibration_sentences.UNRELATED`) are asked of the same index, and the
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
falls with the score. A hit counts as found from :data:`FOUND` on, which one in twenty questions about nothing
in the library reaches. Some questions of the bank may fit the library after all: those that stand out are
left out of the fits, which is enough while they are few. Of very many segments the bank is asked of some,
and the fits of the best scores are moved up by what more segments add to the best answer of one and the same
question, which the difference between two halves of them tells. Scores of a black box cannot be had for all
of this; there its first stage is what is sure or not.

Sentences in order are another question: a video's score is a mean over sentences, lower and less spread than
that of one sentence. So they have fits of their own, for each number of sentences: sentences of the bank are
put in order, and asked as people ask theirs. A hit is as sure as its whole score says, and never as its
sentences by themselves. Sums of sentences have no fits, and nothing is said of them.

Whether anything fits is decided in one place, :func:`anything_fits`, from the confidences of the hits.

The fits are kept beside the index, in ``calibration.json``, and made again when segments, model or bank are
others; where that file cannot be written, once for each opened index. Those of sentences in order are made
when such a question is first asked. Neither reads more of a large index than the segments that are asked.

Source: normalising scores by those of a cohort is common in speaker verification (Auckenthaler et al., Score
    Normalization for Text-Independent Speaker Verification Systems, 2000); the distribution of maxima is
    Gumbel's (Statistics of Extremes, 1958); fitting the null to the body of the data is Efron's (JASA 99,
    2004). The combination is ours, measured in ``results/found.md``.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidsift.files.whole import write_json_whole
from vidsift.methods.base import TermSum
from vidsift.methods.model import Model
from vidsift.search.calibration_sentences import UNRELATED
from vidsift.search.gallery import Gallery
from vidsift.search.questions import Question
from vidsift.search.ranking import Wanted, rank
from vidsift.search.rescore import Candidates, one_thread, score_exactly
from vidsift.search.sequence import best_stories

__all__ = [
    "FEWEST",
    "FILE",
    "FOUND",
    "Background",
    "Calibration",
    "Fits",
    "Gumbel",
    "anything_fits",
    "calibrate",
    "calibrate_in_order",
    "calibrated",
    "calibrated_in_order",
    "fit_gumbel",
    "growth",
]

FOUND = 0.95
"""Confidence from which a hit counts as found."""

FILE = "calibration.json"
_VERSION = 2
_VERSION_IN_ORDER = 1
_SAMPLE = 256
"""Segments over which a question's mean is taken."""

_SAMPLE_BYTES = 64 * 2**20
_SCANNED = 4096
"""Segments that the bank is answered from; what more of them add is extrapolated, see :func:`growth`."""

_IN_ORDER = 100
"""Questions of sentences in order that are made of the bank."""

_LONGEST = 64
"""Segments of a video among which they are put in order; what more would add is extrapolated."""

FEWEST = 8
"""Segments below which nothing is said."""

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
        return math.exp(-math.exp(-min(max(better, -50.0), 50.0)))

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


def anything_fits(confidences: Iterable[float | None]) -> bool | None:
    """Tell whether some hit is sure enough to say that something fits; None if nothing is known of any.

    Args:
        confidences: of the hits.

    Example:
        >>> anything_fits([0.1, 0.95]), anything_fits([0.94, None]), anything_fits([None])
        (True, False, None)
    """
    known = [one for one in confidences if one is not None]
    return max(known) >= FOUND if known else None


class Background:
    """What a question scores with a fixed sample of the index.

    Args:
        gallery: all segments.
        terms: what they are scored by.
    """

    def __init__(self, gallery: Gallery, terms: TermSum) -> None:
        """Read the sample: rows evenly over the ids, which say nothing of what a video shows."""
        self.gallery, self.terms = gallery, terms
        one = sum(tokens.tokens[0].numel() * 4 for tokens in gallery.exact([0]).values())
        self._rows = _evenly(len(gallery), min(_SAMPLE, max(32, _SAMPLE_BYTES // one)))
        self._read = Candidates(gallery, self._rows)

    def mean(self, question: Question) -> float:
        """The mean of a question's exact scores."""
        asked = question.adapted(self.terms)
        return float(score_exactly(self.terms, self._read, asked, self._rows).double().mean())

    def part(self, rows: Sequence[int]) -> Gallery:
        """Some segments by themselves, ascending: what is asked of them costs nothing for the others."""
        return self.gallery if len(rows) == len(self.gallery) else self.gallery.part(rows, self.terms)


def calibrated(folder: Path, model: Model, background: Background) -> Calibration:
    """Return the calibration of an index, measured unless it was kept.

    Args:
        folder: of the index.
        model: of the index.
        background: of its segments.
    """
    key = _key(background.gallery, model, UNRELATED)
    kept = _read(folder / FILE)
    if kept is not None and kept.key == key:
        return kept
    measured = calibrate(model, background, UNRELATED, key)
    _keep(folder / FILE, measured)
    return measured


def calibrated_in_order(
    folder: Path, model: Model, background: Background, calibration: Calibration, count: int
) -> Fits | None:
    """Return the fits of so many sentences in order, measured unless they were kept.

    Args:
        folder: of the index.
        model: of the index.
        background: of its segments.
        calibration: of the same, beside which they are kept.
        count: of sentences.

    Returns:
        None where no video of the index has as many pictures as there are sentences.
    """
    fits = _kept_beside(folder, calibration).in_order.get(count)
    if fits is None:
        fits = calibrate_in_order(model, background, UNRELATED, count)
        if fits is not None and calibration.key:
            # Read again: others may have measured other numbers of sentences in these seconds.
            kept = _kept_beside(folder, calibration)
            _keep(folder / FILE, replace(kept, in_order={**kept.in_order, count: fits}))
    return fits


def _kept_beside(folder: Path, calibration: Calibration) -> Calibration:
    """What is kept of the same segments, bank and model; the calibration itself where nothing is."""
    kept = _read(folder / FILE)
    return calibration if kept is None or kept.key != calibration.key else kept


def calibrate(model: Model, background: Background, bank: Sequence[str], key: str = "") -> Calibration:
    """Ask unrelated questions, and fit what their best answers score.

    Args:
        model: encodes them.
        background: of the segments.
        bank: the questions.
        key: kept with the result.
    """
    questions = _questions(model, bank)
    best, higher = _best_answers(background, questions)
    means = np.array([background.mean(question) for question in questions])
    return Calibration(**vars(_fits(best, means, higher)), key=key)


def _fits(best: NDArray[np.float64], means: NDArray[np.float64], higher: float) -> Fits:
    """Fit best answers ``(Q,)`` of questions with such means, which lie so much higher over all segments."""
    plain, centred = fit_gumbel(best), fit_gumbel(best - means)
    better = fit_gumbel(
        np.maximum((best - plain.location) / plain.scale, (best - means - centred.location) / centred.scale)
    )
    plain, centred = (one._replace(location=one.location + higher) for one in (plain, centred))
    return Fits(plain, centred, better, len(best))


def calibrate_in_order(model: Model, background: Background, bank: Sequence[str], count: int) -> Fits | None:
    """Ask unrelated sentences in order, and fit what their best answers score.

    Args:
        model: encodes them.
        background: of the segments.
        bank: the sentences; each comes once in every place, where all of them are asked.
        count: of sentences in order.

    Returns:
        None where no video has as many pictures as there are sentences.
    """
    singles = _questions(model, bank)
    means = np.array([background.mean(one) for one in singles])
    asked = [
        [(start + place * len(bank) // count) % len(bank) for place in range(count)]
        for start in _evenly(len(bank), _IN_ORDER)
    ]
    rows, first, videos, length = _whole_videos(background.gallery)
    gallery, terms = background.part(rows), background.terms
    parts = _two_parts(first, len(rows))
    best_PQ = np.array([
        [_best_story(gallery, terms, [singles[place] for place in one], allowed) for one in asked]
        for allowed in parts
    ])  # fmt: skip
    best_PQ = best_PQ[np.isfinite(best_PQ).all(axis=1)]
    if not len(best_PQ):
        return None
    higher = 0.0
    if len(best_PQ) == 2:
        higher += growth(*best_PQ) * math.log(videos)
    if length > 1:
        # In a longer video every sentence has more places, as a sentence by itself has in more segments.
        halves = [
            _best_scores(gallery, terms, singles, half) for half in _two_parts(len(rows) // 2, len(rows))
        ]
        higher += growth(*map(np.array, halves)) * math.log(length)
    return _fits(best_PQ.max(axis=0), means[asked].mean(axis=1), higher)


def _best_story(
    gallery: Gallery, terms: TermSum, questions: Sequence[Question], allowed: NDArray[np.bool_]
) -> float:
    """The score of the best video for sentences in order, NaN where none has enough pictures."""
    found = best_stories(gallery, terms, questions, Wanted(1, allowed, "video"))
    return found[0].score if found else math.nan


def _whole_videos(gallery: Gallery) -> tuple[list[int], int, float, float]:
    """Segments that sentences in order are asked of: all, or those of some videos in two parts.

    Returns:
        Rows, ascending; how many of them are the first part, all where there is but one; how many times as
        many videos there are, and how many times as long these are on average.
    """
    own: dict[int, list[int]] = {}
    for row, video in enumerate(gallery.video_numbers.tolist()):
        own.setdefault(video, []).append(row)
    thinned = [[rows[place] for place in _evenly(len(rows), _LONGEST)] for rows in own.values()]
    left = sum(map(len, thinned))
    length = len(gallery) / left
    if left <= _SCANNED:
        return [row for rows in thinned for row in rows], left, 1.0, length
    chosen = _evenly(len(thinned), max(2, len(thinned) * _SCANNED // left))
    # Ids begin with that of the video, so that rows of a video stand together.
    first = sum(len(thinned[place]) for place in chosen[: len(chosen) // 2])
    return [row for place in chosen for row in thinned[place]], first, len(thinned) / len(chosen), length


def _two_parts(first: int, count: int) -> list[NDArray[np.bool_]]:
    """Masks ``(count,)`` of the first so many and of the others; of the first alone where they are all."""
    inside = np.arange(count) < first
    return [inside] if first == count else [inside, ~inside]


def _best_answers(background: Background, questions: Sequence[Question]) -> tuple[NDArray[np.float64], float]:
    """The best score of each question, and how much higher it would be over all segments.

    Where there are too many segments to ask, some are asked in two halves, by whose difference
    :func:`growth` tells what more segments would add.
    """
    gallery = background.gallery
    rows = _evenly(len(gallery), _SCANNED)
    # Ids begin with that of the video: the halves are of different videos, as all that is added would be.
    whole = len(rows) == len(gallery)
    parts = _two_parts(len(rows) if whole else len(rows) // 2, len(rows))
    asked = background.part(rows)
    best_PQ = np.array([_best_scores(asked, background.terms, questions, allowed) for allowed in parts])
    if whole:
        return best_PQ[0], 0.0
    return best_PQ.max(axis=0), growth(*best_PQ) * math.log(len(gallery) / len(rows))


def _best_scores(
    gallery: Gallery, terms: TermSum, questions: Sequence[Question], allowed: NDArray[np.bool_]
) -> list[float]:
    ranked = rank(gallery, terms, questions, Wanted(1, allowed))
    return [one.best[0][1] for one in ranked]


def growth(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """How much higher the best answer lies over e times as many segments.

    That is the scale of a single question's best answer over different segments, and not that of the best
    answers of different questions, which differ by far more than chance. The best answers to a question in
    two libraries of a size differ by a logistic distribution of this scale, the median of whose size is
    log(3) scales; a median, as some questions fit one of the two.

    Args:
        one: best scores of the questions in one half, ``(Q,)``.
        other: in the other half.
    """
    return float(np.median(np.abs(one - other))) / math.log(3)


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
    for _ in range(_ROUNDS):
        usual = values < fit.location - fit.scale * math.log(-math.log(_STANDS_OUT))
        fit = _by_quantiles(values[usual], _FITTED)
    return fit


def _by_quantiles(values: NDArray[np.float64], quantiles: tuple[float, float]) -> Gumbel:
    low, high = (float(one) for one in np.quantile(values, quantiles))
    reduced_low, reduced_high = (-math.log(-math.log(one)) for one in quantiles)
    scale = max((high - low) / (reduced_high - reduced_low), 1e-6)
    return Gumbel(low - scale * reduced_low, scale)


def _evenly(count: int, most: int) -> list[int]:
    """At most so many rows, evenly over all."""
    rows: list[int] = np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()
    return rows


def _questions(model: Model, bank: Sequence[str]) -> list[Question]:
    """Encode the bank on one thread, those of like length together: the same bits each time, no padding."""
    lengths: dict[int, list[int]] = {}
    for place, pieces in enumerate(model.tokenize(bank).pieces):
        lengths.setdefault(len(pieces), []).append(place)
    questions: dict[int, Question] = {}
    with one_thread():
        for places in lengths.values():
            encoded = model.encode_text([bank[place] for place in places])
            for row, place in enumerate(places):
                own = {name: tokens[row : row + 1] for name, tokens in encoded.items()}
                questions[place] = Question((own,))
    return [questions[place] for place in range(len(bank))]


def _key(gallery: Gallery, model: Model, bank: Sequence[str]) -> str:
    digest = hashlib.sha256(f"{_VERSION} {model.fingerprint}\n".encode())
    for part in (bank, gallery.segment_ids):
        digest.update("\n".join(part).encode())
        digest.update(b"\n\n")
    return digest.hexdigest()


def _read(path: Path) -> Calibration | None:
    """What was kept, None where there is nothing that can be read."""
    try:
        values: Any = json.loads(path.read_text(encoding="utf-8"))
        kept = Calibration(**vars(_fits_of(values)), key=str(values["key"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    # Files of earlier versions hold none of these; what cannot be read is measured again.
    in_order = {}
    with suppress(ValueError, TypeError, KeyError, AttributeError):
        for count, own in values.get("in_order", {}).items():
            if own["version"] == _VERSION_IN_ORDER:
                in_order[int(count)] = _fits_of(own)
    return replace(kept, in_order=in_order)


def _fits_of(values: Any) -> Fits:
    fits = {name: Gumbel(*map(float, values[name])) for name in ("plain", "centred", "better")}
    if not all(math.isfinite(fit.location) and fit.scale > 0 for fit in fits.values()):
        raise ValueError
    return Fits(**fits, questions=int(values["questions"]))


def _keep(path: Path, calibration: Calibration) -> None:
    """Write the calibration down whole, where the folder may be written."""
    # Several threads of a service may measure at once.
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}")
    values = asdict(calibration)
    values["in_order"] = {
        str(count): own | {"version": _VERSION_IN_ORDER} for count, own in values["in_order"].items()
    }
    with suppress(OSError):  # a folder that may not be written: measured again by whoever asks next
        write_json_whole(path, values, temporary=temporary)
