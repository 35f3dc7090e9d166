"""How sure a hit is: its score beside the best scores of questions about nothing in the library.

A score by itself says little: some sentences score high with every video, and the best of many segments is
high by chance. So some 200 unrelated questions (the *bank*, :data:`~vidsift.search.unrelated.UNRELATED`) are
asked of the same index, and the best answer of each says how high chance reaches, in two ways::

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

The fits are kept beside the index, in ``calibration.json``, and made again when segments, model or bank are
others; where that file cannot be written, once for each opened index.

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
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidsift.index.reading import Gallery
from vidsift.methods.base import TermSum
from vidsift.methods.model import Model
from vidsift.search.questions import Question
from vidsift.search.ranking import Wanted, rank
from vidsift.search.rescore import Candidates, one_thread, score_exactly
from vidsift.search.unrelated import UNRELATED

__all__ = [
    "FEWEST",
    "FILE",
    "FOUND",
    "Background",
    "Calibration",
    "Gumbel",
    "calibrate",
    "calibrated",
    "fit_gumbel",
    "growth",
]

FOUND = 0.95
"""Confidence from which a hit counts as found."""

FILE = "calibration.json"
_VERSION = 2
_SAMPLE = 256
"""Segments over which a question's mean is taken."""

_SAMPLE_BYTES = 64 * 2**20
_SCANNED = 4096
"""Segments that the bank is answered from; what more of them add is extrapolated, see :func:`growth`."""

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
class Calibration:
    """What the best answers to unrelated questions are worth.

    Attributes:
        plain: of the scores as they are.
        centred: of the scores above each question's own mean.
        better: of the better of the two, in units of these.
        questions: of the bank.
        key: what it was measured with: segments, model and bank.
    """

    plain: Gumbel
    centred: Gumbel
    better: Gumbel
    questions: int
    key: str = ""

    def confidence(self, score: float, mean: float) -> float:
        """The share of unrelated questions whose best answer is worse, 0 to 1.

        Args:
            score: of the hit.
            mean: of its question over the index.
        """
        better = self.better.reduced(self._better(score, mean))
        return math.exp(-math.exp(-min(max(better, -50.0), 50.0)))

    def _better(self, score: float, mean: float) -> float:
        return max(self.plain.reduced(score), self.centred.reduced(score - mean))


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
    plain, centred = fit_gumbel(best), fit_gumbel(best - means)
    better = fit_gumbel(
        np.maximum((best - plain.location) / plain.scale, (best - means - centred.location) / centred.scale)
    )
    plain, centred = (one._replace(location=one.location + higher) for one in (plain, centred))
    return Calibration(plain, centred, better, len(bank), key)


def _best_answers(background: Background, questions: Sequence[Question]) -> tuple[NDArray[np.float64], float]:
    """The best score of each question, and how much higher it would be over all segments.

    Where there are too many segments to ask, some are asked in two halves, by whose difference
    :func:`growth` tells what more segments would add.
    """
    gallery = background.gallery
    rows = _evenly(len(gallery), _SCANNED)
    # Ids begin with that of the video: the halves are of different videos, as all that is added would be.
    half = len(rows) // 2
    parts = [rows] if len(rows) == len(gallery) else [rows[:half], rows[half:]]
    best_PQ = np.zeros((len(parts), len(questions)))
    for part, best in zip(parts, best_PQ, strict=True):
        allowed = np.zeros(len(gallery), np.bool_)
        allowed[part] = True
        best[:] = [one.best[0][1] for one in rank(gallery, background.terms, questions, Wanted(1, allowed))]
    if len(parts) == 1:
        return best_PQ[0], 0.0
    return best_PQ.max(axis=0), growth(*best_PQ) * math.log(len(gallery) / len(rows))


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
        fits = {name: Gumbel(*map(float, values[name])) for name in ("plain", "centred", "better")}
        kept = Calibration(**fits, questions=int(values["questions"]), key=str(values["key"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    usable = all(math.isfinite(fit.location) and fit.scale > 0 for fit in fits.values())
    return kept if usable else None


def _keep(path: Path, calibration: Calibration) -> None:
    """Write the calibration down whole, where the folder may be written."""
    waiting = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        waiting.write_text(json.dumps(asdict(calibration), indent=2) + "\n", encoding="utf-8")
        waiting.replace(path)
    except OSError:  # of a folder that may not be written: measured again by whoever asks next
        pass
    finally:
        # Whatever ended it, Ctrl-C too, leaves nothing half-written behind.
        with suppress(OSError):
            waiting.unlink(missing_ok=True)
