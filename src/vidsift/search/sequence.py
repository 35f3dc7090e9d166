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
from vidsift.search.moments import Looked, looks
from vidsift.search.questions import Question, mixing_of
from vidsift.search.ranking import Wanted
from vidsift.search.rescore import Candidates, score_exactly
from vidsift.search.scan import scan
from vidsift.types import Filter, Hit, Span

__all__ = ["Placed", "Story", "best_order", "best_stories", "in_order", "page_of_stories", "story_hits"]

_ROWS_AT_ONCE = 64
_MOST_ROWS = 4096
"""Segments that are scored exactly before the rest of the library is left out: seconds, and not minutes."""


@dataclass(frozen=True, eq=False)
class Placed:
    """Where a sentence lies: a row of the gallery, its exact score, and which of its frames."""

    row: int
    score: float
    looked: Looked
    frame: int | None


@dataclass(frozen=True, eq=False)
class Story:
    """A video that tells the sentences in order.

    Attributes:
        score: of the whole.
        places: of the sentences.
        stage_score: what its confidence goes by: the first stage's where that found it, else the score.
        candidates: how many videos were looked at, of which this is one of the best; None where no other can
            be better.
    """

    score: float
    places: list[Placed]
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
    for own in values[1:]:
        # The best of the sentences before, at any earlier position.
        leader = np.zeros(positions, np.int64)
        for place in range(1, positions):
            before = leader[place - 1]
            leader[place] = place if best[place] > best[before] else before
        earlier = np.concatenate([[-np.inf], best[leader[:-1]]])
        came_from.append(np.concatenate([[0], leader[:-1]]))
        best = own + earlier
    last = int(best.argmax())
    chosen = [last]
    for back in reversed(came_from):
        chosen.append(int(back[chosen[-1]]))
    return float(best[last] / count), chosen[::-1]


def in_order(
    gallery: Gallery, method: Method, questions: Sequence[Question], wanted: Wanted, candidates: int
) -> list[Story]:
    """Find the videos in which the questions come in order, best first.

    Args:
        gallery: what is searched.
        method: whose similarity decides.
        questions: of texts that the method prepared, in their order.
        wanted: what is to be found; hits are videos, whatever it groups by.
        candidates: how many videos a method that cannot scan scores, ``wanted.k`` at least.
    """
    if method.scans:
        return best_stories(gallery, method, questions, wanted)
    count = max(wanted.k, candidates)
    stories = best_stories(gallery, method.scanned, questions, replace(wanted, k=count))
    rows = [[story.places[place].row for story in stories] for place in range(len(questions))]
    scores = [
        score_exactly(method, Candidates(gallery), question, own).tolist()
        for question, own in zip(questions, rows, strict=True)
    ]
    left_out = len(stories) < len(set(gallery.video_numbers[wanted.allowed]))
    scored = []
    for number, story in enumerate(stories):
        places = [replace(place, score=scores[i][number]) for i, place in enumerate(story.places)]
        mean = float(np.mean([place.score for place in places]))
        scored.append(Story(mean, places, story.score, len(stories) if left_out else None))
    # Sorting is stable: equal scores stay in the order of the first stage.
    return sorted(scored, key=lambda story: -story.score)[: wanted.k]


def story_hits(
    gallery: Gallery,
    stories: Sequence[Story],
    k: int,
    filter: Filter,
    *,
    paths: Mapping[str, str],
    told: bool,
    confidences: Sequence[float | None],
) -> list[Hit]:
    """Turn the page that was asked for into hits, one a video, with the hit of each sentence.

    Args:
        gallery: holds the segments.
        stories: best first.
        k: how many hits at most.
        filter: says which page of them.
        paths: the path to show for each video.
        told: whether hits tell what each second gave.
        confidences: of each story on the page; nothing is said of its sentences by themselves.
    """
    hits = []
    page = page_of_stories(stories, k, filter)
    for number, (story, sure) in enumerate(zip(page, confidences, strict=True)):
        path = paths[gallery.video_ids[story.places[0].row]]
        parts = tuple(
            hit_at(
                gallery,
                place.row,
                place.score,
                place.looked,
                rank=filter.skip + number + 1,
                path=path,
                told=told,
                candidates=story.candidates,
                frame=place.frame,
            )
            for place in story.places
        )
        hits.append(
            replace(
                parts[0],
                score=story.score,
                segment=Span(parts[0].segment.start_seconds, parts[-1].segment.end_seconds),
                moment=Span(parts[0].moment.start_seconds, max(part.moment.end_seconds for part in parts)),
                confidence=sure,
                times_seconds=(),
                shares=(),
                parts=parts,
            )
        )
    return hits


def page_of_stories(stories: Sequence[Story], k: int, filter: Filter) -> list[Story]:
    """The page that was asked for."""
    return page_of(stories, k, filter, lambda story: story.score)


def best_stories(
    gallery: Gallery, terms: TermSum, questions: Sequence[Question], wanted: Wanted
) -> list[Story]:
    """Score videos exactly in the order of their bound, until no other can be among the best.

    Args:
        gallery: what is searched.
        terms: whose similarity decides: a method, or the first stage of one.
        questions: of texts that the method prepared, in their order.
        wanted: what is to be found; hits are videos, whatever it groups by.
    """
    asked = [question.adapted(terms) for question in questions]
    texts = concatenate_features([text for question in asked for text in question.texts])
    allowed = wanted.allowed & wanted.preselect(gallery, texts)
    if not allowed.any():
        return []
    scanned = np.stack([_scan_all(gallery, terms, question, allowed) for question in asked])
    videos = int(gallery.video_numbers.max()) + 1
    best = np.full((len(asked), videos), -np.inf)
    for own, found in zip(scanned, best, strict=True):
        np.maximum.at(found, gallery.video_numbers, own)
    bounds = best.mean(axis=0)
    rows_of = _rows_by_video(gallery, allowed)
    order = sorted(rows_of, key=lambda video: (-bounds[video], rows_of[video][0]))
    stories: list[tuple[int, Story]] = []
    off, scored, start = np.zeros(len(asked)), 0, 0
    left_out = False
    while start < len(order):
        full = len(stories) == wanted.k
        margin = 2 * float(off.mean()) + 1e-6
        if full and bounds[order[start]] < stories[-1][1].score - margin:
            break
        if full and scored >= _MOST_ROWS:
            left_out = True
            break
        some = [order[start]]
        while sum(len(rows_of[video]) for video in some) < _ROWS_AT_ONCE and start + len(some) < len(order):
            some.append(order[start + len(some)])
        start += len(some)
        rows = [row for video in some for row in rows_of[video]]
        scored += len(rows)
        read = Candidates(gallery, rows)
        exact = np.stack([score_exactly(terms, read, one, rows).numpy() for one in asked]).astype(np.float64)
        off = np.maximum(off, np.abs(exact - scanned[:, rows]).max(axis=1))
        looked = [looks(terms, gallery, question, rows) for question in questions]
        at = 0
        for video in some:
            own = range(at, at + len(rows_of[video]))
            at += len(own)
            story = _story([rows[place] for place in own], exact[:, own], _part(looked, own))
            if story is not None:
                stories.append((rows_of[video][0], story))
        # What cannot be among the best is not kept: a story holds what each second gave.
        stories = sorted(stories, key=lambda pair: (-pair[1].score, pair[0]))[: wanted.k]
    return [replace(story, candidates=start if left_out else None) for _, story in stories]


def _part(looked: Sequence[Sequence[Looked]], places: range) -> list[list[Looked]]:
    return [[one[place] for place in places] for one in looked]


def _scan_all(
    gallery: Gallery, terms: TermSum, question: Question, allowed: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """The scan's score of every segment, -inf where it may not be found."""
    texts = concatenate_features(question.texts)
    scores, rows = scan(gallery, terms, texts, allowed, len(gallery), mixing=mixing_of([question]))
    every = np.full(len(gallery), -np.inf)
    every[rows[0].cpu().numpy()] = scores[0].cpu().numpy()
    return every


def _rows_by_video(gallery: Gallery, allowed: NDArray[np.bool_]) -> dict[int, list[int]]:
    """Rows that may be found of each video, in the order of time."""
    found: dict[int, list[int]] = {}
    for row in np.flatnonzero(allowed).tolist():
        found.setdefault(int(gallery.video_numbers[row]), []).append(row)
    for rows in found.values():
        rows.sort(key=lambda row: tuple(gallery.spans[row]))
    return found


def _story(
    rows: Sequence[int], exact_QG: NDArray[np.float64], looked: Sequence[Sequence[Looked]]
) -> Story | None:
    """The best order of the sentences in one video, None if it has too few frames.

    Args:
        rows: of the gallery, the video's segments, in the order of time.
        exact_QG: score of each sentence with each of them.
        looked: what each second of each of them gave to each sentence.
    """
    # Every frame with a time is a position; a segment without any is one position by itself.
    positions = [
        (place, frame if len(one.times_seconds) else None)
        for place, one in enumerate(looked[0])
        for frame in range(max(1, len(one.times_seconds)))
    ]
    values = []
    for number, own in enumerate(looked):
        lost = [one.shares.max() - one.shares if len(one.shares) else np.zeros(1) for one in own]
        values.append(np.concatenate([exact_QG[number, place] - less for place, less in enumerate(lost)]))
    found = best_order(values)
    if found is None:
        return None
    score, chosen = found
    places = []
    for number, position in enumerate(chosen):
        place, frame = positions[position]
        places.append(Placed(rows[place], float(exact_QG[number, place]), looked[number][place], frame))
    return Story(score, places, score)
