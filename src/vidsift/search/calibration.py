"""Measuring how high chance reaches in an index, by unrelated sentences, and keeping that beside it.

What is measured, and why, stands in :mod:`vidsift.search.confidence`. It is kept in ``calibration.json``,
and measured again when segments, model or sentences are others; where that file cannot be written, once for
each opened index. Fits for sentences in order are made when such a question is first asked. Neither reads
more of a large index than the segments that are asked.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vidsift.files.whole import write_json_whole
from vidsift.methods.base import TermSum
from vidsift.methods.model import Model
from vidsift.search.calibration_sentences import CALIBRATION_SENTENCES
from vidsift.search.confidence import MIN_CONFIDENCE, Calibration, Fits, Gumbel, fits_of, growth
from vidsift.search.gallery import Gallery
from vidsift.search.match_quality import UNKNOWN, Sureness, match_of
from vidsift.search.questions import Question, one_thread
from vidsift.search.ranking import Wanted, rank
from vidsift.search.rescore import PrefetchedTokens, score_exactly
from vidsift.search.sequence import VideoMatch, best_videos

__all__ = [
    "FILE",
    "MIN_SEGMENTS",
    "Background",
    "BestOfOthers",
    "Calibrator",
    "calibrate",
    "calibrate_in_order",
]

FILE = "calibration.json"
_VERSION = 2
_VERSION_IN_ORDER = 1
_SAMPLE = 256
"""Segments over which a question's mean is taken."""

_SAMPLE_BYTES = 64 * 2**20
_SCANNED = 4096
"""Segments that the bank is answered from; what more of them add is extrapolated, see
:func:`~vidsift.search.confidence.growth`."""

_IN_ORDER = 100
"""Questions of sentences in order that are made of the bank."""

_LONGEST = 64
"""Segments of a video among which they are put in order; what more would add is extrapolated."""

MIN_SEGMENTS = 8
"""Segments below which nothing is said."""

BestOfOthers: TypeAlias = Callable[[int], float | None]
"""Number of a video to the best score of all others, by what is scanned; None where there are none."""


class Calibrator:
    """How sure hits among the segments of a gallery are; measured when first asked for.

    Args:
        folder: of the index, beside which the measurements are kept.
        model: of the index.
        gallery: all its segments.
    """

    def __init__(self, folder: Path, model: Model, gallery: Gallery) -> None:
        """See the class; nothing is measured yet."""
        self._folder = folder
        self._model = model
        self._gallery = gallery
        self._in_order: dict[int, Fits | None] = {}

    @cached_property
    def background(self) -> Background | None:
        """What questions score on average; None for very small indexes."""
        if len(self._gallery) < MIN_SEGMENTS:
            return None
        return Background(self._gallery, self._model.method.scanned)

    @cached_property
    def calibration(self) -> Calibration | None:
        """What unrelated questions score; None for very small indexes."""
        background = self.background
        return None if background is None else _calibrated(self._folder, self._model, background)

    def in_order(self, count: int) -> Fits | None:
        """What so many unrelated sentences in order score; None for very small indexes and short videos."""
        if self.background is None or self.calibration is None:
            return None
        if count not in self._in_order:
            fits = _calibrated_in_order(self._folder, self._model, self.background, self.calibration, count)
            self._in_order[count] = fits
        return self._in_order[count]

    def is_measured_in_order(self, count: int) -> bool:
        """Whether :meth:`in_order` answers at once for so many sentences."""
        return count in self._in_order

    def sureness(
        self,
        question: Question,
        rows: Sequence[int],
        scores: Sequence[float],
        best_of_others: BestOfOthers | None,
    ) -> list[Sureness]:
        """How sure it is that each segment fits; by what was scanned: of some methods the first stage.

        Sums of sentences have a scale of their own, of which single sentences about other things say nothing.

        Args:
            question: what was asked.
            rows: of the gallery.
            scores: of these.
            best_of_others: asked only where some segment is found; None to leave the words out.
        """
        background, calibration = self.background, self.calibration
        if background is None or calibration is None or not rows or not question.is_plain:
            return [UNKNOWN] * len(rows)
        method = self._model.method
        if not method.scans:
            adapted, tokens = question.adapted(method.scanned), PrefetchedTokens(self._gallery)
            scores = score_exactly(method.scanned, tokens, adapted, rows).tolist()
        videos = self._gallery.video_numbers[list(rows)].tolist()
        return _judged(calibration, scores, background.mean(question), videos, best_of_others)

    def sureness_in_order(
        self, questions: Sequence[Question], matches: Sequence[VideoMatch], best_of_others: BestOfOthers
    ) -> list[Sureness]:
        """How sure it is that each video tells the sentences in order; by its whole score, as their ranks.

        Args:
            questions: what was asked, in their order.
            matches: videos.
            best_of_others: as for :meth:`sureness`.
        """
        plain = all(question.is_plain for question in questions)
        fits = self.in_order(len(questions)) if matches and plain else None
        if fits is None or self.background is None:
            return [UNKNOWN] * len(matches)
        mean = fmean(self.background.mean(question) for question in questions)
        videos = self._gallery.video_numbers[[match.places[0].row for match in matches]].tolist()
        return _judged(fits, [match.stage_score for match in matches], mean, videos, best_of_others)


def _judged(
    fits: Fits,
    scores: Sequence[float],
    mean: float,
    videos: Sequence[int],
    best_of_others: BestOfOthers | None,
) -> list[Sureness]:
    """Confidence and word of scores, of which the highest may lead all other videos.

    Args:
        fits: of questions of this kind.
        scores: of hits.
        mean: of their question over the index.
        videos: number of the video of each score.
        best_of_others: see :meth:`Calibrator.sureness`.
    """
    confidences = [fits.confidence(score, mean) for score in scores]
    if best_of_others is None:
        return [Sureness(confidence, None) for confidence in confidences]
    # The word of what is not found does not go by the lead, which may take a scan.
    above_chance = max(confidences) >= MIN_CONFIDENCE
    # No other video of these can lead.
    leader = videos[scores.index(max(scores))]
    others = best_of_others(leader) if above_chance else None
    sureness = []
    for confidence, score, video in zip(confidences, scores, videos, strict=True):
        lead = fits.lead(score, others) if video == leader and others is not None else None
        sureness.append(Sureness(confidence, match_of(confidence, lead)))
    return sureness


class Background:
    """What a question scores with a fixed sample of the index.

    Attributes:
        rows: of the sample, ascending.

    Args:
        gallery: all segments.
        terms: what they are scored by.
    """

    def __init__(self, gallery: Gallery, terms: TermSum) -> None:
        """Read the sample: rows evenly over the ids, which say nothing of what a video shows."""
        self.gallery, self.terms = gallery, terms
        # 4 bytes: whatever they are stored in, they are read in fp32.
        row_bytes = sum(tokens.tokens[0].numel() * 4 for tokens in gallery.exact([0]).values())
        self.rows = _evenly(len(gallery), min(_SAMPLE, max(32, _SAMPLE_BYTES // row_bytes)))
        self._tokens = PrefetchedTokens(gallery, self.rows)

    def scores(self, question: Question) -> Tensor:
        """A question's exact scores of the sample's rows, fp32 ``(rows,)``."""
        return score_exactly(self.terms, self._tokens, question.adapted(self.terms), self.rows)

    def mean(self, question: Question) -> float:
        """The mean of a question's exact scores."""
        return float(self.scores(question).double().mean())

    def part(self, rows: Sequence[int]) -> Gallery:
        """Some segments by themselves, ascending: what is asked of them costs nothing for the others."""
        return self.gallery if len(rows) == len(self.gallery) else self.gallery.part(rows, self.terms)


def _calibrated(folder: Path, model: Model, background: Background) -> Calibration:
    """Return the calibration of an index, measured unless it is stored beside it.

    Args:
        folder: of the index.
        model: of the index.
        background: of its segments.
    """
    key = _key(background.gallery, model, CALIBRATION_SENTENCES)
    stored = _read(folder / FILE)
    if stored is not None and stored.key == key:
        return stored
    measured = calibrate(model, background, CALIBRATION_SENTENCES, key)
    _write(folder / FILE, measured)
    return measured


def _calibrated_in_order(
    folder: Path, model: Model, background: Background, calibration: Calibration, count: int
) -> Fits | None:
    """Return the fits of so many sentences in order, measured unless they are stored.

    Args:
        folder: of the index.
        model: of the index.
        background: of its segments.
        calibration: of the same, beside which they are stored.
        count: of sentences.

    Returns:
        None where no video of the index has as many pictures as there are sentences.
    """
    fits = _stored_with(folder, calibration).in_order.get(count)
    if fits is None:
        fits = calibrate_in_order(model, background, CALIBRATION_SENTENCES, count)
        if fits is not None and calibration.key:
            # Read again: others may have measured other numbers of sentences in these seconds.
            stored = _stored_with(folder, calibration)
            _write(folder / FILE, replace(stored, in_order={**stored.in_order, count: fits}))
    return fits


def _stored_with(folder: Path, calibration: Calibration) -> Calibration:
    """What is stored of the same segments, bank and model; the calibration itself where nothing is."""
    stored = _read(folder / FILE)
    return calibration if stored is None or stored.key != calibration.key else stored


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
    return Calibration(**vars(fits_of(best, means, higher)), key=key)


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
    means = np.array([background.mean(question) for question in singles])
    # Sentences that stand far apart in the bank, and each of them once in every place of the order.
    places_QN = [
        [(start + place * len(bank) // count) % len(bank) for place in range(count)]
        for start in _evenly(len(bank), _IN_ORDER)
    ]
    rows, first, videos, length = _whole_videos(background.gallery)
    gallery, terms = background.part(rows), background.terms
    parts = _two_parts(first, len(rows))
    in_order = [[singles[place] for place in places] for places in places_QN]
    best_PQ = np.array([
        [_best_in_order(gallery, terms, questions, allowed) for questions in in_order] for allowed in parts
    ])  # fmt: skip
    # A half without a video long enough answers none of them.
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
    return fits_of(best_PQ.max(axis=0), means[places_QN].mean(axis=1), higher)


def _best_in_order(
    gallery: Gallery, terms: TermSum, questions: Sequence[Question], allowed: NDArray[np.bool_]
) -> float:
    """The score of the best video for sentences in order, NaN where none has enough pictures."""
    matches = best_videos(gallery, terms, questions, Wanted(1, allowed, "video"))
    return matches[0].score if matches else math.nan


def _whole_videos(gallery: Gallery) -> tuple[list[int], int, float, float]:
    """Segments that sentences in order are asked of: all, or those of some videos in two parts.

    Returns:
        Rows, ascending; how many of them are the first part, all where there is but one; how many times as
        many videos there are, and how many times as long these are on average.
    """
    rows_of: dict[int, list[int]] = {}
    for row, video in enumerate(gallery.video_numbers.tolist()):
        rows_of.setdefault(video, []).append(row)
    thinned = [[rows[place] for place in _evenly(len(rows), _LONGEST)] for rows in rows_of.values()]
    left = sum(map(len, thinned))
    length = len(gallery) / left  # above 1 where long videos were thinned out
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
    gallery_part = background.part(rows)
    best_PQ = np.array([
        _best_scores(gallery_part, background.terms, questions, allowed) for allowed in parts
    ])  # fmt: skip
    if whole:
        return best_PQ[0], 0.0
    return best_PQ.max(axis=0), growth(*best_PQ) * math.log(len(gallery) / len(rows))


def _best_scores(
    gallery: Gallery, terms: TermSum, questions: Sequence[Question], allowed: NDArray[np.bool_]
) -> list[float]:
    ranked = rank(gallery, terms, questions, Wanted(1, allowed))
    return [answer.best[0][1] for answer in ranked]


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
                text = {name: tokens[row : row + 1] for name, tokens in encoded.items()}
                questions[place] = Question((text,))
    return [questions[place] for place in range(len(bank))]


def _key(gallery: Gallery, model: Model, bank: Sequence[str]) -> str:
    # Ids tell content, stretch and order of all segments; scores follow from these and the model.
    digest = hashlib.sha256(f"{_VERSION} {model.fingerprint}\n".encode())
    for part in (bank, gallery.segment_ids):
        digest.update("\n".join(part).encode())
        digest.update(b"\n\n")
    return digest.hexdigest()


def _read(path: Path) -> Calibration | None:
    """What is stored, None where there is nothing that can be read."""
    try:
        values: Any = json.loads(path.read_text(encoding="utf-8"))
        stored = Calibration(**vars(_stored_fits(values)), key=str(values["key"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    # Files of earlier versions hold none of these; what cannot be read is measured again.
    in_order = {}
    with suppress(ValueError, TypeError, KeyError, AttributeError):
        for count, fits in values.get("in_order", {}).items():
            if fits["version"] == _VERSION_IN_ORDER:
                in_order[int(count)] = _stored_fits(fits)
    return replace(stored, in_order=in_order)


def _stored_fits(values: Any) -> Fits:
    fits = {name: Gumbel(*map(float, values[name])) for name in ("plain", "centred", "better")}
    if not all(math.isfinite(fit.location) and fit.scale > 0 for fit in fits.values()):
        raise ValueError
    return Fits(**fits, questions=int(values["questions"]))


def _write(path: Path, calibration: Calibration) -> None:
    """Write the calibration down whole, where the folder may be written."""
    # Several threads of a service may measure at once.
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}")
    values = asdict(calibration)
    values["in_order"] = {
        str(count): fits | {"version": _VERSION_IN_ORDER} for count, fits in values["in_order"].items()
    }
    with suppress(OSError):  # a folder that may not be written: measured again by whoever asks next
        write_json_whole(path, values, temporary=temporary)
