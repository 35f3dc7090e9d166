"""How sure a hit is: its score beside the best scores of questions about nothing in the library.

A score by itself says little: some sentences score high with every video, and the best of many segments is high
by chance. So a score is first put on the sentence's own scale, which a fixed sample of the index gives::

    z(q, v) = (s(q, v) - mean of s(q, .)) / standard deviation of s(q, .)

and then beside the best ``z`` of each of some 200 unrelated questions (the *bank*). The best of many segments
follows a Gumbel distribution, which is fitted to them by two of their quantiles, the median and an upper one
below the top: the questions of the bank that do fit something in the library stand above both. The confidence
of a hit is the share of unrelated questions whose best answer is worse::

    confidence = exp(-exp(-(z - location) / scale))

It depends on the question, the segment and the index, not on filters, on ``k`` or on who else asks. A hit counts
as found from :data:`FOUND` on: one in twenty questions about nothing in the library still finds something.

The bank is in the model's own language where the model folder brings sentences (``Model.sentences``), otherwise
:data:`~vidsift.search.unrelated.UNRELATED`. Both location and scale are kept beside the index, in
``calibration.json``, and measured again when segments, model or bank are others; where that file cannot be
written they are measured anew each time an index is opened.

Source: the normalisation of scores in speaker verification (z-norm against a cohort: Auckenthaler et al., Score
    Normalization for Text-Independent Speaker Verification Systems, 2000); extreme values: Gumbel, Statistics of
    Extremes, 1958; an empirical null fitted to the middle of the distribution: Efron, JASA 99, 2004.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidsift.index.reading import Gallery
from vidsift.methods.base import TermSum
from vidsift.methods.model import Model
from vidsift.search.questions import Question
from vidsift.search.ranking import Wanted, rank
from vidsift.search.rescore import Candidates, one_thread, score_exactly
from vidsift.search.unrelated import UNRELATED

__all__ = ["FEWEST", "FILE", "FOUND", "Background", "Calibration", "bank_of", "calibrate", "calibrated"]

FOUND = 0.95
"""Confidence from which a hit counts as found."""

FILE = "calibration.json"
_VERSION = 1
_SAMPLE = 256
"""Segments whose scores make a question's own scale."""

_SAMPLE_BYTES = 64 * 2**20
_SCANNED = 4096
"""Segments that the questions of the bank are answered from; with more, what the rest adds is extrapolated."""

FEWEST = 8
"""Segments below which nothing is said: a scale of so few scores means little."""

_QUANTILES = (0.5, 0.8)


@dataclass(frozen=True)
class Calibration:
    """The best ``z`` of unrelated questions: a Gumbel distribution.

    Attributes:
        location: its mode.
        scale: its width.
        questions: of the bank.
        key: what it was measured with: segments, model and bank.
    """

    location: float
    scale: float
    questions: int
    key: str

    def confidence(self, z: float) -> float:
        """The share of unrelated questions whose best answer is worse, 0 to 1."""
        return float(np.exp(-np.exp(-np.clip((z - self.location) / self.scale, -50, 50))))


class Background:
    """A question's own scale: its scores with a fixed sample of the index.

    Args:
        gallery: all segments.
        terms: what they are scored by.
    """

    def __init__(self, gallery: Gallery, terms: TermSum) -> None:
        """Read the sample: rows evenly over the ids, which say nothing of what a video shows."""
        self.gallery, self.terms = gallery, terms
        one = sum(tokens.tokens[0].numel() * 4 for tokens in gallery.exact([0]).values())
        count = min(len(gallery), _SAMPLE, max(32, _SAMPLE_BYTES // one))
        self.rows: list[int] = np.linspace(0, len(gallery) - 1, count).round().astype(int).tolist()
        self._read = Candidates(gallery, self.rows)

    def scale(self, question: Question) -> tuple[float, float]:
        """Mean and standard deviation of a question's scores, exactly; the latter is above 0."""
        asked = question.adapted(self.terms)
        scores = score_exactly(self.terms, self._read, asked, self.rows).double().numpy()
        return float(scores.mean()), max(float(scores.std()), 1e-6)

    def standardised(self, question: Question, scores: Sequence[float]) -> list[float]:
        """Put scores of a question on its own scale."""
        mean, deviation = self.scale(question)
        return [(score - mean) / deviation for score in scores]


def bank_of(model: Model) -> tuple[str, ...]:
    """Return unrelated sentences in the language that a model knows."""
    return model.sentences or UNRELATED


def calibrated(folder: Path, model: Model, background: Background) -> Calibration:
    """Return the calibration of an index, measured unless it was kept.

    Args:
        folder: of the index.
        model: of the index.
        background: of its segments.
    """
    bank = bank_of(model)
    key = _key(background.gallery, model, bank)
    kept = _read(folder / FILE)
    if kept is not None and kept.key == key:
        return kept
    measured = calibrate(model, background, bank, key)
    _keep(folder / FILE, measured)
    return measured


def calibrate(model: Model, background: Background, bank: Sequence[str], key: str = "") -> Calibration:
    """Measure the best ``z`` of unrelated questions.

    Args:
        model: encodes them.
        background: of the segments.
        bank: the questions.
        key: kept with the result.
    """
    gallery, terms = background.gallery, background.terms
    questions = _questions(model, bank)
    allowed = np.zeros(len(gallery), np.bool_)
    count = min(len(gallery), _SCANNED)
    allowed[np.linspace(0, len(gallery) - 1, count).round().astype(int)] = True
    best = [
        background.standardised(question, [one.best[0][1]])[0]
        for question, one in zip(questions, rank(gallery, terms, questions, Wanted(1, allowed)), strict=True)
    ]
    location, scale = fit_gumbel(np.asarray(best))
    # The best of n times as many lies log(n) scales higher.
    return Calibration(location + scale * float(np.log(len(gallery) / count)), scale, len(bank), key)


def fit_gumbel(values: NDArray[np.float64]) -> tuple[float, float]:
    """Location and scale of a Gumbel distribution with the same two quantiles.

    Example:
        >>> location, scale = fit_gumbel(3 - 2 * np.log(-np.log((np.arange(1000) + 0.5) / 1000)))
        >>> round(location, 2), round(scale, 2)
        (3.0, 2.0)
    """
    low, high = (float(one) for one in np.quantile(values, _QUANTILES))
    reduced_low, reduced_high = (float(-np.log(-np.log(one))) for one in _QUANTILES)
    scale = max((high - low) / (reduced_high - reduced_low), 1e-6)
    return low - scale * reduced_low, scale


def _questions(model: Model, bank: Sequence[str]) -> list[Question]:
    """Encode the bank together, on one thread: the same bits each time."""
    with one_thread():
        encoded = model.encode_text(list(bank))
    return [
        Question(({name: tokens[row : row + 1] for name, tokens in encoded.items()},))
        for row in range(len(bank))
    ]


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
        kept = Calibration(**values)
        return kept if np.isfinite([kept.location, kept.scale]).all() and kept.scale > 0 else None
    except (OSError, ValueError, TypeError):
        return None


def _keep(path: Path, calibration: Calibration) -> None:
    """Write the calibration down whole, where the folder may be written."""
    waiting = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        waiting.write_text(json.dumps(asdict(calibration), indent=2) + "\n", encoding="utf-8")
        waiting.replace(path)
    except OSError:
        try:
            waiting.unlink(missing_ok=True)
        except OSError:
            return
