"""Several sentences that have to come in order within one video.

Each sentence ``q_i`` takes a frame ``f_i`` of the video, each later than the one before, in one segment or
in several. With ``s(q, g)`` the method's own similarity of a sentence with the segment ``g`` that a frame
lies in, and ``h(q, f)`` what that frame gave to it::

    score(video) = max over f_1 < ... < f_n of the mean over i of
                   s(q_i, g(f_i)) - (max over frames f of g(f_i) of h(q_i, f) - h(q_i, f_i))

So a sentence at its best frame counts as much as in a search for it alone, and one that the order moves to
another frame loses what that frame gave less. The best frames are found by dynamic programming over the
frames of a video.

No video's score exceeds the mean of its sentences' best segments, which a scan of all segments tells: videos
are scored exactly in the order of that bound, until it falls below the worst hit. Where the order takes much
off all of them, that may never be: a question would then read the whole library from disk, and hold up all
others. So from 4,096 segments on, and once there are as many hits as were asked for, the best of the videos
that were looked at are the answer, and every hit says of how many.

Where a method is too dear to scan, its first stage finds the videos and decides frames and order by the
formula above; the method then scores each sentence with the segment that was found for it, and the mean of
these is the score. Of a method that scans but has no account of its frames, sentences take whole segments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vidsift.interactions.batches import concatenate_features
from vidsift.methods.base import Method, TermSum
from vidsift.search.filters import page_of
from vidsift.search.gallery import Gallery
from vidsift.search.hits import hit_at
from vidsift.search.match_quality import Sureness
from vidsift.search.moments import FrameShares, shares_by_frame
from vidsift.search.questions import Question, mixing_of
from vidsift.search.ranking import Wanted
from vidsift.search.rescore import PrefetchedTokens, score_exactly
from vidsift.search.scan import scan
from vidsift.types import Filter, Hit, Span

__all__ = [
    "SentenceMatch",
    "VideoMatch",
    "best_order",
    "best_videos",
    "hits_of_videos",
    "page_of_videos",
    "videos_in_order",
]

_ROWS_AT_ONCE = 64
_MOST_ROWS = 4096
"""Segments that are scored exactly before the rest of the library is left out: seconds, and not minutes."""


@dataclass(frozen=True, eq=False)
class SentenceMatch:
    """Where a sentence lies: a row of the gallery, its exact score, and which of its frames."""

    row: int
    score: float
    by_frame: FrameShares
    frame: int | None


@dataclass(frozen=True, eq=False)
class VideoMatch:
    """A video that tells the sentences in order.

    Attributes:
        score: of the whole.
        places: of the sentences.
        stage_score: what its confidence goes by: the first stage's where that found it, else the score.
        candidates: how many videos were looked at, of which this is one of the best; None where no other can
            be better.
    """

    score: float
    places: list[SentenceMatch]
    stage_score: float
    candidates: int | None = None


def best_order(values: Sequence[NDArray[np.float64]]) -> tuple[float, list[int]] | None:
    """Choose one position for each sentence, strictly ascending, with the largest sum.

    Args:
        values: of each sentence at each position, n arrays ``(F,)``.

    Returns:
        The mean of the values chosen, and the positions, the earliest of equals; None if there are fewer
        positions than sentences.

    Example:
        >>> best_order([np.array([1.0, 3.0]), np.array([5.0, 2.0])])
        (1.5, [0, 1])
    """
    count, positions = len(values), len(values[0])
    if positions < count:
        return None
    best = values[0]
    came_from: list[NDArray[np.int64]] = []
    for value in values[1:]:
        # The best of the sentences before, at any earlier position.
        leader = np.zeros(positions, np.int64)
        for place in range(1, positions):
            before = leader[place - 1]
            # Strictly better: of equals the earliest stays, so that the answer is one.
            leader[place] = place if best[place] > best[before] else before
        # Moved by one: strictly before. The first position has none before it.
        earlier = np.concatenate([[-np.inf], best[leader[:-1]]])
        came_from.append(np.concatenate([[0], leader[:-1]]))
        best = value + earlier
    last = int(best.argmax())
    chosen = [last]
    for back in reversed(came_from):
        chosen.append(int(back[chosen[-1]]))
    return float(best[last] / count), chosen[::-1]


def videos_in_order(
    gallery: Gallery, method: Method, questions: Sequence[Question], wanted: Wanted, candidates: int
) -> list[VideoMatch]:
    """Find the videos in which the questions come in order, best first.

    Args:
        gallery: what is searched.
        method: whose similarity decides.
        questions: of texts that the method prepared, in their order.
        wanted: what is to be found; hits are videos, whatever it groups by.
        candidates: how many videos a method that cannot scan scores, ``wanted.k`` at least.
    """
    if method.scans:
        return best_videos(gallery, method, questions, wanted)
    count = max(wanted.k, candidates)
    matches = best_videos(gallery, method.scanned, questions, replace(wanted, k=count))
    rows = [[match.places[place].row for match in matches] for place in range(len(questions))]
    scores = [
        score_exactly(method, PrefetchedTokens(gallery), question, rows_of_one).tolist()
        for question, rows_of_one in zip(questions, rows, strict=True)
    ]
    # Only where videos were left out can one that was not looked at be better.
    left_out = len(matches) < len(set(gallery.video_numbers[wanted.allowed]))
    scored = []
    for number, match in enumerate(matches):
        places = [replace(place, score=scores[i][number]) for i, place in enumerate(match.places)]
        mean = float(np.mean([place.score for place in places]))
        scored.append(VideoMatch(mean, places, match.score, len(matches) if left_out else None))
    # Sorting is stable: equal scores stay in the order of the first stage.
    return sorted(scored, key=lambda match: -match.score)[: wanted.k]


def hits_of_videos(
    gallery: Gallery,
    page: Sequence[VideoMatch],
    *,
    first_rank: int,
    paths: Mapping[str, str],
    with_shares: bool,
    sureness: Sequence[Sureness],
) -> list[Hit]:
    """Turn a page of videos into hits, one a video, with the hit of each sentence.

    Args:
        gallery: holds the segments.
        page: best first.
        first_rank: of the first of them, 1 for the best of all.
        paths: the path to show for each video.
        with_shares: whether hits tell what each second gave.
        sureness: of each video of the page; nothing is said of its sentences by themselves.
    """
    hits = []
    for rank, (match, sure) in enumerate(zip(page, sureness, strict=True), first_rank):
        path = paths[gallery.video_ids[match.places[0].row]]
        parts = tuple(
            hit_at(
                gallery,
                place.row,
                place.score,
                place.by_frame,
                rank=rank,
                path=path,
                with_shares=with_shares,
                candidates=match.candidates,
                frame=place.frame,
            )
            for place in match.places
        )
        # The first sentence lends its identities; times and shares are those of the parts alone.
        hits.append(
            replace(
                parts[0],
                score=match.score,
                segment=Span(parts[0].segment.start_seconds, parts[-1].segment.end_seconds),
                moment=Span(parts[0].moment.start_seconds, max(part.moment.end_seconds for part in parts)),
                confidence=sure.confidence,
                match=sure.match,
                times_seconds=(),
                shares=(),
                parts=parts,
            )
        )
    return hits


def page_of_videos(matches: Sequence[VideoMatch], k: int, filter: Filter) -> list[VideoMatch]:
    """The page that was asked for."""
    return page_of(matches, k, filter, lambda match: match.score)


def best_videos(
    gallery: Gallery, terms: TermSum, questions: Sequence[Question], wanted: Wanted
) -> list[VideoMatch]:
    """Score videos exactly in the order of their bound, until no other can be among the best.

    Args:
        gallery: what is searched.
        terms: whose similarity decides: a method, or the first stage of one.
        questions: of texts that the method prepared, in their order.
        wanted: what is to be found; hits are videos, whatever it groups by.
    """
    adapted = [question.adapted(terms) for question in questions]
    texts = concatenate_features([text for question in adapted for text in question.texts])
    allowed = wanted.allowed & wanted.preselect(gallery, texts)
    if not allowed.any():
        return []
    scanned_QV = np.stack([_scan_all(gallery, terms, question, allowed) for question in adapted])
    bounds = _bounds(gallery, scanned_QV)
    rows_of = _rows_by_video(gallery, allowed)
    order = sorted(rows_of, key=lambda video: (-bounds[video], rows_of[video][0]))
    matches: list[tuple[int, VideoMatch]] = []
    off_Q, scored, start = np.zeros(len(adapted)), 0, 0
    left_out = False
    while start < len(order):
        full = len(matches) == wanted.k
        # Bounds come from the scan, which may be off by twice what it was off so far.
        margin = 2 * float(off_Q.mean()) + 1e-6
        if full and bounds[order[start]] < matches[-1][1].score - margin:
            break
        # Where the order takes much off every video, no bound ever falls below the hits.
        if full and scored >= _MOST_ROWS:
            left_out = True
            break
        batch = _next_videos(order, start, rows_of)
        start += len(batch)
        rows = [row for video in batch for row in rows_of[video]]
        scored += len(rows)
        exact_QV, matched = _score_videos(gallery, terms, questions, [rows_of[video] for video in batch])
        off_Q = np.maximum(off_Q, np.abs(exact_QV - scanned_QV[:, rows]).max(axis=1))
        matches += matched
        # What cannot be among the best is let go: a match holds what each second gave.
        matches = sorted(matches, key=lambda pair: (-pair[1].score, pair[0]))[: wanted.k]
    return [replace(match, candidates=start if left_out else None) for _, match in matches]


def _bounds(gallery: Gallery, scanned_QV: NDArray[np.float64]) -> NDArray[np.float64]:
    """What no order of the sentences in a video can exceed: the mean of their best segments there."""
    videos = int(gallery.video_numbers.max()) + 1
    best = np.full((len(scanned_QV), videos), -np.inf)
    for scores, best_of_video in zip(scanned_QV, best, strict=True):
        # Unbuffered: a video's number comes as often as it has segments.
        np.maximum.at(best_of_video, gallery.video_numbers, scores)
    bounds: NDArray[np.float64] = best.mean(axis=0)
    return bounds


def _next_videos(order: Sequence[int], start: int, rows_of: Mapping[int, Sequence[int]]) -> list[int]:
    """Videos from a place of the order on that have enough segments together to be read in one go."""
    batch = [order[start]]
    while sum(len(rows_of[video]) for video in batch) < _ROWS_AT_ONCE and start + len(batch) < len(order):
        batch.append(order[start + len(batch)])
    return batch


def _score_videos(
    gallery: Gallery, terms: TermSum, questions: Sequence[Question], rows_of_videos: Sequence[Sequence[int]]
) -> tuple[NDArray[np.float64], list[tuple[int, VideoMatch]]]:
    """Score some videos exactly, their segments read from disk in one go.

    Args:
        gallery: holds the segments.
        terms: whose similarity decides.
        questions: of texts that the method prepared, in their order.
        rows_of_videos: the segments of each video, in the order of time.

    Returns:
        The exact score of each sentence with each segment, ``(Q, segments)``; and of every video with enough
        frames its first row and how the sentences match.
    """
    rows = [row for rows_of_video in rows_of_videos for row in rows_of_video]
    tokens = PrefetchedTokens(gallery, rows)
    adapted = [question.adapted(terms) for question in questions]
    exact = [score_exactly(terms, tokens, question, rows).numpy() for question in adapted]
    exact_QV = np.stack(exact).astype(np.float64)
    by_frame = [shares_by_frame(terms, gallery, question, rows) for question in questions]
    matches: list[tuple[int, VideoMatch]] = []
    start = 0
    for rows_of_video in rows_of_videos:
        part = slice(start, start + len(rows_of_video))
        start = part.stop
        match = _match_in_video(rows_of_video, exact_QV[:, part], [shares[part] for shares in by_frame])
        if match is not None:
            matches.append((rows_of_video[0], match))
    return exact_QV, matches


def _scan_all(
    gallery: Gallery, terms: TermSum, question: Question, allowed: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """The scan's score of every segment, -inf where it may not be found."""
    texts = concatenate_features(question.texts)
    scores, rows = scan(gallery, terms, texts, allowed, len(gallery), mixing=mixing_of([question]))
    # By place again: a scan gives scores in the order of their size.
    every = np.full(len(gallery), -np.inf)
    every[rows[0].cpu().numpy()] = scores[0].cpu().numpy()
    return every


def _rows_by_video(gallery: Gallery, allowed: NDArray[np.bool_]) -> dict[int, list[int]]:
    """Rows that may be found of each video, in the order of time."""
    rows_of: dict[int, list[int]] = {}
    for row in np.flatnonzero(allowed).tolist():
        rows_of.setdefault(int(gallery.video_numbers[row]), []).append(row)
    for rows in rows_of.values():
        rows.sort(key=lambda row: tuple(gallery.spans[row]))
    return rows_of


def _match_in_video(
    rows: Sequence[int], exact_QG: NDArray[np.float64], by_frame: Sequence[Sequence[FrameShares]]
) -> VideoMatch | None:
    """The best order of the sentences in one video, None if it has too few frames.

    Args:
        rows: of the gallery, the video's segments, in the order of time.
        exact_QG: score of each sentence with each of them.
        by_frame: what each second of each of them gave to each sentence.
    """
    # Every frame with a time is a position; a segment without any is one position by itself.
    positions = [
        (place, frame if len(segment.times_seconds) else None)
        for place, segment in enumerate(by_frame[0])
        for frame in range(max(1, len(segment.times_seconds)))
    ]
    values = []
    for number, segments in enumerate(by_frame):
        # At its best frame a sentence loses nothing: it counts as in a search for it alone.
        lost = [
            segment.shares.max() - segment.shares if len(segment.shares) else np.zeros(1)
            for segment in segments
        ]
        values.append(np.concatenate([exact_QG[number, place] - less for place, less in enumerate(lost)]))
    ordered = best_order(values)
    if ordered is None:
        return None
    score, chosen = ordered
    places = []
    for number, position in enumerate(chosen):
        place, frame = positions[position]
        places.append(
            SentenceMatch(rows[place], float(exact_QG[number, place]), by_frame[number][place], frame)
        )
    return VideoMatch(score, places, score)
