"""Methods too dear to score every segment: their first stage finds candidates, and they rank these alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vidsift.index.compatibility import first_stage_of
from vidsift.interactions.batches import concatenate_features
from vidsift.methods.base import Method
from vidsift.search.gallery import Gallery
from vidsift.search.questions import Question
from vidsift.search.ranking import Ranked, Wanted, best_first, leaders_of, rank
from vidsift.search.rescore import PrefetchedTokens, score_exactly

__all__ = ["CANDIDATES", "rank_by_method"]

CANDIDATES = 100
"""Segments that a method that cannot scan scores for a question when nobody says."""


def rank_by_method(
    gallery: Gallery, method: Method, questions: Sequence[Question], wanted: Wanted, candidates: int | None
) -> list[Ranked]:
    """Rank segments by a method: all of them, or the candidates of its first stage where it cannot scan.

    Args:
        gallery: what is searched, read for the method.
        method: whose similarity decides.
        questions: of texts that the method prepared.
        wanted: what is to be found for each question.
        candidates: how many segments a method that cannot scan scores for each question,
            :data:`CANDIDATES` when None: as many as there are, ``wanted.k`` at least, and where these are of
            fewer than ``wanted.k`` videos to group by, twice as many until they are not.

    Raises:
        NotSearchableError: the method can neither scan nor declares a first stage.
    """
    if method.scans:
        return rank(gallery, method, questions, wanted)
    stage = first_stage_of(method)
    possible = int(wanted.allowed.sum())  # as many candidates as that, and the hits are exact

    def leading(batch: Sequence[Question], count: int) -> list[list[int]]:
        # By segment even where videos are wanted: the method picks the best of each video, not the stage.
        if count < possible:
            ranked = rank(gallery, stage, batch, replace(wanted, k=count, group_by="segment"))
            return [[row for row, _ in answer.best] for answer in ranked]
        texts = [concatenate_features(question.texts) for question in batch]
        return [np.flatnonzero(wanted.allowed & wanted.preselect(gallery, text)).tolist() for text in texts]

    answers: list[Ranked] = []
    least = max(wanted.k, CANDIDATES if candidates is None else candidates)
    by_video = wanted.group_by == "video"
    enough = min(wanted.k, len(set(gallery.video_numbers[wanted.allowed])))
    for question, first in zip(questions, leading(questions, least), strict=True):
        rows, count = first, least
        # The likeliest segments may all be of few videos, and as many videos are found as are asked for.
        while by_video and len(set(gallery.video_numbers[rows])) < enough and count < possible:
            count *= 2
            rows = leading([question], count)[0]
        scores = score_exactly(method, PrefetchedTokens(gallery), question, rows).numpy().astype(np.float64)
        leaders = leaders_of(gallery, np.asarray(rows, np.int64), scores, wanted.group_by)
        best = [(int(leaders.rows[place]), float(scores[place])) for place in best_first(leaders, scores)]
        answers.append(Ranked(best[: wanted.k], len(rows) if count < possible else None))
    return answers
