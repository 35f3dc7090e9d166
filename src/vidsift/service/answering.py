"""From questions to answers: what the engine does for a search, an explanation and a strip.

All of it runs on the engine's thread and takes one version of the index, by :meth:`LiveIndex.run`.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING, Literal

import numpy as np

from vidsift.errors import NoAlignmentError, QueryError
from vidsift.files.paths import absolute
from vidsift.search.filters import allowed_rows, shown_paths_in
from vidsift.search.match_quality import anything_fits, is_at_least
from vidsift.search.phrasing import is_rephrased
from vidsift.search.sums import normalise_query, parse
from vidsift.service import schemas
from vidsift.service.problems import ProblemError
from vidsift.service.schemas import (
    ExplainRequest,
    Pool,
    SearchHit,
    SearchPart,
    SearchRequest,
    SearchResponse,
    StripRequest,
    StripResponse,
    StripSegment,
    media_url,
    thumbnail_url,
)
from vidsift.types import Filter

if TYPE_CHECKING:
    from vidsift.search.searcher import Index
    from vidsift.service.live_index import LiveIndex, Snapshot
    from vidsift.service.service import Upload
    from vidsift.types import Frames, Hit, Match

__all__ = [
    "Settings",
    "absolute_folder",
    "answer_in_order",
    "answer_sentences",
    "answer_similar",
    "explanation_of",
    "is_calibrated",
    "measure_in_order",
    "next_page",
    "rephrased",
    "searched_query",
    "settings_of",
    "strip_of_video",
]

_DEEPEST = 1000  # hits that pages lead to: each page ranks all that come before it again


@dataclass(frozen=True)
class Settings:
    """All of a question but what is asked; sentences with equal ones can be answered together.

    Attributes:
        k: hits on a page.
        filter: which hits are given; it leaves out those on the pages before.
        first_page_fits: whether something fits by the first page's answer; None on that page itself.
        explain: account for every hit.
        min_confidence: hits of a lower one are left out.
        min_match: hits of a weaker match are left out.
    """

    k: int
    filter: Filter
    first_page_fits: bool | None
    explain: bool
    min_confidence: float | None
    min_match: Match | None


def settings_of(request: SearchRequest) -> Settings:
    """Read the settings of a request, its page token included.

    Raises:
        ProblemError: 422, the token is of another question, or a folder's name is none.
    """
    skip, fits = (0, None) if request.page is None else _read_page(request.page, _digest(request))
    chosen = request.filter
    return Settings(
        k=request.k,
        filter=Filter(
            under=None if chosen.under is None else absolute_folder(chosen.under),
            name=chosen.name,
            min_duration_seconds=chosen.min_duration,
            max_duration_seconds=chosen.max_duration,
            modified_after=_with_zone(chosen.modified_after),
            modified_before=_with_zone(chosen.modified_before),
            tags=chosen.tags,
            min_score=request.min_score,
            group_by=request.group_by,
            candidates=request.candidates,
            skip=skip,
        ),
        first_page_fits=fits,
        explain=request.explain,
        min_confidence=request.min_confidence,
        min_match=request.min_match,
    )


def searched_query(query: str | Sequence[str], *, verbatim: bool) -> str | list[str]:
    """What is searched for: the query without what says nothing about a video, unless verbatim."""
    if isinstance(query, str):
        return query if verbatim else normalise_query(query)
    return [sentence if verbatim else normalise_query(sentence) for sentence in query]


def rephrased(query: str | Sequence[str], searched: str | list[str]) -> str | list[str] | None:
    """What was searched for, where whoever wrote the query has to be shown it; else None."""
    written, sentences = ([text] if isinstance(text, str) else text for text in (query, searched))
    return searched if is_rephrased(written, sentences) else None


def absolute_folder(folder: str) -> str:
    """The full path that a folder's name means.

    Raises:
        ProblemError: 422, it means none.
    """
    try:
        return absolute(folder)
    except (OSError, ValueError, RuntimeError) as error:  # too long, a NUL in it, "~" of nobody
        raise ProblemError(
            422, f"under is {folder!r}, which is no folder's name; write its full path, as /home/me/Videos"
        ) from error


def answer_sentences(
    live_index: LiveIndex, settings: Settings, queries: Sequence[str]
) -> list[SearchResponse]:
    """Answer sentences by one scan."""

    def answers(snapshot: Snapshot) -> list[SearchResponse]:
        if snapshot.index is None:
            return [_nothing("text") for _ in queries]
        # One more than is shown tells whether there is another page.
        hits_of = snapshot.index.search_many(queries, settings.k + 1, filter=settings.filter)
        return [
            _response(snapshot, settings, query, hits) for query, hits in zip(queries, hits_of, strict=True)
        ]

    return live_index.run(answers)


def is_calibrated(snapshot: Snapshot, sentences: Sequence[str]) -> bool:
    """Whether it is known already how sure answers to so many sentences in order are.

    Raises:
        QueryError: one of them is no question.
    """
    index, count = snapshot.index, len(sentences)
    if index is None or count < 2 or index.is_calibrated_in_order(count):
        return True
    # Sums have no confidence, so nothing has to be measured.
    return not all(len(parse(sentence)) == 1 for sentence in sentences)


def measure_in_order(live_index: LiveIndex, sentences: Sequence[str]) -> None:
    """Measure how sure answers to so many sentences in order are: seconds, once for a version."""

    def calibrate(snapshot: Snapshot) -> None:
        if not is_calibrated(snapshot, sentences):
            snapshot.opened().calibration_in_order(len(sentences))

    live_index.run(calibrate)


def answer_in_order(live_index: LiveIndex, settings: Settings, sentences: Sequence[str]) -> SearchResponse:
    """Answer sentences that must come in that order within one video."""

    def answer(snapshot: Snapshot) -> SearchResponse:
        if snapshot.index is None:
            return _nothing("text")
        hits = snapshot.index.search(list(sentences), settings.k + 1, filter=settings.filter)
        return _response(snapshot, settings, sentences, hits)

    return live_index.run(answer)


def answer_similar(live_index: LiveIndex, settings: Settings, footage: str | Upload) -> SearchResponse:
    """Find footage like a segment, by its id, or like an upload.

    Raises:
        ProblemError: 404, there is no such segment.
    """

    def answer(snapshot: Snapshot) -> SearchResponse:
        if snapshot.index is None:
            return _nothing("similar footage")
        if isinstance(footage, str):
            if footage not in snapshot.library.owners:
                raise ProblemError(
                    404,
                    f"no segment of the index and no upload has the id {footage!r}, or it was dropped since; "
                    "search again, or upload it again",
                )
            hits = snapshot.index.similar(footage, k=settings.k + 1, filter=settings.filter)
        else:
            hits = snapshot.index.similar(frames=footage.frames, k=settings.k + 1, filter=settings.filter)
        return _response(snapshot, settings, None, hits, "similar footage")

    return live_index.run(answer)


def explanation_of(
    live_index: LiveIndex, request: ExplainRequest, sentence: str, frames: Frames | str | None
) -> schemas.Explanation:
    """Account for the score of a sentence with a segment.

    Args:
        live_index: that has the segment.
        request: which segment, and whether words are left out.
        sentence: that was asked for.
        frames: of the segment, for maps of the picture; a text says why they cannot be had.

    Raises:
        ProblemError: 404, there is no such segment; 409, nothing has been indexed yet.
        NoAlignmentError: the model is a black box, and words are not left out.
    """

    def account(snapshot: Snapshot) -> schemas.Explanation:
        index = snapshot.opened()
        snapshot.video_of_segment(request.segment_id)
        return _explanation(index, request, sentence, frames)

    return live_index.run(account)


def _explanation(
    index: Index, request: ExplainRequest, sentence: str, frames: Frames | str | None
) -> schemas.Explanation:
    explain = partial(index.explain, sentence, request.segment_id, leave_out=request.leave_out)
    if frames is None or isinstance(frames, str):
        return schemas.Explanation.model_validate(explain().to_dict() | {"maps_missing": frames or ""})
    try:
        fields = explain(frames=frames).to_dict()
    except QueryError:
        # The video was indexed anew while the frames were read, so they do not fit; or the sentence cannot be
        # answered, which fails here once more.
        why = "the video was indexed again meanwhile; ask once more"
        return _explanation(index, request, sentence, why)
    return schemas.Explanation.model_validate(fields)


def strip_of_video(live_index: LiveIndex, request: StripRequest) -> StripResponse:
    """Lay a sentence along a whole video, of several sentences their mean.

    Raises:
        ProblemError: 404, there is no such video; 409, nothing has been indexed yet.
    """
    query = searched_query(request.query, verbatim=request.verbatim)
    sentences = [query] if isinstance(query, str) else query

    def strip(snapshot: Snapshot) -> StripResponse:
        index = snapshot.opened()
        snapshot.video(request.video_id)
        hits_of = [index.in_video(sentence, request.video_id) for sentence in sentences]
        shares_of = [[share for hit in hits for share in hit.shares] for hits in hits_of]
        return StripResponse(
            times=[time for hit in hits_of[0] for time in hit.times_seconds],
            shares=[fmean(shares) for shares in zip(*shares_of, strict=True)],
            segments=[
                StripSegment(
                    segment_id=hits[0].segment_id,
                    start=hits[0].segment.start_seconds,
                    end=hits[0].segment.end_seconds,
                    score=fmean(hit.score for hit in hits),
                )
                for hits in zip(*hits_of, strict=True)
            ],
            searched_for=rephrased(request.query, query),
        )

    return live_index.run(strip)


def next_page(
    request: SearchRequest, answer: SearchResponse, settings: Settings, *, more: bool
) -> str | None:
    """The token of the page after an answer; None at the end."""
    skip = settings.filter.skip + settings.k
    if not more or skip >= _DEEPEST:
        return None
    # The answer to whether something fits goes along: a later page has not the hits to tell it by.
    values = {"s": skip, "q": _digest(request), "f": answer.found}
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def _read_page(token: str, digest: str) -> tuple[int, bool | None]:
    """What a page token says: the hits before it, and whether the first page found something."""
    problem = ProblemError(
        422, "page is not of this question; give the next_page of an answer to the same question, or nothing"
    )
    try:
        values = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        skip, question, fits = values["s"], values["q"], values["f"]
    except (binascii.Error, ValueError, TypeError, KeyError, RecursionError) as error:
        raise problem from error
    if question != digest or type(skip) is not int or not 0 < skip < _DEEPEST:
        raise problem
    if fits not in (True, False, None):
        raise problem
    return skip, fits


def _digest(request: SearchRequest) -> str:
    """What tells questions apart. The next page may have another length, or explain its hits."""
    question = request.model_dump_json(exclude={"page", "explain", "k"})
    return hashlib.sha256(question.encode()).hexdigest()[:16]


def _with_zone(moment: datetime | None) -> datetime | None:
    return moment if moment is None or moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _nothing(label: Literal["text", "similar footage"]) -> SearchResponse:
    """The answer of an index in which nothing is yet."""
    pool = Pool(segments=0, videos=0, allowed_segments=0, allowed_videos=0)
    return SearchResponse(data=[], found=None, label=label, pool=pool, next_page=None, took_ms=0.0)


def _response(
    snapshot: Snapshot,
    settings: Settings,
    query: str | Sequence[str] | None,
    hits: Sequence[Hit],
    label: Literal["text", "similar footage"] = "text",
) -> SearchResponse:
    index = snapshot.opened()
    fits = settings.first_page_fits
    if query is not None and not settings.filter.skip:
        fits = index.found(query, hits, filter=settings.filter)
    elif anything_fits(hit.match for hit in hits):
        # The library may have grown since the first page.
        fits = True
    more = len(hits) > settings.k
    shown = [hit for hit in hits[: settings.k] if _is_sure(hit, settings)]
    if more and not _is_sure(hits[settings.k], settings):
        # The surest come first, but where a method ranks what its first stage found and is sure of.
        more = label == "text" and not index.model.method.scans
    data = [_search_hit(snapshot, hit) for hit in shown]
    if settings.explain and isinstance(query, str):
        for body, hit in zip(data, shown, strict=True):
            with contextlib.suppress(NoAlignmentError):  # a method that cannot explain leaves it out
                body.explanation = schemas.Explanation.model_validate(index.explain(query, hit).to_dict())
    return SearchResponse(
        data=data,
        found=fits,
        label=label,
        pool=_pool(snapshot, settings.filter),
        # The token names the question, which the engine does not know: next_page() writes it.
        next_page="more" if more else None,
        took_ms=0.0,
    )


def _is_sure(hit: Hit, settings: Settings) -> bool:
    sure = hit.confidence is None or hit.confidence >= (settings.min_confidence or 0.0)
    return sure and is_at_least(hit.match, settings.min_match)


def _pool(snapshot: Snapshot, narrowed: Filter) -> Pool:
    library, index = snapshot.library, snapshot.opened()
    segments, videos = len(library.owners), len(library.videos)
    allowed_segments, allowed_videos = segments, videos
    if narrowed.narrows:
        rows = allowed_rows(index.gallery, narrowed, shown_paths_in(library, narrowed))
        allowed_segments = int(rows.sum())
        allowed_videos = len(np.unique(index.gallery.video_numbers[rows]))
    return Pool(
        segments=segments,
        videos=videos,
        allowed_segments=allowed_segments,
        allowed_videos=allowed_videos,
    )


def _search_hit(snapshot: Snapshot, hit: Hit) -> SearchHit:
    # None of both if it was taken out since the hits were found.
    video, file = snapshot.library.videos.get(hit.video_id), snapshot.library.files.get(hit.path)
    best_seconds = (hit.moment.start_seconds + hit.moment.end_seconds) / 2
    if hit.shares:
        best_seconds = hit.times_seconds[hit.shares.index(max(hit.shares))]
    return SearchHit(
        rank=hit.rank,
        score=hit.score,
        confidence=hit.confidence,
        match=hit.match,
        video_id=hit.video_id,
        segment_id=hit.segment_id,
        path=hit.path,
        start=hit.moment.start_seconds,
        end=hit.moment.end_seconds,
        segment_start=hit.segment.start_seconds,
        segment_end=hit.segment.end_seconds,
        duration=hit.segment.end_seconds if video is None else video.duration_seconds,
        thumbnail_url=thumbnail_url(hit.video_id, best_seconds),
        media_url=media_url(hit.video_id),
        modified=None if file is None else file.modified,
        strip=schemas.Strip(times=list(hit.times_seconds), shares=list(hit.shares)),
        explanation=None,
        parts=[
            SearchPart(
                segment_id=part.segment_id,
                score=part.score,
                start=part.moment.start_seconds,
                end=part.moment.end_seconds,
            )
            for part in hit.parts
        ],
        candidates=hit.candidates,
    )
