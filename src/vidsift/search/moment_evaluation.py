"""Scores the moments that a search shows against the true ones.

The videos are indexed, and each sentence that has a moment is a question to that index, answered by what
answers a search: segments, exact scores, and the account that a hit's moment comes from. Nothing is computed
a second way, so that what is scored is what people see.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidsift.data.entries import Entry, absent_videos
from vidsift.errors import QueryError
from vidsift.evaluation.missing import RULES, MissingPolicy, refuse_missing
from vidsift.evaluation.moments import (
    TimedSentence,
    best_iou,
    chance_of_moments,
    moment_summary,
    timed_sentences,
)
from vidsift.index.build import build_index
from vidsift.index.decode_worker import SegmentLength
from vidsift.index.storage import Store
from vidsift.methods.model import Model
from vidsift.search.candidates import rank_by_method
from vidsift.search.hits import hits_of
from vidsift.search.questions import Question, one_thread
from vidsift.search.ranking import Wanted, all_segments
from vidsift.search.reader import IndexReader
from vidsift.search.rescore import PrefetchedTokens, score_exactly
from vidsift.types import Span

__all__ = ["evaluate_moments"]

_AT_ONCE = 64  # questions in a scan

_REMEDY = (
    'No moment was scored: replace the files, or say what they count: missing="miss" (their sentences are '
    'wrong) or missing="skip" (left out)'
)


def evaluate_moments(
    model: Model,
    entries: Sequence[Entry],
    *,
    missing: MissingPolicy = "refuse",
    segment: SegmentLength = "auto",
    workers: int | None = 1,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Score the moments that a search with a model shows, given the video and in the whole corpus.

    Given the video: the moment of its best segment. In the whole corpus: the first hit, whose video has to be
    right too; the moment of a wrong video overlaps by 0. Whole files are searched, also where entries are
    parts of files. A sentence longer than the model takes is cut, as captions are.

    Args:
        model: what is judged.
        entries: with moments, see :class:`~vidsift.data.entries.Moment`.
        missing: what a video counts that is not there or cannot be read: "refuse" scores nothing, "miss"
            counts its sentences as wrong, "skip" leaves them out.
        segment: the most seconds of a segment, as for ``vidsift index``.
        workers: processes that decode; half of the processors when None.
        progress: called with the number of sentences after each video.

    Returns:
        ``given_video`` and ``whole_corpus`` (:func:`~vidsift.evaluation.moments.moment_summary`), ``chance``
        with ``given_video`` and ``whole_corpus`` (a stretch at random, of a video at random) and
        ``whole_video`` (every video shown whole, given the video), and ``protocol``.

    Raises:
        MissingVideosError: with "refuse", if a video is missing.
        ValueError: no sentence has a moment, or not one of the videos can be read.
    """
    sentences = timed_sentences(entries)
    if not sentences:
        raise ValueError("no sentence has a moment: the data set says of none when it is seen")
    absent = absent_videos(entries)
    if missing == "refuse":
        refuse_missing(absent, len(entries), _REMEDY)
    absent_names = {name for name, _ in absent}
    paths = list(dict.fromkeys(entry.path for entry in entries if entry.name not in absent_names))
    if not paths:
        raise ValueError(f"not one of {len(entries)} videos is there")
    # Not removed with an error where a store of Windows still holds a file: it lies among temporary files.
    with tempfile.TemporaryDirectory(prefix="vidsift-moments-", ignore_cleanup_errors=True) as folder:
        report = build_index(paths, folder, model, segment=segment, workers=workers)
        if missing == "refuse":
            failed = [(failure.path, failure.reason) for failure in report.failed]
            refuse_missing(failed, len(entries), _REMEDY)
        shown = _Shown(IndexReader(Store.open(Path(folder)), model))
        result = _scored(shown, sentences, missing, progress)
    result["protocol"] |= {
        "method": model.method_name,
        "segment": segment,
        "moments_from": _account(model),
    }
    return result


def _scored(
    shown: _Shown,
    sentences: Sequence[TimedSentence],
    missing: MissingPolicy,
    progress: Callable[[int], None] | None,
) -> dict[str, Any]:
    """Score the sentences whose videos could be read, and the others as the policy says."""
    there = [sentence for sentence in sentences if shown.video_id(sentence.path) is not None]
    if not there:
        raise ValueError("not one of the videos with moments can be read")
    counted = list(sentences) if missing == "miss" else there
    given_N, corpus_N = shown.overlaps(counted, progress)
    chance = chance_of_moments(there, [shown.duration(sentence.path) for sentence in there])
    missed = {sentence.path for sentence in sentences} - {sentence.path for sentence in there}
    protocol = {
        "sentences": len(counted),
        "sentences_cut": int(sum(shown.model.tokenize([sentence.sentence for sentence in counted]).cut)),
        "several_spans": "any of them",
        "videos": shown.count,
        "missing_policy": missing,
        "missing_rule": RULES[missing],
        "missing_videos": len(missed),
    }
    numbers = _numbers(given_N, corpus_N, chance, len(there) / len(counted), shown.count)
    return numbers | {"protocol": protocol}


def _account(model: Model) -> str:
    """Whose account the moments come from."""
    if model.method.moments_from is None:
        return "none: whole segments"
    return "the method" if model.method.explains else "its first stage"


def _numbers(
    given_N: NDArray[np.float64],
    corpus_N: NDArray[np.float64],
    chance: dict[str, Any],
    answered: float,
    videos: int,
) -> dict[str, Any]:
    """Put the numbers together; chance gets nothing of what is missing, and one of all videos right."""

    def scaled(values: dict[str, float], factor: float) -> dict[str, float]:
        return {name: value * factor for name, value in values.items() if name != "sentences"}

    return {
        "given_video": moment_summary(given_N),
        "whole_corpus": moment_summary(corpus_N),
        "chance": {
            "given_video": scaled(chance["random_stretch"], answered),
            "whole_corpus": scaled(chance["random_stretch"], answered / videos),
            "whole_video": scaled(chance["whole_video"], answered),
        },
    }


class _Shown:
    """The moments that a search of an index shows.

    Attributes:
        model: that the index was made with.
        count: of different videos; copies of a file are one.
    """

    def __init__(self, reader: IndexReader) -> None:
        self._reader = reader
        self._gallery = reader.gallery
        self.model = reader.model
        self._rows: dict[str, list[int]] = {}
        for row, video_id in enumerate(self._gallery.video_ids):
            self._rows.setdefault(video_id, []).append(row)
        self._known: dict[Path, str | None] = {}
        self.count = len(self._rows)

    def video_id(self, path: Path) -> str | None:
        """Its identity in the index; None where the file could not be read."""
        if path not in self._known:
            try:
                self._known[path] = self._reader.video_at(path)
            except QueryError:
                self._known[path] = None
        return self._known[path]

    def duration(self, path: Path) -> float:
        """Length of the video of a file that could be read, in seconds."""
        video_id = self.video_id(path)
        assert video_id is not None
        return float(self._gallery.durations[self._rows[video_id][0]])

    def overlaps(
        self, sentences: Sequence[TimedSentence], progress: Callable[[int], None] | None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the overlap of each moment with the true one, given the video and in the whole corpus."""
        given_N, corpus_N = np.zeros(len(sentences)), np.zeros(len(sentences))
        for start in range(0, len(sentences), _AT_ONCE):
            batch = sentences[start : start + _AT_ONCE]
            for place, (given, corpus) in enumerate(self._overlaps(batch), start=start):
                given_N[place], corpus_N[place] = given, corpus
            if progress is not None:
                progress(len(batch))
        return given_N, corpus_N

    def _overlaps(self, sentences: Sequence[TimedSentence]) -> list[tuple[float, float]]:
        questions = [self._question(sentence.sentence) for sentence in sentences]
        everywhere = Wanted(1, np.ones(len(self._gallery), bool), "video", all_segments)
        ranked = rank_by_method(self._gallery, self.model.method, questions, everywhere, None)
        overlaps = []
        for sentence, question, answer in zip(sentences, questions, ranked, strict=True):
            video_id = self.video_id(sentence.path)
            if video_id is None:
                overlaps.append((0.0, 0.0))
                continue
            row = self._best_row(question, video_id)
            given = self._overlap(question, row, sentence)
            first = answer.best[0][0]
            right = self._gallery.video_ids[first] == video_id
            same = given if first == row else self._overlap(question, first, sentence) if right else 0.0
            overlaps.append((given, same if right else 0.0))
        return overlaps

    def _question(self, sentence: str) -> Question:
        # As it stands: " + " and " - " of other people's sentences add and take off nothing.
        with one_thread():
            return Question((self.model.encode_text([sentence]),))

    def _best_row(self, question: Question, video_id: str) -> int:
        rows = self._rows[video_id]
        scores = score_exactly(self.model.method, PrefetchedTokens(self._gallery), question, rows).tolist()
        # Of equal scores the first segment, as in a search.
        return min(zip(rows, scores, strict=True), key=lambda pair: (-pair[1], pair[0]))[0]

    def _overlap(self, question: Question, row: int, sentence: TimedSentence) -> float:
        moment = self._moment(question, row)
        return float(best_iou(moment.start_seconds, moment.end_seconds, sentence.spans))

    def _moment(self, question: Question, row: int) -> Span:
        terms, video_id = self.model.method.moments_from, self._gallery.video_ids[row]
        paths = {video_id: ""}
        (hit,) = hits_of(self._gallery, terms, question, [(row, 0.0)], first_rank=1, paths=paths)
        return hit.moment
