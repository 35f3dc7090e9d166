"""What one version of an index answers to each kind of question: from the filter to the page of hits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from vidsift.errors import QueryError
from vidsift.search.candidates import CANDIDATES, rank_by_method
from vidsift.search.hits import hits_of, page_of_rows
from vidsift.search.questions import Question
from vidsift.search.ranking import Ranked, Wanted, rank
from vidsift.search.reader import IndexReader
from vidsift.search.rescore import PrefetchedTokens, score_exactly
from vidsift.search.sequence import (
    VideoMatch,
    best_videos,
    hits_of_videos,
    page_of_videos,
    videos_in_order,
)
from vidsift.search.similar import KIND, encode_footage
from vidsift.types import Features, Filter, Frames, Hit, Match

__all__ = [
    "best_candidates",
    "check_k",
    "hits_for_sentences",
    "hits_in_order",
    "hits_in_video",
    "hits_like",
]


def hits_for_sentences(
    reader: IndexReader, queries: Sequence[str], k: int, filter: Filter
) -> list[list[Hit]]:
    """Answer sentences, or sums of them, by one scan; see :meth:`vidsift.search.searcher.Index.search`."""
    _check_page(reader, k, filter)
    questions = [reader.question(query) for query in queries]
    paths, allowed = reader.allowed(filter)
    wanted = Wanted(filter.skip + k, allowed, filter.group_by, reader.preselect)
    ranked = rank_by_method(reader.gallery, reader.model.method, questions, wanted, filter.candidates)
    return [
        _hits(reader, question, answer, k=k, filter=filter, paths=paths)
        for question, answer in zip(questions, ranked, strict=True)
    ]


def hits_in_order(reader: IndexReader, sentences: Sequence[str], k: int, filter: Filter) -> list[Hit]:
    """Find videos in which sentences come in order; see :meth:`vidsift.search.searcher.Index.search`."""
    _check_page(reader, k, filter)
    questions = [reader.question(sentence) for sentence in sentences]
    paths, allowed = reader.allowed(filter)
    method = reader.model.method
    wanted = Wanted(filter.skip + k, allowed, "video", reader.preselect)
    candidates = CANDIDATES if filter.candidates is None else filter.candidates
    ranked = videos_in_order(reader.gallery, method, questions, wanted, candidates)
    page = page_of_videos(ranked, k, filter)
    return hits_of_videos(
        reader.gallery,
        page,
        first_rank=filter.skip + 1,
        paths=paths,
        # Of a method that cannot do both, the shares would be those of its first stage.
        with_shares=method.scans and method.explains,
        sureness=reader.segments.calibrator.sureness_in_order(
            questions, page, partial(_best_in_order_of_others, reader, questions, ranked, filter)
        ),
    )


def hits_like(
    reader: IndexReader, segment_id: str | None, frames: Frames | None, k: int, filter: Filter
) -> list[Hit]:
    """Find similar footage; see :meth:`vidsift.search.searcher.Index.similar`."""
    check_k(k)
    if (segment_id is None) == (frames is None):
        raise QueryError("similar footage is asked for by segment_id or by frames; give one of them")
    if filter.candidates is not None:
        raise QueryError("similar footage scores every segment; leave candidates out")
    paths, allowed = reader.allowed(filter)
    terms, gallery = reader.segments.footage
    if frames is not None:
        footage: Features = encode_footage(reader.model, frames)
    else:
        assert segment_id is not None
        row = reader.row_of(segment_id)
        stored = gallery.exact([row])
        footage = {name: tokens.to(device=gallery.device) for name, tokens in stored.items()}
        # A copy: without a filter the mask is that of all questions.
        allowed = allowed.copy()
        allowed[row] = False
    question = Question(({terms.name: footage[terms.name]},))
    (ranked,) = rank(gallery, terms, [question], Wanted(filter.skip + k, allowed, filter.group_by))
    page = page_of_rows(ranked, k, filter)
    hits = hits_of(gallery, terms, question, page, first_rank=filter.skip + 1, paths=paths)
    return [replace(hit, kind=KIND) for hit in hits]


def hits_in_video(reader: IndexReader, query: str, video_id: str) -> list[Hit]:
    """Score every segment of a video; see :meth:`vidsift.search.searcher.Index.in_video`."""
    rows = reader.rows_of_video(video_id)
    question = reader.question(query)
    tokens = PrefetchedTokens(reader.gallery)
    scores = score_exactly(reader.model.method, tokens, question, rows).tolist()
    # Rows ascend with segment ids, which settle equal scores.
    best_first = sorted(zip(rows, scores, strict=True), key=lambda pair: (-pair[1], pair[0]))
    paths = {video_id: reader.paths[video_id][0]}
    hits = _hits(
        reader, question, Ranked(best_first), k=len(rows), filter=Filter(), paths=paths, with_words=False
    )
    return sorted(hits, key=lambda hit: hit.segment)


def best_candidates(reader: IndexReader, sentences: Sequence[str], filter: Filter) -> list[Match | None]:
    """How good a match the surest of all candidates of a method that cannot scan is.

    It is that of what the first stage finds first; the method may rank that anywhere, so that no page of its
    hits tells.
    """
    questions = [reader.question(sentence) for sentence in sentences]
    _, allowed = reader.allowed(filter)
    stage, wanted = reader.model.method.scanned, Wanted(1, allowed, "video", reader.preselect)
    calibrator = reader.segments.calibrator
    if len(questions) > 1:
        matches = best_videos(reader.gallery, stage, questions, wanted)
        sureness = calibrator.sureness_in_order(questions, matches, _no_others)
    else:
        (ranked,) = rank(reader.gallery, stage, questions, wanted)
        # One segment, or none where the filter lets no video through.
        rows, scores = [row for row, _ in ranked.best], [score for _, score in ranked.best]
        sureness = calibrator.sureness(questions[0], rows, scores, _no_others)
    return [match for _, match in sureness]


def check_k(k: int) -> None:
    """Refuse to be asked for no hit at all."""
    if k < 1:
        raise QueryError(f"k is {k}, expected at least 1")


def _check_page(reader: IndexReader, k: int, filter: Filter) -> None:
    check_k(k)
    if filter.candidates is not None and reader.model.method.scans:
        raise QueryError(
            f"candidates is {filter.candidates}, but {reader.model.name} scores every segment; leave "
            "candidates out"
        )


def _hits(
    reader: IndexReader,
    question: Question,
    ranked: Ranked,
    *,
    k: int,
    filter: Filter,
    paths: Mapping[str, str],
    with_words: bool = True,
) -> list[Hit]:
    method, page = reader.model.method, page_of_rows(ranked, k, filter)
    rows, scores = [row for row, _ in page], [score for _, score in page]
    others = partial(_best_of_others, reader, question, ranked, filter)
    return hits_of(
        reader.gallery,
        method.moments_from,
        question,
        page,
        first_rank=filter.skip + 1,
        paths=paths,
        with_shares=method.explains,
        candidates=ranked.candidates,
        sureness=reader.segments.calibrator.sureness(question, rows, scores, others if with_words else None),
    )


def _no_others(_video: int) -> None:
    """Look for no other video: whether anything fits does not depend on it."""


def _best_of_others(
    reader: IndexReader, question: Question, ranked: Ranked, filter: Filter, video: int
) -> float | None:
    """The best score of all videos but one, whatever filter and page say: words go by neither.

    Args:
        reader: of the index.
        question: what was asked.
        ranked: the answer, in which it mostly stands.
        filter: that the answer was found with.
        video: number of the one that is left out.
    """
    gallery, method = reader.gallery, reader.model.method
    if method.scans and not filter.narrows:
        for row, score in ranked.best:
            if gallery.video_numbers[row] != video:
                return score
    wanted = _all_but(reader, video)
    (answer,) = rank(gallery, method.scanned, [question], wanted)
    return answer.best[0][1] if answer.best else None


def _best_in_order_of_others(
    reader: IndexReader,
    questions: Sequence[Question],
    ranked: Sequence[VideoMatch],
    filter: Filter,
    video: int,
) -> float | None:
    """The same of sentences in order."""
    gallery, method = reader.gallery, reader.model.method
    if method.scans and not filter.narrows:
        for match in ranked:
            if gallery.video_numbers[match.places[0].row] != video:
                return match.score
    matches = best_videos(gallery, method.scanned, questions, _all_but(reader, video))
    return matches[0].stage_score if matches else None


def _all_but(reader: IndexReader, video: int) -> Wanted:
    """The best of all other videos of the index."""
    _, everything = reader.allowed(Filter())
    return Wanted(1, everything & (reader.gallery.video_numbers != video), "segment", reader.preselect)
