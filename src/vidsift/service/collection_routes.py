"""Collections over HTTP: moments that people put together by hand, kept in the index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Response

from vidsift.index.moment_collections import CollectedMoment, MomentCollections
from vidsift.service.problems import problem_responses
from vidsift.service.saved_changes import (
    CREATED,
    DELETED,
    SavedId,
    changing_saved,
    missing_is_a_problem,
    moment_in_time,
)
from vidsift.service.schemas import media_url, thumbnail_url
from vidsift.service.schemas_saved import (
    AddMomentsRequest,
    Collection,
    CollectionFacts,
    CollectionMoment,
    CollectionsResponse,
    NameRequest,
)
from vidsift.service.service import CurrentService

if TYPE_CHECKING:
    from vidsift.index.library import Library
    from vidsift.index.moment_collections import MomentCollection

__all__ = ["router"]

router = APIRouter(tags=["saved"])


@router.get(
    "/v1/collections", operation_id="list_collections", summary="Collections", responses=problem_responses()
)
def list_collections(service: CurrentService) -> CollectionsResponse:
    """List the collections of the index, newest first, without their moments."""
    library = service.snapshot().library
    collections = MomentCollections(service.live_index.folder).read()
    return CollectionsResponse(
        data=[CollectionFacts(**_facts(collection, library)) for collection in reversed(collections)]
    )


@router.post(
    "/v1/collections",
    operation_id="create_collection",
    summary="Make a collection",
    status_code=201,
    responses=problem_responses(409, 413, also=CREATED),
)
def create_collection(service: CurrentService, body: NameRequest, response: Response) -> Collection:
    """Make an empty collection."""
    library = service.snapshot().library
    with changing_saved(service):
        made = MomentCollections(service.live_index.folder).add(body.name)
    response.headers["location"] = f"/v1/collections/{made.entry_id}"
    return _shown(made, library)


@router.get(
    "/v1/collections/{collection_id}",
    operation_id="get_collection",
    summary="One collection",
    responses=problem_responses(404),
)
def get_collection(service: CurrentService, collection_id: SavedId) -> Collection:
    """Return a collection with its moments, those too whose video has left the library."""
    with missing_is_a_problem():
        collection = MomentCollections(service.live_index.folder).find(collection_id)
    return _shown(collection, service.snapshot().library)


@router.patch(
    "/v1/collections/{collection_id}",
    operation_id="rename_collection",
    summary="Rename a collection",
    responses=problem_responses(404, 409, 413),
)
def rename_collection(service: CurrentService, collection_id: SavedId, body: NameRequest) -> Collection:
    """Give a collection another name."""
    library = service.snapshot().library
    with changing_saved(service):
        collection = MomentCollections(service.live_index.folder).rename(collection_id, body.name)
    return _shown(collection, library)


@router.delete(
    "/v1/collections/{collection_id}",
    operation_id="delete_collection",
    summary="Delete a collection",
    status_code=204,
    response_class=Response,
    responses=problem_responses(404, 409, also=DELETED),
)
def delete_collection(service: CurrentService, collection_id: SavedId) -> None:
    """Delete a collection; the videos stay."""
    with changing_saved(service):
        MomentCollections(service.live_index.folder).remove(collection_id)


@router.post(
    "/v1/collections/{collection_id}/moments",
    operation_id="add_moments",
    summary="Add moments to a collection",
    responses=problem_responses(404, 409, 413),
)
def add_moments(service: CurrentService, collection_id: SavedId, body: AddMomentsRequest) -> Collection:
    """Add moments of videos that the library has; answers with the whole collection."""
    snapshot = service.snapshot()
    moments = [
        CollectedMoment(
            "", moment.video_id, snapshot.video(moment.video_id).path, moment.start, moment.end, moment.note
        )
        for moment in body.moments
    ]
    with changing_saved(service):
        collection = MomentCollections(service.live_index.folder).add_moments(collection_id, moments)
    return _shown(collection, snapshot.library)


@router.delete(
    "/v1/collections/{collection_id}/moments/{moment_id}",
    operation_id="remove_moment",
    summary="Take a moment out of a collection",
    status_code=204,
    response_class=Response,
    responses=problem_responses(404, 409, also=DELETED),
)
def remove_moment(service: CurrentService, collection_id: SavedId, moment_id: SavedId) -> None:
    """Take a moment out of a collection; its video stays."""
    with changing_saved(service):
        MomentCollections(service.live_index.folder).remove_moment(collection_id, moment_id)


def _facts(collection: MomentCollection, library: Library) -> dict[str, Any]:
    pictured = next((moment for moment in collection.moments if moment.video_id in library.videos), None)
    return {
        "collection_id": collection.entry_id,
        "name": collection.name,
        "created": moment_in_time(collection.created_seconds),
        "size": len(collection.moments),
        "thumbnail_url": None if pictured is None else _thumbnail(pictured),
    }


def _shown(collection: MomentCollection, library: Library) -> Collection:
    moments = [_shown_moment(moment, library) for moment in collection.moments]
    return Collection(moments=moments, **_facts(collection, library))


def _shown_moment(moment: CollectedMoment, library: Library) -> CollectionMoment:
    video = library.videos.get(moment.video_id)
    return CollectionMoment(
        moment_id=moment.moment_id,
        video_id=moment.video_id,
        start=moment.start_seconds,
        end=moment.end_seconds,
        note=moment.note,
        added=moment_in_time(moment.added_seconds),
        in_library=video is not None,
        path=moment.path if video is None else video.path,
        duration=None if video is None else video.duration_seconds,
        thumbnail_url=None if video is None else _thumbnail(moment),
        media_url=None if video is None else media_url(moment.video_id),
    )


def _thumbnail(moment: CollectedMoment) -> str:
    return thumbnail_url(moment.video_id, (moment.start_seconds + moment.end_seconds) / 2)
