"""Questions as the engine answers them: sentences together, everything else one by one."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from vidsift.errors import NoAlignmentError
from vidsift.search.confidence import anything_fits
from vidsift.search.filters import allowed_rows, shown_paths_in
from vidsift.search.questions import parse
from vidsift.service.files import place_of
from vidsift.service.media import media_url, thumbnail_url
from vidsift.service.problems import ProblemError
from vidsift.service.schemas import (
    Explanation,
    Pool,
    SearchHit,
    SearchPart,
    SearchRequest,
    SearchResponse,
    Strip,
)
from vidsift.types import Filter

if TYPE_CHECKING:
    from vidsift.search.searcher import Index
    from vidsift.service.live_index import LiveIndex, Snapshot
    from vidsift.service.service import Upload
    from vidsift.types import Hit

__all__ = [
    "Settings",
    "answer_footage",
    "answer_ordered",
    "answer_sentences",
    "is_measured",
    "measure",
    "next_page",
    "settings_of",
]

_DEEPEST = 1000


@dataclass(frozen=True)
class Settings:
    """All of a question but what is asked; sentences with equal ones can be answered together.

    Attributes:
        k: hits on a page.
        filter: which hits are given, and how many stand on the pages before.
        found: what the first page said of whether something fits.
        explain: account for every hit.
        min_confidence: hits that are less sure are left out.
    """

    k: int
    filter: Filter
    found: bool | None
    explain: bool
    min_confidence: float | None


def settings_of(request: SearchRequest) -> Settings:
    """Read the settings of a request, its page token included.

    Raises:
        ProblemError: 422, the token is of another question, or a folder's name is none.
    """
    skip, found = (0, None) if request.page is None else _read_token(request.page, _digest(request))
    chosen = request.filter
    return Settings(
        k=request.k,
        filter=Filter(
            under=None if chosen.under is None else place_of(chosen.under),
            min_duration_seconds=chosen.min_duration,
            max_duration_seconds=chosen.max_duration,
            modified_after=_zoned(chosen.modified_after),
            modified_before=_zoned(chosen.modified_before),
            tags=chosen.tags,
            min_score=request.min_score,
            group_by=request.group_by,
            candidates=request.candidates,
            skip=skip,
        ),
        found=found,
        explain=request.explain,
        min_confidence=request.min_confidence,
    )


def answer_sentences(live: LiveIndex, settings: Settings, queries: Sequence[str]) -> list[SearchResponse]:
    """Answer sentences by one scan."""

    def answers(snapshot: Snapshot) -> list[SearchResponse]:
        if snapshot.index is None:
            return [_nothing("text") for _ in queries]
        # One more than wanted tells whether there is another page.
        many = snapshot.index.search_many(queries, settings.k + 1, filter=settings.filter)
        return [_answer(snapshot, settings, query, hits) for query, hits in zip(queries, many, strict=True)]

    return live.asked(answers)


def is_measured(snapshot: Snapshot, sentences: Sequence[str]) -> bool:
    """Whether sentences in order can be answered without measuring first how sure such answers are.

    Raises:
        QueryError: one of them is no question.
    """
    index, count = snapshot.index, len(sentences)
    if index is None or count < 2 or count in index.measured_in_order:
        return True
    return not all(len(parse(one)) == 1 for one in sentences)


def measure(live: LiveIndex, sentences: Sequence[str]) -> None:
    """Measure how sure the answers to so many sentences in order are: seconds, once for a version."""

    def measured(snapshot: Snapshot) -> None:
        if not is_measured(snapshot, sentences):
            assert snapshot.index is not None
            snapshot.index.calibration_in_order(len(sentences))

    live.asked(measured)


def answer_ordered(live: LiveIndex, settings: Settings, sentences: Sequence[str]) -> SearchResponse:
    """Answer sentences that must come in that order within one video."""

    def answer(snapshot: Snapshot) -> SearchResponse:
        if snapshot.index is None:
            return _nothing("text")
        hits = snapshot.index.search(list(sentences), settings.k + 1, filter=settings.filter)
        return _answer(snapshot, settings, sentences, hits)

    return live.asked(answer)


def answer_footage(live: LiveIndex, settings: Settings, asked: str | Upload) -> SearchResponse:
    """Find footage like a segment, by its id, or like an upload."""
    return live.asked(lambda snapshot: _like(snapshot, settings, asked))


def _like(snapshot: Snapshot, settings: Settings, asked: str | Upload) -> SearchResponse:
    if snapshot.index is None:
        return _nothing("similar footage")
    if isinstance(asked, str):
        if asked not in snapshot.library.owners:
            raise ProblemError(
                404,
                "the index has no such segment and no such upload is kept; search again, or upload it again",
            )
        hits = snapshot.index.similar(asked, k=settings.k + 1, filter=settings.filter)
    else:
        hits = snapshot.index.similar(frames=asked.frames, k=settings.k + 1, filter=settings.filter)
    return _answer(snapshot, settings, None, hits, "similar footage")


def next_page(
    request: SearchRequest, answer: SearchResponse, settings: Settings, *, more: bool
) -> str | None:
    """The token of the page after an answer; None at the end."""
    skip = settings.filter.skip + settings.k
    if not more or skip >= _DEEPEST:
        return None
    values = {"s": skip, "q": _digest(request), "f": answer.found}
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def _read_token(token: str, digest: str) -> tuple[int, bool | None]:
    other = ProblemError(
        422, "page is not of this question; give the next_page of an answer to the same question, or nothing"
    )
    try:
        values = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        skip, asked, found = values["s"], values["q"], values["f"]
    except (binascii.Error, ValueError, TypeError, KeyError, RecursionError) as error:
        raise other from error
    right = type(skip) is int and 0 < skip < _DEEPEST and found in (True, False, None)
    if asked != digest or not right:
        raise other
    return skip, found


def _digest(request: SearchRequest) -> str:
    asked = request.model_dump_json(exclude={"page", "explain", "k"})
    return hashlib.sha256(asked.encode()).hexdigest()[:16]


def _zoned(moment: datetime | None) -> datetime | None:
    return moment if moment is None or moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _nothing(label: Literal["text", "similar footage"]) -> SearchResponse:
    """The answer of an index in which nothing is yet."""
    pool = Pool(segments=0, videos=0, allowed_segments=0)
    return SearchResponse(data=[], found=None, label=label, pool=pool, next_page=None, took_ms=0.0)


def _answer(
    snapshot: Snapshot,
    settings: Settings,
    query: str | Sequence[str] | None,
    hits: Sequence[Hit],
    label: Literal["text", "similar footage"] = "text",
) -> SearchResponse:
    index = snapshot.index
    assert index is not None
    found = settings.found
    if query is not None and not settings.filter.skip:
        found = index.found(query, hits, filter=settings.filter)
    elif anything_fits(hit.confidence for hit in hits):
        # The library may have grown since the first page.
        found = True
    more = len(hits) > settings.k
    kept = [one for one in hits[: settings.k] if _sure_enough(one, settings)]
    if more and not _sure_enough(hits[settings.k], settings):
        # The surest come first, but where a method ranks what its first stage found and is sure of.
        more = label == "text" and not index.model.method.scans
    data = [_hit(snapshot, one) for one in kept]
    if settings.explain and isinstance(query, str):
        for shown, hit in zip(data, kept, strict=True):
            shown.explanation = _explanation(index, query, hit)
    return SearchResponse(
        data=data,
        found=found,
        label=label,
        pool=_pool(snapshot, settings.filter),
        # Its token names the question, which the engine does not know: see next_page().
        next_page="more" if more else None,
        took_ms=0.0,
    )


def _sure_enough(hit: Hit, settings: Settings) -> bool:
    return hit.confidence is None or hit.confidence >= (settings.min_confidence or 0.0)


def _pool(snapshot: Snapshot, filter: Filter) -> Pool:
    library, index = snapshot.library, snapshot.index
    assert index is not None
    segments = len(library.owners)
    allowed = segments
    if filter.narrows:
        allowed = int(allowed_rows(index.gallery, filter, shown_paths_in(library, filter)).sum())
    return Pool(segments=segments, videos=len(library.videos), allowed_segments=allowed)


def _hit(snapshot: Snapshot, hit: Hit) -> SearchHit:
    video = snapshot.library.videos.get(hit.video_id)
    best = (hit.moment.start_seconds + hit.moment.end_seconds) / 2
    if hit.shares:
        best = hit.times_seconds[hit.shares.index(max(hit.shares))]
    return SearchHit(
        rank=hit.rank,
        score=hit.score,
        confidence=hit.confidence,
        video_id=hit.video_id,
        segment_id=hit.segment_id,
        path=hit.path,
        start=hit.moment.start_seconds,
        end=hit.moment.end_seconds,
        segment_start=hit.segment.start_seconds,
        segment_end=hit.segment.end_seconds,
        duration=hit.segment.end_seconds if video is None else video.duration_seconds,
        thumbnail_url=thumbnail_url(hit.video_id, best),
        media_url=media_url(hit.video_id),
        strip=Strip(times=list(hit.times_seconds), shares=list(hit.shares)),
        explanation=None,
        parts=[
            SearchPart(
                segment_id=one.segment_id,
                score=one.score,
                start=one.moment.start_seconds,
                end=one.moment.end_seconds,
            )
            for one in hit.parts
        ],
        candidates=hit.candidates,
    )


def _explanation(index: Index, query: str, hit: Hit) -> Explanation | None:
    try:
        return Explanation.model_validate(index.explain(query, hit).to_dict())
    except NoAlignmentError:
        return None
