"""Searching over HTTP: questions, explanations, strips."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Future
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import anyio.to_thread
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from vidsift.errors import NoAlignmentError, QueryError
from vidsift.service.answering import (
    answer_footage,
    answer_ordered,
    is_measured,
    measure,
    next_page,
    settings_of,
)
from vidsift.service.patch_maps import frames_for_maps
from vidsift.service.problems import ProblemError, problems
from vidsift.service.schemas import (
    ExplainRequest,
    Explanation,
    SearchRequest,
    SearchResponse,
    StripRequest,
    StripResponse,
    StripSegment,
)
from vidsift.service.service import Upload
from vidsift.types import Frames

if TYPE_CHECKING:
    from vidsift.search.searcher import Index
    from vidsift.service.live_index import Snapshot
    from vidsift.service.service import Service

__all__ = ["answered", "search_routes"]

T = TypeVar("T")


def search_routes(service: Service) -> APIRouter:
    """Questions, explanations, strips."""
    router = APIRouter(tags=["search"])

    @router.post(
        "/v1/search",
        summary="Find moments of videos",
        response_model=SearchResponse,
        responses=problems(404, 413),
    )
    async def search(request: Request, question: SearchRequest) -> Response:
        """Find the segments that fit a sentence, or that are like other footage, with the moment in each.

        Nothing found is no problem: the list is empty, or ``found`` is false.
        """
        began = time.monotonic()
        settings = settings_of(question)
        if isinstance(question.query, str):
            waiting = service.engine.ask(question.query, settings)
        elif question.query is not None:
            sentences = question.query
            if not is_measured(service.snapshot(), sentences):
                # Seconds, in which others have to be answered.
                await answered(request, service.measuring.run(lambda: measure(service.live, sentences)))
            waiting = service.engine.run(lambda: answer_ordered(service.live, settings, sentences))
        else:
            asked = _footage(service, question)
            waiting = service.engine.run(lambda: answer_footage(service.live, settings, asked))
        answer: SearchResponse = await answered(request, waiting)
        answer.next_page = next_page(question, answer, settings, more=answer.next_page is not None)
        answer.took_ms = (time.monotonic() - began) * 1000
        return await _written(answer)

    @router.post(
        "/v1/explain",
        summary="Why a segment was found",
        response_model=Explanation,
        responses=problems(404, 409, 413),
    )
    async def explain(request: Request, asked: ExplainRequest) -> Response:
        """Account for the score of a sentence with a segment: which word met which frame, with what."""
        sentence = asked.query
        if not isinstance(sentence, str):
            raise ProblemError(
                422,
                "sentences in order are explained one by one, since the order takes something off their "
                "mean: ask for each with the segment_id of its part",
            )

        frames = await frames_for_maps(service, asked.segment_id) if asked.maps else None

        def answer(snapshot: Snapshot) -> Explanation:
            index = _searched(snapshot)
            if asked.segment_id not in snapshot.library.owners:
                raise ProblemError(404, "the index has no such segment; search again for what it has now")
            return _explained(index, sentence, asked.segment_id, frames)

        try:
            account = await answered(request, service.engine.run(lambda: service.live.asked(answer)))
        except NoAlignmentError as error:
            raise ProblemError(422, str(error)) from error
        return await _written(account)

    @router.post(
        "/v1/strip",
        summary="Where in a video a sentence fits",
        response_model=StripResponse,
        responses=problems(404, 409, 413),
    )
    async def strip(request: Request, asked: StripRequest) -> Response:
        """Lay a sentence along a whole video: what each second gave, and the score of each segment."""

        def answer(snapshot: Snapshot) -> StripResponse:
            index = _searched(snapshot)
            if asked.video_id not in snapshot.library.videos:
                raise ProblemError(404, "the index has no such video; search again for what it has now")
            return _strip(index, asked)

        found = await answered(request, service.engine.run(lambda: service.live.asked(answer)))
        return await _written(found)

    return router


async def answered(request: Request, future: Future[T]) -> T:
    """Wait for an answer of the engine; as soon as the asker has gone, take the question back."""
    waiting, leaving = asyncio.wrap_future(future), asyncio.create_task(_left(request))
    either: set[asyncio.Future[Any]] = {waiting, leaving}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            return waiting.result()
        leaving.result()
        raise ProblemError(408, "the asker has gone")
    finally:
        leaving.cancel()
        waiting.cancel()  # takes the question back, of no effect once it is being answered


async def _left(request: Request) -> None:
    """Return when the asker has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _written(answer: BaseModel) -> Response:
    """Write an answer as JSON beside the event loop: an account may have a million numbers."""
    text = await anyio.to_thread.run_sync(answer.model_dump_json)
    return Response(text, media_type="application/json")


def _explained(index: Index, sentence: str, segment_id: str, frames: Frames | str | None) -> Explanation:
    """The account of a segment, with maps where there are frames, else with the reason that was given."""
    if not isinstance(frames, Frames):
        account = index.explain(sentence, segment_id).to_dict() | {"maps_missing": frames or ""}
        return Explanation.model_validate(account)
    try:
        return Explanation.model_validate(index.explain(sentence, segment_id, frames=frames).to_dict())
    except QueryError:
        # Indexed anew while the frames were read; a question that cannot be answered fails here again.
        why = "the video was indexed again meanwhile; ask once more"
        return _explained(index, sentence, segment_id, why)


def _searched(snapshot: Snapshot) -> Index:
    if snapshot.index is None:
        raise ProblemError(409, "nothing has been indexed yet; add a folder first")
    return snapshot.index


def _footage(service: Service, question: SearchRequest) -> str | Upload:
    """What to find more like: an upload, or the id of a segment."""
    name = question.video or question.image or ""
    kept = service.uploads.get(name)
    wanted: Literal["image", "video"] = "image" if question.image is not None else "video"
    if kept is not None and kept.kind == wanted:
        return kept
    if question.image is not None:
        raise ProblemError(404, "no such picture is kept, or not any more; upload it again")
    return name


def _strip(index: Index, asked: StripRequest) -> StripResponse:
    sentences = [asked.query] if isinstance(asked.query, str) else asked.query
    many = [index.in_video(sentence, asked.video_id) for sentence in sentences]
    shares = [[share for hit in hits for share in hit.shares] for hits in many]
    return StripResponse(
        times=[time for hit in many[0] for time in hit.times_seconds],
        shares=[fmean(given) for given in zip(*shares, strict=True)],
        segments=[
            StripSegment(
                segment_id=hit.segment_id,
                start=hit.segment.start_seconds,
                end=hit.segment.end_seconds,
                score=fmean(own.score for own in same),
            )
            for same in zip(*many, strict=True)
            for hit in same[:1]
        ],
    )
