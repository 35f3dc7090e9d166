"""The library over HTTP: its videos with their facts, tags and captions, and the state of the index."""

from __future__ import annotations

import base64
import binascii
import json
from bisect import bisect_right
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Query, Request

from vidsift import __version__
from vidsift.errors import IndexFolderError
from vidsift.files.paths import name_order
from vidsift.index.storage import Store
from vidsift.search.filters import shown_paths_in
from vidsift.service.answering import absolute_folder
from vidsift.service.engine import wait_for
from vidsift.service.problems import ProblemError, error_message, problem_responses
from vidsift.service.schemas import media_url, thumbnail_url
from vidsift.service.schemas_library import (
    MAX_LISTED,
    CaptionRank,
    CaptionsResponse,
    FileProblem,
    Folder,
    IndexResponse,
    SuggestionsResponse,
    TagsRequest,
    VideoDetails,
    VideoFacts,
    VideosResponse,
)
from vidsift.service.service import CurrentService, VideoId
from vidsift.types import Filter

if TYPE_CHECKING:
    from vidsift.index.library import Video
    from vidsift.service.live_index import Snapshot

__all__ = ["router"]

router = APIRouter(tags=["library"])

_TAG_SECONDS = 10.0

Sort = Literal["path", "name", "date"]
_KEYS: dict[Sort, Callable[[str, int], tuple[Any, ...]]] = {
    "path": lambda path, _: (path,),
    "name": lambda path, _: (name_order(path), path),
    "date": lambda path, newest_ns: (-newest_ns, path),
}
"""What videos are ordered by, of the path and the date of each."""


@router.get(
    "/v1/videos", operation_id="list_videos", summary="Videos of the library", responses=problem_responses()
)
def videos(  # noqa: PLR0917 - the parameters of the query
    service: CurrentService,
    page: Annotated[
        str | None,
        Query(max_length=8192, description="The next_page of the answer before; the first page without."),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=500, description="How many on a page at most.")] = 50,
    under: Annotated[
        str | None, Query(min_length=1, max_length=4096, description="Only videos in this folder.")
    ] = None,
    name: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=255,
            description="Only files whose name holds this text, in small letters or large.",
        ),
    ] = None,
    sort: Annotated[
        Sort,
        Query(description="In which order: by path, by name, or by date, those that changed last first."),
    ] = "path",
) -> VideosResponse:
    """List the videos in an order; a page stays right when videos are added meanwhile."""
    key = _KEYS[sort]
    listed = sorted(_matching(service.snapshot(), under, name), key=lambda video: key(*_place(video)))
    # A page begins after a place, not at a number: what was added before it moves nothing.
    first = 0
    if page is not None:
        last = _read_page(page, sort)
        first = bisect_right(listed, key(*last), key=lambda video: key(*_place(video)))
    shown = listed[first : first + limit]
    more = first + limit < len(listed)
    return VideosResponse(
        data=[VideoFacts(**_facts(video)) for video in shown],
        total=len(listed),
        next_page=_page_after(shown[-1], sort) if more else None,
    )


@router.get(
    "/v1/videos/{video_id}", operation_id="get_video", summary="One video", responses=problem_responses(404)
)
def video(service: CurrentService, video_id: VideoId) -> VideoDetails:
    """Return the facts of one video, its tags and its captions."""
    snapshot = service.snapshot()
    return _details(snapshot, snapshot.video(video_id))


@router.put(
    "/v1/videos/{video_id}/tags",
    operation_id="set_tags",
    summary="Tag a video",
    responses=problem_responses(404, 409, 413),
)
def tag(service: CurrentService, video_id: VideoId, body: TagsRequest) -> VideoDetails:
    """Give a video these tags in the place of those that it had; they follow its file."""
    if service.read_only:
        raise ProblemError(403, "this service only reads; tags cannot be changed here")
    before = service.snapshot()
    before.video(video_id)
    try:
        Store.open(service.live_index.folder).set_tags(video_id, body.tags)
    except IndexFolderError as error:
        raise ProblemError(409, error_message(error)) from error
    except ValueError as error:
        raise ProblemError(422, str(error)) from error
    # The answer, and whoever lists the videos next, have to show the tags.
    snapshot = service.live_index.wait_for_change(before, _TAG_SECONDS)
    return _details(snapshot, snapshot.video(video_id))


@router.get(
    "/v1/videos/{video_id}/captions",
    operation_id="rank_captions",
    summary="Captions that fit",
    responses=problem_responses(404),
)
async def captions(
    service: CurrentService,
    request: Request,
    video_id: VideoId,
    k: Annotated[int, Query(ge=1, le=100, description="How many at most.")] = 10,
) -> CaptionsResponse:
    """Rank the captions of the library by how well they fit a video, whosever they are."""
    service.snapshot().video(video_id)

    def rank(snapshot: Snapshot) -> list[tuple[str, float]]:
        snapshot.video(video_id)
        return snapshot.opened().captions_for(video_id, k)

    ranked = await wait_for(service.engine.run(lambda: service.live_index.run(rank)), request)
    return CaptionsResponse(
        data=[
            CaptionRank(rank=place + 1, caption=caption, score=score)
            for place, (caption, score) in enumerate(ranked)
        ]
    )


@router.get(
    "/v1/index", operation_id="get_index", summary="What is in the index", responses=problem_responses()
)
def index(service: CurrentService) -> IndexResponse:
    """Say what was indexed with which model, and which files could not be read and why."""
    return _index_facts(service.snapshot(), folder_chooser=service.folder_chooser)


@router.get(
    "/v1/suggestions",
    operation_id="suggest_questions",
    summary="Questions to begin with",
    responses=problem_responses(),
)
async def suggestions(service: CurrentService, request: Request) -> SuggestionsResponse:
    """Name questions that the library answers well: captions and tags of it, and what people often film."""

    def suggested(snapshot: Snapshot) -> list[str]:
        return snapshot.suggestions

    # Found once for a version, which takes a second: other questions do not wait for it.
    questions = service.calibration_engine.run(lambda: service.live_index.run(suggested))
    return SuggestionsResponse(data=await wait_for(questions, request))


def _matching(snapshot: Snapshot, folder: str | None, name: str | None) -> list[Video]:
    narrowed = Filter(under=None if folder is None else absolute_folder(folder), name=name)
    videos = snapshot.library.videos
    return [videos[video_id] for video_id in shown_paths_in(snapshot.library, narrowed)]


def _place(video: Video) -> tuple[str, int]:
    """Path and date of a video, by which it stands in a list."""
    return video.path, max(file.modified_ns for file in video.files)


def _page_after(video: Video, sort: Sort) -> str:
    # Names of files need not be UTF-8; Python holds other bytes as lone surrogates.
    text = json.dumps([sort, *_place(video)], ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode("utf-8", "surrogatepass")).decode().rstrip("=")


def _read_page(page: str, sort: Sort) -> tuple[str, int]:
    """Path and date of the last video on the page before."""
    problem = ProblemError(
        422,
        f"page is {page!r}, which is no next_page of this list; give that of an answer in the same order, "
        "or nothing",
    )
    try:
        text = base64.urlsafe_b64decode(page + "=" * (-len(page) % 4)).decode("utf-8", "surrogatepass")
        written, path, newest_ns = json.loads(text)
    except (binascii.Error, ValueError, TypeError, RecursionError) as error:
        raise problem from error
    if written != sort or type(path) is not str or type(newest_ns) is not int:
        raise problem
    return path, newest_ns


def _facts(video: Video) -> dict[str, Any]:
    first = next(iter(video.segments.values()))
    return {
        "video_id": video.video_id,
        "path": video.path,
        "paths": [file.path for file in video.files],
        "duration": video.duration_seconds,
        "width": video.width_px,
        "height": video.height_px,
        "codec": video.codec,
        "fps": video.fps,
        "segments": len(video.segments),
        "modified": max(file.modified for file in video.files),
        "tags": sorted(video.tags),
        "damage": video.damage,
        "thumbnail_url": thumbnail_url(video.video_id, (first.start_seconds + first.end_seconds) / 2),
        "media_url": media_url(video.video_id),
    }


def _details(snapshot: Snapshot, video: Video) -> VideoDetails:
    return VideoDetails(captions=list(snapshot.library.captions.get(video.video_id, ())), **_facts(video))


def _index_facts(snapshot: Snapshot, *, folder_chooser: bool) -> IndexResponse:
    library, index = snapshot.library, snapshot.index
    manifest = None if index is None else index.store.manifest
    return IndexResponse(
        model=None if manifest is None else manifest.model or manifest.model_name,
        method=None if manifest is None else manifest.method,
        model_knows=None if index is None else index.model.knows or None,
        videos=len(library.videos),
        duration=sum(video.duration_seconds for video in library.videos.values()),
        segments=sum(len(video.segments) for video in library.videos.values()),
        files=sum(file.reason is None for file in library.files.values()),
        failed=len(library.failures),
        bytes_on_disk=0 if index is None else index.store.bytes_on_disk(),
        folders=[
            Folder(path=path, videos=read, failed=failed) for path, (read, failed) in library.folders.items()
        ],
        failures=[
            FileProblem(path=file.path, reason=file.reason or "") for file in library.failures[:MAX_LISTED]
        ],
        partial=[
            FileProblem(path=file.path, reason=file.damage or "") for file in library.partial[:MAX_LISTED]
        ],
        calibrated=index is not None and index.calibration is not None,
        tags=sorted({tag for video in library.videos.values() for tag in video.tags}),
        version=__version__,
        folder_chooser=folder_chooser,
    )
